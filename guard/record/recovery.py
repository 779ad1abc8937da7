"""Recovery: from the files that a crash left behind to the place where the next record goes.

Kept is everything up to the last commit that verifies. What follows it was never acknowledged to anybody; it is moved
aside by name (``seg/<number>.<digest>.torn``), never deleted. A log that ends below its ``checkpoint`` file or an
anchor, or in which a damaged record is followed by a commit that verifies, was not torn by a crash: it is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import LogTampered
from guard.record.anchoring.store import hold_against_anchors
from guard.record.canonical import NotCanonical
from guard.record.epochs import EpochRefused, Epochs, key_records, named_keys
from guard.record.frontier import Frontier, read_frontier
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint, split_note
from guard.record.segment import Batch, Segment, commit_note, fsync_directory, list_segments, read_batches
from guard.record.tiles import Tile, Tiler
from guard.record.tree import CompactRange, leaf_hash
from guard.types import Checkpoint

GENESIS: Final = "0" * 64
"""``prev`` of the first record."""

_MEND: Final = "keep the directory as evidence, run `guard log verify`, and start with another directory"


class Torn(msgspec.Struct, frozen=True):
    """Bytes after the last commit: ``size`` of them with this SHA-256 (hex), now in ``file``."""

    segment: str
    file: str
    size: int
    sha256: str


class Recovered(msgspec.Struct, frozen=True):
    """Where the log stands. ``prev`` is the SHA-256 (hex) of the last record's line; ``epochs.key`` signs next.

    ``filled`` are the full tiles over the records that were read; ``None`` if those were all there are.
    """

    tree: CompactRange
    tiler: Tiler
    filled: list[Tile] | None
    epochs: Epochs
    prev: str
    next_segment: int
    torn: Torn | None


def recover(
    directory: Path,
    key: VerifierKey,
    *,
    durable: tuple[int, int] | None = None,
    hold: Callable[[VerifierKey], object] = lambda _key: None,
) -> Recovered:
    """Read the log of one origin, move aside what is torn, and tell where it goes on. Raises ``LogTampered``.

    What lies before the ``frontier`` file is not read again: the frontier holds what was signed there.
    ``key`` is the log's first key; ``key`` records name those that followed it. ``hold`` is called with the one that
    signs next before anything is changed, and may raise.
    ``durable`` is the segment and the byte offset up to which this process knows the log to be durable; after a failed
    write what lies beyond is not believed, whatever it looks like. The caller holds the origin's lock.
    """
    segments = list_segments(directory / "seg")
    if [segment.number for segment in segments] != list(range(len(segments))):
        raise LogTampered("a segment is missing", where=str(directory / "seg"), mend=_MEND)
    frontier = read_frontier(directory, key.name, segments)
    state = _State(key, frontier)
    end = 0
    for segment in segments[frontier.segment if frontier else 0 : -1]:
        state.read_whole(segment)
    if segments:
        end = state.read_last(segments[-1], durable[1] if durable and durable[0] == segments[-1].number else None)
    _hold_against_checkpoint(directory / "checkpoint", state.epochs, state.tree)
    hold_against_anchors(directory / "anchors", (epoch.key for epoch in state.epochs.history), state.tree, _MEND)
    hold(state.epochs.key)
    torn = None
    next_segment = len(segments)
    if segments and end < segments[-1].path.stat().st_size:
        torn = _quarantine(segments[-1], end)
    if segments and end == 0:
        segments[-1].path.unlink()
        fsync_directory(directory / "seg")
        next_segment -= 1
    filled = state.filled if frontier else None
    return Recovered(state.tree, state.tiler, filled, state.epochs, state.prev, next_segment, torn)


class _State:
    """The tree as segments are read, one after the other."""

    def __init__(self, key: VerifierKey, frontier: Frontier | None) -> None:
        self.tiler = frontier.tiler if frontier else Tiler()
        self.tree = self.tiler.tree()
        self.prev = frontier.prev if frontier else GENESIS
        self.epochs = frontier.epochs if frontier else Epochs.beginning(key)
        self.filled: list[Tile] = []
        self._keeps_tiles = frontier is not None
        self._signer = self.epochs.key
        self._later: set[VerifierKey] = set()

    def read_whole(self, segment: Segment) -> None:
        """Take in a segment that others follow: it ends with a signed commit. Raises ``LogTampered``."""
        batch: Batch | None = None
        for batch in read_batches(segment.path):
            before = self.tree.size
            leaves = [leaf_hash(line) for line in batch.records]
            self.tree.extend(leaves)
            self._tile(leaves)
            self._turn(batch, segment, before)
        if batch is None or not batch.records or not self._fits(batch, self.tree):
            what = "the segment does not end with a commit over the records before it"
            raise LogTampered(what, where=str(segment.path), mend=_MEND)
        self.prev = sha256(batch.records[-1]).hexdigest()
        self._prove(batch, segment)

    def read_last(self, segment: Segment, limit: int | None) -> int:
        """Take in the last segment up to its last good commit; returns the offset after it. Raises ``LogTampered``."""
        end = 0
        good: Batch | None = None
        damaged: Batch | None = None
        for batch in read_batches(segment.path):
            if limit is not None and batch.end > limit:
                break
            if damaged is None and self._take(batch, segment):
                end, good = batch.end, batch
                continue
            damaged = damaged or batch
            if self._signed_later(batch):
                what = f"the records from line {damaged.first_line} on do not fit the signed commit after them"
                raise LogTampered(what, where=str(segment.path), mend=_MEND)
        if good is not None:
            self._prove(good, segment)
        return end

    def _take(self, batch: Batch, segment: Segment) -> bool:
        """Append the batch if its commit fits the tree. The signature is looked at once a segment, by ``_prove``."""
        if not batch.records:
            return False
        tree = self.tree.copy()
        leaves = [leaf_hash(line) for line in batch.records]
        tree.extend(leaves)
        if not self._fits(batch, tree):
            return False
        self._tile(leaves)
        before = self.tree.size
        self.tree, self.prev = tree, sha256(batch.records[-1]).hexdigest()
        self._turn(batch, segment, before)
        return True

    def _tile(self, leaves: list[bytes]) -> None:
        filled = self.tiler.extend(leaves)
        if self._keeps_tiles:
            self.filled += filled

    def _turn(self, batch: Batch, segment: Segment, before: int) -> None:
        """Go on with the key that the batch leaves behind; its own commit is still the old one's."""
        self._signer = self.epochs.key
        try:
            self.epochs = self.epochs.after(key_records(batch.records), before, self.tree.size)
        except EpochRefused as error:
            raise LogTampered(f"{error}", where=f"{segment.path}:{batch.first_line}", mend=_MEND) from error

    def _fits(self, batch: Batch, tree: CompactRange) -> bool:
        try:
            text, _ = split_note(commit_note(batch.commit or b""))
            return parse_checkpoint(text) == Checkpoint(self._signer.name, tree.size, tree.root())
        except (NoteInvalid, NotCanonical):
            return False

    def _prove(self, batch: Batch, segment: Segment) -> None:
        try:
            open_note(commit_note(batch.commit or b""), self._signer)
        except NoteInvalid as error:
            raise LogTampered(
                f"the commit after line {batch.first_line} is not signed by this log's key: {error}",
                where=str(segment.path),
                mend="restore the key that wrote this log, or " + _MEND,
            ) from error

    def _signed_later(self, batch: Batch) -> bool:
        """Whether a batch that does not fit carries a genuine commit, without the NUL bytes of unwritten blocks."""
        if batch.commit is None or any(b"\x00" in line for line in batch.records):
            return False
        self._later |= named_keys(batch.records, self._signer.name)
        for key in (self.epochs.key, *self._later):
            try:
                open_note(commit_note(batch.commit), key)
            except (NoteInvalid, NotCanonical):
                continue
            return True
        return False


def _hold_against_checkpoint(path: Path, epochs: Epochs, tree: CompactRange) -> None:
    try:
        note = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except ValueError:
        raise LogTampered("the checkpoint is not UTF-8", where=str(path), mend=_MEND) from None
    try:
        claimed = parse_checkpoint(split_note(note)[0])
        checkpoint = parse_checkpoint(open_note(note, epochs.key_at(claimed.size), cosigned=True))
    except NoteInvalid as error:
        mend = "restore the key that wrote this log, or " + _MEND
        raise LogTampered(f"the checkpoint does not verify: {error}", where=str(path), mend=mend) from error
    if checkpoint.size > tree.size:
        what = f"the log ends at {tree.size} records, below its own checkpoint of {checkpoint.size}"
        raise LogTampered(what, where=str(path.parent), mend=_MEND)


def _quarantine(segment: Segment, end: int) -> Torn:
    """Move the bytes from ``end`` on into a file of their own. Safe to be interrupted and repeated."""
    with segment.path.open("rb") as file:
        file.seek(end)
        tail = file.read()
    digest = sha256(tail).hexdigest()
    target = segment.path.with_name(f"{segment.path.stem}.{digest[:16]}.torn")
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(tail)
        file.flush()
        os.fsync(file.fileno())
    fsync_directory(target.parent)
    with segment.path.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    return Torn(segment.path.name, target.name, len(tail), digest)
