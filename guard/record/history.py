"""The epochs of a log as its ``key`` records tell them, found without reading the other records.

Nothing is verified here: for a display, or to know under which key to look at the end of a log. ``guard log verify``
proves the whole.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from guard.record.epochs import MARK, Epochs, key_records
from guard.record.note import VerifierKey
from guard.record.segment import Segment, list_segments, read_batches

_MAX_KEY_BYTES: Final = 1024


def first_key(directory: Path) -> VerifierKey:
    """The key in ``log.vkey``. Raises ``ValueError`` and ``OSError``."""
    return VerifierKey.parse((directory / "log.vkey").read_bytes()[:_MAX_KEY_BYTES].decode().removesuffix("\n"))


def read_epochs(directory: Path) -> Epochs:
    """The epochs of the origin in ``directory``. Raises ``ValueError`` (with ``EpochRefused``) and ``OSError``."""
    epochs = Epochs.beginning(first_key(directory))
    for segment in list_segments(directory / "seg"):
        if not _mentions_keys(segment):
            continue
        for batch in read_batches(segment.path):
            records = key_records(batch.records) if batch.commit is not None else []
            if records:
                place = next(number for number, line in enumerate(batch.records) if MARK in line)
                before = records[0].seq - place
                epochs = epochs.after(records, before, before + len(batch.records))
    return epochs


def _mentions_keys(segment: Segment) -> bool:
    with segment.path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return data.find(MARK) >= 0
        except ValueError:
            return False  # an empty file cannot be mapped
