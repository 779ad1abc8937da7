"""Attacks on the behaviour model itself: addresses that cost nothing, clocks that go wrong, numbers that are none."""

from __future__ import annotations

import math
import random
import threading
import time

import pytest

from detectors.anomaly import TailModel
from guard.types import BehaviourEvent, BehaviourOutcome

START_S = 1_700_000_000.0
THRESHOLD = 0.8
"""The default of ``policy.settings.anomaly_threshold``."""


def event(name: str, time_s: float, size: float = 2000.0, *, anonymous: bool = False) -> BehaviourEvent:
    """A request of one size."""
    features = {"size_bytes": size, "tokens_estimate": size / 4, "messages": 4.0, "entropy_bits": 4.3}
    return BehaviourEvent(name, time_s, features, "", {"endpoint": ("POST /x chat",)}, anonymous=anonymous)


def judged(model: TailModel, one: BehaviourEvent) -> bool:
    """Whether a request is let in by the shipped threshold; the model learns what was decided."""
    let_in = model.score(one).score < THRESHOLD
    model.learn(one, "allow" if let_in else "deny")
    return let_in


def settled(names: int = 20, lessons: int = 150) -> tuple[TailModel, float]:
    """A model that knows some callers, each with a request every five seconds; and the time at its end."""
    rng, model, now = random.Random(3), TailModel(second_opinion="off"), START_S
    for _ in range(lessons):
        now += 5.0
        for index in range(names):
            judged(model, event(f"member-{index}", now, 2000.0 * rng.lognormvariate(0.0, 0.3)))
    return model, now


# Addresses that cost nothing --------------------------------------------------------------------------------------


def test_anonymous_callers_make_no_known_one_forgotten() -> None:
    """However many addresses come: who has a credential keeps its past, and addresses forget each other only."""
    model = TailModel(max_principals=3, max_anonymous=2)
    for name in ("a", "b", "c"):
        model.learn(event(name, START_S), "allow")
    for index in range(50):
        model.learn(event(f"address-{index}", START_S, anonymous=True), "allow")
    assert model._memory.members.states.keys() == ["a", "b", "c"]
    assert model._memory.guests.states.keys() == ["address-48", "address-49"]


def test_anonymous_callers_teach_nobody_who_has_a_credential() -> None:
    """Hundreds of addresses that send giants, nothing and bursts change no score of a caller with a credential."""
    model, now = settled()
    probes = [event("member-3", now + 60, size) for size in (2000.0, 20_000.0, 2e6)]
    probes.append(event("nobody-yet", now + 60, 20_000.0))
    before = [model.score(probe) for probe in probes]
    for index in range(100):
        for turn in range(70):
            giant = event(f"address-{index}", now + turn * 5.0, 0.0 if turn % 2 else 1e9, anonymous=True)
            model.learn(giant, "allow")
        for turn in range(50):
            model.learn(event(f"address-{index}", now + 350 + turn * 0.02, anonymous=True), "allow")
    assert [model.score(probe) for probe in probes] == before


def test_addresses_hardly_widen_what_is_usual_for_each_other() -> None:
    """Where nobody has a credential, two hundred addresses that alternate between nothing and giants leave ten times
    the usual size of a known address unusual."""
    rng, model, now = random.Random(4), TailModel(second_opinion="off"), START_S
    for _ in range(200):
        now += 5.0
        judged(model, event("known", now, 2000.0 * rng.lognormvariate(0.0, 0.3), anonymous=True))
    for index in range(200):
        for turn in range(50):
            judged(model, event(f"address-{index}", now + turn * 0.05, 0.0 if turn % 2 else 1e9, anonymous=True))
    assert model.score(event("known", now + 60, 20_000.0, anonymous=True)).score >= 0.4


def test_both_crowds_survive_a_restart() -> None:
    """A snapshot keeps callers with and without a credential apart."""
    model = TailModel()
    for index in range(130):
        model.learn(event(f"member-{index}", START_S + index), "allow")
        model.learn(event(f"address-{index}", START_S + index, anonymous=True), "allow")
    again = TailModel()
    again.restore(model.dump())
    assert again.dump() == model.dump()
    for crowd in ("members", "guests"):
        before, after = (getattr(one._memory, crowd).states.keys() for one in (model, again))
        assert after == before
        assert len(after) == 130


# Clocks that go wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [0.05, 1.0, 24.0, 10_000.0])
def test_a_clock_that_was_set_back_denies_nobody(hours: float) -> None:
    """Whoever sends at its usual rate is let in after the clock was set back, and the rate is counted anew."""
    model, now = TailModel(second_opinion="off"), START_S
    for _ in range(900):
        now += 1.0
        assert judged(model, event("p", now))
    now -= hours * 3600.0
    for _ in range(600):
        now += 1.0
        assert judged(model, event("p", now))
    paces = [one for one in model.score(event("p", now + 1.0)).features if one.name == "pace_per_minute"]
    assert all(one.value < 90.0 for one in paces)
    burst = [judged(model, event("p", now + 1.0 + index * 0.01)) for index in range(200)]
    assert not all(burst), "a burst is still seen"


def test_a_clock_that_was_ahead_for_a_moment_denies_nobody() -> None:
    """One request of a far future leaves no caller with a count that never ends."""
    model, now = TailModel(second_opinion="off"), START_S
    for _ in range(900):
        now += 1.0
        judged(model, event("p", now))
    judged(model, event("p", now + 10 * 365 * 86_400.0))
    for _ in range(600):
        now += 1.0
        assert judged(model, event("p", now))


def test_requests_out_of_order_by_seconds_still_count() -> None:
    """Threads that overtake each other by some seconds hide no burst."""
    model, now = TailModel(second_opinion="off"), START_S
    for _ in range(900):
        now += 10.0
        judged(model, event("p", now))
    burst = [judged(model, event("p", now + 10.0 - index % 7)) for index in range(200)]
    assert not all(burst)


# Numbers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0, 1e308])
def test_no_number_makes_a_snapshot_unreadable(number: float) -> None:
    """What an event or an answer may hold is bounded on the way in: the memory can always be read again, and a cost
    that was known stays one."""
    model, now = settled(names=3, lessons=70)
    model.settle(event("member-1", now), BehaviourOutcome(now, 300.0))
    for turn in range(20):
        odd = BehaviourEvent("member-1", now + turn, dict.fromkeys(event("p", now).features, number))
        model.learn(odd, "allow")
        model.settle(odd, BehaviourOutcome(now + turn, number))
    again = TailModel(second_opinion="off")
    again.restore(model.dump())
    scored = model.score(event("member-1", now + 60))
    assert 0.0 <= scored.score <= 1.0
    assert all(math.isfinite(value) for one in scored.features for value in (one.value, one.expected, one.spread))
    assert again.score(event("member-1", now + 60)) == scored
    assert model._memory.members.states.get("member-1").answers.cost(now + 60) > 0.0  # type: ignore[union-attr]


# Time -------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_beside_lessons() -> None:
    """Lessons, scores, forgetting and answers go on in other threads while the memory is copied; each copy is whole."""
    model = TailModel(second_opinion="off", max_principals=300, max_anonymous=300)
    stop, failures = threading.Event(), []

    def busy(seed: int) -> None:
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                one = event(f"p{rng.randrange(600)}", time.time(), rng.lognormvariate(7, 1), anonymous=seed % 2 == 0)
                model.score(one)
                model.learn(one, "allow")
                model.settle(one, BehaviourOutcome(time.time(), 5.0))
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=busy, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            TailModel(second_opinion="off").restore(model.dump())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
