"""The values of an event's features, and how rare each is for its principal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from detectors.anomaly.counts import BUCKETS, SHORT_BUCKETS
from detectors.anomaly.crowd import Crowd
from detectors.anomaly.features import AT, GIVEN, NAMES, SCALES, SURPRISES, bounded, given_back, taken
from detectors.anomaly.habits import KINDS, code
from detectors.anomaly.state import GAPS, State
from detectors.anomaly.tails import DRIFT, MOST_DRIFT, Levels, Tail
from guard.types import BehaviourEvent, Feature

MOST_DECADES: Final = 6.0
"""Past one in a million a tail is extrapolation that nobody could check: rarer is not told apart."""
TOLD: Final = 5
"""Features that are told, beside the two rates."""
HALF: Final = math.log10(2.0)
"""Decades of what is as expected, or below."""
LEAST_DRIFT: Final = 3.0

WINDOWS: Final = (SHORT_BUCKETS, BUCKETS)
"""Of the two rates, which stand first in all lists."""

_SCALES: Final = tuple(SCALES.values())
_GIVEN: Final = tuple((AT[name], name) for name in GIVEN)
_SURPRISES: Final = tuple((AT[name], tuple((KINDS.index(kind), kind) for kind in of)) for name, of in SURPRISES.items())
_PACE: Final = AT["pace_per_minute"]
_HOUR: Final = AT["hour_surprise"]
_COST: Final = AT["cost_1h"]
_TOKENS_OUT: Final = AT["tokens_out"]
_ERRORS: Final = AT["error_ratio"]
_REFUSALS: Final = AT["refusal_ratio"]


class Rated(NamedTuple):
    """One feature of one event. ``x`` is its value as baselines hold it; ``decades`` of tail probability, by the value
    or, if that is rarer, by its ``drift``."""

    decades: float
    at: int
    value: float
    x: float
    mean: float
    deviation: float
    z: float
    drift: bool


def values_of(crowd: Crowd, state: State, event: BehaviourEvent) -> list[tuple[int, float]]:
    """Each feature's place and value, the two rates first, as if the event had just been let in, and with it those that
    are pending."""
    counts, time_s, given = state.counts, event.time_s, event.features
    bucket = counts.bucket(time_s)
    values = [(at, counts.within(bucket, buckets) + 1.0 + event.pending) for at, buckets in enumerate(WINDOWS)]
    if state.gaps >= GAPS - 1:
        values.append((_PACE, 60.0 / math.exp(state.gap_with(time_s))))
    values += [(at, bounded(given[name])) for at, name in _GIVEN if name in given]
    if event.labels:
        values.append((_HOUR, crowd.customs.hour_surprise(state.habits, time_s)))
        for at, kinds in _SURPRISES:
            used = [(kind, event.labels[name]) for kind, name in kinds if name in event.labels]
            if used:
                surprise = crowd.customs.surprise
                bits = [surprise(state.habits, kind, [code(label) for label in labels]) for kind, labels in used]
                values.append((at, sum(bits)))
    cost = state.answers.cost(time_s) + bounded(given.get("tokens_estimate", 0.0))
    if cost > 0.0:
        values.append((_COST, cost))
    latest = state.answers.latest(time_s)
    if latest is not None:
        tokens, errors, refusals = latest
        if tokens >= 0.0:
            values.append((_TOKENS_OUT, tokens))
        values += [(_ERRORS, errors), (_REFUSALS, refusals)]
    return values


def rate(tail: Tail, state: State, group: Levels | None, at: int, value: float, *, from_z: float = 0.0) -> Rated:
    """How rare a value is. Below ``from_z`` only the drift can be rare: its tail is not looked at."""
    levels, scale = state.levels, tail.scale
    mean, deviation = tail.expected(levels, group)
    x = taken(value, scale)
    z = (x - mean) / deviation
    decades = min(-math.log10(tail.p(z)), MOST_DECADES) if z > from_z else HALF
    if scale.drifts and (before := levels[tail.at + DRIFT]) > LEAST_DRIFT:
        drift = tail.drift(levels, x, deviation)
        # A drift is told of the requests that add to it.
        if drift >= before or drift >= MOST_DRIFT:
            crept = min(-math.log10(tail.drift_p(drift)), MOST_DECADES)
            if crept > decades:
                return Rated(crept, at, value, x, mean, deviation, z, drift=True)
    return Rated(decades, at, value, x, mean, deviation, z, drift=False)


def among(features: int, decades: float) -> float:
    """Decades of the largest of so many features: one of many is more often so rare than one alone (Sidak, JASA 62,
    1967)."""
    if features <= 1 or decades <= HALF:
        return min(decades, HALF) if features != 1 else decades
    return max(0.0, -math.log10(-math.expm1(features * math.log1p(-math.pow(10.0, -decades)))))


def told(rated: Sequence[Rated]) -> tuple[Feature, ...]:
    """The features with evidence, the most unusual first, and the two rates."""
    ranked = sorted(rated, key=_most_decades)
    chosen = [one for place, one in enumerate(ranked) if one.at < len(WINDOWS) or (place < TOLD and one.decades > HALF)]
    excess = [max(0.0, one.decades - HALF) for one in chosen]
    total = sum(excess)
    return tuple([_feature(one, part / total if total else 0.0) for one, part in zip(chosen, excess, strict=True)])


def _feature(one: Rated, share: float) -> Feature:
    scale = _SCALES[one.at]
    expected = given_back(one.mean, scale)
    spread = given_back(one.mean + one.deviation, scale) - expected
    return Feature(NAMES[one.at], one.value, expected, share, spread, one.decades, one.drift)


def _most_decades(one: Rated) -> float:
    return -one.decades
