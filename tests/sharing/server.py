"""A real Redis server as a process of the test's own: no persistence, a socket file or a loopback port, and it may be
killed, frozen and started again at the same address."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components import require

START_SECONDS = 20.0


class RedisServer:
    """One server. ``arguments`` are those of ``redis-server``."""

    def __init__(self, *arguments: str, tcp: bool = False, tls: bool = False) -> None:
        self._program = require("redis-server")
        # Not below the test's directory: the path of a socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="guard-redis-"))
        self.socket = self.directory / "s"
        self.port = _free_port() if tcp or tls else 0
        scheme = "rediss" if tls else "redis"
        self.url = f"{scheme}://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket}?db=0"
        ports = ["--port", "0", "--tls-port", str(self.port)] if tls else ["--port", str(self.port)]
        self._command = [
            self._program, "--save", "", "--appendonly", "no", "--unixsocket", str(self.socket), *ports,
            "--bind", "127.0.0.1", "--dir", str(self.directory), "--daemonize", "no", *arguments,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers on its socket file."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, f"redis-server ended by itself: {' '.join(self._command)}"
            assert time.monotonic() < until, "redis-server did not start"
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once: what it held is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def close(self) -> None:
        """End it and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the test's own, over the socket file."""
        import redis

        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=10)
        try:
            yield client
        finally:
            client.close()

    def names(self, kind: str = "") -> list[bytes]:
        """The keys, in their order; those of one type if it is named."""
        with self.client() as client:
            return sorted(client.scan_iter(_type=kind or None))

    def everything(self) -> bytes:
        """All that the server holds, keys and values."""
        held: list[bytes] = []
        with self.client() as client:
            read: dict[bytes, Callable[[bytes], Any]] = {
                b"string": client.get,
                b"hash": client.hgetall,
                b"list": lambda key: client.lrange(key, 0, -1),
                b"stream": client.xrange,
            }
            for key in self.names():
                held += [key, *_bytes_in(read[client.type(key)](key))]
        return b"\n".join(held)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _bytes_in(list(pair))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _bytes_in(item)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(*arguments: str, **options: Any) -> Iterator[RedisServer]:
    """A server for the length of a block."""
    server = RedisServer(*arguments, **options)
    try:
        yield server
    finally:
        server.close()


def until(holds: Callable[[], bool], seconds: float = 30.0, why: Callable[[], object] = lambda: "") -> None:
    """Wait until something holds; fails after ``seconds``, which only a hung test reaches."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"it never came to hold: {why()}")
        time.sleep(0.005)
