"""Outages of the real thing: an OPA that hangs or dies, a disk that is full, a log that is broken, a server that stops
while a stream is open."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.config import load_config
from guard.health import report as health_report
from guard.middleware import GuardMiddleware
from guard.record.verify import verify
from guard.runtime import Runtime
from guard.testing.records import read_records
from tests.components import require, require_package
from tests.flow.rig import Rig, answering, chat
from tests.policy.servers import await_frozen

pytestmark = pytest.mark.anyio

REQUESTS = 20
POLICY = """package guard

decision := {"allow": true, "reasons": [], "obligations": []}
"""
SERVERS = {
    "uvicorn": "uvicorn {app} --factory --port {port} --log-level warning",
    "hypercorn": "hypercorn {app}() --bind 127.0.0.1:{port} --workers 0 --log-level warning --graceful-timeout 20",
    "granian": "granian {app} --factory --interface asgi --port {port} --log-level warning --workers-kill-timeout 20",
}


def until(condition: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Wait for something that comes about in another process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


@pytest.fixture
def opa(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real OPA server over a policy that allows, and its process."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "guard.rego").write_text(POLICY)
    address = f"127.0.0.1:{free_port()}"
    command = [require("opa"), "run", "--server", "--addr", address, "--disable-telemetry", str(policies)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(int(address.split(":")[1])), "OPA did not start")
        yield f"http://{address}", process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


async def decides_again(rig: Rig) -> None:
    """Wait until the guard has found by itself that the engine answers."""
    while not health_report(rig.runtime).engine.healthy:  # type: ignore[union-attr]  # noqa: ASYNC110 - it asks by itself
        await asyncio.sleep(0.01)


async def test_an_opa_that_hangs_or_dies_under_load(tmp_path: Path, opa: Any) -> None:
    """Every request is answered: 503 with the reason where the route is closed, 200 where it fails open; and when the
    engine is back, so are the decisions."""
    url, process = opa
    config = load_config(
        environ={},
        state_directory=tmp_path / "state",
        detectors={"enabled": (), "behaviour": None},
        policy={"engine": "opa", "shipped": False, "directories": (tmp_path / "policies",), "opa": {"url": url}},
        limits={"policy_deadline_ms": 300},
        routes=({"path": "/open", "unsafe_fail_open": True},),
    )
    seen: list[Any] = []
    rig = Rig(tmp_path / "unused", answering(b"{}"))
    rig.runtime = Runtime(config)
    rig.guard = GuardMiddleware(answering(b"{}", seen=seen), runtime=rig.runtime)

    async def load() -> tuple[set[Any], set[int]]:
        closed = asyncio.gather(*(rig.call(body=chat("x"), path="/closed") for _ in range(REQUESTS)))
        opened = asyncio.gather(*(rig.call(body=chat("x"), path="/open") for _ in range(REQUESTS)))
        codes = {a.json["reasons"][0]["code"] if a.status != 200 else 200 for a in await closed}
        return codes, {a.status for a in await opened}

    async with asyncio.timeout(60):
        assert await load() == ({200}, {200})
        process.send_signal(signal.SIGSTOP)
        await_frozen(process.pid)
        found, opened_statuses = await load()
        assert ("policy_timeout" in found, opened_statuses) == (True, {200})
        # Who comes once the circuit breaker is open is refused without waiting.
        assert found <= {"policy_timeout", "engine_unavailable"}
        assert await load() == ({"engine_unavailable"}, {200})
        process.send_signal(signal.SIGCONT)
        await decides_again(rig)
        assert await load() == ({200}, {200})
        process.kill()
        process.wait(10)
        assert await load() == ({"engine_unavailable"}, {200})
    assert rig.runtime.tally.counters()["fail_open"] >= 2 * REQUESTS
    assert (rig.runtime.pressure.exchanges, rig.runtime.pressure.bytes) == (0, 0)
    await rig.runtime.stop()
    opened = [
        r for r in read_records(tmp_path / "state", "decision") if (r["decision"]["fail"] or {}).get("policy") == "open"
    ]
    assert {r["decision"]["fail"]["kind"] for r in opened} == {"policy_timeout", "engine_unavailable"}
    report = verify(tmp_path / "state" / "log")
    assert report.exit_code == 0
    said = f"{len(opened)} requests or messages passed undecided, on routes that fail open"
    assert said in [notice for origin in report.origins for notice in origin.notices]


# Servers as processes ------------------------------------------------------------------------------------------------


class Served:
    """A server in a process of its own."""

    def __init__(self, directory: Path, server: str) -> None:
        self.state, self.go, self.port = directory / "state", directory / "GO", free_port()
        command = SERVERS[server].format(app="tests.flow.stopped_app:create", port=self.port)
        environ = {**os.environ, "STATE": str(self.state), "GO": str(self.go)}
        self.process = subprocess.Popen([sys.executable, "-m", *command.split()], env=environ)
        until(lambda: listens(self.port) or self.process.poll() is not None, "the server did not start")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and body of one request."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as answer:
                return answer.status, json.loads(answer.read())

    def writers(self) -> list[int]:
        """The processes that write the log: the server, or its worker."""
        family = [self.process.pid]
        for pid in family:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                family += [int(child) for child in task.read_text().split()]
        return family

    def allow_files_of(self, size: int) -> None:
        """How large the files of the server may be: what a full disk is to a writer."""
        for pid in self.writers():
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def end(self) -> None:
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not end") from None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit(2)")
def test_a_disk_that_is_full_and_mended(tmp_path: Path) -> None:
    """No record, no request: 503 with ``log_unavailable``. The route that fails open goes on. With room again the log
    opens itself, tells what it missed, and verifies."""
    served = Served(tmp_path, "uvicorn")
    try:
        assert served.get("/closed")[0] == 200
        served.allow_files_of(1)
        until(lambda: served.get("/closed")[0] == 503, "a full disk went unnoticed")
        status, problem = served.get("/closed")
        assert (status, problem["reasons"][0]["code"]) == (503, "log_unavailable")
        assert served.get("/open") == (200, {})
        status, health = served.get("/health/ready")
        assert (status, health["status"], health["log"]["writable"]) == (503, "failed", False)
        served.allow_files_of(resource.RLIM_INFINITY)
        until(lambda: served.get("/closed")[0] == 200, "the log did not open again")
    finally:
        served.end()
    report = verify(served.state / "log")
    assert report.exit_code == 0, report
    counters = [r["counters"] for kind in ("heartbeat", "close") for r in read_records(served.state, kind)]
    assert max(c.get("unrecorded", 0) for c in counters) == 2
    assert max(c.get("fail_open", 0) for c in counters) == 2


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_told_to_stop_finishes_its_streams(tmp_path: Path, server: str) -> None:
    """SIGTERM while a stream is open: it goes on to its end, its outcome is recorded, the log is closed and whole."""
    require_package(server)
    served = Served(tmp_path, server)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request("GET", "/stream")
        answer = connection.getresponse()
        assert answer.read(13) == b"data: first\n\n"
        served.process.send_signal(signal.SIGTERM)
        until(lambda: not listens(served.port), "the server did not stop listening")
        served.go.touch()
        assert answer.read() == b"data: last\n\n"
        connection.close()
    finally:
        served.go.touch()
        served.end()
    report = verify(served.state / "log")
    assert report.exit_code == 0, report
    (outcome,) = read_records(served.state, "outcome")
    assert (outcome["aborted"], outcome["status"], outcome["size_bytes"]) == (None, 200, 25)
    assert len(list(read_records(served.state, "close"))) == 1


# A log that cannot be opened -----------------------------------------------------------------------------------------


def runtime(state: Path, **config: Any) -> Runtime:
    named = {"detectors": {"enabled": (), "behaviour": None}, **config}
    return Runtime(load_config(environ={}, state_directory=state, **named))


async def asked(running: Runtime, path: str = "/x") -> Any:
    """The answer to one request."""
    rig = Rig.__new__(Rig)
    rig.guard = GuardMiddleware(answering(b"{}"), runtime=running)
    return await rig.call("GET", path)


async def test_a_log_that_was_tampered_with_stops_the_start(tmp_path: Path) -> None:
    """503 until somebody has looked; nothing is written over the evidence. A route that fails open is served."""
    first = runtime(tmp_path)
    assert (await asked(first)).status == 200
    await first.stop()
    (segment,) = tmp_path.glob("log/*-0/seg/*.jsonl")  # noqa: ASYNC240 - a test reads a small file
    damaged = segment.read_bytes().replace(b'"allow"', b'"alloW"')
    segment.chmod(0o600)
    segment.write_bytes(damaged)
    second = runtime(tmp_path, routes=({"path": "/open", "unsafe_fail_open": True},))
    answer = await asked(second)
    assert (answer.status, answer.json["reasons"][0]["code"]) == (503, "guard_stopped")
    assert second.attempts.failure is not None
    assert second.attempts.failure.code == "log_tampered"
    assert (await asked(second, "/open")).status == 200
    assert segment.read_bytes() == damaged


async def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """503 with the reason in the guard's own log, which names the directory; the client is told no path."""
    (tmp_path / "state").write_text("a file where a directory should be")
    running = runtime(tmp_path / "state")
    answer = await asked(running)
    assert (answer.status, str(tmp_path) in answer.body.decode()) == (503, False)
    assert str(tmp_path / "state") in str(running.attempts.failure)
    (tmp_path / "state").unlink()
    running.attempts.succeeded()  # the second is over
    assert (await asked(running)).status == 200
    await running.stop()
