"""What the signed log costs: ``python -m benchmarks.log [--json] [--rounds N] [--seconds S]``.

Tasks append records of one chat request's size (about 2 kB), each waiting for its receipt before the next: 1, 16 and 64
tasks. Beside each other in one run: the log in ``strict`` mode (durable on return), in ``buffered`` mode, and the naive
way, which canonicalises with the standard library, signs each record with Ed25519 and calls ``fsync`` after each. The
naive log runs on the event loop itself, which is the fastest that it can be: no thread, no queue. Then the verification
of what was written, the start on it, and writing its tiles. Times are wall time; CPU is that of the whole process.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.harness import emit, fdatasync_ms, median_of, quantile, show
from guard.keyed import KeyedHash
from guard.record.build import decision_record, new_id
from guard.record.log import SignedLog
from guard.record.sign import Ed25519Signer
from guard.record.tiles import write_tiles
from guard.record.verify import acyclic, verify
from guard.types import Decision, EngineInfo, Obligation, Principal

CONCURRENCY: Final = (1, 16, 64)
KEYED: Final = KeyedHash("bench001", b"k" * 32)
ENGINE: Final = EngineInfo("embedded", "1", "rev-1", "ab" * 32)
USER: Final = Principal(type="user", id="jane", tenant="acme", roles=("dev",), authenticated=True, method="jwt")


class Appends(Protocol):
    """A log as it is measured."""

    async def start(self) -> None:
        """Open it."""

    async def append(self, record: dict[str, Any]) -> object:
        """Returns when the record is as durable as this log makes it."""

    async def stop(self) -> None:
        """Close it."""


class NaiveLog:
    """One signature and one ``fsync`` a record, JSON by the standard library."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "naive.jsonl"
        self._key = Ed25519PrivateKey.generate()
        self._fd = -1

    async def start(self) -> None:
        """Open the file."""
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def append(self, record: dict[str, Any]) -> object:
        """Sign, write, sync, when it is this task's turn."""
        await asyncio.sleep(0)
        line = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        os.write(self._fd, line + b" " + base64.b64encode(self._key.sign(line)) + b"\n")
        os.fsync(self._fd)
        return None

    async def stop(self) -> None:
        """Close the file."""
        os.close(self._fd)


def signed(mode: Any) -> Callable[[Path], Appends]:
    """Makes a log of ours in ``mode``."""
    key = Ed25519PrivateKey.generate()

    def make(directory: Path) -> Appends:
        return SignedLog(directory, name="bench", signer=lambda origin: Ed25519Signer(origin, key), mode=mode)

    return make


LOGS: Final[dict[str, Callable[[Path], Appends]]] = {
    "strict": signed("strict"),
    "buffered": signed("buffered"),
    "naive": NaiveLog,
}


def document() -> dict[str, Any]:
    """A policy input as it stands in the record of a chat request."""
    return {
        "version": 1,
        "stage": "request",
        "subject": {
            "type": "user",
            "id": KEYED.pseudonym("subject", "jane"),
            "tenant": "acme",
            "roles": ["dev"],
            "groups": [],
            "authenticated": True,
            "attributes": {},
        },
        "action": {"name": "chat", "method": "POST"},
        "resource": {"type": "model", "route": "/v1/**", "model": "small-1", "provider": "openai"},
        "context": {
            "time": 1_760_000_000_000_000,
            "client": None,
            "networks": [],
            "request_id": None,
            "size_bytes": 611,
            "media_type": "application/json",
        },
        "ai": {"operation": "chat", "messages": 1, "tools": [], "tool_calls": [], "stream": False},
        "findings": [
            {"type": "PERSON", "detector": "pii", "score": 850, "pointer": "/messages/0/content", "count": 1},
            {"type": "EMAIL_ADDRESS", "detector": "pii", "score": 990, "pointer": "/messages/0/content", "count": 1},
        ],
        "anomaly": {"score": 120, "features": []},
        "coverage": {
            "inspected": ["/messages/0/content"],
            "skipped": [{"pointer": "headers", "reason": "not_inspected"}],
            "incomplete": [],
        },
    }


def records() -> Iterator[dict[str, Any]]:
    """Decisions without end; each is a dictionary of its own, as an exchange makes it."""
    made = decision_record(
        decision_id=new_id(),
        request_id=None,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        principal=USER,
        client_ip="192.0.2.7",
        method="POST",
        route="/v1/**",
        policy_input=document(),
        decision=Decision(
            stage="request",
            effect="allow",
            obligations=(Obligation(type="redact", rule="PII-001", params={"entity": "PERSON", "operator": "mask"}),),
            engine=ENGINE,
            duration_us=60,
        ),
        http_status=None,
        detectors=(),
        config_digest="cd" * 32,
        entrypoint="data.guard.decision",
        keyed=KEYED,
        redactions={"PERSON": 1},
    )
    for number in count():
        yield {**made, "id": f"0198c0de-0000-7000-8000-{number:012x}"}


async def load(append: Callable[[dict[str, Any]], Awaitable[object]], tasks: int, seconds: float) -> dict[str, float]:
    """``tasks`` append for ``seconds``, after a tenth of it unmeasured: records/s, latency in ms, CPU in us each."""
    made = records()
    times: list[float] = []
    until = time.perf_counter() + seconds * 0.1

    async def work() -> None:
        while (begun := time.perf_counter()) < until:
            await append(next(made))
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(work() for _ in range(tasks)))
    times.clear()
    started, cpu = time.perf_counter(), time.process_time()
    until = started + seconds
    await asyncio.gather(*(work() for _ in range(tasks)))
    elapsed, spent = time.perf_counter() - started, time.process_time() - cpu
    return {
        "records_per_s": len(times) / elapsed,
        "p50_ms": quantile(times, 0.5) * 1e3,
        "p99_ms": quantile(times, 0.99) * 1e3,
        "cpu_us": spent / len(times) * 1e6,
    }


async def measured(name: str, directory: Path, tasks: int, seconds: float) -> dict[str, float]:
    """One log under one load, in a directory of its own."""
    log = LOGS[name](directory)
    await log.start()
    try:
        return await load(log.append, tasks, seconds)
    finally:
        await log.stop()


async def started(directory: Path) -> float:
    """Seconds until a log that holds records is open again."""
    log = LOGS["strict"](directory)
    begun = time.perf_counter()
    await log.start()
    elapsed = time.perf_counter() - begun
    await log.stop()
    return elapsed


def read_back(directory: Path) -> dict[str, float]:
    """Verification, start and tiles of the log in ``directory``."""
    # As ``python -m guard.record.verify`` does it. One thread, so its CPU time is what a core is worth.
    begun = time.process_time()
    with acyclic():
        report = verify(directory)
    spent = time.process_time() - begun
    if report.exit_code:
        raise RuntimeError("\n".join(report.lines()))
    size = max(origin.size for origin in report.origins)
    begun = time.perf_counter()
    write_tiles(directory / "bench-0", directory / "tiles", size, partial=False, entries=False)
    tiles = time.perf_counter() - begun
    written = sum(path.stat().st_size for path in (directory / "bench-0" / "seg").iterdir())
    return {
        "verified_per_cpu_s": sum(origin.size for origin in report.origins) / spent,
        "tiled_per_s": size / tiles,
        "records": size,
        "bytes_per_record": written / size,
    }


def run(rounds: int, seconds: float) -> dict[str, Any]:
    """All of it, medians over rounds; the rounds of the three logs take turns."""
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as kept:
        root = Path(kept)
        for number in range(rounds):
            for tasks in CONCURRENCY:
                for name in LOGS:
                    directory = root / name
                    directory.mkdir()
                    result = asyncio.run(measured(name, directory, tasks, seconds))
                    found.setdefault((tasks, name), []).append(result)
                    last = number == rounds - 1 and tasks == CONCURRENCY[-1] and name == "strict"
                    if last:
                        directory.rename(root / "kept")
                    else:
                        shutil.rmtree(directory)
        checks = read_back(root / "kept")
        starts = [asyncio.run(started(root / "kept")) for _ in range(3)]
        checks["start_ms"] = statistics.median(starts) * 1e3
    load_results = {str(tasks): {name: median_of(found[tasks, name]) for name in LOGS} for tasks in CONCURRENCY}
    ratio = {
        tasks: round(results["strict"]["records_per_s"] / results["naive"]["records_per_s"], 2)
        for tasks, results in load_results.items()
    }
    return {
        "benchmark": "log",
        "rounds": rounds,
        "fdatasync_ms": round(fdatasync_ms(), 4),
        "load": load_results,
        "strict_over_naive": ratio,
        "read": {name: round(value, 4) for name, value in checks.items()},
    }


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.log", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one load")
    options = parser.parse_args()
    result = run(options.rounds, options.seconds)
    if options.json:
        emit(result)
        return
    columns = ["tasks, log", "records/s", "p50 ms", "p99 ms", "CPU us/record"]
    rows = [
        [f"{tasks} {name}", *values.values()] for tasks, by in result["load"].items() for name, values in by.items()
    ]
    show(f"appending (fdatasync {result['fdatasync_ms']} ms)", columns, rows)
    show("strict over naive, records/s", ["tasks", "times"], [[t, r] for t, r in result["strict_over_naive"].items()])
    show("the log written last", ["what", "value"], [[name, value] for name, value in result["read"].items()])


if __name__ == "__main__":
    main()
