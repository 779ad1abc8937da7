"""A guarded server in a process of its own, its memory, and one attack on it."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from tests.hostile.case import CANARIES, CONTROL, Case, Reply
from tests.hostile.material import make
from tests.hostile.wire import Outcome, attack, request_bytes

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
IMPATIENT_SECONDS = 1.0
_UNSEEN = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\xad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufeff]")


class Seen(msgspec.Struct, frozen=True):
    """What came of one attack. ``lag_ms`` is how late the server's event loop came round, at most."""

    outcome: Outcome
    reached: int
    leaked: tuple[str, ...]
    growth_mb: float
    lag_ms: float
    seconds: float


class Running:
    """A server that listens."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, state: Path) -> None:
        self.process = process
        self.state = state
        self.port = port

    def report(self) -> dict[str, Any]:
        """What the app saw since the last report. Raises ``OSError`` if the server does not answer any more."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", CONTROL)
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def memory_mb(self, field: str) -> float:
        """``VmRSS`` or, since ``reset_peak``, ``VmHWM``."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) / 1024

    def reset_peak(self) -> None:
        """Let the peak begin at what is in use now (proc_pid_clear_refs(5))."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def attacked(self, case: Case, body: bytes | None = None) -> Seen:
        """Send a case, with ``body`` instead of its material if that is given, and say what came of it."""
        reply = case.reply or Reply()
        for name, material in (("first", reply.first), ("then", reply.then), ("last", reply.last)):
            (self.state / name).write_bytes(make(material))
        prepared = request_bytes(case, body)
        self.report()
        self.reset_peak()
        before = self.memory_mb("VmRSS")
        started = time.monotonic()
        outcome = attack(case, prepared, self.port)
        seconds = time.monotonic() - started
        told = self.report()
        growth = max(0.0, self.memory_mb("VmHWM") - before)
        return Seen(outcome, told["reached"], self._leaked(), growth, told["lag_ms"], seconds)

    def _leaked(self) -> tuple[str, ...]:
        """The canaries in what reached the app, which is forgotten."""
        found: dict[str, None] = {}
        for path in self.state.glob("seen-*"):
            found.update(dict.fromkeys(canaries_in(path.read_bytes())))
            path.unlink()
        return tuple(found)


def canaries_in(data: bytes) -> Iterator[str]:
    """The canaries that a reader of the bytes finds: as they are, in JSON strings, percent-encoded, in wide charsets,
    behind compatibility forms and what shows nothing."""
    readings = {data.decode("utf-8", "replace")}
    if b"\0" in data:
        readings |= {data.decode(codec, "replace") for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}
    for text in tuple(readings):
        readings.add(unquote(text.replace("+", " ")))
        try:
            readings.add(json.dumps(json.loads(text), ensure_ascii=False))
        except (ValueError, RecursionError):
            continue
    for text in readings:
        plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
        plain = _UNSEEN.sub("", plain)
        yield from (canary for canary in CANARIES if canary in plain)


@contextmanager
def serving(state: Path, *, impatient: bool = False, bare: bool = False, probe: bool = False) -> Iterator[Running]:
    """Run the target under uvicorn until the block ends. ``bare``: without the guard."""
    state.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environ = {**os.environ, "HOSTILE_STATE": str(state)}
    if impatient:
        environ["HOSTILE_BODY_TIMEOUT"] = str(IMPATIENT_SECONDS)
    if bare:
        environ["HOSTILE_BARE"] = "1"
    if probe:
        environ["HOSTILE_PROBE"] = "1"
    command = [sys.executable, "-m", "uvicorn", "tests.hostile.target:target", "--factory"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "critical", "--no-access-log"]
    command += ["--loop", "asyncio", "--http", "h11", "--lifespan", "on"]
    process = subprocess.Popen(command, env=environ, cwd=ROOT)
    try:
        running = Running(process, port, state)
        _await_start(running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_start(running: Running) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if running.process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {running.process.returncode} before it listened")
        with suppress(OSError, http.client.HTTPException):
            running.report()
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not answer within {START_SECONDS:g} s")
