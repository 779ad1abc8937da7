"""The writer of one origin: records in, durable batches under signed checkpoints out. Blocking, one thread at a time.

A batch: canonicalise -> chain (``seq``, ``prev``) -> leaves -> root -> sign -> ONE write of records and commit line ->
fdatasync. After a failed write the writer is poisoned: fsync is never tried again on the same descriptor (a second call
may report success for data that the kernel dropped), and ``open`` must be called again, which recovers from the last
durable commit and goes on in a new segment.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from guard.errors import KeyInvalid, LogLocked
from guard.record.canonical import NotCanonical
from guard.record.ids import new_id
from guard.record.note import VerifierKey, checkpoint_text, sign_note
from guard.record.parts import Standing, standing
from guard.record.recovery import recover
from guard.record.schema import read_record
from guard.record.segment import SegmentWriter, commit_line, fsync_directory, make_directory, replace_file
from guard.record.size import bounded
from guard.record.tree import CompactRange, leaf_hash
from guard.types import Checkpoint, DecisionRecord, Receipt, Signer

Durability = Literal["strict", "buffered"]
SCHEMA_VERSION: Final = 1
_MAX_SLOTS: Final = 1024


class BootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``open`` record says of the process that opened the log."""

    standing: Callable[[], Standing] = Standing
    """What decides now: asked each time the log is opened, in the writer's thread."""
    software_version: str = ""
    mode: Durability = "strict"
    loss_window_ms: int = 0
    """How much a power failure can lose of what was acknowledged; 0 in strict mode."""
    heartbeat_ms: int = 60_000


class Slot:
    """The lock on one origin directory ``<name>-<n>``: the first that no living process holds."""

    def __init__(self, directory: Path, name: str) -> None:
        """Takes the lock. Raises ``LogLocked`` if 1024 writers hold theirs, ``OSError`` if it cannot be made."""
        if not directory.is_dir():
            make_directory(directory)
        for number in range(_MAX_SLOTS):
            path = directory / f"{name}-{number}"
            make_directory(path)
            fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            self.path, self.origin, self._fd = path, path.name, fd
            fsync_directory(directory)
            return
        raise LogLocked(
            f"{_MAX_SLOTS} processes already write logs of this name", where=str(directory), mend="set record.name"
        )

    def release(self) -> None:
        """Let the next process have the origin."""
        os.close(self._fd)


class Writer:
    """Appends to one origin's log. The caller holds the origin's ``Slot``."""

    def __init__(self, directory: Path, signer: Signer, facts: BootFacts, *, segment_records: int = 65_536) -> None:
        self.directory = directory
        self.origin = signer.name
        self.boot = ""
        self.checkpoint = Checkpoint(signer.name, 0, b"")
        self._signer = signer
        self._facts = facts
        self._segment_records = segment_records
        self._segment: SegmentWriter | None = None
        self._in_segment = 0
        self._durable: tuple[int, int] | None = None
        self._tree = CompactRange()
        self._prev = ""
        self._note = ""
        self._published = -1

    @property
    def healthy(self) -> bool:
        """Whether the writer is open and no write has failed since."""
        return self._segment is not None

    @property
    def room(self) -> int:
        """How many records the next batch may hold: a batch never crosses into another segment."""
        left = self._segment_records - self._in_segment
        return left if left > 0 else self._segment_records

    def open(self) -> None:
        """Recover, write the ``open`` record (and ``recovery``, if something was torn) and publish the checkpoint.

        Raises ``LogTampered``, ``KeyInvalid`` or ``OSError``.
        """
        self._abandon()
        segments = self.directory / "seg"
        make_directory(segments)
        self._hold_key()
        state = recover(self.directory, VerifierKey.of(self._signer), durable=self._durable)
        self._tree, self._prev = state.tree, state.prev
        opening: list[DecisionRecord] = [self._opening()]
        self.boot = os.urandom(8).hex()
        self._segment = SegmentWriter(segments, state.next_segment)
        self._in_segment = 0
        self._durable = (state.next_segment, 0)
        if state.torn is not None:
            torn = state.torn
            opening.append(
                {
                    "kind": "recovery",
                    "segment": torn.segment,
                    "file": torn.file,
                    "dropped_bytes": torn.size,
                    "sha256": torn.sha256,
                }
            )
        self.commit(opening)
        self.publish()

    def commit(self, records: Sequence[DecisionRecord], *, sync: bool = True) -> list[Receipt | NotCanonical]:
        """Append the records as one batch; durable on return, unless ``sync`` is False (then ``sync()`` makes it so).

        At most ``room`` records. A record without canonical form or outside the schema is left out, and its place in
        the answer taken by the error. Raises ``OSError`` if the file could not be written: then nothing of the batch
        counts, and the writer is poisoned.
        """
        if self._segment is None:
            raise OSError("the log is not open")
        tree, prev = self._tree.copy(), self._prev
        lines: list[bytes] = []
        answers: list[Receipt | NotCanonical] = []
        stamps = (time.time_ns() // 1000, time.monotonic_ns() // 1000)
        for record in records:
            try:
                receipt = Receipt(tree.size, record.get("id") or new_id())
                line = self._line(record, receipt, prev, stamps)
            except NotCanonical as error:
                answers.append(error)
                continue
            tree.append(leaf_hash(line))
            prev = sha256(line).hexdigest()
            lines.append(line)
            answers.append(receipt)
        if lines:
            checkpoint = Checkpoint(self.origin, tree.size, tree.root())
            note = sign_note(checkpoint_text(checkpoint), (self._signer,))
            self._append(lines, note, sync=sync)
            self._tree, self._prev, self._note, self.checkpoint = tree, prev, note, checkpoint
        return answers

    def _line(self, record: DecisionRecord, receipt: Receipt, prev: str, stamps: tuple[int, int]) -> bytes:
        line = bounded(
            {
                **record,
                "v": SCHEMA_VERSION,
                "origin": self.origin,
                "boot": self.boot,
                "seq": receipt.seq,
                "id": receipt.id,
                "prev": prev,
                "ts_us": stamps[0],
                "mono_us": stamps[1],
            }
        )
        read_record(line)
        return line

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
            replace_file(self.directory / "checkpoint", self._note.encode())
            self._published = self.checkpoint.size

    def poison(self) -> None:
        """Write nothing more until ``open`` succeeds again."""
        self._abandon()

    def close(self, counters: Mapping[str, int]) -> None:
        """Write the ``close`` record and publish. Raises ``OSError``."""
        self.commit([{"kind": "close", "counters": dict(counters)}])
        self.publish()
        self._abandon()

    def _opening(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "kind": "open",
            **standing(facts.standing()),
            "reopened": self.boot != "",
            "software": {"name": "policy-guard", "version": facts.software_version},
            "mode": facts.mode,
            "loss_window_ms": facts.loss_window_ms,
            "heartbeat_ms": facts.heartbeat_ms,
            "key": VerifierKey.of(self._signer).encode(),
            "resumed_at": self._tree.size,
        }

    def _hold_key(self) -> None:
        """``log.vkey`` names the key of this log for its whole life."""
        path = self.directory / "log.vkey"
        own = (VerifierKey.of(self._signer).encode() + "\n").encode()
        if not path.exists():
            replace_file(path, own)
        elif path.read_bytes() != own:
            raise KeyInvalid(
                "this log was begun under another signing key",
                where=str(path),
                mend="restore that key, or start with another directory",
            )

    def _roll(self, segment: SegmentWriter) -> SegmentWriter:
        segment.sync()
        following = SegmentWriter(segment.path.parent, segment.number + 1)
        segment.close()
        self._segment, self._in_segment, self._durable = following, 0, (following.number, 0)
        return following

    def _abandon(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
