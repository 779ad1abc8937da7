"""The writer of one origin: records in, durable batches under signed checkpoints out. Blocking, one thread at a time.

A batch: canonicalise -> chain (``seq``, ``prev``) -> leaves -> root -> sign -> ONE write of records and commit line ->
fdatasync. After a failed write the writer is poisoned: fsync is never tried again on the same descriptor (a second call
may report success for data that the kernel dropped), and ``open`` must be called again, which recovers from the last
durable commit and goes on in a new segment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import KeyInvalid, LogTampered
from guard.record.boot import BootFacts, open_record, recovery_record
from guard.record.canonical import NotCanonical
from guard.record.epochs import Epoch
from guard.record.frontier import Derived
from guard.record.ids import new_id
from guard.record.key_records import key_begun, key_replaced
from guard.record.note import VerifierKey, checkpoint_text, sign_note
from guard.record.recovery import Recovered, recover
from guard.record.segment import (
    SegmentWriter,
    commit_line,
    list_segments,
    make_directory,
    replace_file,
    segment_path,
)
from guard.record.sign import OneKey, SigningKeys, not_held
from guard.record.size import encoded
from guard.record.tiles import Tiler, write_tile, write_tiles
from guard.record.tree import CompactRange, leaf_hash
from guard.types import Checkpoint, DecisionRecord, Receipt, Signer

SCHEMA_VERSION: Final = 1
_MAX_KEY_BYTES: Final = 1024


class Writer:
    """Appends to one origin's log. The caller holds the origin's ``Slot``."""

    def __init__(
        self, directory: Path, signer: Signer | SigningKeys, facts: BootFacts, *, segment_records: int = 65_536
    ) -> None:
        self.directory = directory
        self.origin = signer.name
        self.boot = ""
        self.checkpoint = Checkpoint(signer.name, 0, b"")
        self._keys = signer if isinstance(signer, SigningKeys) else OneKey(signer)
        self._signer: Signer
        self._used: frozenset[bytes] = frozenset()
        self._history: list[Epoch] = []
        self._facts = facts
        self._segment_records = segment_records
        self._segment: SegmentWriter | None = None
        self._in_segment = 0
        self._durable: tuple[int, int] | None = None
        self._tree = CompactRange()
        self._derived = Derived(directory, Tiler())
        self._prev = ""
        self._note = ""
        self._published = -1
        self._publishing = threading.Lock()
        self.on_publish: Callable[[Checkpoint, str], None] | None = None
        """Hears of each checkpoint and its note once both are durable and published; must not wait."""

    @property
    def healthy(self) -> bool:
        """Whether the writer is open and no write has failed since."""
        return self._segment is not None

    @property
    def note(self) -> str:
        """The signed note of the last checkpoint."""
        return self._note

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Every key that signed this log so far, in no order. From any thread."""
        return tuple(VerifierKey(self.origin, key) for key in self._used)

    @property
    def room(self) -> int:
        """How many records the next batch may hold: a batch never crosses into another segment."""
        left = self._segment_records - self._in_segment
        return left if left > 0 else self._segment_records

    def open(self, also: Sequence[DecisionRecord] = (), *, turn: bool = True) -> None:
        """Recover, write the ``open`` record (and ``recovery``, if something was torn) and publish the checkpoint.

        ``also`` are records for the same commit. ``turn`` is whether this opening may begin another signing key.
        Raises ``LogTampered``, ``KeyInvalid`` or ``OSError``.
        """
        self._abandon()
        segments = self.directory / "seg"
        if self._durable is not None and self._durable[1] and not segment_path(segments, self._durable[0]).exists():
            raise self._lost(f"segment {self._durable[0]} was removed while it was written")
        make_directory(segments)
        state = recover(self.directory, self._first_key(), durable=self._durable, hold=self._take_key)
        if state.tree.size < self._published:
            raise self._lost(f"{self._published} records were durable, {state.tree.size} are left")
        self._tree, self._prev = state.tree, state.prev
        self._history = list(state.epochs.history)
        self._used = frozenset(epoch.key.public_key for epoch in state.epochs.history)
        key, resumed_at, reopened = VerifierKey.of(self._signer), self._tree.size, self.boot != ""
        opening = [open_record(self._facts, key, resumed_at=resumed_at, reopened=reopened)]
        endorsements = () if self._tree.size else self._keys.begun(self._signer)
        succession = self._keys.successor(self._signer, self._used, opening=turn) if self._tree.size else None
        self.boot = os.urandom(8).hex()
        self._derived = Derived(self.directory, state.tiler)
        self._restore_tiles(state)
        self._derived.begin(state.next_segment, self._history)
        self._segment = SegmentWriter(segments, state.next_segment)
        self._in_segment = 0
        self._durable = (state.next_segment, 0)
        if state.torn is not None:
            opening.append(recovery_record(state.torn))
        if endorsements:
            opening.append(key_begun(self._signer, endorsements))
        if succession is not None:
            opening.append(key_replaced(self._signer, succession))
        self.commit([*opening, *also])
        if succession is not None:
            self._signer = succession.signer
        self._settle()
        self.publish()

    def turn(self) -> bool:
        """Go on under another signing key if one is due: the ``key`` record says so, durable on return, and its commit
        is the last one of the old key. Whether it was. Raises ``KeyInvalid`` and ``OSError``."""
        succession = self._keys.successor(self._signer, self._used, opening=False)
        if succession is None:
            return False
        self.commit([key_replaced(self._signer, succession)])
        self._signer = succession.signer
        self._settle()
        return True

    def commit(self, records: Sequence[DecisionRecord], *, sync: bool = True) -> list[Receipt | NotCanonical]:
        """Append the records as one batch; durable on return, unless ``sync`` is False (then ``sync()`` makes it so).

        At most ``room`` records. A record without canonical form or outside the schema is left out, and its place in
        the answer taken by the error. Raises ``OSError`` if the file could not be written: then nothing of the batch
        counts, and the writer is poisoned.
        """
        if self._segment is None:
            raise OSError("the log is not open")
        base, prev = self._tree.size, self._prev
        lines: list[bytes] = []
        answers: list[Receipt | NotCanonical] = []
        every = {
            "v": SCHEMA_VERSION,
            "origin": self.origin,
            "boot": self.boot,
            "ts_us": time.time_ns() // 1000,
            "mono_us": time.monotonic_ns() // 1000,
        }
        for record in records:
            receipt = Receipt(base + len(lines), record.get("id") or new_id())
            try:
                line = encoded({**record, **every, "seq": receipt.seq, "id": receipt.id, "prev": prev})
            except NotCanonical as error:
                answers.append(error)
                continue
            prev = sha256(line).hexdigest()
            lines.append(line)
            answers.append(receipt)
        if lines:
            tree = self._tree.copy()
            leaves = [leaf_hash(line) for line in lines]
            full: list[bytes] = []
            tree.extend(leaves, full)
            checkpoint = Checkpoint(self.origin, tree.size, tree.root())
            note = sign_note(checkpoint_text(checkpoint), (self._signer,))
            self._append(lines, note, sync=sync)
            self._tree, self._prev, self._note, self.checkpoint = tree, prev, note, checkpoint
            self._derived.extend(leaves, full)
        return answers

    def _append(self, lines: Sequence[bytes], note: str, *, sync: bool) -> None:
        segment = self._segment
        assert segment is not None  # noqa: S101 - commit has looked
        try:
            if self._in_segment >= self._segment_records:
                segment = self._roll(segment)
            segment.write(b"\n".join((*lines, commit_line(note))))
            if sync:
                segment.sync()
        except BaseException:
            self._abandon()
            raise
        if sync:
            self._durable = (segment.number, segment.offset)
        self._in_segment += len(lines)

    def sync(self) -> None:
        """Make durable what ``commit(sync=False)`` wrote. Raises ``OSError`` and poisons the writer."""
        segment = self._segment
        if segment is None:
            raise OSError("the log is not open")
        try:
            segment.sync()
        except BaseException:
            self._abandon()
            raise
        self._durable = (segment.number, segment.offset)

    def publish(self) -> None:
        """Bring the ``checkpoint`` file up to the last commit, which must be durable. Raises ``OSError``."""
        if self._published != self.checkpoint.size:
            with self._publishing:
                replace_file(self.directory / "checkpoint", self._note.encode())
                self._published = self.checkpoint.size
            if self.on_publish is not None:
                self.on_publish(self.checkpoint, self._note)
            self._derived.publish()

    def publish_cosigned(self, checkpoint: Checkpoint, note: str) -> None:
        """Put a note with its cosignatures in the ``checkpoint`` file, if that still has this checkpoint. From any
        thread. Raises ``OSError``."""
        with self._publishing:
            if self._published == checkpoint.size:
                replace_file(self.directory / "checkpoint", note.encode())

    def retire(self) -> None:
        """Leave the ``checkpoint`` file to the origin's next writer."""
        with self._publishing:
            self._published = -1

    def tidy(self) -> None:
        """Write a few of the tiles that are full by now. Raises ``OSError``."""
        self._derived.tidy()

    def poison(self) -> None:
        """Write nothing more until ``open`` succeeds again."""
        self._abandon()

    def close(self, counters: Mapping[str, int], before: Sequence[DecisionRecord] = ()) -> None:
        """Write the records ``before`` and the ``close`` record, and publish. Raises ``OSError``."""
        self.commit([*before, {"kind": "close", "counters": dict(counters)}])
        self.publish()
        self._abandon()

    def _first_key(self) -> VerifierKey:
        """``log.vkey`` names the first key of this log for its whole life."""
        path = self.directory / "log.vkey"
        try:
            text = path.read_bytes()[:_MAX_KEY_BYTES].decode()
            return VerifierKey.parse(text.removesuffix("\n"))
        except FileNotFoundError:
            key = VerifierKey.of(self._keys.first())
        except ValueError as error:
            mend = "restore it: it is the first key of this log, which `guard keys show` and your trust file name"
            raise KeyInvalid(f"the log's first key does not read: {error}", where=str(path), mend=mend) from error
        if not list_segments(self.directory / "seg"):
            replace_file(path, (key.encode() + "\n").encode())
        return key

    def _take_key(self, key: VerifierKey) -> None:
        """Have the signer of the log's present key. Raises ``KeyInvalid``."""
        if key.name != self.origin:
            raise not_held(str(self.directory))
        self._signer = self._keys.held(key.public_key)

    def _lost(self, what: str) -> LogTampered:
        """What this process made durable before is gone."""
        mend = "restore it, or keep what is there as evidence and start with another directory"
        return LogTampered(what, where=str(self.directory), mend=mend)

    def _restore_tiles(self, state: Recovered) -> None:
        """Write the full tiles that a crash kept from being written, or all of them where everything was read."""
        if state.filled is None:
            write_tiles(self.directory, self.directory, state.tree.size, partial=False, entries=False)
        else:
            for tile in state.filled:
                write_tile(self.directory, tile)

    def _settle(self) -> None:
        now = VerifierKey.of(self._signer)
        if self._history[-1].key != now:
            self._history[-1] = msgspec.structs.replace(self._history[-1], last=self._tree.size)
            self._history.append(Epoch(now, self._tree.size + 1))
        self._used |= {self._signer.public_key}
        self._keys.settled(self._signer)

    def _roll(self, segment: SegmentWriter) -> SegmentWriter:
        segment.sync()
        following = SegmentWriter(segment.path.parent, segment.number + 1)
        segment.close()
        self._segment, self._in_segment, self._durable = following, 0, (following.number, 0)
        self._derived.begin(following.number, self._history)
        return following

    def _abandon(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
