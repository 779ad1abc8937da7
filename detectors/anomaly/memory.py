"""All that the behaviour model has learned, and the bytes in which it survives a restart.

A snapshot is a line that names the format, the SHA-256 of the rest, and a msgpack array: what is everybody's, then the
principals, some at a time. It holds pseudonyms, counts and sums; no text. What another version wrote, or what is
damaged, is refused as a whole.
"""

from __future__ import annotations

import hashlib
import io
import math
import sys
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any, Final

import msgspec

from detectors.anomaly.counts import BUCKETS
from detectors.anomaly.crowd import Crowd
from detectors.anomaly.features import SCALES
from detectors.anomaly.habits import COMMON_SLOTS, HOURS, KINDS, Customs
from detectors.anomaly.histogram import Histogram
from detectors.anomaly.options import BehaviourOptions
from detectors.anomaly.state import Lately, State, no_levels
from detectors.anomaly.tails import BIN, DRIFT_BIN, Levels
from detectors.common.options import digest
from guard.types import BehaviourEvent

FORMAT: Final = b"policy-guard behaviour 2 " + sys.byteorder.encode() + b"\n"
_CHUNK: Final = 50
_PAUSE_S: Final = 1e-4
"""Between two chunks, so that a thread that waits for the interpreter's lock gets it: one chunk takes some 0.2 ms."""
_ARRAY_32: Final = b"\xdd"
"""The head of a msgpack array whose length follows in four bytes, the highest first."""


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


class _Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is everybody's in a crowd."""

    everybody: bytes
    zs: list[list[int]]
    drifts: list[list[int]]
    customs: list[list[tuple[int, float]]]
    totals: list[float]
    hours: list[float]


class _Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot begins with."""

    scales: str
    members: _Common
    guests: _Common
    groups: list[tuple[str, bytes]]
    scores: list[list[int]] = []


class _Chunk(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Some principals of one crowd."""

    guests: bool
    kept: list[_Kept]


_SCALES: Final = digest(SCALES)


class Memory:
    """Two crowds and the groups. Bounded by the options; the lock is the model's.

    Callers without a credential are a crowd of their own: an address costs nothing, so whoever has many must neither
    teach what is usual for others nor make the guard forget them.
    """

    def __init__(self, options: BehaviourOptions) -> None:
        self.options = options
        self.members = Crowd(options.max_principals)
        self.guests = Crowd(options.max_anonymous)
        self.groups: Lately[Levels] = Lately(options.max_groups)
        self.scores: list[list[int]] = []
        """How scores were distributed when the snapshot was written that this was read from."""

    def crowd(self, event: BehaviourEvent) -> Crowd:
        """Those whom the event's principal is compared with."""
        return self.guests if event.anonymous else self.members

    def dump(self, lock: Lock, scores: list[list[int]]) -> bytes:
        """The bytes of a snapshot, with how ``scores`` are distributed. Principals are copied some at a time, so that
        requests go on in between."""
        with lock:
            whole = _Whole(
                _SCALES,
                _common(self.members),
                _common(self.guests),
                [(name, levels.tobytes()) for name, levels in self.groups.items()],
                scores,
            )
            names = [(crowd, crowd.states.keys()) for crowd in (self.members, self.guests)]
        chunks = [
            (crowd, of_crowd[first : first + _CHUNK])
            for crowd, of_crowd in names
            for first in range(0, len(of_crowd), _CHUNK)
        ]
        file, hashed = io.BytesIO(), hashlib.sha256()
        file.write(FORMAT + bytes(hashed.digest_size))
        for part in (_ARRAY_32 + (len(chunks) + 1).to_bytes(4, "big"), msgspec.msgpack.encode(whole)):
            hashed.update(part)
            file.write(part)
        for crowd, some in chunks:
            with lock:
                kept = [_kept(name, state) for name in some if (state := crowd.states.get(name))]
            part = msgspec.msgpack.encode(_Chunk(crowd is self.guests, kept))
            hashed.update(part)
            file.write(part)
            time.sleep(_PAUSE_S)
        file.seek(len(FORMAT))
        file.write(hashed.digest())
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes, options: BehaviourOptions) -> Memory:
        """What ``dump`` wrote. Raises ``ValueError``."""
        start = len(FORMAT) + 32
        if data[: len(FORMAT)] != FORMAT:
            raise ValueError("it was written by another version, or is no snapshot")
        body = memoryview(data)[start:]
        if hashlib.sha256(body).digest() != data[len(FORMAT) : start]:
            raise ValueError("it is damaged")
        memory = cls(options)
        try:
            first, *chunks = msgspec.msgpack.decode(body, type=list[msgspec.Raw])
            whole = msgspec.msgpack.decode(first, type=_Whole)
            if whole.scales != _SCALES:
                raise ValueError("it was written for other features")
            for chunk in chunks:
                some = msgspec.msgpack.decode(chunk, type=_Chunk)
                states = (memory.guests if some.guests else memory.members).states
                for one in some.kept:
                    states.put(one.name, _state(one))
        except msgspec.DecodeError as error:
            raise ValueError(f"it is not readable: {error}") from error
        memory.scores = whole.scores
        _restore(memory.members, whole.members)
        _restore(memory.guests, whole.guests)
        for name, levels in whole.groups:
            memory.groups.put(name, _levels(levels))
        return memory


def _common(crowd: Crowd) -> _Common:
    """A copy of what is everybody's."""
    customs = crowd.customs
    return _Common(
        crowd.everybody.tobytes(),
        [list(tail.zs.above) for tail in crowd.tails],
        [list(tail.drifts.above) for tail in crowd.tails],
        [list(known.items()) for known in customs.kinds],
        list(customs.totals),
        list(customs.hours),
    )


def _restore(crowd: Crowd, common: _Common) -> None:
    crowd.everybody[:] = _levels(common.everybody)
    for tail, zs, drifts in zip(crowd.tails, common.zs, common.drifts, strict=True):
        tail.zs, tail.drifts = Histogram(BIN, zs), Histogram(DRIFT_BIN, drifts)
    _fill(crowd.customs, common)


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


def _fill(customs: Customs, common: _Common) -> None:
    amounts = [*common.totals, *[count for known in common.customs for _, count in known]]
    sizes = (len(common.customs), len(common.totals), len(common.hours))
    if (
        sizes != (len(KINDS), len(KINDS), HOURS)
        or min(amounts) < 0
        or min(common.hours) <= 0
        or not _finite([*amounts, *common.hours])
    ):
        raise ValueError("what everybody uses is not readable")
    if any(len(known) > COMMON_SLOTS for known in common.customs):
        raise ValueError("it holds more than the bound")
    customs.kinds = [OrderedDict(known) for known in common.customs]
    customs.totals, customs.hours = list(common.totals), list(common.hours)


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
