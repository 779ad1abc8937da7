"""The client of ``benchmarks.soak``: HTTP/1.1 and WebSocket, written out by hand so that it can also misbehave."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Final, NamedTuple

_CLOSE: Final = 8
_TEXT: Final = 1
_READ_BYTES: Final = 1 << 20


class Answer(NamedTuple):
    """A whole answer. ``whole`` is false if the server closed before its end."""

    status: int
    body: bytes
    whole: bool = True


class Wire:
    """One connection, opened when it is needed and opened again when the server or a scenario has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.address = "127.0.0.1"

    async def close(self) -> None:
        """Close it, if it is open."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            try:
                await streams[1].wait_closed()
            except OSError:
                return

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The streams of the connection, from ``address`` if a new one is made."""
        if self._streams is None:
            made = asyncio.open_connection("127.0.0.1", self._port, limit=_READ_BYTES, local_addr=(self.address, 0))
            self._streams = await made
        return self._streams

    async def exchange(self, request: bytes, *, bodiless: bool = False) -> Answer:
        """Send a whole request and read its answer. A connection that had died meanwhile is replaced once."""
        fresh = self._streams is None
        try:
            await self.send(request)
            return await self.answer(bodiless=bodiless)
        except (asyncio.IncompleteReadError, OSError):
            await self.close()
            if fresh:
                raise
            await self.send(request)
            return await self.answer(bodiless=bodiless)

    async def send(self, data: bytes) -> None:
        """Send some bytes."""
        _, writer = await self.open()
        writer.write(data)
        await writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Read a whole answer. Raises ``IncompleteReadError`` if the server closes before its head is whole."""
        reader, _ = await self.open()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        try:
            body = b"" if bodiless or status in {204, 304} else await _body(reader, head)
        except asyncio.IncompleteReadError as error:
            await self.close()
            return Answer(status, error.partial, whole=False)
        if b"\r\nconnection: close" in head:
            await self.close()
        return Answer(status, body)

    # WebSocket (RFC 6455) --------------------------------------------------------------------------------------------

    async def upgrade(self, path: str, headers: str) -> int:
        """Open a WebSocket on a new connection; the status of the handshake."""
        await self.close()
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nhost: soak\r\nconnection: upgrade\r\nupgrade: websocket\r\n{headers}"
        await self.send(f"{head}sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode())
        reader, _ = await self.open()
        return int((await reader.readuntil(b"\r\n\r\n"))[9:12])

    async def say(self, payload: bytes, opcode: int = _TEXT) -> None:
        """Send one message, masked with zeros: the mask is there for proxies, of which there is none."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
        await self.send(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    async def hear(self) -> tuple[int, bytes]:
        """The next message, up to 64 KiB: its opcode and payload."""
        reader, _ = await self.open()
        first, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2))
        return first & 0x0F, await reader.readexactly(size)

    async def hang_up(self) -> None:
        """Close a WebSocket as it should be closed."""
        await self.say((1000).to_bytes(2), _CLOSE)
        while (await self.hear())[0] != _CLOSE:
            continue
        await self.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line[15:]))
    if b"\r\ntransfer-encoding: chunked" not in head:
        return await reader.read()
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


def request(
    method: str, path: str, body: bytes = b"", *, media_type: str = "application/json", headers: str = ""
) -> bytes:
    """The bytes of a request. ``headers`` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nhost: soak\r\n{headers}"
    if body:
        head += f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
