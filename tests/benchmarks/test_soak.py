"""The soak: its verdict on made-up samples, and a small run of it against the real guard."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from benchmarks.harness import serving
from benchmarks.soak import Soak
from benchmarks.soak_mix import MIX
from benchmarks.soak_site import prepare, verify_log
from benchmarks.soak_verdict import Sample, flaws, trend
from tests.components import require_package

MIB = 2**20
# What exists only while a request is under way, and what exists once, however often policies are reloaded.
OF_A_REQUEST = (
    "guard.exchange.exchange.Exchange",
    "guard.exchange.websocket.Conversation",
    "guard.exchange.answer.Answer",
    "guard.exchange.handling.Buffered",
    "guard.exchange.handling.Passing",
    "guard.exchange.events.BufferedEvents",
    "guard.exchange.events.FlowingEvents",
    "guard.exchange.judge.Judgement",
    "guard.obligations.vault.Vault",
)
ONCE = ("guard.exchange.services.Services", "guard.policy.embedded.EmbeddedEngine", "guard.record.log.SignedLog")
# What the behaviour model remembers of callers, bounded by max_principals and max_anonymous.
OF_CALLERS = "detectors.anomaly."
MAIN_LOG_AND_RELOAD = 3
DETECTOR_THREADS = 4


def samples(
    rss: list[float], native: tuple[float, ...] = (30.0 * MIB, 40.0 * MIB), **counted: list[int]
) -> list[Sample]:
    """Samples of 1,000 requests each, with nothing growing but what is given."""
    steady = dict.fromkeys(("fds", "threads", "tasks"), [9] * len(rss)) | counted
    return [
        Sample(
            (number + 1) * 1000,
            {
                "rss_bytes": value,
                "native_bytes": native[number % len(native)],
                "blocks": 700_000.0,
                **{name: float(line[number]) for name, line in steady.items()},
            },
        )
        for number, value in enumerate(rss)
    ]


def test_a_trend_is_the_line_through_the_samples() -> None:
    """The growth is the rise of the fitted line over the samples, with its standard error."""
    line = trend(samples([100.0, 110.0, 120.0, 130.0]), "rss_bytes")
    assert (line.level, round(line.growth, 9), round(line.error, 9)) == (115.0, 30.0, 0.0)
    noisy = trend(samples([100.0, 120.0, 100.0, 120.0]), "rss_bytes")
    assert noisy.growth == pytest.approx(12.0)
    assert noisy.error == pytest.approx(3000 * (320 / 2 / 5_000_000) ** 0.5)


def test_a_run_that_only_warms_up_is_flat() -> None:
    """What grows in the first fifth, and noise after it, is no growth."""
    warming = [100.0 * MIB] + [(180.0 + number % 2) * MIB for number in range(9)]
    assert flaws(samples(warming)) == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (samples([(180.0 + number) * MIB for number in range(10)]), "memory grew by 8.0 MiB over 185 MiB"),
        (samples([MIB] * 10, fds=[9] * 9 + [10]), "fds rose from at most 9 in the first half to 10"),
        (samples([MIB] * 10, threads=[9, 20] + [9] * 7 + [11]), "threads rose from at most 20"),
        (samples([MIB] * 10, tasks=[3] * 5 + [4] * 5), "tasks rose from at most 3 in the first half to 4"),
        (samples([MIB] * 10, native=tuple(number * MIB for number in range(10))), "native memory in use grew by 8.0"),
        (samples([MIB] * 2), "too few samples"),
    ],
)
def test_a_run_that_grows_is_not_flat(run: list[Sample], said: str) -> None:
    """Memory past the tolerance, a descriptor, thread or task more than before, and too short a run are said."""
    found = flaws(run)
    if said == "threads rose from at most 20":
        assert found == [], "a pool that was larger before is no growth"
    else:
        assert len(found) == 1
        assert found[0].startswith(said)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mixed_requests_leave_nothing_behind(tmp_path: Path) -> None:
    """After 2,000 mixed requests and reloads, no request, descriptor, task or old policy is left, and every decision
    has its outcome."""
    require_package("uvicorn")
    prepare(tmp_path)
    environ = {"SOAK_DIRECTORY": str(tmp_path)}
    with serving("soak", "benchmarks.soak_app:guarded", environ, log_file=tmp_path / "errors") as server:
        soak = Soak(server.port, tmp_path, 8)
        before, after = asyncio.run(_twice(soak))
    assert soak.problems == []
    assert set(soak.sent) == {scenario.__name__ for scenario in MIX}
    first, second = soak.samples[1], soak.samples[-1]
    assert second.signs["reloads"] == 2
    assert second.signs["reloads_failed"] == 2
    assert (second.signs["fds"], second.signs["tasks"]) == (first.signs["fds"], first.signs["tasks"])
    executor = min(32, (os.cpu_count() or 1) + 4)
    assert second.signs["threads"] <= MAIN_LOG_AND_RELOAD + DETECTOR_THREADS + executor
    assert {name: after[name] for name in OF_A_REQUEST if name in after} == {}
    assert {name: after.get(name) for name in ONCE} == dict.fromkeys(ONCE, 1)
    # A leak of one for each request of a scenario would be at least ten; caches of constants grow by a few.
    grown = {name: count - before.get(name, 0) for name, count in after.items() if count - before.get(name, 0) >= 10}
    assert {name: more for name, more in grown.items() if not name.startswith(OF_CALLERS)} == {}
    log = verify_log(tmp_path)
    assert log["verify_exit"] == 0
    assert log["unanswered"] == []
    assert log["records"][0]["outcome"] > 1000


async def _twice(soak: Soak) -> tuple[dict[str, int], dict[str, int]]:
    """A thousand requests, twice, and the objects that are alive after each thousand."""
    await soak.run(1000, 500)
    before = await soak.objects()
    await soak.run(1000, 500)
    return before, await soak.objects()
