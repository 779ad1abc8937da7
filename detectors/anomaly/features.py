"""The features of behaviour: what each measures, a first guess of its level, and how it is taught."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

LARGEST: Final = 1e15


class Scale(msgspec.Struct, frozen=True):
    """First guess for a feature (typical value, standard deviation) and the least deviation that is believed.
    Values are taken as ``log(1 + value)``, or as they are if they are ``linear``; deviations are in that unit.

    ``count``: the feature counts events, so that chance alone spreads it. ``held``: a level that was held before stays
    usual for days. ``taught``: with each request, once for each five seconds, or once for each answer.
    """

    typical: float
    deviation: float
    least_deviation: float
    linear: bool = False
    count: bool = False
    held: bool = False
    drifts: bool = False
    taught: Literal["request", "time", "answer"] = "request"


SCALES: Final = {
    "requests_10s": Scale(2.0, 0.65, 0.2, count=True, held=True, taught="time"),
    "requests_1m": Scale(4.0, 0.8, 0.2, count=True, held=True, taught="time"),
    "pace_per_minute": Scale(2.0, 2.0, 1.0, held=True, taught="time"),
    "size_bytes": Scale(2000.0, 1.5, 0.35, held=True, drifts=True),
    "tokens_estimate": Scale(500.0, 1.5, 0.35, held=True, drifts=True),
    "messages": Scale(4.0, 0.9, 0.35, held=True, drifts=True),
    "entropy_bits": Scale(4.3, 0.6, 0.2, linear=True),
    "finding_density": Scale(0.5, 0.6, 0.3, drifts=True),
    "hour_surprise": Scale(4.5, 1.0, 0.8, linear=True),
    "endpoint_surprise": Scale(1.0, 1.5, 1.0, linear=True),
    "model_surprise": Scale(1.0, 1.5, 1.0, linear=True),
    "client_surprise": Scale(2.0, 2.5, 1.5, linear=True),
    "tool_surprise": Scale(1.5, 1.5, 0.8, linear=True),
    "tokens_out": Scale(300.0, 1.2, 0.35, held=True, drifts=True, taught="answer"),
    "cost_1h": Scale(3000.0, 1.5, 0.4, held=True, taught="time"),
    "error_ratio": Scale(0.02, 0.05, 0.035, linear=True, taught="answer"),
    "refusal_ratio": Scale(0.02, 0.05, 0.035, linear=True, taught="answer"),
}
"""The features. ``docs/behaviour.md`` defines each."""

NAMES: Final = tuple(SCALES)
RATES: Final = ("requests_10s", "requests_1m")
"""What passes with time by itself: alone these lift a score above the cap."""
GIVEN: Final = ("size_bytes", "tokens_estimate", "messages", "entropy_bits", "finding_density")
"""What comes with the event."""
SURPRISES: Final = {
    "endpoint_surprise": ("endpoint",),
    "model_surprise": ("model",),
    "client_surprise": ("agent", "network"),
    "tool_surprise": ("tools",),
}
"""Surprises, in bits, and the labels of the event that they are of."""
AT: Final = {name: index for index, name in enumerate(NAMES)}


def bounded(value: float) -> float:
    """A value in 0..1e15; what is negative or no number counts as 0."""
    return min(value, LARGEST) if value > 0 else 0.0


def to_log(value: float) -> float:
    """``log(1 + value)`` of a ``bounded`` value."""
    return math.log1p(bounded(value))


def taken(value: float, scale: Scale) -> float:
    """A value as baselines hold it."""
    return bounded(value) if scale.linear else to_log(value)


def given_back(x: float, scale: Scale) -> float:
    """The value of what a baseline holds."""
    return x if scale.linear else math.expm1(x)
