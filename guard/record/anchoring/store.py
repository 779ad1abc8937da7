"""The anchors that lie beside a log: ``anchors/<size>.note``, each a signed checkpoint with the cosignatures it got.

Beside a note may lie ``<size>.tsr``, an RFC 3161 time-stamp over the note without its cosignatures. Evidence lies there
too, as ``<size>.<8 hex digits of its root>.note``: a note that another keeper held against this log, and that
contradicts it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from guard.errors import LogTampered
from guard.record.anchoring.prefix import Prefix, PrefixLost, extend
from guard.record.note import (
    NoteInvalid,
    VerifierKey,
    open_note,
    parse_checkpoint,
    sign_note,
    signature_line,
    split_note,
)
from guard.record.segment import make_directory, replace_file
from guard.record.tree import CompactRange
from guard.types import Checkpoint

KEPT: Final = 1440
"""How many notes stay in the local store: a day of them at one a minute. The newest fixes all records before it."""

_MAX_NOTE_BYTES: Final = 65_536
_NAME: Final = re.compile(r"(0|[1-9][0-9]{0,15})(\.[0-9a-f]{8})?\.note")


class AnchorStore:
    """The anchors of one origin. From any thread."""

    def __init__(self, directory: Path, *, kept: int | None = KEPT) -> None:
        """``kept`` newest notes stay, or all."""
        self.directory = directory
        self._kept = kept
        self._gate = threading.Lock()

    def add(self, checkpoint: Checkpoint, note: str) -> Path:
        """Keep a note; returns its file. A note of the same size and root gains the new one's cosignatures. Raises
        ``OSError``."""
        with self._gate:
            if not self.directory.is_dir():
                make_directory(self.directory)
            path = self.directory / f"{checkpoint.size}.note"
            held = _read(path)
            if held is not None and _text(held) != _text(note):
                path = self._evidence(checkpoint)
                held = _read(path)
            merged = note if held is None else merge(held, note)
            if merged != held:
                replace_file(path, merged.encode())
            self._prune()
            return path

    def add_evidence(self, checkpoint: Checkpoint, note: str) -> Path:
        """Keep a note that contradicts the log, for ever; returns its file. Raises ``OSError``."""
        with self._gate:
            if not self.directory.is_dir():
                make_directory(self.directory)
            path = self._evidence(checkpoint)
            replace_file(path, note.encode())
            return path

    def add_stamp(self, checkpoint: Checkpoint, answer: bytes) -> None:
        """Keep the RFC 3161 answer for the note of this checkpoint. Raises ``OSError``."""
        with self._gate:
            replace_file(self.directory / f"{checkpoint.size}.tsr", answer)

    def newest(self, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, str] | None:
        """The largest checkpoint that one of a log's ``keys`` signed, and its note; ``None`` if there is none. Raises
        ``OSError``."""
        own = list(keys)
        for path in sorted(anchor_files(self.directory), key=_size, reverse=True):
            note = _read(path)
            checkpoint = None if note is None else signed_checkpoint(note, own)
            if note is not None and checkpoint is not None:
                return checkpoint, note
        return None

    def _evidence(self, checkpoint: Checkpoint) -> Path:
        return self.directory / f"{checkpoint.size}.{checkpoint.root.hex()[:8]}.note"

    def _prune(self) -> None:
        if self._kept is None:
            return
        # What contradicts the log is evidence and stays, and so does the note that it stands beside.
        evidence = {_size(path) for path in anchor_files(self.directory) if _is_evidence(path)}
        notes = [path for path in anchor_files(self.directory) if _size(path) not in evidence]
        for path in sorted(notes, key=_size)[: -self._kept]:
            path.with_suffix(".tsr").unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def anchor_files(directory: Path) -> Iterator[Path]:
    """The files of notes in an ``anchors`` directory, in no order; none if there is no such directory."""
    if directory.is_dir():
        yield from (path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def signed_checkpoint(note: str, keys: Iterable[VerifierKey]) -> Checkpoint | None:
    """The checkpoint of a note that one of a log's keys signed for its own origin; ``None`` if none did."""
    for key in keys:
        try:
            checkpoint = parse_checkpoint(open_note(note, key, cosigned=True))
        except NoteInvalid:
            continue
        if checkpoint.origin == key.name:
            return checkpoint
    return None


def merge(note: str, other: str) -> str:
    """``note`` with the cosignatures of ``other``, whose text is the same; where both have a line by one key, that of
    ``other`` stays."""
    text, lines = split_note(note)
    _, further = split_note(other)
    by_key = {(line.name, line.key_id): line for line in lines}
    by_key |= {(line.name, line.key_id): line for line in further}
    return sign_note(text, ()) + "".join(
        signature_line(line.name, line.key_id, line.signature) for line in by_key.values()
    )


def hold_against_anchors(directory: Path, keys: Iterable[VerifierKey], tree: CompactRange, mend: str) -> None:
    """Hold the largest anchor, and all evidence, in an ``anchors`` directory against the log beside it, of this tree.

    Only what one of ``keys`` signed counts. Raises ``LogTampered`` where it contradicts the log, ``OSError`` if it
    cannot be read. Older anchors are for verification: the start of a log does not read it all.
    """
    own = list(keys)
    newest = AnchorStore(directory).newest(own)
    evidence = [signed_checkpoint(_read(path) or "", own) for path in anchor_files(directory) if _is_evidence(path)]
    for checkpoint in [*evidence, newest[0] if newest else None]:
        if checkpoint is None:
            continue
        if checkpoint.size > tree.size:
            what = f"the log ends at {tree.size} records, below its anchor of {checkpoint.size}"
            raise LogTampered(what, where=str(directory), mend=mend)
        if checkpoint in evidence or checkpoint.size == tree.size:
            root = tree.root() if checkpoint.size == tree.size else _root_at(directory.parent / "seg", checkpoint.size)
            if checkpoint.root != root:
                what = f"the log is another than its anchor of {checkpoint.size} records"
                raise LogTampered(what, where=str(directory), mend=mend)


def _root_at(segments: Path, size: int) -> bytes | None:
    try:
        return extend(segments, Prefix(), size).tree().root()
    except PrefixLost:
        return None


def _is_evidence(path: Path) -> bool:
    return not path.stem.isdecimal()


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            note = file.read(_MAX_NOTE_BYTES).decode()
        split_note(note)
    except (FileNotFoundError, ValueError):
        return None
    return note


def _text(note: str) -> str:
    return split_note(note)[0]


def _size(path: Path) -> int:
    return int(path.name.partition(".")[0])
