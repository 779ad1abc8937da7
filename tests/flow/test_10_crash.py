"""A real server killed under load, and its log taken away: no request that reached the app lacks a durable decision."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from guard.errors import GuardError
from guard.record import writers
from guard.record.verify import verify
from guard.record.writers import read_writers
from guard.testing.records import read_records
from tests.flow.test_16_outages import asked, runtime

ROUNDS = 10
CLIENTS = 4
WORKERS = 2
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(port: int, state: Path, trace: Path) -> subprocess.Popen[bytes]:
    """A server with two workers, in a process group of its own, answering."""
    command = [sys.executable, "-m", "uvicorn", "tests.flow.killed_app:create", "--factory", "--port", str(port)]
    environ = {**os.environ, "STATE": str(state), "TRACE": str(trace)}
    command += ["--workers", str(WORKERS), "--log-level", "warning"]
    process = subprocess.Popen(command, env=environ, start_new_session=True)
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return process
        time.sleep(0.05)
    killed(process)
    raise RuntimeError("the server did not start")


def killed(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the supervisor and its workers at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_writers(state: Path, count: int) -> None:
    """Until so many logs are open that no list of writers calls closed."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        listed = read_writers(state / "log")
        if sum(listed.entries(origin)[-1].event == "opened" for origin in listed.origins) >= count:
            return
        time.sleep(0.05)
    raise RuntimeError("the workers did not open their logs")


def reached(trace: Path) -> list[str]:
    """The decisions whose requests the app has seen."""
    return trace.read_text().split() if trace.exists() else []


def load(port: int, stop: threading.Event) -> None:
    while not stop.is_set():
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
        ):
            for _ in range(50):
                connection.request("POST", "/v1/chat/completions", BODY, {"content-type": "application/json"})
                with connection.getresponse() as answer:
                    answer.read()
                if stop.is_set():
                    break


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the killed server's sockets
@pytest.mark.timeout(600)
def test_a_server_killed_ten_times_under_load_loses_no_decision(tmp_path: Path) -> None:
    """SIGKILL to two workers at random moments: each log verifies or has a torn tail by name, restart recovers, and
    every request that the app saw has its decision."""
    state, trace = tmp_path / "state", tmp_path / "trace"
    chance = random.Random(20_26)
    for _ in range(ROUNDS):
        port = free_port()
        process = started(port, state, trace)
        stop = threading.Event()
        clients = [threading.Thread(target=load, args=(port, stop)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        wanted = len(reached(trace)) + chance.randint(1, 200)
        until = time.monotonic() + 60
        while len(reached(trace)) < wanted and time.monotonic() < until:
            time.sleep(0.01)
        killed(process)
        stop.set()
        for client in clients:
            client.join()
        assert len(reached(trace)) >= wanted
        report = verify(state / "log")
        assert report.exit_code in {0, 2}, report.lines()
    process = started(free_port(), state, trace)
    await_writers(state, WORKERS)
    process.terminate()
    process.wait(60)
    report = verify(state / "log")
    assert report.exit_code == 0, report.lines()
    assert {origin.origin for origin in report.origins} >= {"policy-guard-0", "policy-guard-1", "policy-guard-writers"}
    decided = {record["id"] for record in read_records(state, "decision") if record["decision"]["effect"] == "allow"}
    assert set(reached(trace)) <= decided


@pytest.mark.anyio
async def test_a_log_that_is_removed_under_a_running_guard_stops_requests(tmp_path: Path) -> None:
    """503 on the next request, and on all after it: nothing is recorded in a file that nobody can read, and no new log
    is begun in its place."""
    running = runtime(tmp_path)
    assert (await asked(running)).status == 200
    shutil.rmtree(tmp_path / "log" / "policy-guard-0")
    for _ in range(2):
        answer = await asked(running)
        assert (answer.status, answer.json["reasons"][0]["code"]) == (503, "log_unavailable")
    with pytest.raises(GuardError):
        await running.stop()
    assert not (tmp_path / "log" / "policy-guard-0" / "seg").exists()


@pytest.mark.anyio
async def test_a_list_of_writers_that_another_process_holds_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard that cannot be entered takes no request: 503 until the lock is free, then it starts by itself."""
    monkeypatch.setattr(writers, "_LOCK_SECONDS", 0.05)
    listed = tmp_path / "log" / "policy-guard-writers"
    listed.mkdir(parents=True)
    running = runtime(tmp_path)
    with (listed / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        answer = await asked(running)
        assert (answer.status, answer.json["reasons"][0]["code"]) == (503, "guard_stopped")
        assert running.attempts.failure is not None
        assert running.attempts.failure.code == "log_locked"
    running.attempts.succeeded()
    assert (await asked(running)).status == 200
    await running.stop()
    assert verify(tmp_path / "log").exit_code == 0
