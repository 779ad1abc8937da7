"""That no two records share an id, in constant memory.

Ids are UUIDv7, which sort by the time of their making, and come nearly in that order. So only the newest are
remembered, and of those forgotten the greatest: an id beyond it can be none of them. One that is not (its request took
long, the clock was set back, somebody repeats an old id) is kept as a suspect, and a second reading of the log tells
whether it stands there twice. What verifies in the end is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from guard.record.segment import read_batches

REMEMBERED: Final = 1 << 16
"""At least so many of the newest ids are remembered, at most twice as many."""

MAX_SUSPECTS: Final = 1 << 16
"""How many suspects the second reading looks for. More make the rest unproven, which is said."""


class _Named(msgspec.Struct):
    """What the second reading takes from a line that has verified."""

    id: str
    seq: int


class Repeated(msgspec.Struct, frozen=True):
    """An id that stands in the log twice: the two records, and the place of the later one."""

    id: str
    first: int
    seq: int
    file: str
    line: int


class Ids:
    """The ids of a log, batch by batch."""

    def __init__(self, remembered: int = REMEMBERED, max_suspects: int = MAX_SUSPECTS) -> None:
        self.unproven = 0
        """Ids whose uniqueness nobody looked at: more suspects came than fit."""
        self.suspects: set[str] = set()
        self._room = remembered
        self._max_suspects = max_suspects
        self._newest: set[str] = set()
        self._before: set[str] = set()
        self._greatest = ""

    def repeated(self, ids: Sequence[str]) -> int | None:
        """The index in ``ids``, which follow those taken, of the first that stands among the remembered or in ``ids``
        before it; ``None`` if there is none. Nothing is taken."""
        fresh = set(ids)
        if len(fresh) == len(ids) and self._newest.isdisjoint(fresh) and self._before.isdisjoint(fresh):
            return None
        seen: set[str] = set()
        for index, one in enumerate(ids):
            if one in seen or one in self._newest or one in self._before:
                return index
            seen.add(one)
        return None

    def take(self, ids: Sequence[str]) -> None:
        """Remember them."""
        if self._greatest and min(ids, default="~") <= self._greatest:
            self._suspect(one for one in ids if one <= self._greatest)
        if len(self._newest) + len(ids) > self._room and self._newest:
            self._greatest = max(self._greatest, max(self._before, default=""))
            self._before, self._newest = self._newest, set()
        self._newest.update(ids)

    def _suspect(self, ids: Iterable[str]) -> None:
        for one in ids:
            if len(self.suspects) < self._max_suspects:
                self.suspects.add(one)
            else:
                self.unproven += 1

    def search(self, segments: Iterable[Path], size: int) -> Repeated | None:
        """Read the first ``size`` records again, which have verified, and find a suspect that stands there twice."""
        if not self.suspects:
            return None
        found: dict[str, int] = {}
        decode = msgspec.json.Decoder(_Named).decode
        for path in segments:
            for batch in read_batches(path):
                for line, record in enumerate(batch.records, batch.first_line):
                    named = decode(record)
                    if named.seq >= size:
                        return None
                    if named.id in found:
                        return Repeated(named.id, found[named.id], named.seq, f"seg/{path.name}", line)
                    if named.id in self.suspects:
                        found[named.id] = named.seq
        return None
