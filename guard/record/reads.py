"""The log of readings: ``<name>-reads``, an origin of its own beside those that decide.

Each reading is one short opening of that log, under its lock: ``open``, ``audit_read``, ``close``. A running guard's
origins are not touched, and readers wait for each other for a moment only. No condition stands in the record as it was
typed, unless it is a closed word, an id or a number: a reader may type anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from guard.keyed import KeyedHash
from guard.record.boot import BootFacts
from guard.record.groups import ASKED
from guard.record.sign import SigningKeys
from guard.record.slot import taken
from guard.record.writer import Writer
from guard.record.writers import Register
from guard.types import DecisionRecord, Signer

SUFFIX: Final = "-reads"
_LOCK_SECONDS: Final = 10.0
_OPENING: Final = 3
"""The records of one reading: ``open``, ``audit_read``, ``close``."""
_BIRTH: Final = 2 * _OPENING - 1
_ENTERED_EVERY: Final = 64 * _OPENING
_AS_TYPED: Final = re.compile(ASKED)


def audit_read_record(
    word: str,
    asked: Mapping[str, str | int | bool],
    *,
    reader: str,
    records: int,
    complete: bool,
    keyed: KeyedHash,
    through: Literal["cli", "console"] = "cli",
) -> DecisionRecord:
    """The record of one reading. ``word`` and the names in ``asked`` are lower-case words of our own; ``reader`` is the
    operating system's name of the user."""
    return {
        "kind": "audit_read",
        "reader": keyed.pseudonym("reader", reader),
        "through": through,
        "word": word,
        "asked": {name: _asked(value, keyed) for name, value in asked.items()},
        "records": records,
        "complete": complete,
    }


def label_record(
    decision_id: str,
    about: str,
    *,
    attack: bool,
    note: str | None,
    reader: str,
    keyed: KeyedHash,
    through: Literal["cli", "console"] = "cli",
) -> DecisionRecord:
    """The record of what an analyst says of a decision. ``about`` and ``note`` must fit ``LABEL_ABOUT`` and
    ``LABEL_NOTE`` of ``guard.record.groups``."""
    return {
        "kind": "label",
        "reader": keyed.pseudonym("reader", reader),
        "through": through,
        "decision_ref": decision_id,
        "about": about,
        "attack": attack,
        "note": note,
    }


def write_reading(
    directory: Path,
    name: str,
    record: DecisionRecord,
    *,
    signer: Callable[[str], Signer | SigningKeys],
    software_version: str = "",
) -> None:
    """Append an ``audit_read`` or ``label`` record to ``<name>-reads`` in the log ``directory``; durable on return. The
    first one and every 64th also enter the state of that log in the list of writers.

    Raises ``LogLocked``, ``LogTampered``, ``KeyInvalid`` or ``OSError``.
    """
    path = directory / f"{name}{SUFFIX}"
    with taken(path, "the log of readings", _LOCK_SECONDS):
        writer = Writer(path, signer(path.name), BootFacts(software_version=software_version))
        try:
            writer.open([record, {"kind": "close", "counters": {}}], turn=False)
        finally:
            writer.poison()
    # Now and then, for each entry is an opening of that list: whoever removes the readings, or cuts them, is seen.
    size = writer.checkpoint.size
    if size <= _BIRTH or size // _ENTERED_EVERY != (size - _OPENING) // _ENTERED_EVERY:
        Register(directory, name, signer, software_version).enter("closed", writer.checkpoint, writer.boot)


def _asked(value: str | int | bool, keyed: KeyedHash) -> str | int | bool:
    return value if not isinstance(value, str) or _AS_TYPED.fullmatch(value) else keyed.pseudonym("asked", value)
