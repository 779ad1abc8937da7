"""What is kept: records, and the log that they become durable in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import msgspec

DecisionRecord: TypeAlias = "dict[str, Any]"
"""A record of the log: ASCII keys, integers, strings, booleans, null, lists and objects only (no floats)."""


class Receipt(msgspec.Struct, frozen=True):
    """A record's place in the log, told once it is durable."""

    seq: int
    id: str


class Checkpoint(msgspec.Struct, frozen=True):
    """A log's size and Merkle root (RFC 6962) at one moment, as signed in a C2SP checkpoint note."""

    origin: str
    size: int
    root: bytes


@runtime_checkable
class Signer(Protocol):
    """Signs checkpoints. ``name`` is the key name of the C2SP signed note, ``public_key`` 32 bytes of Ed25519."""

    @property
    def name(self) -> str:
        """The key name of the signed note."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 bytes of Ed25519."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the Ed25519 signature (RFC 8032)."""
        ...


@runtime_checkable
class RecordLog(Protocol):
    """Where records become durable."""

    async def start(self) -> None:
        """Take a free origin, recover what a crash left, write an ``open`` record."""
        ...

    async def append(self, record: DecisionRecord) -> Receipt:
        """Returns when the record is durable (strict mode). Raises ``guard.errors.LogUnavailable``."""
        ...

    async def stop(self) -> None:
        """Writes what is queued and a ``close`` record."""
        ...


@runtime_checkable
class CommandHost(Protocol):
    """What ``guard`` hands to the commands of other packages, as ``typer.Context.obj``."""

    @property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """``[detectors.options]`` of the configuration in force; empty without one."""
        ...

    def records(
        self, directory: Path | None, kinds: Sequence[str], word: str
    ) -> AbstractContextManager[Iterator[DecisionRecord]]:
        """The records of these kinds in a log, oldest first, after the log was verified; ``None``: the configuration's.

        The reading is recorded under ``word``. Raises ``GuardError`` for a log that is missing or was tampered with.
        """
        ...
