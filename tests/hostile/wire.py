"""A client that sends what no client library would, and says what came back."""

from __future__ import annotations

import json
import random
import re
import socket
import string
import struct
import threading
import time
from collections.abc import Iterator

import msgspec

from tests.hostile.case import CANARIES, Case
from tests.hostile.material import make

ANSWER_SECONDS = 60.0
_KEPT = 1 << 18
_HOST = b"host: localhost\r\n"
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)


class Outcome(msgspec.Struct, frozen=True):
    """What came back. ``answer`` is in the words of ``Case.answers``, ``codes`` are all reasons that were given."""

    answer: str
    codes: frozenset[str] = frozenset()
    size_bytes: int = 0
    leaked: tuple[str, ...] = ()

    def fits(self, expected: str) -> bool:
        """Whether this is the expected outcome; a refusal may name more reasons than the expected one."""
        status, _, code = expected.partition(" ")
        mine, _, rest = self.answer.partition(" ")
        if status == "ws":
            return self.answer == expected
        return status == mine and (code == rest or code in self.codes)


class Received:
    """What a connection gave: its beginning and its end, and how much it was."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.tail = b""
        self.size = 0
        self.leaked: dict[str, None] = {}

    def add(self, data: bytes) -> None:
        """Take the next bytes; canaries are looked for over their joints."""
        window = self.tail[-128:] + data
        for canary in CANARIES:
            if canary.encode() in window:
                self.leaked[canary] = None
        self.size += len(data)
        if len(self.head) < _KEPT:
            self.head += data[: _KEPT - len(self.head)]
        self.tail = (self.tail + data)[-_KEPT:]


def user_of() -> str:
    """A caller: each is somebody else, or the behaviour model would rightly stop them. Letters look like no number."""
    letters = "".join(random.choices(string.ascii_lowercase, k=16))
    return f"x-forwarded-user: {letters}"


def request_bytes(case: Case, body: bytes | None = None) -> bytes:
    """All bytes that the case sends; of a WebSocket, its handshake. ``body`` stands in for the case's material."""
    if case.sent is not None:
        return make(case.sent).replace(_HOST, _HOST + user_of().encode() + b"\r\n")
    if case.websocket:
        more = "sec-websocket-extensions: permessage-deflate; client_no_context_takeover\r\n" if case.deflated else ""
        head = _HANDSHAKE.format(path=case.path, more=f"{user_of()}\r\n{more}")
        return head.encode()
    if body is None:
        body = b"" if case.body is None else make(case.body)
    headers = [*case.headers, user_of(), f"x-hostile-case: {case.name}"]
    if case.framing == "chunked":
        headers.append("transfer-encoding: chunked")
        size = case.chunk_bytes
        pieces = [body[i : i + size] for i in range(0, len(body), size)]
        body = b"".join([*[b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces], b"0\r\n\r\n"])
    elif case.framing == "length":
        headers.append(f"content-length: {len(body)}")
    head = "\r\n".join([f"{case.method} {case.path} HTTP/1.1", "host: localhost", *headers, "", ""])
    return head.encode("latin-1") + body


def attack(case: Case, prepared: bytes, port: int) -> Outcome:
    """Send a case, whose ``request_bytes`` are given, and wait for what comes of it."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if case.websocket:
            return _converse(case, prepared, connection)
        sender = threading.Thread(target=_send, args=(case, connection, prepared), daemon=True)
        sender.start()
        if case.ends == "close":
            sender.join(ANSWER_SECONDS)
            return Outcome("closed")
        received = Received()
        try:
            complete = _read(connection, received, case.method)
        except OSError:
            complete = False
        outcome = _outcome(received, complete=complete)
        # A sender that is still at it ends with the connection.
        _shut(connection)
        sender.join(ANSWER_SECONDS)
        return outcome


def _send(case: Case, connection: socket.socket, data: bytes) -> None:
    try:
        if case.piece_bytes:
            for start in range(0, len(data), case.piece_bytes):
                connection.sendall(data[start : start + case.piece_bytes])
                time.sleep(case.pause_ms / 1000)
        else:
            connection.sendall(data)
        if case.ends == "half-close":
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # refused before all was sent: the answer says why


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _read(connection: socket.socket, received: Received, method: str) -> bool:
    """Read one answer; whether it was whole."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            received.add(bytes(data))
            return False
        data += piece
        if data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:
            del data[: data.index(b"\r\n\r\n") + 4]  # an interim answer: the other follows
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    received.add(head + b"\r\n\r\n" + rest)
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if method == "HEAD" or head[9:12] in (b"204", b"304"):
        return True
    if length is not None:
        missing = int(length[1]) - len(rest)
        while missing > 0:
            piece = connection.recv(min(missing, 1 << 20))
            if not piece:
                return False
            received.add(piece)
            missing -= len(piece)
        return True
    chunked = re.search(rb"\r\ntransfer-encoding: *chunked", head, re.IGNORECASE) is not None
    while not (chunked and received.tail.endswith(b"0\r\n\r\n")):
        piece = connection.recv(1 << 20)
        if not piece:
            return not chunked
        received.add(piece)
    return True


def _outcome(received: Received, *, complete: bool) -> Outcome:
    size, leaked = received.size, tuple(received.leaked)
    head, _, body = bytes(received.head).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        return Outcome("closed", size_bytes=size, leaked=leaked)
    status = head[9:12].decode()
    by_guard = b"x-guard-decision-id" in head.lower()
    if not by_guard:
        return Outcome(f"{status} server", frozenset({"server"}), size, leaked)
    if int(status) >= 400 and b"reasons" in body:
        codes = _codes(body)
        return Outcome(f"{status} {'+'.join(sorted(codes))}", codes, size, leaked)
    stopped = re.search(rb'data: (\{"error":.*\})\n\n', received.tail)
    if stopped is not None:
        codes = _codes(stopped[1])
        return Outcome(f"{status} stopped {'+'.join(sorted(codes))}", frozenset({"stopped"}), size, leaked)
    return Outcome(status if complete else f"{status} cut", frozenset(() if complete else ("cut",)), size, leaked)


def _codes(body: bytes) -> frozenset[str]:
    found = re.search(rb"\{.*\}", body, re.DOTALL)
    told = json.loads(found[0]) if found else {}
    reasons = told.get("reasons") or told.get("guard") or told["error"].get("details", {}).get("reasons", [])
    return frozenset(reason["rule"] or reason["code"] for reason in reasons)


# WebSocket -----------------------------------------------------------------------------------------------------------


def _converse(case: Case, prepared: bytes, connection: socket.socket) -> Outcome:
    connection.sendall(prepared)
    stream = connection.makefile("rb")
    head = b"".join(iter(stream.readline, b"\r\n"))
    if head[9:12] != b"101":
        return Outcome(f"ws refused {head[9:12].decode()}")
    frames = [make(frame) for frame in case.websocket]

    def send() -> None:
        for frame in frames:
            try:
                connection.sendall(frame)
            except OSError:
                return

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    answer, received = "ws closed", Received()
    try:
        for opcode, data in _frames(stream):
            received.add(data)
            if opcode == 8:
                answer = f"ws close {struct.unpack('!H', data[:2])[0] if data else 1005}"
                break
            if opcode in (1, 2):
                answer = "ws echo"
                break
    except OSError:
        answer = "ws closed"
    _shut(connection)
    sender.join(ANSWER_SECONDS)
    return Outcome(answer, size_bytes=received.size, leaked=tuple(received.leaked))


def _frames(stream: object) -> Iterator[tuple[int, bytes]]:
    read = stream.read  # type: ignore[attr-defined]
    while head := read(2):
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", read(8))
        yield head[0] & 0x0F, read(length)
