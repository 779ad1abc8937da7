"""Servers for the tests of the OPA engine: the real one, and ones that misbehave as a test says. All on loopback."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.components import require


@contextmanager
def opa_server(*arguments: str, scheme: str = "http") -> Iterator[str]:
    """The URL of a real OPA server that lives as long as the block."""
    program = require("opa")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, "run", "--server", "--addr", address, "--log-level", "error", "--disable-telemetry", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(address, process)
        yield f"{scheme}://{address}"
    finally:
        process.kill()
        process.wait(10)


def _await_port(address: str, process: subprocess.Popen[bytes]) -> None:
    host, port = address.split(":")
    for _ in range(400):
        try:
            with socket.create_connection((host, int(port)), timeout=1):
                return
        except OSError:
            assert process.poll() is None, "the OPA server ended by itself"
            time.sleep(0.025)
    raise AssertionError("the OPA server did not start")


class Misbehaving:
    """What a server did: the requests it got, whole."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[bytes] = []


@asynccontextmanager
async def misbehaving(answer: bytes | None, *, then_close: bool = True, port: int = 0) -> AsyncIterator[Misbehaving]:
    """A server that reads a request and sends these bytes; ``None`` is silence with an open connection."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(v.split(b":")[1]) for v in head.lower().split(b"\r\n") if b"content-length" in v), 0)
            seen.requests.append(head + await reader.readexactly(length))
            if answer is not None:
                writer.write(answer)
                await writer.drain()
            if answer is None or not then_close:
                await done.wait()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client hung up, as it may.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    host, port = server.sockets[0].getsockname()[:2]
    seen = Misbehaving(f"http://{host}:{port}")
    try:
        yield seen
    finally:
        done.set()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


def answer(body: bytes, status: str = "200 OK", media_type: str = "application/json") -> bytes:
    """The bytes of an HTTP answer."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def free_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
