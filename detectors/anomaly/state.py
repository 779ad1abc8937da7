"""What is remembered of one principal, and its bounded collection."""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from typing import Final, Generic, TypeVar

from detectors.anomaly.answers import Answers
from detectors.anomaly.counts import SET_BACK_S, Counts, later
from detectors.anomaly.features import NAMES
from detectors.anomaly.habits import Habits
from detectors.anomaly.tails import WIDTH, Levels

GAPS: Final = 10
"""Gaps between requests before a pace is known."""
_GAP_WEIGHT: Final = 1 / 10
_LEAST_GAP_S: Final = 0.05
_MOST_GAP_S: Final = 900.0

RELEARN_EVENTS: Final = 60
"""What was flagged teaches nothing until it stood for hours, and was so often more usual than what was not: a caller
who changed for good."""

T = TypeVar("T")


def no_levels() -> Levels:
    """The levels of somebody who taught nothing."""
    return array("d", bytes(8 * WIDTH * len(NAMES)))


class State:
    """One principal. Some two kilobytes, whatever it sends."""

    __slots__ = ("answers", "bucket", "counts", "events", "extremes", "flagged", "flagged_s", "gap", "gaps", "habits",
                 "last_s", "levels")  # fmt: skip

    def __init__(self) -> None:
        self.levels = no_levels()
        self.counts = Counts()
        self.habits = Habits()
        self.answers = Answers()
        self.bucket = 0
        self.events = 0
        self.extremes = 0
        """Bits of the features of which an extreme has been counted: each principal widens a tail once, so one alone
        cannot. The upper half is of drifts."""
        self.gap = 0.0
        self.gaps = 0
        self.last_s = 0.0
        self.flagged = 0
        self.flagged_s = 0.0

    def gap_with(self, time_s: float) -> float:
        """The mean logarithm of the last gaps between requests, with the one that ends at ``time_s``; without it where
        the clock was set back."""
        if time_s < self.last_s - SET_BACK_S:
            return self.gap
        gap = math.log(min(max(time_s - self.last_s, _LEAST_GAP_S), _MOST_GAP_S))
        return self.gap + max(_GAP_WEIGHT, 1.0 / (self.gaps + 1)) * (gap - self.gap)

    def outlived(self, time_s: float) -> bool:
        """Whether what is known of the present is newer by more than a clock is off."""
        return time_s < self.last_s - SET_BACK_S

    def arrive(self, time_s: float) -> None:
        """Take a request's arrival in."""
        if self.last_s:
            self.gap = self.gap_with(time_s)
            self.gaps = min(self.gaps + 1, GAPS)
        self.last_s = later(self.last_s, time_s)

    def distrust(self, time_s: float, relearn_s: float, *, unusual: bool) -> bool:
        """Take note of whether an event was flagged; true if it must not teach. What was
        flagged more often than not for ``relearn_s`` is the new level."""
        if not unusual:
            self.flagged = max(0, self.flagged - 1)
            return False
        if not self.flagged or time_s < self.flagged_s:
            self.flagged_s = time_s
        self.flagged = min(self.flagged + 1, RELEARN_EVENTS)
        return self.flagged < RELEARN_EVENTS or time_s - self.flagged_s < relearn_s


class Lately(Generic[T]):
    """A bounded mapping that forgets what was used longest ago."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[str, T] = OrderedDict()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def get(self, key: str) -> T | None:
        """What is held under ``key``; its age stays."""
        return self._held.get(key)

    def touch(self, key: str) -> T | None:
        """The same, used now."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
        return held

    def put(self, key: str, value: T) -> T:
        """Hold something, and forget the oldest past the bound."""
        self._held[key] = value
        if len(self._held) > self._most:
            self._held.popitem(last=False)
        return value

    def items(self) -> list[tuple[str, T]]:
        """All that is held, in the order of ``keys``."""
        return list(self._held.items())

    def keys(self) -> list[str]:
        """All keys, the one that was used longest ago first."""
        return list(self._held)
