"""Two worker processes under one uvicorn: a caller's requests count in both, whichever takes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sharing.server import RedisServer, until

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = 40


def asked(port: int) -> dict[str, Any]:
    """One request, over a connection of its own."""
    answer = httpx.get(f"http://127.0.0.1:{port}/", timeout=30)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def listens(port: int) -> bool:
    """Whether the server answers."""
    try:
        asked(port)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.slow
def test_two_workers_count_together(tmp_path: Path, server: RedisServer) -> None:
    """Forty requests spread over two processes: after them, each knows of all that both let in."""
    (tmp_path / "guard.toml").write_text(
        f'[detectors]\nenabled = []\n[detectors.sharing]\nurl = "{server.url}"\n[policy]\nshipped = true\n'
    )
    port = 20_000 + os.getpid() % 20_000
    command = ["uvicorn", "tests.sharing.app:app", "--port", str(port), "--workers", "2", "--log-level", "warning"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    environ |= {"GUARD_CONFIG": str(tmp_path / "guard.toml"), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        until(lambda: listens(port), 60, lambda: (tmp_path / "log").read_text()[-3000:])
        let_in: dict[int, int] = {}
        began = time.monotonic()
        while len(let_in) < 2 or sum(let_in.values()) < REQUESTS:
            worker = asked(port)["worker"]
            let_in[worker] = let_in.get(worker, 0) + 1
            assert time.monotonic() - began < 60, f"one worker took all: {let_in}"
        own, others = dict(let_in), {worker: sum(let_in.values()) - count for worker, count in let_in.items()}
        known: dict[int, float] = {}

        def both_know() -> bool:
            answer = asked(port)
            own[answer["worker"]] += 1
            known[answer["worker"]] = answer["requests_1m"] - own[answer["worker"]]
            return all(known.get(worker, 0.0) >= count for worker, count in others.items())

        until(both_know, 60, lambda: (let_in, known))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}
