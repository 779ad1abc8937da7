"""``TailModel``: how unusual a request is for its principal, with reasons, in microseconds."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import Annotated, Any, Final

import msgspec

from detectors.anomaly.counts import BUCKET_S, BUCKETS, SHORT_BUCKETS, Counts
from detectors.anomaly.tails import BIN, ENOUGH, WINSOR_Z, Baseline, Scale, Tail, to_log
from detectors.common.options import digest, parse_options
from guard.types import Anomaly, BehaviourEvent, DetectorInfo, Effect, Feature

NAME: Final = "behaviour"
VERSION: Final = "2"

SCALES: Final = {
    "requests_10s": Scale(typical=2.0, deviation=0.65, least_deviation=0.2, count=True),
    "requests_1m": Scale(typical=4.0, deviation=0.8, least_deviation=0.2, count=True),
    "size_bytes": Scale(typical=2000.0, deviation=1.5, least_deviation=0.35),
    "tokens_estimate": Scale(typical=500.0, deviation=1.5, least_deviation=0.35),
    "messages": Scale(typical=4.0, deviation=0.9, least_deviation=0.35),
}
"""The features. The first two are counted by the model, the others come with the event."""

DECADES: Final = 5.0
"""The score is ``-log10(p) / DECADES``, at most 1: 0.8 is one in 10,000, 1.0 one in 100,000."""

COLD_EVENTS: Final = 30
COLD_LESSONS: Final = ENOUGH
COLD_CAP: Final = 0.7
"""The most that a newcomer can score, and the most that a size alone can score.

A principal is a newcomer until it has taught ``COLD_EVENTS`` requests, and ``COLD_LESSONS`` times a rate: five minutes
in which it sends something at least every five seconds, longer if it sends less. A size does not pass with time as a
rate does: who is denied for one would be denied for good, so it is said and left to a policy of one's own. Both stay
below the shipped threshold of 0.8.
"""

_GLOBAL_LESSONS: Final = 50
"""A principal teaches everybody's baseline with this many observations of a feature at most."""

_RATES: Final = (("requests_10s", SHORT_BUCKETS), ("requests_1m", BUCKETS))
_EVENT_FEATURES: Final = tuple(name for name in SCALES if not name.startswith("requests_"))


class BehaviourOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.behaviour]``."""

    max_principals: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """Principals that are remembered; past it the one that was silent longest is forgotten."""


class _State:
    """What is remembered of one principal."""

    __slots__ = ("baselines", "bucket", "counts", "events", "extremes")

    def __init__(self) -> None:
        self.counts = Counts()
        self.baselines = {name: Baseline() for name in SCALES}
        self.bucket = 0
        self.events = 0
        self.extremes: set[str] = set()
        """Features of which an extreme has been counted: each principal widens a tail once, so one alone cannot."""


class TailModel:
    """Per-principal baselines of logarithms, one-sided tails, the largest of them as the score.

    Deterministic: time comes with the event and nothing is random. ``score`` changes nothing. Options:
    ``BehaviourOptions``; raises ``guard.errors.ConfigError`` for an unknown or invalid one. Memory is bounded by
    ``max_principals``, some two kilobytes each. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(BehaviourOptions, options, NAME)
        self._tails = {name: Tail(scale) for name, scale in SCALES.items()}
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._nobody = _State()
        self._lock = threading.Lock()
        self._info = DetectorInfo(NAME, VERSION, digest(NAME, VERSION, self._options, SCALES))

    @property
    def info(self) -> DetectorInfo:
        """Name, version, and the digest of options and scales."""
        return self._info

    def score(self, event: BehaviourEvent) -> Anomaly:
        """How unusual the event is, counted as if it had just been let in. Changes nothing.

        Each feature's ``expected`` is in the unit of its value; ``share`` is its part of the evidence (decades of tail
        probability beyond one half).
        """
        with self._lock:
            state = self._states.get(event.principal, self._nobody)
            rated = [self._rate(state, name, value) for name, value in self._values(state, event)]
            cold = state.events < COLD_EVENTS or state.baselines["requests_10s"].n < COLD_LESSONS
        rate = max(decades for decades, *_ in rated[: len(_RATES)]) / DECADES
        rated.sort(key=lambda item: -item[0])
        score = max(min(rated[0][0] / DECADES, COLD_CAP), 0.0 if cold else min(rate, 1.0))
        excess = [max(0.0, decades - math.log10(2.0)) for decades, _, _, _ in rated]
        total = sum(excess)
        features = tuple(
            Feature(name, value, expected, part / total if total else 0.0)
            for (_, name, value, expected), part in zip(rated, excess, strict=True)
        )
        return Anomaly(score, features)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Count an event that was let in, and teach the baselines by it. A denied one changes no score."""
        with self._lock:
            if effect != "allow":
                if event.principal in self._states:
                    self._states.move_to_end(event.principal)
                return
            state = self._state(event.principal)
            bucket = state.counts.bucket(event.time_s)
            fresh = bucket != state.bucket
            if fresh:
                self._teach_rates(state, bucket)
            state.counts.add(bucket)
            state.events += 1
            for name in _EVENT_FEATURES:
                if name in event.features:
                    self._teach(state, name, to_log(event.features[name]), calibrate=fresh)

    def _state(self, principal: str) -> _State:
        state = self._states.get(principal)
        if state is None:
            state = self._states[principal] = _State()
            if len(self._states) > self._options.max_principals:
                self._states.popitem(last=False)
        else:
            self._states.move_to_end(principal)
        return state

    def _values(self, state: _State, event: BehaviourEvent) -> list[tuple[str, float]]:
        bucket = state.counts.bucket(event.time_s)
        values = [(name, float(state.counts.within(bucket, buckets) + 1)) for name, buckets in _RATES]
        values += [(name, event.features[name]) for name in _EVENT_FEATURES if name in event.features]
        return values

    def _rate(self, state: _State, name: str, value: float) -> tuple[float, str, float, float]:
        """Decades of tail probability, name, value, expected value."""
        tail = self._tails[name]
        mean, deviation = tail.expected(state.baselines[name])
        decades = -math.log10(tail.p((to_log(value) - mean) / deviation))
        return decades, name, value, math.expm1(mean)

    def _teach_rates(self, state: _State, bucket: int) -> None:
        """Learn the counts of the windows that ended with the last bucket in which something was let in."""
        finished = state.bucket
        state.bucket = bucket
        if finished:
            for name, buckets in _RATES:
                self._teach(state, name, to_log(state.counts.within(finished, buckets)), calibrate=True)

    def _teach(self, state: _State, name: str, x: float, *, calibrate: bool) -> None:
        tail, own = self._tails[name], state.baselines[name]
        if calibrate and own.n >= COLD_LESSONS:
            mean, deviation = tail.expected(own)
            z = (x - mean) / deviation
            if z >= WINSOR_Z:
                if name in state.extremes:
                    z = WINSOR_Z - BIN
                state.extremes.add(name)
            tail.calibrate(z)
        tail.teach(own, x, state.bucket * BUCKET_S, everybody=own.n < _GLOBAL_LESSONS)
