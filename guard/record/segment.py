"""The files of a log: segments of records and commit lines, written once from front to end, and read in batches.

A batch is what one group commit wrote: record lines, then the commit line ``{"commit":<signed checkpoint note>}``.
A segment belongs to one opening of the writer: nothing is ever appended to a segment that an earlier opening wrote.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from guard.record.canonical import NotCanonical, canonical, parse

MAX_RECORD_BYTES: Final = 65_535
"""The longest record, without its newline (C2SP tlog-tiles: an entry's length is a uint16)."""

MAX_BATCH_RECORDS: Final = 1024
"""The most records that one commit covers: bounds what a reader holds in memory."""

COMMIT_PREFIX: Final = b'{"commit":'
_SEGMENT_NAME: Final = re.compile(r"(\d{6,12})\.jsonl")


class Batch(msgspec.Struct):
    """One group commit as it stands in a segment. Offsets are bytes, lines count from 1.

    ``commit`` is the commit line, or ``None`` where the file ends or breaks off before one; ``flaw`` says how.
    """

    first_line: int
    start: int
    end: int
    records: list[bytes]
    commit: bytes | None
    flaw: str = ""


class Segment(msgspec.Struct, frozen=True):
    """A segment file and its number, which counts from 0."""

    number: int
    path: Path


class SegmentWriter:
    """A new segment, open for appending. The file must not exist yet; its mode is 0600."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self.path = segment_path(directory, number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        self.offset = 0
        fsync_directory(directory)

    def write(self, data: bytes) -> None:
        """Write all of ``data``: the kernel may take a part and report no error. Raises ``OSError``."""
        written = os.write(self._fd, data)
        if written != len(data):
            view = memoryview(data)
            while written < len(data):
                count = os.write(self._fd, view[written:])
                if count == 0:
                    raise OSError(f"{self.path} takes no more bytes")
                written += count
        self.offset += len(data)

    def sync(self) -> None:
        """Make what was written durable. After an error the file must not be written again.

        A file that was removed takes bytes as ever, and keeps none: that is an error, too.
        """
        os.fdatasync(self._fd)
        if os.fstat(self._fd).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the segment was removed", str(self.path))

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._fd)


def segment_path(directory: Path, number: int) -> Path:
    """The file of segment ``number``."""
    return directory / f"{number:06}.jsonl"


def list_segments(directory: Path) -> list[Segment]:
    """The segments of a ``seg`` directory in order; empty if there is no such directory."""
    if not directory.is_dir():
        return []
    found = [
        Segment(int(match[1]), path)
        for path in directory.iterdir()
        if (match := _SEGMENT_NAME.fullmatch(path.name)) and path.name == f"{int(match[1]):06}.jsonl"
    ]
    return sorted(found, key=lambda segment: segment.number)


def read_batches(path: Path, *, offset: int = 0, line: int = 1) -> Iterator[Batch]:
    """The batches of a segment from ``offset`` on, whose line is number ``line``; nothing but framing is checked.

    The last batch has ``commit = None`` if the file goes on after its last commit line, or breaks the framing.
    """
    with path.open("rb") as file:
        file.seek(offset)
        batch = Batch(line, offset, offset, [], None)
        while raw := file.readline(MAX_RECORD_BYTES + 1):
            line += 1
            offset += len(raw)
            batch.end = offset
            if raw[-1:] != b"\n":
                too_long = len(raw) > MAX_RECORD_BYTES
                batch.records.append(raw)
                batch.flaw = f"longer than {MAX_RECORD_BYTES} bytes" if too_long else "without its newline"
                break
            if raw.startswith(COMMIT_PREFIX):
                batch.commit = raw[:-1]
                yield batch
                batch = Batch(line, offset, offset, [], None)
                continue
            batch.records.append(raw[:-1])
            if len(batch.records) > MAX_BATCH_RECORDS:
                batch.flaw = f"the {MAX_BATCH_RECORDS + 1}th without a commit"
                break
        if batch.records:
            yield batch


def commit_line(note: str) -> bytes:
    """The commit line of a checkpoint note, with its newline."""
    return canonical({"commit": note}) + b"\n"


def commit_note(line: bytes) -> str:
    """The checkpoint note of a commit line (without newline). Raises ``NotCanonical``."""
    value = parse(line)
    note = value.get("commit")
    if len(value) != 1 or not isinstance(note, str):
        raise NotCanonical("not a commit line")
    return note


def make_directory(directory: Path) -> None:
    """Make a directory of mode 0700 and what is missing above it, so that a power cut does not take it away again."""
    missing = [directory]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        fsync_directory(path.parent)


def fsync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_file(path: Path) -> None:
    """Make the content of a file durable."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes, *, durably: bool = True) -> None:
    """Put ``data`` at ``path`` (mode 0600), whole or not at all, and durably: temporary file, rename, fsync.

    Without ``durably`` other processes see it whole or not at all, too, but a power cut may take it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durably:
            os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(path)
    if durably:
        fsync_directory(path.parent)
