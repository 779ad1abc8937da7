"""Callers over hours and days, judged by the shipped threshold: who is ordinary is let in, and who grows is learned."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from detectors.anomaly import TailModel
from guard.types import BehaviourEvent

START_S = 1_700_000_000.0
THRESHOLD = 0.8
"""The default of ``policy.settings.anomaly_threshold``."""
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
SIZES = {"size_bytes": 500.0, "tokens_estimate": 100.0, "messages": 1.0}


def denied(model: TailModel, times: Iterable[float]) -> list[float]:
    """When the caller was denied; the model learns what the rule decided."""
    refused = []
    for time_s in times:
        request = BehaviourEvent("caller", time_s, SIZES)
        deny = model.score(request).score >= THRESHOLD
        model.learn(request, "deny" if deny else "allow")
        if deny:
            refused.append(time_s)
    return refused


def steady(per_second: float, seconds: float, start_s: float = START_S) -> list[float]:
    """The times of a clockwork, which ends one interval before ``start_s + seconds``."""
    return [start_s + index / per_second for index in range(int(per_second * seconds))]


def poisson(rng: random.Random, per_second: float, seconds: float, start_s: float = START_S) -> Iterator[float]:
    """Independent arrivals at a constant rate."""
    now = start_s
    while (now := now + rng.expovariate(per_second)) < start_s + seconds:
        yield now


def test_the_threshold_is_the_one_of_the_shipped_rule() -> None:
    """What this page takes for the default is what BEH-001 takes."""
    rule = Path(__file__).parents[2] / "policies" / "guard" / "rules" / "behaviour" / "behaviour.rego"
    assert f'lib.setting("anomaly_threshold", {THRESHOLD})' in rule.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "per_second",
    [0.02, 0.1, 0.19, 0.21, 0.5, 1.0, 2.0, 5.0, 10.0, *(pytest.param(r, marks=pytest.mark.slow) for r in (20.0, 50.0))],
)
def test_a_steady_caller_is_never_denied(per_second: float) -> None:
    """A constant rate, from the first request on, for an hour."""
    assert denied(TailModel(), steady(per_second, HOUR_S)) == []


@pytest.mark.slow
@pytest.mark.parametrize("per_second", [0.05, 0.5, 2.0, 6.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_poisson_traffic_is_hardly_ever_denied(per_second: float, seed: int) -> None:
    """At most 1 % of an hour's requests, from the first one on."""
    times = list(poisson(random.Random(seed), per_second, HOUR_S))
    assert len(denied(TailModel(), times)) <= len(times) * 0.01


@pytest.mark.parametrize("seed", [1, 2])
def test_people_with_pauses_are_hardly_ever_denied(seed: int) -> None:
    """Sessions of one to fifteen quick requests, two minutes apart on average."""
    rng, now = random.Random(seed), START_S
    times: list[float] = []
    for _ in range(400):
        now += rng.expovariate(1 / 120)
        pauses = [rng.expovariate(2.0) for _ in range(rng.randint(1, 15))]
        times += [now + passed for passed in accumulate(pauses)]
    times.sort()
    assert len(denied(TailModel(), times)) <= len(times) * 0.01


@pytest.mark.slow
@pytest.mark.parametrize("per_second", [0.1, 2.0, 10.0])
@pytest.mark.parametrize("away_s", [DAY_S, 3 * DAY_S])
def test_a_caller_who_comes_back(per_second: float, away_s: float) -> None:
    """After a day, or a weekend, the same rate is let in again from its first request on."""
    model = TailModel()
    assert denied(model, steady(per_second, HOUR_S / 2)) == []
    assert denied(model, steady(per_second, HOUR_S / 4, START_S + away_s)) == []


def around_the_clock(hour: float) -> float:
    """Few at night, most at noon."""
    return 0.02 + 0.98 * (0.5 - 0.5 * math.cos(2 * math.pi * hour / 24)) ** 2


def office(hour: float) -> float:
    """Nearly all within half an hour around nine, nearly none after five."""
    return 0.01 + 0.99 / (1 + math.exp(-6 * (hour - 9))) / (1 + math.exp(6 * (hour - 17)))


@pytest.mark.slow
@pytest.mark.parametrize("rhythm", [around_the_clock, office])
def test_many_users_behind_one_address(rhythm: Callable[[float], float]) -> None:
    """Two days of a daily rhythm with half a request per second at its height: nobody is denied."""
    rng = random.Random(12)
    times = [t for t in poisson(rng, 0.5, 2 * DAY_S) if rng.random() < rhythm((t - START_S) / HOUR_S % 24)]
    assert len(times) > 20_000
    assert denied(TailModel(), times) == []


def test_a_burst_against_a_quiet_hour_is_throttled() -> None:
    """Sixty requests in five seconds after an hour of one every ten seconds: the first dozen is let in, no more.

    A minute later the caller's usual request is let in again.
    """
    model = TailModel()
    assert denied(model, steady(0.1, HOUR_S)) == []
    burst = steady(12.0, 5.0, START_S + HOUR_S)
    refused = denied(model, burst)
    assert refused == burst[-len(refused) :], "once denied, denied to the end of the burst"
    assert 45 <= len(refused) <= 55
    anomaly = model.score(BehaviourEvent("caller", burst[-1], SIZES))
    assert anomaly.score >= THRESHOLD
    assert anomaly.features[0].name == "requests_10s"
    assert denied(model, steady(0.1, HOUR_S, burst[-1] + 60)) == []


@pytest.mark.parametrize(
    ("usual", "times", "minutes"),
    [
        (0.1, 2.0, 0),
        (1.0, 3.0, 0),
        (0.1, 10.0, 10),
        (1.0, 10.0, 10),
        (0.01, 100.0, 20),
        (0.1, 100.0, 20),
        pytest.param(0.01, 1000.0, 60, marks=pytest.mark.slow),
    ],
)
def test_a_caller_who_grows_is_throttled_for_a_bounded_time(usual: float, times: float, minutes: int) -> None:
    """Twice or three times the rate: at once. Ten times: learned within 10 minutes, a hundred: 20, a thousand: 60.

    In the meantime no minute passes in which nothing is let in.
    """
    model = TailModel()
    before = steady(usual, max(HOUR_S, 100 / usual))
    assert denied(model, before) == []
    since = before[-1] + 1 / usual
    wanted = steady(usual * times, minutes * 60.0 + 600, since)
    refused = denied(model, wanted)
    assert all(time_s < since + minutes * 60 for time_s in refused)
    let_in = sorted(set(wanted) - set(refused))
    assert max(later - earlier for earlier, later in pairwise(let_in)) <= 65.0
    assert bool(refused) == bool(minutes)


def test_a_level_that_was_held_stays_usual_for_days() -> None:
    """Somebody who sent 2/s yesterday and one every 20 seconds since may send 2/s again; somebody else may not."""
    known, other = TailModel(), TailModel()
    denied(known, steady(2.0, HOUR_S))
    for model in (known, other):
        assert denied(model, steady(0.05, 20 * HOUR_S, START_S + HOUR_S)) == []
    again = steady(2.0, HOUR_S / 2, START_S + 21 * HOUR_S)
    assert denied(known, again) == []
    assert len(denied(other, again)) > 100
