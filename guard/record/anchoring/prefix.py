"""Consistency proofs from the segments, in memory that does not grow with the log.

The proof from ``m`` to ``n`` records (RFC 6962 section 2.1.2) holds perfect subtrees left of ``m``, which the compact
range of the first ``m`` records has, and subtrees over records from ``m`` on, which one pass over those records gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from guard.record.segment import read_batches, segment_path
from guard.record.tree import CompactRange, leaf_hash
from guard.types import Checkpoint


class PrefixLost(ValueError):
    """The segments do not hold the records that they should."""


class Prefix(msgspec.Struct, frozen=True):
    """The first ``size`` records: the roots of their perfect subtrees, and the segment and byte offset behind them."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()
    segment: int = 0
    offset: int = 0

    def tree(self) -> CompactRange:
        """The tree over the prefix. Raises ``ValueError`` if the hashes do not fit the size."""
        return CompactRange(self.size, self.hashes)


def extend(segments: Path, prefix: Prefix, size: int) -> Prefix:
    """The prefix of ``size`` records, which must end a commit. Raises ``PrefixLost`` or ``OSError``."""
    return _walk(segments, prefix, size, [])[0]


def prove(segments: Path, old: Prefix, new: Checkpoint) -> tuple[list[bytes], Prefix]:
    """The consistency proof from ``old`` to the checkpoint, and the checkpoint's prefix.

    Raises ``PrefixLost`` if the segments do not lead to the checkpoint, ``OSError`` if they cannot be read.
    """
    ranges = _ranges(old.size, new.size)
    prefix, subtrees = _walk(segments, old, new.size, sorted(pair for pair in ranges if pair[0] >= old.size))
    if prefix.tree().root() != new.root:
        raise PrefixLost(f"the records in the segments have another root than the checkpoint of {new.size}")
    subtrees |= _perfect(old)
    return [subtrees[low] for low, _ in ranges], prefix


def _ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """The subtrees of a proof as ranges of records, in the proof's order."""
    if old_size in (0, new_size):
        return []
    path: list[tuple[int, int]] = []
    low, high = 0, new_size
    while old_size < high:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if old_size <= middle:
            path.append((middle, high))
            high = middle
        else:
            path.append((low, middle))
            low = middle
    if low:  # else the old root itself, which the verifier has
        path.append((low, high))
    path.reverse()
    return path


def _perfect(prefix: Prefix) -> dict[int, bytes]:
    """The roots of the perfect subtrees, by their first record."""
    found, start = {}, 0
    for hash_ in prefix.hashes:
        found[start] = hash_
        start += 1 << (prefix.size - start).bit_length() - 1
    return found


def _walk(segments: Path, prefix: Prefix, size: int, wanted: list[tuple[int, int]]) -> tuple[Prefix, dict[int, bytes]]:
    """Go on to ``size`` records; also the roots over the ``wanted`` ranges, which lie end to end from the prefix on."""
    tree, end, subtrees = prefix.tree(), prefix, {}
    waiting = iter(wanted)
    current, part = next(waiting, None), CompactRange()
    batches = _batches(segments, prefix)
    while tree.size < size:
        records, segment, offset = next(batches, ((), 0, 0))
        if not records or tree.size + len(records) > size:
            raise PrefixLost(f"no commit in the segments ends at {size} records")
        for line in records:
            leaf = leaf_hash(line)
            tree.append(leaf)
            if current is not None:
                part.append(leaf)
                if tree.size == current[1]:
                    subtrees[current[0]] = part.root()
                    current, part = next(waiting, None), CompactRange()
        end = Prefix(tree.size, tuple(tree.hashes), segment, offset)
    return end, subtrees


def _batches(segments: Path, prefix: Prefix) -> Iterator[tuple[list[bytes], int, int]]:
    """The committed batches behind the prefix, each with its segment and the offset behind it."""
    number, offset = prefix.segment, prefix.offset
    while (path := segment_path(segments, number)).exists():
        for batch in read_batches(path, offset=offset):
            if batch.commit is not None:
                yield batch.records, number, batch.end
        number, offset = number + 1, 0
