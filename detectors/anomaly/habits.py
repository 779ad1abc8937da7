"""What a principal usually uses, and when: bounded counters of keyed values, and the surprise of a value, in bits.

The surprise is ``-log2(P)``, where P is the share of the value among the principal's own, shrunk to the share that it
has among everybody's. Values arrive as text that is keyed already and are kept as 64 bits of BLAKE2b of it.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

KINDS: Final = ("endpoint", "model", "agent", "network", "tools")
"""The labels of an event that are counted; others are ignored."""
SLOTS: Final = 8
"""Values that are remembered of each kind; past it the rarest is forgotten."""
OWN_MOST: Final = 400.0
"""Past this many counts all are halved: what is no longer used is forgotten."""
COMMON_SLOTS: Final = 512
COMMON_MOST: Final = 20_000.0
OTHERS: Final = 2.0
"""Pseudo-counts of everybody's shares in a principal's own."""
HOURS: Final = 24
HOUR_S: Final = 3600.0
HOUR_OTHERS: Final = 6.0


@lru_cache(maxsize=4096)
def code(label: str) -> int:
    """64 bits that stand for a label; never 0."""
    return int.from_bytes(hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") or 1


class Habits:
    """The counters of one principal: 8 values of each kind, 24 hours of the day (UTC)."""

    __slots__ = ("codes", "counts", "hours", "totals")

    def __init__(self) -> None:
        self.codes = array("Q", bytes(8 * SLOTS * len(KINDS)))
        self.counts = array("f", bytes(4 * SLOTS * len(KINDS)))
        self.totals = array("f", bytes(4 * len(KINDS)))
        self.hours = array("f", bytes(4 * HOURS))

    def count(self, kind: int, value: int) -> float:
        """How often a value was used; 0 for one that is not remembered."""
        first = kind * SLOTS
        try:
            return self.counts[self.codes.index(value, first, first + SLOTS)]
        except ValueError:
            return 0.0

    def add(self, kind: int, value: int) -> None:
        """Count a value."""
        first = kind * SLOTS
        try:
            slot = self.codes.index(value, first, first + SLOTS)
        except ValueError:
            slot = min(range(first, first + SLOTS), key=self.counts.__getitem__)
            self.totals[kind] -= self.counts[slot]
            self.codes[slot], self.counts[slot] = value, 0.0
        self.counts[slot] += 1.0
        self.totals[kind] += 1.0
        if self.totals[kind] > OWN_MOST:
            for index in range(first, first + SLOTS):
                self.counts[index] *= 0.5
            self.totals[kind] = sum(self.counts[first : first + SLOTS])


class Customs:
    """The same counters of everybody; bounded."""

    def __init__(self) -> None:
        self.kinds: list[OrderedDict[int, float]] = [OrderedDict() for _ in KINDS]
        self.totals = [0.0] * len(KINDS)
        self.hours = [1.0] * HOURS

    def share(self, kind: int, value: int) -> float:
        """The share of a value among everybody's: above 0, also for one that nobody used."""
        known = self.kinds[kind]
        return (known.get(value, 0.0) + 0.5) / (self.totals[kind] + 0.5 * len(known) + 10.0)

    def add(self, kind: int, value: int) -> None:
        """Count a value."""
        known = self.kinds[kind]
        known[value] = known.get(value, 0.0) + 1.0
        known.move_to_end(value)
        self.totals[kind] += 1.0
        if len(known) > COMMON_SLOTS:
            self.totals[kind] -= known.popitem(last=False)[1]
        if self.totals[kind] > COMMON_MOST:
            for one in known:
                known[one] *= 0.5
            self.totals[kind] *= 0.5

    def surprise(self, own: Habits, kind: int, values: Iterable[int]) -> float:
        """The mean surprise of the values, in bits; 0 where there is none."""
        total, counted = own.totals[kind], 0
        bits = 0.0
        for value in values:
            p = (own.count(kind, value) + OTHERS * self.share(kind, value)) / (total + OTHERS)
            bits -= math.log2(p)
            counted += 1
        return bits / counted if counted else 0.0

    def hour_surprise(self, own: Habits, time_s: float) -> float:
        """The surprise of the hour of the day, in bits; the hours beside it lend it half of their weight."""
        hour, mine = _hour(time_s), own.hours
        before, after = (hour - 1) % HOURS, (hour + 1) % HOURS
        everybody = self.hours
        whole = sum(everybody)
        common = (0.5 * everybody[hour] + 0.25 * (everybody[before] + everybody[after])) / whole
        seen = 0.5 * mine[hour] + 0.25 * (mine[before] + mine[after])
        return -math.log2((seen + HOUR_OTHERS * common) / (sum(mine) + HOUR_OTHERS))

    def learn(self, own: Habits, values: Sequence[Sequence[int]], time_s: float, *, others: bool) -> None:
        """Count what an event used, kind by kind; ``others``: among everybody's, too."""
        for kind, used in enumerate(values):
            for value in used:
                own.add(kind, value)
                if others:
                    self.add(kind, value)
        hour = _hour(time_s)
        own.hours[hour] += 1.0
        if own.hours[hour] > OWN_MOST / 4:
            for index in range(HOURS):
                own.hours[index] *= 0.5
        if others:
            self.hours[hour] += 1.0


def _hour(time_s: float) -> int:
    return int(time_s // HOUR_S) % HOURS
