"""Servers for the tests of the OPA engine: the real one, and ones that misbehave as a test says. All on loopback."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.components import require


def await_frozen(pid: int) -> None:
    """Wait until the process stands still: its threads may go on for a moment after SIGSTOP was sent."""
    tasks = Path("/proc") / str(pid) / "task"
    while any((task / "stat").read_text().rpartition(")")[2].split()[0] not in "tT" for task in tasks.iterdir()):
        time.sleep(0.001)


class Opa:
    """A real OPA server, as a process that a test may kill, freeze and start again at the same address."""

    def __init__(self, *arguments: str, scheme: str = "http", socket_file: str = "") -> None:
        """``arguments`` are those of ``opa run --server``; with ``socket_file`` it listens there and not on a port."""
        self._program = require("opa")
        self._socket_file = socket_file
        self._address = f"unix://{socket_file}" if socket_file else free_url().removeprefix("http://")
        self.url = self._address if socket_file else f"{scheme}://{self._address}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start(*arguments)

    def start(self, *arguments: str) -> None:
        """Start it, and wait until it listens."""
        command = [self._program, "run", "--server", "--addr", self._address, "--log-level", "error"]
        self._process = subprocess.Popen(
            [*command, "--skip-version-check", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(400):
            if self._listens():
                return
            assert self._process.poll() is None, "the OPA server ended by itself"
            time.sleep(0.025)
        raise AssertionError("the OPA server did not start")

    def signal(self, number: int) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            await_frozen(self._process.pid)

    def kill(self) -> None:
        """End it at once, frozen or not."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX if self._socket_file else socket.AF_INET) as probe:
            probe.settimeout(1)
            try:
                host, _, port = self._address.rpartition(":")
                probe.connect(self._socket_file or (host, int(port)))
            except OSError:
                return False
            return True


@contextmanager
def real_opa(*arguments: str, scheme: str = "http", socket_file: str = "") -> Iterator[Opa]:
    """A real OPA server that lives as long as the block."""
    server = Opa(*arguments, scheme=scheme, socket_file=socket_file)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def opa_server(*arguments: str, scheme: str = "http") -> Iterator[str]:
    """The URL of a real OPA server that lives as long as the block."""
    with real_opa(*arguments, scheme=scheme) as server:
        yield server.url


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
