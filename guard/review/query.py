"""Queries over the records of a log directory: the last ones, one by id, those to come.

Only committed records are read. Reading is not verifying: a line that does not fit the schema is counted in
``unreadable``, and ``guard log verify`` says what it means.
"""

from __future__ import annotations

import heapq
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import GuardError
from guard.record.canonical import NotCanonical
from guard.record.schema import read_record
from guard.record.segment import list_segments, read_batches
from guard.record.verify import find_origins
from guard.review.filters import Filter
from guard.types import DecisionRecord

__all__ = ["LAST", "Exchange", "Filter", "LogReader", "RecordNotFound"]

LAST: Final = "last"
POLL_SECONDS: Final = 0.2
_MAX_NAMED: Final = 5


class RecordNotFound(GuardError):
    """The log holds no such record, or several that are meant alike."""

    code = "record_not_found"


class Exchange(msgspec.Struct, frozen=True):
    """A decision and what became of it; ``outcome`` is ``None`` for a refused request, or if it is missing."""

    decision: DecisionRecord
    outcome: DecisionRecord | None


class LogReader:
    """Reads the log in ``directory``: one with origins in it, or that of one origin."""

    def __init__(self, directory: Path) -> None:
        """Raises ``RecordNotFound`` if there is no log."""
        self.directory = directory
        self.unreadable = 0
        if not find_origins(directory):
            raise RecordNotFound(
                "there is no log here", where=str(directory), mend="name the log's directory with --dir"
            )

    def records(self, wanted: Filter | None = None, *, newest_first: bool = False) -> Iterator[DecisionRecord]:
        """The wanted records of all origins, oldest first unless said otherwise. Holds one record of each origin."""
        lines = _lines_backwards if newest_first else _lines
        streams = [self._wanted(lines(origin), wanted or Filter()) for origin in find_origins(self.directory)]
        yield from heapq.merge(*streams, key=_time, reverse=newest_first)

    def tail(self, count: int, wanted: Filter | None = None) -> list[DecisionRecord]:
        """The last ``count`` records, oldest first. Reads each origin from its end."""
        found = [self._last(origin, count, wanted or Filter()) for origin in find_origins(self.directory)]
        return sorted((record for records in found for record in records), key=_time)[-count:] if count else []

    def find(self, decision_id: str) -> Exchange:
        """The exchange whose decision has this id, or the only one whose id begins so; ``last`` is the newest.

        Raises ``RecordNotFound``.
        """
        if decision_id == LAST:
            newest = self.tail(1, Filter(kind="decision"))
            if not newest:
                raise RecordNotFound("the log holds no decision", where=str(self.directory))
            decision_id = newest[0]["id"]
        decisions: dict[str, DecisionRecord] = {}
        outcomes: dict[str, DecisionRecord] = {}
        for record in self._mentioning(decision_id):
            if record["kind"] == "decision" and record["id"].startswith(decision_id):
                decisions[record["id"]] = record
            elif record["kind"] == "outcome":
                outcomes[record["decision_ref"]] = record
        if len(decisions) != 1:
            raise self._not_one(decision_id, list(decisions))
        ((found, decision),) = decisions.items()
        return Exchange(decision, outcomes.get(found))

    def find_reload(self, record_id: str) -> DecisionRecord | None:
        """The ``config`` record whose id begins so; ``None`` if there is none, or several."""
        found = [
            record
            for record in self._mentioning(record_id)
            if record["kind"] == "config" and record["id"].startswith(record_id)
        ]
        return found[0] if len(found) == 1 else None

    def follow(
        self, wanted: Filter | None = None, *, pause: Callable[[float], None] = time.sleep
    ) -> Iterator[DecisionRecord]:
        """The records that are committed after this call, for ever; new segments and new origins included."""
        return self._follow({origin: _Place.at_end(origin) for origin in find_origins(self.directory)}, wanted, pause)

    def _follow(
        self, places: dict[Path, _Place], wanted: Filter | None, pause: Callable[[float], None]
    ) -> Iterator[DecisionRecord]:
        while True:
            for origin in find_origins(self.directory):
                place = places.setdefault(origin, _Place())
                for line in place.read(origin):
                    record = self._decode(line)
                    if record is not None and (wanted is None or wanted.matches(record)):
                        yield record
            pause(POLL_SECONDS)

    def _wanted(self, lines: Iterable[bytes], wanted: Filter) -> Iterator[DecisionRecord]:
        needles = wanted.needles()
        for line in lines:
            # A cheap look at the bytes spares parsing what cannot match.
            if all(any(needle in line for needle in either) for either in needles):
                record = self._decode(line)
                if record is not None and wanted.matches(record):
                    yield record

    def _last(self, origin: Path, count: int, wanted: Filter) -> list[DecisionRecord]:
        found: deque[DecisionRecord] = deque()
        for segment in reversed(list_segments(origin / "seg")):
            newest = deque(self._wanted(_committed(segment.path), wanted), maxlen=count)
            found.extendleft(reversed(newest))
            if len(found) >= count:
                break
        return list(found)[-count:] if count else []

    def _mentioning(self, text: str) -> Iterator[DecisionRecord]:
        needle = text.encode()
        for origin in find_origins(self.directory):
            for line in _lines(origin):
                if needle in line and (record := self._decode(line)) is not None:
                    yield record

    def _decode(self, line: bytes) -> DecisionRecord | None:
        try:
            # Whoever shows a record relies on its fields: one that was altered may lack them.
            read_record(line)
            found: DecisionRecord = msgspec.json.decode(line)
        except (NotCanonical, msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            return None
        return found

    def _not_one(self, decision_id: str, found: list[str]) -> RecordNotFound:
        if not found:
            return RecordNotFound(
                f"no decision has an id that begins with {decision_id!r}",
                where=str(self.directory),
                mend="guard log tail lists the last ones",
            )
        named = ", ".join(found[:_MAX_NAMED]) + (" ..." if len(found) > _MAX_NAMED else "")
        return RecordNotFound(f"{len(found)} decisions begin so: {named}", mend="give more of the id")


class _Place(msgspec.Struct):
    """How far one origin was read."""

    segment: int = 0
    offset: int = 0

    @classmethod
    def at_end(cls, origin: Path) -> _Place:
        segments = list_segments(origin / "seg")
        if not segments:
            return cls()
        place = cls(segments[-1].number)
        for _ in place.read(origin):
            continue
        return place

    def read(self, origin: Path) -> Iterator[bytes]:
        """The lines committed since."""
        for segment in list_segments(origin / "seg"):
            if segment.number < self.segment:
                continue
            if segment.number > self.segment:
                self.segment, self.offset = segment.number, 0
            for batch in read_batches(segment.path, offset=self.offset):
                if batch.commit is None:
                    break
                self.offset = batch.end
                yield from batch.records


def _time(record: DecisionRecord) -> int:
    return int(record["ts_us"])


def _lines(origin: Path) -> Iterator[bytes]:
    for segment in list_segments(origin / "seg"):
        yield from _committed(segment.path)


def _lines_backwards(origin: Path) -> Iterator[bytes]:
    """The committed lines, newest first. Holds the places of one segment's lines, not the lines."""
    for segment in reversed(list_segments(origin / "seg")):
        starts, lengths = array("q"), array("q")
        for batch in read_batches(segment.path):
            if batch.commit is None:
                break
            at = batch.start
            for line in batch.records:
                starts.append(at)
                lengths.append(len(line))
                at += len(line) + 1
        with segment.path.open("rb") as file:
            for start, length in zip(reversed(starts), reversed(lengths), strict=True):
                file.seek(start)
                yield file.read(length)


def _committed(path: Path) -> Iterator[bytes]:
    for batch in read_batches(path):
        if batch.commit is not None:
            yield from batch.records
