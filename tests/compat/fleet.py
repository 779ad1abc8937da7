"""Servers as processes of their own: started a few ahead of the tests that speak to them, stopped behind them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2

from guard.testing import read_records
from guard.types import DecisionRecord
from tests.compat.matrix import SERVERS, Pair

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 15.0
AHEAD = 2


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """A server that answers."""

    pair: Pair
    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where the app's paths begin."""
        return f"http://127.0.0.1:{self.port}{self.pair.prefix}"

    @property
    def http2(self) -> bool:
        """Whether it is spoken to in HTTP/2 from the first byte."""
        return SERVERS[self.pair.server].http2

    def client(self) -> httpx2.Client:
        """A client with connections of its own."""
        return httpx2.Client(base_url=self.url, http1=not self.http2, http2=self.http2, timeout=10, trust_env=False)

    @property
    def state(self) -> Path:
        """The guard's state directory."""
        return self.directory / "state"

    def journal(self) -> list[str]:
        """What the app noted."""
        path = self.directory / "journal"
        return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []

    def said(self) -> str:
        """What the server wrote on its terminal."""
        return (self.directory / "server.log").read_text(encoding="utf-8", errors="replace")

    def record(self, kind: str, decision_id: str) -> DecisionRecord:
        """The record of this kind of a decision. Waits up to five seconds: an outcome may follow its answer."""
        until = time.monotonic() + 5
        while True:
            for record in read_records(self.state, kind):
                if decision_id in {record.get("id") if kind == "decision" else None, record.get("decision_ref")}:
                    return record
            if time.monotonic() > until:
                raise AssertionError(f"no {kind} record of {decision_id}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, as a process manager does, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # Its workers too: granian and hypercorn leave them to themselves if their parent is killed.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
            raise AssertionError(f"{self.pair} did not end within {STOP_SECONDS:g} s:\n{self.said()[-2000:]}") from None


def launch(pair: Pair, directory: Path, *, workers: int = 1) -> Running:
    """Start a server and wait until its app answers. Raises ``RuntimeError`` with what the server said."""
    port = free_port()
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GUARD_")},
        "COMPAT_FRAMEWORK": pair.framework,
        "COMPAT_DIRECTORY": str(directory),
        "COMPAT_PREFIX": pair.prefix,
        "PYTHONUNBUFFERED": "1",
    }
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            pair.command(port, workers=workers),
            cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    running = Running(pair, port, directory, process)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if answers(running):
            return running
        time.sleep(0.1)
    said = running.said()[-3000:]
    running.stop()
    raise RuntimeError(f"{pair} did not start:\n{said}")


def answers(running: Running) -> bool:
    """Whether the server answers a request that the guard inspects."""
    try:
        with running.client() as client:
            return client.get("/ai/hello").status_code == http.client.OK
    except httpx2.TransportError:
        return False


class Fleet:
    """The servers of a test run, in the order in which the tests need them; ``ahead`` are started before their turn."""

    def __init__(self, pairs: Sequence[Pair], directory: Path, *, ahead: int = AHEAD) -> None:
        self._order = list(pairs)
        self._directory = directory
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(max_workers=ahead + 1, thread_name_prefix="compat-fleet")
        self._starting: dict[Pair, Future[Running]] = {}

    def take(self, pair: Pair) -> Running:
        """The server of a pair. Those that are needed next begin to start."""
        first = self._order.index(pair)
        for needed in self._order[first : first + 1 + self._ahead]:
            if needed not in self._starting:
                self._starting[needed] = self._pool.submit(self._launch, needed)
        return self._starting[pair].result(START_SECONDS + STOP_SECONDS)

    def stop(self) -> None:
        """End whatever runs still."""
        self._pool.shutdown(cancel_futures=True)
        for future in self._starting.values():
            if not future.cancelled() and future.exception() is None:
                future.result().stop()

    def _launch(self, pair: Pair) -> Running:
        directory = self._directory / f"{self._order.index(pair):02}"
        directory.mkdir()
        return launch(pair, directory)
