"""A connection in HTTP/2 that can be broken off anywhere, and a WebSocket over one of its streams (RFC 8441)."""

from __future__ import annotations

import os
import socket
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.settings

Headers = list[tuple[str, str]]


class Http2:
    """One connection with one stream."""

    def __init__(self, port: int) -> None:
        self._authority = f"127.0.0.1:{port}"
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._flush()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.data = b""
        self.ended = self.reset = self.settled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def request(self, method: str, path: str, body: bytes = b"", headers: Headers | None = None, **more: str) -> None:
        """Send a request; without an end if ``headers`` declare more than ``body``."""
        head = [(":method", method), (":scheme", "http"), (":authority", self._authority), (":path", path)]
        head += [(f":{name}", value) for name, value in more.items()]
        declared = dict(headers or []).get("content-length")
        opens = bool(more) or (declared is not None and int(declared) > len(body))
        self._h2.send_headers(1, head + (headers or []), end_stream=not body and not opens)
        if body:
            self._h2.send_data(1, body, end_stream=not opens)
        self._flush()

    def send(self, data: bytes) -> None:
        """More data on the stream."""
        self._h2.send_data(1, data)
        self._flush()

    def send_when_open(self, data: bytes) -> None:
        """At most a frame of data, once the windows have room for it."""
        self.until(lambda http: http._h2.local_flow_control_window(1) >= len(data))
        self.send(data)

    def until(self, ready: Any) -> Http2:
        """Read until ``ready(self)``, or the stream or connection ends."""
        while not (ready(self) or self.ended or self.reset):
            received = self.socket.recv(65_536)
            if not received:
                self.reset = True
                return self
            for event in self._h2.receive_data(received):
                self._take(event)
            self._flush()
        return self

    @property
    def connects(self) -> bool:
        """Whether the server takes WebSockets over its streams. Its settings must have come."""
        return bool(self._h2.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL, 0))

    def _take(self, event: Any) -> None:
        match event:
            case h2.events.ResponseReceived():
                named = {bytes(n).decode(): bytes(v).decode() for n, v in _bytes(event.headers)}
                self.status, self.headers = int(named[":status"]), named
            case h2.events.DataReceived():
                self.data += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.ended = True
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                self.reset = True
            case h2.events.RemoteSettingsChanged():
                self.settled = True

    def _flush(self) -> None:
        self.socket.sendall(self._h2.data_to_send())


def _bytes(headers: Any) -> Any:
    return [tuple(part.encode() if isinstance(part, str) else part for part in pair) for pair in headers]


def frame(text: bytes) -> bytes:
    """A short text message as a client sends it: one masked frame (RFC 6455 section 5.2)."""
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))


def unframed(data: bytes) -> list[tuple[int, bytes]]:
    """The (opcode, payload) of the short frames that a server sent whole."""
    frames = []
    while len(data) >= 2:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + length:
            break
        frames.append((data[0] & 0x0F, data[start : start + length]))
        data = data[start + length :]
    return frames
