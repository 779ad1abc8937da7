"""The tree as tiles (C2SP tlog-tiles, https://c2sp.org/tlog-tiles), so that monitors and others' tools can read it.

A tile of level ``L`` holds up to 256 hashes of 32 bytes: level 0 the leaves, level ``L`` the roots of the full tiles of
level ``L - 1``. ``tile/<L>/<N>`` is the full tile ``N``, ``tile/<L>/<N>.p/<W>`` its first ``W`` hashes while it is not
full. ``tile/entries/<N>`` holds the records themselves, each after its length as a big-endian uint16. All of it can be
made again from the segments at any time, and none of it is believed when the log is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import msgspec

from guard.record.segment import list_segments, make_directory, read_batches, replace_file
from guard.record.tree import CompactRange, leaf_hash, root_of

TILE_WIDTH: Final = 256
_HASH_BYTES: Final = 32


class Tile(msgspec.Struct, frozen=True):
    """Hashes (``level`` 0 to 5) or entries of one tile. ``width`` is 1 to 256; 256 is a full tile."""

    level: int | Literal["entries"]
    index: int
    width: int
    data: bytes

    @property
    def path(self) -> str:
        """Where it lies, relative to the directory that is served."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int | Literal["entries"], index: int, width: int = TILE_WIDTH) -> str:
    """``tile/<level>/<index>``, the index in groups of three digits (``x001/x234/067``), ``.p/<width>`` if partial."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}{'' if width == TILE_WIDTH else f'.p/{width}'}"


class Tiler:
    """Turns leaf hashes into full tiles; keeps the rows that are not full yet, at most 255 hashes a level."""

    def __init__(self, size: int = 0, rows: Sequence[bytes] = ()) -> None:
        """Goes on at ``size`` leaves with the ``rows`` of that moment. Raises ``ValueError`` if they do not fit it."""
        wanted = [count % TILE_WIDTH * _HASH_BYTES for count in _counts(size)]
        if [len(row) for row in rows] != wanted:
            raise ValueError(f"these are not the rows of a tree of {size} leaves")
        self.size = size
        self._rows = [bytearray(row) for row in rows]

    @property
    def rows(self) -> list[bytes]:
        """For each level the hashes behind its last full tile: enough to go on, and to tell the root."""
        return [bytes(row) for row in self._rows]

    def extend(self, leaves: Sequence[bytes], roots: Iterable[bytes] = ()) -> list[Tile]:
        """Take leaf hashes; returns the tiles that they fill. ``roots`` are those over the tiles of leaves that they
        fill, from a caller that has them."""
        filled: list[Tile] = []
        known = iter(roots)
        taken = 0
        while taken < len(leaves):
            fitting = leaves[taken : taken + TILE_WIDTH - self.size % TILE_WIDTH]
            taken += len(fitting)
            self.size += len(fitting)
            self._put(0, b"".join(fitting), filled, known)
        return filled

    def partial(self) -> list[Tile]:
        """The tiles that are not full, each with at least one hash."""
        return [
            Tile(level, count // TILE_WIDTH, count % TILE_WIDTH, bytes(row))
            for level, (count, row) in enumerate(zip(_counts(self.size), self._rows, strict=True))
            if row
        ]

    def tree(self) -> CompactRange:
        """The border of the tree over all leaves so far."""
        hashes: list[bytes] = []
        for row in reversed(self._rows):
            found, at = _hashes(row), 0
            for bit in reversed(range(8)):
                if len(found) & 1 << bit:
                    hashes.append(root_of(found[at : at + (1 << bit)]))
                    at += 1 << bit
        return CompactRange(self.size, hashes)

    def _put(self, level: int, hashes: bytes, filled: list[Tile], roots: Iterator[bytes]) -> None:
        """Add hashes that fit the row of ``level``; ``roots`` are those over tiles of leaves that are known."""
        if level == len(self._rows):
            self._rows.append(bytearray())
        row = self._rows[level]
        row += hashes
        if len(row) == TILE_WIDTH * _HASH_BYTES:
            count = self.size // TILE_WIDTH**level
            data = bytes(row)
            filled.append(Tile(level, count // TILE_WIDTH - 1, TILE_WIDTH, data))
            row.clear()
            root = None if level else next(roots, None)
            self._put(level + 1, root or _root_of_full(data), filled, roots)


def last_leaf(directory: Path, tiler: Tiler) -> bytes:
    """The hash of the last leaf, which may stand at the end of full tiles below ``directory``, held against the rows.

    Raises ``OSError`` or ``ValueError`` if a tile is not there, or is not the one whose root the rows hold.
    """
    rows = tiler.rows
    level = next(number for number, row in enumerate(rows) if row)
    found = rows[level][-_HASH_BYTES:]
    while level:
        level -= 1
        data = (directory / tile_path(level, tiler.size // TILE_WIDTH ** (level + 1) - 1)).read_bytes()
        if len(data) != TILE_WIDTH * _HASH_BYTES or _root_of_full(data) != found:
            raise ValueError(f"the last full tile of level {level} is another")
        found = data[-_HASH_BYTES:]
    return found


def write_tile(directory: Path, tile: Tile, *, durably: bool = True) -> Path:
    """Put a tile below ``directory``, whole or not at all; nothing is done if it is there already. Returns its file."""
    path = directory / tile.path
    if not (path.is_file() and path.read_bytes() == tile.data):
        if not path.parent.is_dir():
            make_directory(path.parent)
        replace_file(path, tile.data, durably=durably)
    return path


def write_tiles(
    log_directory: Path, out_directory: Path, size: int, *, partial: bool = True, entries: bool = True
) -> bytes:
    """Write the tiles of the first ``size`` records of one origin's log below ``out_directory``; returns their root.

    ``log_directory`` holds ``seg/``. ``size`` is the size of the checkpoint that is served beside the tiles: hold the
    root against it. ``partial`` adds the tiles that are not full, without which a monitor sees whole multiples of 256
    only; ``entries`` adds the records. Streams: holds one tile of entries, at most 16 MiB. Nothing is verified here.
    Raises ``ValueError`` if the log holds fewer records, ``OSError`` if a file cannot be written.
    """
    tiler = Tiler()
    bundle: list[bytes] = []

    def flush() -> None:
        number = (tiler.size - 1) // TILE_WIDTH
        data = b"".join(len(line).to_bytes(2) + line for line in bundle)
        write_tile(out_directory, Tile("entries", number, len(bundle), data))
        bundle.clear()

    for line in _first_records(log_directory, size):
        for tile in tiler.extend((leaf_hash(line),)):
            write_tile(out_directory, tile)
        if entries:
            bundle.append(line)
            if len(bundle) == TILE_WIDTH:
                flush()
    if tiler.size != size:
        raise ValueError(f"{log_directory} holds {tiler.size} records, {size} are wanted")
    if partial:
        for tile in tiler.partial():
            write_tile(out_directory, tile)
        if bundle:
            flush()
    return tiler.tree().root()


def _first_records(log_directory: Path, size: int) -> Iterator[bytes]:
    left = size
    for segment in list_segments(log_directory / "seg"):
        for batch in read_batches(segment.path):
            if left <= 0 or batch.commit is None:
                return
            yield from batch.records[:left]
            left -= len(batch.records)


def _counts(size: int) -> list[int]:
    """How many hashes each level has had."""
    counts: list[int] = []
    while size:
        counts.append(size)
        size //= TILE_WIDTH
    return counts


def _root_of_full(data: bytes) -> bytes:
    """The root over the hashes of a full tile."""
    while len(data) > _HASH_BYTES:
        pairs = range(0, len(data), 2 * _HASH_BYTES)
        data = b"".join([sha256(b"\x01" + data[at : at + 2 * _HASH_BYTES]).digest() for at in pairs])
    return data


def _hashes(row: bytes | bytearray) -> list[bytes]:
    return [bytes(row[at : at + _HASH_BYTES]) for at in range(0, len(row), _HASH_BYTES)]
