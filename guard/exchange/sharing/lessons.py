"""What one model tells another: the events that it learned from and what came of them, as a compact message.

Lessons do not depend on the model. They hold keyed pseudonyms, names of the configuration and numbers, no text
(``guard.types.BehaviourEvent``).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from guard.types import BehaviourEvent, BehaviourOutcome

Lesson: TypeAlias = "tuple[BehaviourEvent, BehaviourOutcome | None]"
"""An event that was let in, or, with an outcome, what came of one."""

MOST_LESSONS: Final = 256
"""In one message."""
MOST_BYTES: Final = 2 << 20
"""Of one message, inflated. A lesson has some 600."""
AHEAD_S: Final = 2.0
"""How far ahead of this machine's clock the time of a lesson may lie."""

_LEVEL: Final = 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[BehaviourEvent, BehaviourOutcome | None]])


def pack(lessons: Sequence[Lesson]) -> bytes:
    """The bytes of at most ``MOST_LESSONS`` lessons."""
    return zlib.compress(_encoder.encode(lessons), _LEVEL)


def unpack(data: bytes) -> list[Lesson]:
    """What ``pack`` wrote. Raises ``ValueError`` for anything else."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"it does not inflate: {error}") from None
    if not inflater.eof:
        raise ValueError("it is cut, or larger than a message may be")
    lessons = _decoder.decode(plain)  # msgspec.DecodeError is a ValueError
    if len(lessons) > MOST_LESSONS or not all(map(_sound, lessons)):
        raise ValueError("it holds more than a message may hold, or numbers that are none")
    return lessons


def _sound(lesson: Lesson) -> bool:
    event, outcome = lesson
    numbers = [event.time_s, *event.features.values()]
    if outcome is not None:
        numbers += [outcome.time_s, outcome.tokens_out or 0.0]
    return all(map(math.isfinite, numbers))


def from_elsewhere(lesson: Lesson, now_s: float) -> tuple[Lesson, bool]:
    """The lesson as another replica's, not later than ``AHEAD_S`` after ``now_s``, and whether its time was cut: a
    clock elsewhere cannot carry the counts of a principal into the future."""
    event, outcome = lesson
    latest = now_s + AHEAD_S
    time_s = min(event.time_s, latest)
    cut = time_s < event.time_s
    if outcome is not None and outcome.time_s > latest:
        outcome, cut = msgspec.structs.replace(outcome, time_s=latest), True
    event = msgspec.structs.replace(event, time_s=time_s, elsewhere=True)
    return (event, outcome), cut
