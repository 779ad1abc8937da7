"""The checks of one batch against everything before it: a state machine without I/O.

For each line, in this order: framing, canonical form, schema, ``seq``, ``prev``, origin, place of ``open`` and
``close``, ``boot`` and ``mono_us``. Then unique ids. Then the commit: signature by the key of this epoch, origin, size,
root, and whether that key may sign there (``guard.record.epochs``). The first thing that does not hold is a ``Flaw``,
and the state stays where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from guard.record.canonical import NotCanonical, canonical, parse
from guard.record.epochs import EpochRefused, Epochs, named_keys
from guard.record.lines import read_line
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint
from guard.record.recovery import GENESIS
from guard.record.report import StepName
from guard.record.schema import AnyRecord, CloseRecord, OpenRecord
from guard.record.segment import Batch, commit_note
from guard.record.tree import CompactRange, leaf_hash
from guard.record.trust import Trust
from guard.record.unique import Ids
from guard.types import Checkpoint


class Flaw(Exception):
    """``index`` is the record in the batch that is bad, ``None`` if it is the commit line; ``step`` what it failed."""

    def __init__(self, what: str, index: int | None, step: StepName | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.index = index
        self.step: StepName = step or ("commits" if index is None else "records")


class _Position(msgspec.Struct):
    """Where the chain stands after a record."""

    prev: str = GENESIS
    boot: str = ""
    mono_us: int = 0
    closed: bool = True


class Chain:
    """The verified part of one origin's log, batch by batch. Holds O(log n) hashes, the newest ids, and each boot.

    ``wanted`` are sizes whose roots are asked for; ``roots`` fills as the log reaches them.
    """

    def __init__(self, key: VerifierKey, wanted: Iterable[int] = (), trust: Trust | None = None) -> None:
        """``key`` is the first one; ``key`` records in the log name the others. ``trust`` says which are believed."""
        self.origin = key.name
        self.epochs = Epochs.beginning(key, trust)
        self.tree = CompactRange()
        self.ids = Ids()
        self.roots: dict[int, bytes] = {}
        self._wanted = sorted(set(wanted), reverse=True)
        self._at = _Position()
        self._boots: set[str] = set()
        self._later: set[VerifierKey] = set()

    @property
    def key(self) -> VerifierKey:
        """The key that signs the next commit."""
        return self.epochs.key

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
        leaves: list[bytes] = []
        last = len(batch.records) - 1
        for index, line in enumerate(batch.records):
            if batch.flaw and index == last:
                raise Flaw(f"a line {batch.flaw}", index)
            record = _read(line, index)
            self._check(record, at, self.tree.size + index, batch, index)
            records.append(record)
            leaves.append(leaf_hash(line))
            at.prev, at.mono_us = sha256(line).hexdigest(), record.mono_us
            at.closed = type(record) is CloseRecord
        ids = [record.id for record in records]
        repeated = self.ids.repeated(ids)
        if repeated is not None:
            raise Flaw(f"the id {ids[repeated]} stands in the log already", repeated, "ids")
        tree.extend(leaves)
        self._check_commit(batch, Checkpoint(self.origin, tree.size, tree.root()))
        try:
            self.epochs = self.epochs.after(records, self.size, tree.size)
        except EpochRefused as error:
            raise Flaw(str(error), error.index, "key") from None
        self._note_roots(leaves)
        self.tree, self._at = tree, at
        self.ids.take(ids)
        self._boots.add(at.boot)
        return records

    def _note_roots(self, leaves: list[bytes]) -> None:
        """The roots that are asked for, within the batch whose leaves follow the tree."""
        start = self.tree.size
        while self._wanted and self._wanted[-1] <= start + len(leaves):
            size = self._wanted.pop()
            tree = self.tree.copy()
            tree.extend(leaves[: size - start])
            self.roots[size] = tree.root()

    def signed(self, batch: Batch) -> bool:
        """Whether the batch ends with a commit of this log's key beyond what has verified.

        A key that a ``key`` record behind the damage names counts, too: it shows that the writer went on.
        """
        self._later |= named_keys(batch.records, self.origin)
        try:
            note = commit_note(batch.commit or b"")
        except NotCanonical:
            return False
        for key in (self.key, *self._later):
            try:
                return parse_checkpoint(open_note(note, key)).size > self.size
            except NoteInvalid:
                continue
        return False

    def _check(self, record: AnyRecord, at: _Position, seq: int, batch: Batch, index: int) -> None:
        if record.seq != seq:
            raise Flaw(f"the record calls itself {record.seq}, its place is {seq}", index)
        if record.prev != at.prev:
            self._blame(batch, index, at.prev)
        if record.origin != self.origin:
            raise Flaw(f"the record belongs to {record.origin}, the log to {self.origin}", index)
        if type(record) is OpenRecord:
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
            self._check_commit(batch, Checkpoint(self.origin, tree.size, tree.root()))
        except Flaw:
            raise Flaw("the record is not the one whose hash the next record holds", index - 1) from None
        raise Flaw("prev is not the hash of the record before", index)

    def _check_commit(self, batch: Batch, expected: Checkpoint) -> None:
        last = len(batch.records) - 1
        if batch.commit is None:
            raise Flaw("no commit covers the record", 0, "end")
        if not batch.records:
            raise Flaw("the commit covers no record", None)
        try:
            note = commit_note(batch.commit)
            if retired := self.epochs.retired_signer(note):
                raise NoteInvalid(
                    f"it is signed by {retired.key.id.hex()}, which was retired at {retired.last} records"
                )
            checkpoint = parse_checkpoint(open_note(note, self.key))
        except (NoteInvalid, NotCanonical) as error:
            raise Flaw(f"the commit does not verify: {error}", None) from None
        if checkpoint.origin != expected.origin:
            raise Flaw(f"the commit belongs to {checkpoint.origin}, the log to {expected.origin}", None)
        if checkpoint.size != expected.size:
            raise Flaw(
                f"the commit was signed over {checkpoint.size} records, here are {expected.size}", last, "commits"
            )
        if checkpoint.root != expected.root:
            raise Flaw("the record is not the one that was signed", last, "commits")


def _read(line: bytes, index: int) -> AnyRecord:
    try:
        return read_line(line)
    except NotCanonical as error:
        raise Flaw(str(error), index) from None
