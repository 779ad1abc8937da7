"""A real server killed under load: no request that reached the app lacks a durable decision."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from guard.record.verify import verify
from guard.testing.records import read_records

ROUNDS = 10
CLIENTS = 4
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(port: int, state: Path, trace: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvicorn", "tests.flow.killed_app:create", "--factory", "--port", str(port)]
    environ = {**os.environ, "STATE": str(state), "TRACE": str(trace)}
    process = subprocess.Popen([*command, "--log-level", "warning"], env=environ)
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return process
        time.sleep(0.05)
    process.kill()
    raise RuntimeError("the server did not start")


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
@pytest.mark.timeout(300)
def test_a_server_killed_ten_times_under_load_loses_no_decision(tmp_path: Path) -> None:
    """SIGKILL at random moments: each log verifies or has a torn tail by name, restart recovers, and every request
    that the app saw has its decision."""
    state, trace = tmp_path / "state", tmp_path / "trace"
    chance = random.Random(20_26)
    for _ in range(ROUNDS):
        port = free_port()
        process = started(port, state, trace)
        stop = threading.Event()
        clients = [threading.Thread(target=load, args=(port, stop)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(0.3 + chance.random() * 0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stop.set()
        for client in clients:
            client.join()
        report = verify(state / "log")
        assert report.exit_code in {0, 2}, report
    process = started(free_port(), state, trace)
    process.terminate()
    process.wait(30)
    assert verify(state / "log").exit_code == 0
    reached = trace.read_text().split()
    decided = {record["id"] for record in read_records(state, "decision") if record["decision"]["effect"] == "allow"}
    assert len(reached) >= ROUNDS
    assert set(reached) <= decided
