"""Reading the records of a log that may still be open."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guard.review.query import Filter, LogReader
from guard.types import DecisionRecord

_HOUSEKEEPING: Final = ("audit_read", "label", "writer")


def log_directory(directory: Path) -> Path:
    """The log of a state directory; a log directory is its own."""
    inner = directory / "log"
    return inner if inner.is_dir() else directory


def read_records(directory: Path, kind: str | None = None) -> list[DecisionRecord]:
    """The committed records of all origins under a state or log directory, oldest first.

    ``kind`` keeps ``decision``, ``outcome`` or another kind only. The logs that tell of the log itself (who read it,
    who writes it) are left out, unless ``kind`` is theirs. Nothing is verified: see ``assert_verified``. Raises
    ``RecordNotFound`` where there is no log, and ``AssertionError`` for a line that is no record.
    """
    reader = LogReader(log_directory(directory))
    records = list(reader.records(Filter(kind=kind, housekeeping=kind in _HOUSEKEEPING)))
    if reader.unreadable:
        raise AssertionError(f"{reader.directory}: {reader.unreadable} lines are no records; see guard log verify")
    return records
