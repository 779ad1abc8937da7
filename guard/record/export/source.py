"""What an export reads: the records of one origin up to one of its signed checkpoints.

A living log grows while it is read. The checkpoint is therefore chosen first, and exactly its records are taken; that
they add up to its root is checked by whoever hashes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from guard.errors import GuardError
from guard.record.canonical import NotCanonical
from guard.record.note import NoteInvalid, parse_checkpoint, split_note
from guard.record.segment import commit_note, list_segments, read_batches
from guard.types import Checkpoint

_MAX_NOTE_BYTES = 65_536


class ExportRefused(GuardError):
    """The log does not hold what an export needs, or the target is taken."""

    code = "export_refused"


class State(msgspec.Struct, frozen=True):
    """A log at one of its checkpoints. ``note`` is the signed note, word for word; no signature is checked here."""

    directory: Path
    note: str
    checkpoint: Checkpoint


def newest(origin: Path) -> State:
    """The newest committed state of the log in ``origin``. Raises ``ExportRefused``.

    The ``checkpoint`` file is preferred to the commit of the same size: it may carry the cosignatures of witnesses.
    """
    for segment in reversed(list_segments(origin / "seg")):
        last = None
        for batch in read_batches(segment.path):
            last = batch.commit or last
        if last is not None:
            committed = _state(origin, last, segment.path)
            stated = published(origin)
            return stated if stated is not None and stated.checkpoint == committed.checkpoint else committed
    raise ExportRefused("the log holds no commit", where=str(origin), mend="name a log that a guard has written")


def published(origin: Path) -> State | None:
    """The state that the ``checkpoint`` file tells; ``None`` if there is none that reads."""
    try:
        note = (origin / "checkpoint").read_bytes()[:_MAX_NOTE_BYTES].decode()
        return State(origin, note, _checkpoint(note))
    except (OSError, ValueError):
        return None


def records(state: State) -> Iterator[bytes]:
    """The record lines of ``state`` in order, without newlines. Raises ``ExportRefused`` if there are too few."""
    left = state.checkpoint.size
    for segment in list_segments(state.directory / "seg"):
        for batch in read_batches(segment.path):
            if not left or batch.commit is None:
                break
            taken = batch.records[:left]
            left -= len(taken)
            yield from taken
    if left:
        raise broken(state, f"{left} records are missing")


def broken(state: State, what: str) -> ExportRefused:
    """The log contradicts its checkpoint."""
    return ExportRefused(
        f"the log is not what its checkpoint of {state.checkpoint.size} records says: {what}",
        where=str(state.directory),
        mend="guard log verify names the damage",
    )


def _state(origin: Path, commit: bytes, path: Path) -> State:
    try:
        note = commit_note(commit)
        return State(origin, note, _checkpoint(note))
    except (NotCanonical, NoteInvalid) as error:
        raise ExportRefused(
            f"the last commit does not read: {error}", where=str(path), mend="guard log verify names the damage"
        ) from None


def _checkpoint(note: str) -> Checkpoint:
    text, _ = split_note(note)
    return parse_checkpoint(text)
