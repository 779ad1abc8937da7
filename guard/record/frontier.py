"""What lies beside the segments and can be made again from them: the full tiles, and the frontier.

The frontier is the border of the tree where a segment begins. With it the writer starts by reading the segments from
there on instead of all there ever were. It is not believed: its root must be the one that the last commit before that
segment signed. Where it is missing or does not fit, everything is read.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from guard.record.canonical import NotCanonical, canonical
from guard.record.epochs import Epoch, Epochs
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint
from guard.record.segment import MAX_RECORD_BYTES, Segment, commit_note, fsync_directory, fsync_file, replace_file
from guard.record.tiles import Tile, Tiler, last_leaf, write_tile
from guard.record.tree import leaf_hash
from guard.types import Checkpoint

FILE: Final = "frontier"
_MAX_BYTES: Final = 1 << 20
_TAIL_BYTES: Final = 2 * (MAX_RECORD_BYTES + 2) + 65_536


class Frontier(msgspec.Struct, frozen=True):
    """Where ``segment`` begins. ``prev`` is the SHA-256 (hex) of the record before it."""

    segment: int
    tiler: Tiler
    prev: str
    epochs: Epochs


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    first: int
    last: int | None


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    segment: int
    size: int
    rows: list[str]
    keys: list[_Key]


class Derived:
    """Keeps tiles and frontier up with a log that is being written; from the writer's thread.

    Tiles are renamed into place as they fill and made durable before the frontier moves past them: what a power cut
    takes of them lies behind the frontier, from which the next opening makes them again.
    """

    def __init__(self, directory: Path, tiler: Tiler) -> None:
        self._directory = directory
        self._tiler = tiler
        self._leaves: list[bytes] = []
        self._roots: list[bytes] = []
        self._filled: deque[Tile] = deque()
        self._unsynced: list[Path] = []
        self._frontier = b""

    def extend(self, leaves: Iterable[bytes], roots: Iterable[bytes]) -> None:
        """Records were written; their hashes, and the roots over the tiles that they fill, are only noted here."""
        self._leaves += leaves
        self._roots += roots

    def begin(self, segment: int, epochs: Iterable[Epoch]) -> None:
        """A segment begins behind all that was noted."""
        self._catch_up()
        stored = _Stored(
            segment,
            self._tiler.size,
            [base64.b64encode(row).decode() for row in self._tiler.rows],
            [_Key(epoch.key.encode(), epoch.first, epoch.last) for epoch in epochs],
        )
        self._frontier = canonical(msgspec.to_builtins(stored)) if self._tiler.size else b""

    def tidy(self, most: int | None = 4) -> None:
        """Write tiles that were filled, at most so many (``None``: all). Raises ``OSError``."""
        self._catch_up()
        for _ in range(len(self._filled) if most is None else min(most, len(self._filled))):
            path = write_tile(self._directory, self._filled[0], durably=False)
            self._unsynced.append(path)
            self._filled.popleft()

    def publish(self) -> None:
        """Write all full tiles, and where a segment began the frontier behind them, durably. Raises ``OSError``."""
        self.tidy(None)
        if not self._frontier:
            return
        for path in self._unsynced:
            fsync_file(path)
        for directory in {path.parent for path in self._unsynced}:
            fsync_directory(directory)
        self._unsynced.clear()
        replace_file(self._directory / FILE, self._frontier)
        self._frontier = b""

    def _catch_up(self) -> None:
        self._filled += self._tiler.extend(self._leaves, self._roots)
        self._leaves.clear()
        self._roots.clear()


def read_frontier(directory: Path, origin: str, segments: list[Segment]) -> Frontier | None:
    """The frontier of an origin, if it is what the log signed there; ``None`` if not, and then nothing is wrong yet."""
    try:
        data = (directory / FILE).read_bytes()[:_MAX_BYTES]
        stored = msgspec.json.decode(data, type=_Stored)
        if not 0 < stored.segment < len(segments):
            return None
        tiler = Tiler(stored.size, [base64.b64decode(row, validate=True) for row in stored.rows])
        epochs = Epochs(tuple(Epoch(VerifierKey.parse(key.key), key.first, key.last) for key in stored.keys))
        record, commit = _last_lines(segments[stored.segment - 1].path)
        text = open_note(commit_note(commit), epochs.key_at(stored.size))
        if parse_checkpoint(text) != Checkpoint(origin, stored.size, tiler.tree().root()):
            return None
        if leaf_hash(record) != last_leaf(directory, tiler):
            return None
        return Frontier(stored.segment, tiler, sha256(record).hexdigest(), epochs)
    except (OSError, ValueError, IndexError, binascii.Error, msgspec.MsgspecError, NoteInvalid, NotCanonical):
        return None


def _last_lines(path: Path) -> tuple[bytes, bytes]:
    """The last record of a segment and the commit line after it, without newlines. Raises ``ValueError``."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read(_TAIL_BYTES).split(b"\n")
    if len(lines) < 3 or lines[-1]:
        raise ValueError("the segment does not end with a record and a commit")
    return lines[-3], lines[-2]
