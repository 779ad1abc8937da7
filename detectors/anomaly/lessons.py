"""What an event that was let in teaches, and what it does not: nothing flagged moves a baseline."""

from __future__ import annotations

from typing import Final

from detectors.anomaly.counts import BUCKET_S
from detectors.anomaly.crowd import Crowd
from detectors.anomaly.features import NAMES, to_log
from detectors.anomaly.habits import KINDS, code
from detectors.anomaly.rating import WINDOWS, Rated, among, rate, values_of
from detectors.anomaly.state import State
from detectors.anomaly.tails import BIN, DRIFT, DRIFT_BIN, ENOUGH, MEAN, SLOW, WIDTH, WINSOR_Z, Levels, Tail
from guard.types import BehaviourEvent

FLAGGED: Final = 2.0
"""Decades from which an event is flagged: a score of 0.4."""
OTHERS_LESSONS: Final = 50
"""A principal teaches the baselines of its group and of everybody with this many observations at most."""
_LOUD_Z: Final = 2.5
"""Below, no tail is rare enough to be flagged."""
_EXTREME_DRIFT: Final = 12.0


def teach(crowd: Crowd, state: State, group: Levels | None, event: BehaviourEvent, *, relearn_s: float) -> None:
    """Count an event, and learn from it what it may teach. ``relearn_s``: as ``State.distrust`` takes it. What another
    replica tells late says nothing of the present: it enters neither counts nor pace nor cost."""
    values = values_of(crowd, state, event)
    late = event.elsewhere and state.outlived(event.time_s)
    bucket = state.counts.bucket(event.time_s)
    fresh = bucket != state.bucket and not late
    if fresh:
        _teach_rates(crowd, state, group, bucket)
    if not late:
        state.counts.add(bucket)
    state.events += 1
    tails = crowd.tails
    rated = [rate(tails[at], state, group, at, value, from_z=_LOUD_Z) for at, value in values[len(WINDOWS) :]]
    news = not late and state.answers.take_news()
    _teach_values(crowd, state, group, event, rated, fresh=fresh, news=news, relearn_s=relearn_s)
    if late:
        return
    state.arrive(event.time_s)
    state.answers.spend(event.time_s, event.features.get("tokens_estimate", 0.0))


def _teach_rates(crowd: Crowd, state: State, group: Levels | None, bucket: int) -> None:
    """Learn the counts of the windows that ended with the last bucket in which something was let in."""
    finished = state.bucket
    state.bucket = bucket
    if finished:
        for at, buckets in enumerate(WINDOWS):
            tail = crowd.tails[at]
            x = to_log(state.counts.within(finished, buckets))
            mean, deviation = expected = tail.expected(state.levels, group)
            _calibrate(state, tail, at, (x - mean) / deviation)
            others = state.levels[tail.at] < OTHERS_LESSONS
            tail.teach(state.levels, group, x, bucket * BUCKET_S, expected=expected, others=others)


def _teach_values(
    crowd: Crowd,
    state: State,
    group: Levels | None,
    event: BehaviourEvent,
    rated: list[Rated],
    *,
    fresh: bool,
    news: bool,
    relearn_s: float,
) -> None:
    """Teach what is no rate, unless something in it was flagged: then nothing of it."""
    levels = state.levels
    known = [one for one in rated if levels[one.at * WIDTH] >= ENOUGH]
    loud = among(len(rated), max([one.decades for one in known if not one.drift], default=0.0)) >= FLAGGED
    crept = among(len(rated), max([one.decades for one in known if one.drift], default=0.0)) >= FLAGGED
    flagged = state.distrust(event.time_s, relearn_s, unusual=loud or crept)
    for one in rated:
        tail = crowd.tails[one.at]
        taught = tail.scale.taught
        if (taught == "time" and not fresh) or (taught == "answer" and not news):
            continue
        if tail.scale.drifts:
            _teach_drift(state, tail, tail.drift(levels, one.x, one.deviation), one.at, loud=loud)
        if fresh:
            _calibrate(state, tail, one.at, one.z)
        if not flagged:
            others = levels[tail.at] < OTHERS_LESSONS
            expected = (one.mean, one.deviation)
            tail.teach(levels, group, one.x, event.time_s, expected=expected, others=others)
    if flagged:
        return
    if loud or crept:
        # The new level was accepted: what led to it is no drift any more.
        for tail in crowd.tails:
            levels[tail.at + DRIFT], levels[tail.at + SLOW] = 0.0, levels[tail.at + MEAN]
    if event.labels:
        used = [[code(label) for label in event.labels.get(kind, ())] for kind in KINDS]
        crowd.customs.learn(state.habits, used, event.time_s, others=state.events < OTHERS_LESSONS)


def _teach_drift(state: State, tail: Tail, drift: float, at: int, *, loud: bool) -> None:
    """Go on with a drift. What was flagged by its own value does not creep: it cannot raise one."""
    place = tail.at + DRIFT
    if loud:
        state.levels[place] = min(state.levels[place], drift)
        return
    state.levels[place] = drift
    if state.levels[tail.at] >= ENOUGH:
        again = drift >= _EXTREME_DRIFT and not _first_extreme(state, len(NAMES) + at)
        tail.drifts.add(_EXTREME_DRIFT - DRIFT_BIN if again else drift)


def _calibrate(state: State, tail: Tail, at: int, z: float) -> None:
    """Count how far from expectation what was let in lies, once the expectation is the principal's own."""
    if state.levels[tail.at] >= ENOUGH:
        again = z >= WINSOR_Z and not _first_extreme(state, at)
        tail.zs.add(WINSOR_Z - BIN if again else z)


def _first_extreme(state: State, bit: int) -> bool:
    """Whether this is a principal's first extreme of a kind: others do not count, so that one alone widens no tail."""
    first = not state.extremes >> bit & 1
    state.extremes |= 1 << bit
    return first
