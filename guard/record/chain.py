"""The checks of one batch against everything before it: a state machine without I/O.

For each line, in this order: framing, canonical form, schema, ``seq``, ``prev``, origin, place of ``open`` and
``close``, ``boot`` and ``mono_us``, unique ``id``. Then the commit: signature, origin, size, root. The first thing that
does not hold is a ``Flaw``, and the state stays where it was.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from guard.record.canonical import NotCanonical, canonical, parse
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint
from guard.record.recovery import GENESIS
from guard.record.schema import AnyRecord, CloseRecord, OpenRecord, read_record
from guard.record.segment import Batch, commit_note
from guard.record.tree import CompactRange, leaf_hash
from guard.types import Checkpoint


class Flaw(Exception):
    """``index`` is the record in the batch that is bad, ``None`` if it is the commit line."""

    def __init__(self, what: str, index: int | None) -> None:
        super().__init__(what)
        self.what = what
        self.index = index


class _Position(msgspec.Struct):
    """Where the chain stands after a record."""

    prev: str = GENESIS
    boot: str = ""
    mono_us: int = 0
    closed: bool = True


class Chain:
    """The verified part of one origin's log, batch by batch. Holds every id, and O(log n) hashes."""

    def __init__(self, key: VerifierKey) -> None:
        self.key = key
        self.tree = CompactRange()
        self._at = _Position()
        self._ids: set[str] = set()
        self._boots: set[str] = set()

    @property
    def size(self) -> int:
        """How many records have verified."""
        return self.tree.size

    @property
    def closed(self) -> bool:
        """Whether the last verified record is a ``close``."""
        return self._at.closed and self.size > 0

    def accept(self, batch: Batch) -> list[AnyRecord]:
        """The batch's records, verified. Raises ``Flaw``."""
        tree = self.tree.copy()
        at = msgspec.structs.replace(self._at)
        records: list[AnyRecord] = []
        ids: set[str] = set()
        last = len(batch.records) - 1
        for index, line in enumerate(batch.records):
            if batch.flaw and index == last:
                raise Flaw(f"a line {batch.flaw}", index)
            record = _read(line, index)
            self._check(record, at, tree.size, batch, index)
            if record.id in self._ids or record.id in ids:
                raise Flaw(f"the id {record.id} stands in the log already", index)
            ids.add(record.id)
            records.append(record)
            tree.append(leaf_hash(line))
            at.prev, at.mono_us = sha256(line).hexdigest(), record.mono_us
            at.closed = isinstance(record, CloseRecord)
        self._check_commit(batch, Checkpoint(self.key.name, tree.size, tree.root()))
        self.tree, self._at = tree, at
        self._ids |= ids
        self._boots.add(at.boot)
        return records

    def signed(self, batch: Batch) -> bool:
        """Whether the batch ends with a commit of this log's key beyond what has verified."""
        try:
            checkpoint = parse_checkpoint(open_note(commit_note(batch.commit or b""), self.key))
        except (NoteInvalid, NotCanonical):
            return False
        return checkpoint.size > self.size

    def _check(self, record: AnyRecord, at: _Position, seq: int, batch: Batch, index: int) -> None:
        if record.seq != seq:
            raise Flaw(f"the record calls itself {record.seq}, its place is {seq}", index)
        if record.prev != at.prev:
            self._blame(batch, index, at.prev)
        if record.origin != self.key.name:
            raise Flaw(f"the record belongs to {record.origin}, the log to {self.key.name}", index)
        if isinstance(record, OpenRecord):
            if index or batch.start or record.boot in self._boots or record.boot == at.boot:
                raise Flaw("an open record stands where no writer puts one", index)
            at.boot, at.mono_us = record.boot, record.mono_us
        elif at.closed:
            raise Flaw("a record follows a close without an open", index)
        if record.boot != at.boot:
            raise Flaw("the record names another boot than the open record before it", index)
        if record.mono_us < at.mono_us:
            raise Flaw("the monotonic clock runs backwards", index)

    def _blame(self, batch: Batch, index: int, prev: str) -> None:
        """``prev`` does not fit: either it was altered, or the record before it was. The signed root tells which."""
        if index == 0:
            raise Flaw("prev is not the hash of the record before, which is signed", index)
        line = canonical({**parse(batch.records[index]), "prev": prev})
        tree = self.tree.copy()
        for number, other in enumerate(batch.records):
            tree.append(leaf_hash(line if number == index else other))
        try:
            self._check_commit(batch, Checkpoint(self.key.name, tree.size, tree.root()))
        except Flaw:
            raise Flaw("the record is not the one whose hash the next record holds", index - 1) from None
        raise Flaw("prev is not the hash of the record before", index)

    def _check_commit(self, batch: Batch, expected: Checkpoint) -> None:
        last = len(batch.records) - 1
        if batch.commit is None:
            raise Flaw("no commit covers the record", 0)
        if not batch.records:
            raise Flaw("the commit covers no record", None)
        try:
            checkpoint = parse_checkpoint(open_note(commit_note(batch.commit), self.key))
        except (NoteInvalid, NotCanonical) as error:
            raise Flaw(f"the commit does not verify: {error}", None) from None
        if checkpoint.origin != expected.origin:
            raise Flaw(f"the commit belongs to {checkpoint.origin}, the log to {expected.origin}", None)
        if checkpoint.size != expected.size:
            raise Flaw(f"the commit was signed over {checkpoint.size} records, here are {expected.size}", last)
        if checkpoint.root != expected.root:
            raise Flaw("the record is not the one that was signed", last)


def _read(line: bytes, index: int) -> AnyRecord:
    try:
        parse(line)
        return read_record(line)
    except NotCanonical as error:
        raise Flaw(str(error), index) from None
