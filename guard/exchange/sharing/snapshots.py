"""Snapshots for newcomers: what one replica's model remembers, with the place in the stream that it covers.

A snapshot belongs to the model that wrote it, by name and version, and to the pseudonym key: others leave their own
beside it.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from guard.exchange.sharing.sealing import Seal, SealBroken
from guard.exchange.sharing.store import Store
from guard.types import DetectorInfo, Remembering

MOST_BYTES: Final = 256 << 20
"""Of one snapshot, compressed; twice as much lies on the server while one takes the place of another."""
_MOST_INFLATED: Final = 1 << 30
_CHUNK_BYTES: Final = 1 << 20
_LEVEL: Final = 1


class SnapshotUnusable(Exception):
    """A snapshot that cannot be taken over, or is too large to be left."""


class Standing(msgspec.Struct, frozen=True):
    """Up to where somebody has heard: the place in the stream, and for each sender the number of its next lesson."""

    place: bytes
    seen: dict[bytes, int]


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    version: str
    standing: Standing
    generation: bytes
    first: int
    chunks: int


class Snapshots:
    """Leaves and takes snapshots. One thread at a time leaves."""

    def __init__(self, store: Store, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self._numbers = itertools.count()

    def my_turn(self, info: DetectorInfo, seconds: int) -> bool:
        """Whether it is for this replica to leave the next snapshot. Raises ``StoreFailed``."""
        return self._store.take_turn(self._key(info), seconds)

    def leave(self, info: DetectorInfo, data: bytes, standing: Standing) -> None:
        """Leave what a model dumped. Raises ``SnapshotUnusable`` for one that is too large, ``StoreFailed``."""
        packed = zlib.compress(data, _LEVEL)
        if len(packed) > MOST_BYTES:
            raise SnapshotUnusable(f"it has {len(packed)} bytes, and may have {MOST_BYTES}")
        parts = [packed[start : start + _CHUNK_BYTES] for start in range(0, len(packed), _CHUNK_BYTES)]
        numbers = list(itertools.islice(self._numbers, len(parts)))
        generation = secrets.token_hex(8).encode()
        chunks = [self._seal.seal(b"C", number, part) for number, part in zip(numbers, parts, strict=True)]
        manifest = _Manifest(info.name, _version(info), standing, generation, numbers[0], len(parts))
        sealed = self._seal.seal(b"M", numbers[0], msgspec.msgpack.encode(manifest))
        self._store.leave(self._key(info), generation, sealed, chunks)

    def take(self, info: DetectorInfo, model: Remembering) -> Standing | None:
        """Let a model remember the newest snapshot; ``None`` where there is none. Raises ``SnapshotUnusable``, and
        ``StoreFailed``; the model is as it was then."""
        left = self._store.left(self._key(info))
        if left is None:
            return None
        try:
            opened = self._seal.open(b"M", left.manifest)
            manifest = msgspec.msgpack.decode(opened.data, type=_Manifest)
            if (manifest.model, manifest.version, manifest.generation) != (info.name, _version(info), left.generation):
                raise SnapshotUnusable("it is not of this model")
            if manifest.chunks * _CHUNK_BYTES > MOST_BYTES + _CHUNK_BYTES:
                raise SnapshotUnusable("it is too large")
            model.restore(_inflated(self._parts(info, manifest, opened.sender)))
        except (SealBroken, ValueError, zlib.error) as error:  # msgspec's errors are ValueErrors
            raise SnapshotUnusable(str(error)) from None
        return manifest.standing

    def _key(self, info: DetectorInfo) -> str:
        """What snapshots of this model, under this pseudonym key, are called on the server."""
        return hashlib.sha256(self._seal.mark + f"{info.name}\x00{_version(info)}".encode()).hexdigest()[:16]

    def _parts(self, info: DetectorInfo, manifest: _Manifest, sender: bytes) -> Iterator[bytes]:
        for index in range(manifest.chunks):
            chunk = self._seal.open(b"C", self._store.chunk(self._key(info), manifest.generation, index))
            if (chunk.sender, chunk.number) != (sender, manifest.first + index):
                raise SnapshotUnusable("its parts do not belong together")
            yield chunk.data


def _inflated(parts: Iterator[bytes]) -> bytes:
    inflater, found, size = zlib.decompressobj(), list[bytes](), 0
    for part in parts:
        found.append(inflater.decompress(part, _MOST_INFLATED - size + 1))
        size += len(found[-1])
        if size > _MOST_INFLATED:
            raise SnapshotUnusable("it is too large")
    if not inflater.eof:
        raise SnapshotUnusable("it is cut")
    return b"".join(found)


def with_own(standing: Standing, sender: bytes, taught: int) -> Standing:
    """The same, with what this replica itself has taught."""
    seen: Mapping[bytes, int] = standing.seen
    return Standing(standing.place, {**seen, sender: taught})


def _version(info: DetectorInfo) -> str:
    """The version of what learns. What stands after a plus sign is that of a file, which learns nothing."""
    return info.version.partition("+")[0]
