"""A long mixed load, and whether memory and descriptors stay flat: ``python -m benchmarks.soak [--requests 100000]``.

The whole guard (detectors, shipped policies and one that is edited on the way, strict signed log in segments that
roll) under uvicorn in a process of its own. ``benchmarks.soak_mix`` is what it gets. After every 2,000 requests the
load rests, all connections are closed, and the vital signs of the process are read; ``benchmarks.soak_verdict`` judges
them, and the log is verified. Exit code 1: not flat, an answer that the guard does not promise, or a log that is not
whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import emit, serving, show
from benchmarks.soak_app import OBJECTS_PATH, VITALS_PATH
from benchmarks.soak_client import Wire, request
from benchmarks.soak_mix import MIX, Scenario, Unexpected, Visitor, numbers
from benchmarks.soak_site import prepare, verify_log, write_policy
from benchmarks.soak_verdict import COUNTED, Sample, flaws, trend, warm

CONCURRENCY: Final = 16
EVERY: Final = 2_000
RELOAD_EVERY: Final = 5
"""Rests between two edits of the policy, the first edit of each two being a broken one."""
FILLING: Final = 600
"""Requests full of numbers before the first: RE2 remembers the states that it has met, up to a bound that an ordinary
load reaches late, and a soak has to see what comes after it."""
REST_SECONDS: Final = 60.0
_SEED: Final = 20_240
_LISTED: Final = 10


class Soak:
    """One run against a server that listens on ``port`` and was set up in ``directory``."""

    def __init__(
        self, port: int, directory: Path, concurrency: int, tell: Callable[[Sample], None] = lambda _: None
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.problems: list[str] = []
        self.samples: list[Sample] = []
        self._chance = random.Random(_SEED)
        self._visitors = [Visitor(Wire(port), random.Random(_SEED + n)) for n in range(1, concurrency + 1)]
        self._vitals = Wire(port)
        self._directory = directory
        self._tell = tell
        self._edition = 0
        self._failed = 0

    async def run(self, requests: int, every: int) -> None:
        """Send ``requests``, with a rest and a sample after ``every`` of them."""
        for start in range(0, requests, every):
            shares = self._chance.choices(list(MIX), list(MIX.values()), k=min(every, requests - start))
            edits = start // every % RELOAD_EVERY == 1
            await asyncio.gather(self._load(shares), *([self._edit()] if edits else []))
            await self._rest(min(start + every, requests))

    async def fill(self) -> None:
        """Fill what the detectors remember of texts."""
        await self._load([numbers] * FILLING)

    async def objects(self) -> dict[str, int]:
        """How many objects of each class of ours and of the server are alive."""
        # The middleware lets go of a replaced configuration with the first request that comes after it.
        await self._vitals.exchange(request("GET", "/health"))
        await self._vitals.close()
        return await self._ask(OBJECTS_PATH)

    async def _load(self, scenarios: Iterable[Scenario]) -> None:
        queue = iter(scenarios)
        await asyncio.gather(*(self._visit(visitor, queue) for visitor in self._visitors))

    async def _visit(self, visitor: Visitor, queue: Iterator[Scenario]) -> None:
        for scenario in queue:
            name = scenario.__name__
            self.sent[name] += 1
            try:
                await visitor.arrive()
                await scenario(visitor)
            except (Unexpected, OSError, asyncio.IncompleteReadError) as error:
                self.problems.append(f"{name}: {type(error).__name__}: {error}")
                await visitor.wire.close()
        await visitor.wire.close()

    async def _edit(self) -> None:
        """Break the policy, let the guard notice, and mend it with a new edition."""
        write_policy(self._directory, None)
        self._failed += 1
        await self._until("reloads_failed", self._failed)
        self._edition += 1
        write_policy(self._directory, self._edition)
        await self._until("reloads", self._edition)

    async def _until(self, sign: str, value: int) -> None:
        async with asyncio.timeout(REST_SECONDS):
            while True:
                if (await self._ask(VITALS_PATH))[sign] >= value:
                    return
                await asyncio.sleep(0.3)

    async def _rest(self, requests: int) -> None:
        """Wait until nothing is under way and nothing changes any more, then take a sample."""
        before: list[float] = []
        async with asyncio.timeout(REST_SECONDS):
            while True:
                signs = await self._ask(VITALS_PATH)
                counted = [signs[sign] for sign in COUNTED]
                if signs["active"] == 0 and counted == before:
                    break
                before = counted
                await asyncio.sleep(0.05)
        self.samples.append(Sample(requests, signs))
        self._tell(self.samples[-1])

    async def _ask(self, path: str) -> dict[str, Any]:
        """Ask on a connection of its own: one that stayed open would be closed by the server when it likes."""
        answer = await self._vitals.exchange(request("GET", path))
        await self._vitals.close()
        told: dict[str, Any] = json.loads(answer.body)
        return told


def run(
    requests: int,
    *,
    every: int = EVERY,
    concurrency: int = CONCURRENCY,
    tell: Callable[[Sample], None] = lambda _: None,
) -> dict[str, Any]:
    """The whole run: load, verdict, verification of the log. ``tell`` hears of each sample."""
    with tempfile.TemporaryDirectory(prefix="guard-soak-") as temporary:
        directory = Path(temporary)
        prepare(directory)
        environ = {"SOAK_DIRECTORY": temporary}
        with serving("soak", "benchmarks.soak_app:guarded", environ, log_file=directory / "errors") as server:
            soak = Soak(server.port, directory, concurrency, tell)
            started = time.monotonic()
            asyncio.run(_drive(soak, requests, every))
            seconds = time.monotonic() - started
        return _result(soak, seconds) | {"log": verify_log(directory)}


async def _drive(soak: Soak, requests: int, every: int) -> None:
    await soak.fill()
    await soak.run(requests, every)


def _result(soak: Soak, seconds: float) -> dict[str, Any]:
    kept = warm(soak.samples)
    trends = {}
    for sign in ("rss_bytes", "native_bytes", "blocks"):
        if len(kept) >= 2:
            trends[sign] = trend(kept, sign)._asdict()
    last = soak.samples[-1]
    return {
        "benchmark": "soak",
        "requests": last.requests,
        "seconds": round(seconds, 1),
        "cpu_ms_per_request": round(last.signs["cpu_seconds"] / last.requests * 1e3, 3),
        "sent": dict(soak.sent.most_common()),
        "unexpected_total": len(soak.problems),
        "unexpected": soak.problems[:_LISTED],
        "samples": [{"requests": sample.requests, **sample.signs} for sample in soak.samples],
        "trends": trends,
        "flaws": flaws(soak.samples),
    }


def failures(result: dict[str, Any]) -> list[str]:
    """Everything that is wrong with a run, in sentences."""
    found = list(result["flaws"])
    if result["unexpected_total"]:
        found.append(f"{result['unexpected_total']} answers were not as promised")
    if result["log"]["verify_exit"]:
        found.append(f"guard log verify ended with exit code {result['log']['verify_exit']}")
    if result["log"]["unanswered_total"]:
        named = ", ".join(result["log"]["unanswered"][:_LISTED])
        found.append(f"{result['log']['unanswered_total']} allowed decisions have no outcome: {named}")
    return found


def _tell(sample: Sample) -> None:
    """A line of progress for whoever waits at a terminal."""
    if sys.stderr.isatty():
        print(f"{sample.requests} requests, {sample.signs['rss_bytes'] / 2**20:.0f} MiB", file=sys.stderr)


def _print(result: dict[str, Any]) -> None:
    columns = ("requests", "RSS MiB", "native MiB", "live blocks", *COUNTED, "reloads", "CPU s")
    rows = [
        [
            sample["requests"],
            sample["rss_bytes"] / 2**20,
            sample["native_bytes"] / 2**20,
            sample["blocks"],
            *[sample[sign] for sign in COUNTED],
            sample["reloads"],
            sample["cpu_seconds"],
        ]
        for sample in result["samples"]
    ]
    show(f"{result['requests']} requests in {result['seconds']} s", columns, rows)
    print("sent: " + ", ".join(f"{name} {count}" for name, count in result["sent"].items()))
    for name, line in result["trends"].items():
        print(f"{name}: level {line['level']:.0f}, growth {line['growth']:.0f} +- {2 * line['error']:.0f}")
    log = result["log"]
    print(f"log: {log['bytes'] / 2**20:.0f} MiB in {log['segments']} segments, verify exits {log['verify_exit']}")
    for problem in result["unexpected"]:
        print(f"unexpected: {problem}")
    for failure in failures(result) or ["flat"]:
        print(f"verdict: {failure}")


def main() -> None:
    """Parse the command line, run, print; exit code 1 unless all is well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=EVERY, help="requests between two samples")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="connections")
    options = parser.parse_args()
    result = run(options.requests, every=options.every, concurrency=options.concurrency, tell=_tell)
    if options.json:
        emit(result)
    else:
        _print(result)
    sys.exit(1 if failures(result) else 0)


if __name__ == "__main__":
    main()
