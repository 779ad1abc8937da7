"""What the benchmarks share: servers in processes of their own, a lean client, quantiles, and one way to print.

CPU is the ``process_time`` of the server process (all threads), asked of the server itself between rounds: it holds
on a noisy machine, where wall time does not. All traffic is on the loopback interface, bounded in count.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 60.0
CPU_PATH: Final = "/__cpu"
ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    """A running target."""

    name: str
    port: int


@contextlib.contextmanager
def serving(
    name: str, factory: str, environ: dict[str, str] | None = None, *, log_file: Path | None = None
) -> Iterator[Server]:
    """Run ``module:factory`` (returns an ASGI app) under uvicorn in a process of its own until the block ends.

    What it writes to standard error goes into ``log_file``, if one is given.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", factory, "--factory", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--app-dir",
        str(ROOT),
        "--log-level",
        "warning",
        "--no-access-log",
        "--loop",
        "asyncio",
        "--http",
        "h11",
    ]
    with log_file.open("wb") if log_file else contextlib.nullcontext() as errors:
        process = subprocess.Popen(command, env={**os.environ, **(environ or {})}, stderr=errors)
    try:
        _await_port(process, port)
        yield Server(name, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not listen within {START_SECONDS:g} s")


class Client:
    """One keep-alive HTTP/1.1 connection; so lean that the server's time is what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, server: Server) -> AsyncIterator[Client]:
        """A connection for the length of the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request, return the status and body of its answer (which has a Content-Length)."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(head[9:12]), await self._reader.readexactly(length)

    async def cpu_seconds(self) -> float:
        """The CPU time that the server process has used so far."""
        return float((await self.send(http_request("GET", CPU_PATH)))[1])


def http_request(method: str, path: str, body: bytes = b"", user: str = "") -> bytes:
    """The bytes of a request with a JSON body; ``user`` goes into ``x-forwarded-user``."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    if user:
        head += f"x-forwarded-user: {user}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def with_cpu(app: Any) -> Any:
    """The app, with its process's CPU time at ``CPU_PATH``."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != CPU_PATH:
            await app(scope, receive, send)
            return
        body = str(time.process_time()).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return wrapped


def quantile(values: Sequence[float], q: float) -> float:
    """The ``q`` quantile (0..1) by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def fdatasync_ms(rounds: int = 200) -> float:
    """The median time of an ``fdatasync`` after a 2 kB append in this run, in milliseconds."""
    times = []
    with tempfile.TemporaryDirectory() as directory:
        handle = os.open(Path(directory) / "probe", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for _ in range(rounds):
                os.write(handle, b"x" * 2000)
                started = time.perf_counter()
                os.fdatasync(handle)
                times.append((time.perf_counter() - started) * 1e3)
        finally:
            os.close(handle)
    return statistics.median(times)


def median_of(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Key by key, the median over rounds, to four digits."""
    return {key: round(statistics.median(r[key] for r in rounds), 4) for key in rounds[0]}


def show(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], write: Callable[[str], object] = print
) -> None:
    """A table for people."""
    cells = [list(columns), *[[f"{c:.3f}" if isinstance(c, float) else str(c) for c in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    write(title)
    for row in cells:
        write(
            "  "
            + "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        )


def emit(result: dict[str, Any]) -> None:
    """One JSON object for programs."""
    print(json.dumps(result))
