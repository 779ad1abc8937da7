"""The end of a log, read from behind: its last commit, whether that verifies, and its newest record.

Costs one read of a few hundred kilobytes for a log of any length. ``guard log verify`` proves the whole.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from guard.record.canonical import NotCanonical
from guard.record.epochs import Epochs
from guard.record.history import first_key, read_epochs
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint, split_note
from guard.record.schema import AnyRecord, read_record
from guard.record.segment import COMMIT_PREFIX, commit_note, list_segments

_FIRST_READ: Final = 256 * 1024
_MAX_NOTE: Final = 65_536


class TailBad(Exception):
    """The end of the log does not verify."""


class Tail(msgspec.Struct, frozen=True):
    """The end of one origin's log: ``size`` records up to the last commit, ``torn`` bytes after it; ``key`` signs
    what follows."""

    origin: str
    key: VerifierKey
    size: int
    newest: AnyRecord | None
    torn: int
    in_use: bool


def read_tail(directory: Path) -> Tail:
    """Verify the last commit of an origin, the chain of records under it, and the ``checkpoint`` file.

    Raises ``TailBad`` or ``OSError``.
    """
    epochs = _epochs(directory)
    in_use = _in_use(directory / "lock")
    segments = list_segments(directory / "seg")
    records: list[bytes] = []
    note, torn = "", 0
    # A segment that a crash left without any commit is followed by none; the one before it has the last.
    for segment in reversed(segments):
        records, note, behind = _last_batch(segment.path)
        torn += behind
        if note:
            break
    size = 0
    newest = None
    if note:
        try:
            checkpoint = parse_checkpoint(_opened(note, epochs))
            newest = _chained(records)
        except (NoteInvalid, NotCanonical) as error:
            raise TailBad(f"the last commit does not verify: {error}") from None
        size = checkpoint.size
        if newest is not None and newest.seq != size - 1:
            raise TailBad(f"the last commit covers {size} records, and the one before it calls itself {newest.seq}")
    _hold_against_checkpoint(directory / "checkpoint", epochs, size)
    return Tail(directory.name, epochs.key, size, newest, torn, in_use)


def _epochs(directory: Path) -> Epochs:
    try:
        first_key(directory)
    except ValueError as error:
        raise TailBad(f"log.vkey does not read: {error}") from None
    try:
        return read_epochs(directory)
    except ValueError as error:
        raise TailBad(f"the key records do not hold: {error}") from None


def _opened(note: str, epochs: Epochs, *, cosigned: bool = False) -> str:
    """The text of a checkpoint under the key of its size. Raises ``NoteInvalid``."""
    size = parse_checkpoint(split_note(note)[0]).size
    return open_note(note, epochs.key_at(size), cosigned=cosigned)


def _last_batch(path: Path) -> tuple[list[bytes], str, int]:
    """The records under the last commit of a segment (as many as were read), its note, and the bytes behind it."""
    length = path.stat().st_size
    window = _FIRST_READ
    while True:
        start = max(length - window, 0)
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(length - start)
        if start:
            data = data.partition(b"\n")[2]  # the first line may be half a line
        lines = data.splitlines(keepends=True)
        whole = [number for number, line in enumerate(lines) if line.startswith(COMMIT_PREFIX) and line[-1:] == b"\n"]
        if whole:
            last = whole[-1]
            first = whole[-2] + 1 if len(whole) > 1 else 0
            behind = sum(len(line) for line in lines[last + 1 :])
            try:
                note = commit_note(lines[last][:-1])
            except NotCanonical as error:
                raise TailBad(f"the last commit is malformed: {error}") from None
            return [line[:-1] for line in lines[first:last]], note, behind
        if not start:
            return [], "", length
        window *= 8


def _chained(lines: list[bytes]) -> AnyRecord | None:
    """The last record, once each has the hash of the one before. Raises ``NotCanonical`` or ``TailBad``."""
    newest, prev = None, None
    for line in lines:
        record = read_record(line)
        if prev is not None and record.prev != prev:
            raise TailBad(f"record {record.seq} does not follow the one before it")
        newest, prev = record, sha256(line).hexdigest()
    return newest


def _hold_against_checkpoint(path: Path, epochs: Epochs, size: int) -> None:
    try:
        note = path.read_bytes()[:_MAX_NOTE].decode()
        stated = parse_checkpoint(_opened(note, epochs, cosigned=True))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise TailBad(f"the checkpoint does not verify: {error}") from None
    if stated.size > size:
        raise TailBad(f"the log ends at {size} records, its checkpoint states {stated.size}")


def _in_use(path: Path) -> bool:
    """Whether a process is seen to write this log now. Asks the kernel's list: taking the lock, even for a moment,
    would send a guard that starts just then to another origin."""
    try:
        inode = path.stat().st_ino
        held = Path("/proc/locks").read_text(encoding="ascii")
    except (OSError, ValueError):
        return False
    return any(f":{inode} " in line and " FLOCK " in line for line in held.splitlines())
