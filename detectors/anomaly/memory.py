"""All that the behaviour model has learned, and the bytes in which it survives a restart.

A snapshot is a line that names the format, the SHA-256 of the rest, and a msgpack object. It holds pseudonyms, counts
and sums; no text. What another version wrote, or what is damaged, is refused as a whole.
"""

from __future__ import annotations

import hashlib
import math
import sys
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any, Final

import msgspec

from detectors.anomaly.counts import BUCKETS
from detectors.anomaly.features import SCALES
from detectors.anomaly.habits import COMMON_SLOTS, HOURS, KINDS, Customs
from detectors.anomaly.histogram import Histogram
from detectors.anomaly.options import BehaviourOptions
from detectors.anomaly.state import Lately, State, no_levels
from detectors.anomaly.tails import BIN, DRIFT_BIN, WIDTH, Levels, Tail
from detectors.common.options import digest

FORMAT: Final = b"policy-guard behaviour 1 " + sys.byteorder.encode() + b"\n"
_CHUNK: Final = 200


class _Kept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One principal."""

    name: str
    levels: bytes
    ring: list[int]
    last: int
    codes: bytes
    counts: bytes
    totals: bytes
    hours: bytes
    answers: bytes
    whole: tuple[int, int, int, int, int]
    times: tuple[float, float, float]


class _Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The snapshot."""

    scales: str
    everybody: bytes
    zs: list[list[int]]
    drifts: list[list[int]]
    customs: list[list[tuple[int, float]]]
    totals: list[float]
    hours: list[float]
    groups: list[tuple[str, bytes]]


_SCALES: Final = digest(SCALES)


class Memory:
    """Everybody's levels and tails, customs, groups and principals. Bounded by the options; the lock is the model's."""

    def __init__(self, options: BehaviourOptions) -> None:
        self.options = options
        self.everybody = no_levels()
        self.tails = tuple(Tail(scale, at * WIDTH, self.everybody) for at, scale in enumerate(SCALES.values()))
        self.customs = Customs()
        self.states: Lately[State] = Lately(options.max_principals)
        self.groups: Lately[Levels] = Lately(options.max_groups)

    def dump(self, lock: Lock) -> bytes:
        """The bytes of a snapshot. Principals are copied some at a time, so that requests go on in between."""
        with lock:
            names = self.states.keys()
            whole = _Whole(
                _SCALES,
                self.everybody.tobytes(),
                [tail.zs.above for tail in self.tails],
                [tail.drifts.above for tail in self.tails],
                [list(known.items()) for known in self.customs.kinds],
                self.customs.totals,
                self.customs.hours,
                [(name, levels.tobytes()) for name, levels in self.groups.items()],
            )
            head = msgspec.msgpack.encode(whole)
        kept: list[_Kept] = []
        for first in range(0, len(names), _CHUNK):
            with lock:
                kept += [_kept(name, s) for name in names[first : first + _CHUNK] if (s := self.states.get(name))]
        body = msgspec.msgpack.encode([msgspec.Raw(head), kept])
        return FORMAT + hashlib.sha256(body).digest() + body

    @classmethod
    def load(cls, data: bytes, options: BehaviourOptions) -> Memory:
        """What ``dump`` wrote. Raises ``ValueError``."""
        start = len(FORMAT) + 32
        if data[: len(FORMAT)] != FORMAT:
            raise ValueError("it was written by another version, or is no snapshot")
        body = data[start:]
        if hashlib.sha256(body).digest() != data[len(FORMAT) : start]:
            raise ValueError("it is damaged")
        try:
            whole, kept = msgspec.msgpack.decode(body, type=tuple[_Whole, list[_Kept]])
        except msgspec.DecodeError as error:
            raise ValueError(f"it is not readable: {error}") from error
        if whole.scales != _SCALES:
            raise ValueError("it was written for other features")
        memory = cls(options)
        memory.everybody[:] = _levels(whole.everybody)
        for tail, zs, drifts in zip(memory.tails, whole.zs, whole.drifts, strict=True):
            tail.zs, tail.drifts = Histogram(BIN, zs), Histogram(DRIFT_BIN, drifts)
        _fill(memory.customs, whole)
        for name, levels in whole.groups:
            memory.groups.put(name, _levels(levels))
        for one in kept:
            memory.states.put(one.name, _state(one))
        return memory


def _kept(name: str, state: State) -> _Kept:
    habits, counts = state.habits, state.counts
    return _Kept(
        name, state.levels.tobytes(), list(counts.ring), counts.last, habits.codes.tobytes(), habits.counts.tobytes(),
        habits.totals.tobytes(), habits.hours.tobytes(), state.answers.sums.tobytes(),
        (state.bucket, state.events, state.extremes, state.gaps, state.flagged),
        (state.gap, state.last_s, state.flagged_s),
    )  # fmt: skip


def _state(kept: _Kept) -> State:
    state = State()
    state.levels = _levels(kept.levels)
    habits, counts = state.habits, state.counts
    if len(kept.ring) != BUCKETS or min(*kept.ring, kept.last, *kept.whole) < 0 or not _finite(kept.times):
        raise ValueError("a principal in it is no principal")
    counts.ring[:], counts.last = kept.ring, kept.last
    for held, given in (
        (habits.codes, kept.codes),
        (habits.counts, kept.counts),
        (habits.totals, kept.totals),
        (habits.hours, kept.hours),
        (state.answers.sums, kept.answers),
    ):
        _take(held, given)
    state.bucket, state.events, state.extremes, state.gaps, state.flagged = kept.whole
    state.gap, state.last_s, state.flagged_s = kept.times
    return state


def _fill(customs: Customs, whole: _Whole) -> None:
    amounts = [*whole.totals, *whole.hours, *[count for known in whole.customs for _, count in known]]
    sizes = (len(whole.customs), len(whole.totals), len(whole.hours))
    if sizes != (len(KINDS), len(KINDS), HOURS) or min(amounts) < 0 or not _finite(amounts):
        raise ValueError("what everybody uses is not readable")
    if any(len(known) > COMMON_SLOTS for known in whole.customs):
        raise ValueError("it holds more than the bound")
    customs.kinds = [OrderedDict(known) for known in whole.customs]
    customs.totals, customs.hours = list(whole.totals), list(whole.hours)


def _levels(data: bytes) -> Levels:
    levels = no_levels()
    _take(levels, data)
    return levels


def _take(held: array[Any], data: bytes) -> None:
    """Read the numbers of ``data`` in place of those that are held. Raises ``ValueError``."""
    given: array[Any] = array(held.typecode)
    given.frombytes(data)
    if len(given) != len(held) or not _finite(given):
        raise ValueError("numbers in it are not readable")
    held[:] = given


def _finite(numbers: Iterable[float]) -> bool:
    return all(map(math.isfinite, numbers))
