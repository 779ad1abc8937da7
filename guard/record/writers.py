"""The list of writers: a small signed log ``<name>-writers`` that says which origins there are, and how far they were.

Each process has an origin of its own, so the removal of a whole origin's log would not show in the others. Here every
process says, under a lock, that it opened its origin (after the ``open`` record is durable and before any other), and
that it closed it (after its ``close``), with size and root of that moment. The list is a log like any other: verified,
shown, exported and anchored by the same means. Whoever removes an origin must roll the list back, which the boots of
the other origins contradict, and an anchor of the list.

To verify (no false alarm while the writers run, if the order is kept):

1. ``before = read_writers(directory)``
2. verify each origin, the list itself included; feed its watch: ``watch = before.watch(origin)``, then
   ``watch.take(records, size, root)`` after each commit that verified
3. ``after = read_writers(directory)``, then ``watch.flaws(after)`` for each origin and ``before.missing(found)``
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from guard.record.boot import BootFacts
from guard.record.canonical import NotCanonical
from guard.record.note import VerifierKey
from guard.record.schema import (
    AnyRecord,
    CloseRecord,
    ConfigRecord,
    DecisionEntry,
    HeartbeatRecord,
    OpenRecord,
    OutcomeEntry,
    WriterRecord,
    read_record,
)
from guard.record.segment import list_segments, read_batches
from guard.record.sign import SigningKeys
from guard.record.slot import taken
from guard.record.writer import Writer
from guard.types import Checkpoint, Signer

SUFFIX: Final = "-writers"
_LOCK_SECONDS: Final = 30.0
# What no writer takes before the list names its boot. A process killed in between leaves an ``open`` at most.
_LATER_KINDS: Final = (DecisionEntry, OutcomeEntry, ConfigRecord, HeartbeatRecord, CloseRecord)


class Register:
    """Writes the list of one deployment. Each entry is one short opening of that log, under its lock."""

    def __init__(
        self, directory: Path, name: str, signer: Callable[[str], Signer | SigningKeys], software_version: str = ""
    ) -> None:
        self.origin = f"{name}{SUFFIX}"
        self._path = directory / self.origin
        self._signer = signer
        self._facts = BootFacts(software_version=software_version)
        self.keys: tuple[VerifierKey, ...] = ()
        """Every key that signed the list, as it was when this process entered something last."""
        self.on_publish: Callable[[Checkpoint, str], None] | None = None
        """Hears of the list's checkpoints as this process makes them."""

    @property
    def path(self) -> Path:
        """The directory of the list."""
        return self._path

    def enter(self, event: Literal["opened", "closed"], at: Checkpoint, boot: str) -> None:
        """Say that a writer opened or closed its origin at this checkpoint; durable on return.

        Raises ``LogLocked``, ``LogTampered``, ``KeyInvalid`` or ``OSError``.
        """
        entry = {
            "kind": "writer",
            "event": event,
            "writer": at.origin,
            "writer_boot": boot,
            "size": at.size,
            "root": at.root.hex(),
        }
        with taken(self._path, "the list of writers", _LOCK_SECONDS):
            writer = Writer(self._path, self._signer(self.origin), self._facts)
            writer.on_publish = self.on_publish
            try:
                writer.open([entry, {"kind": "close", "counters": {}}], turn=False)
            finally:
                self.keys = writer.keys
                writer.poison()


class Listed:
    """What the lists of one log directory say: for each origin its entries in order."""

    def __init__(self, lists: frozenset[str], entries: dict[str, list[WriterRecord]]) -> None:
        self.lists = lists
        """The origins of the lists that there are, ``<name>-writers``."""
        self._entries = entries

    @property
    def origins(self) -> frozenset[str]:
        """Every origin that a list names."""
        return frozenset(self._entries)

    def entries(self, origin: str) -> list[WriterRecord]:
        """What was said of an origin."""
        return self._entries.get(origin, [])

    def missing(self, found: Iterable[str]) -> list[str]:
        """The origins that a list names and that are not among ``found``: their logs were removed."""
        return sorted(self.origins - frozenset(found))

    def watch(self, origin: str) -> Watch:
        """What is to be held against an origin while it is verified."""
        return Watch(origin, self.entries(origin))


class Watch:
    """Holds one origin against the list. Memory: a root for each entry, a name for each boot."""

    def __init__(self, origin: str, entries: list[WriterRecord]) -> None:
        self._origin = origin
        self._entries = entries
        self._sizes = {entry.size for entry in entries}
        self._roots: dict[int, str] = {}
        self._size = 0
        self._named = ""
        self._boots: dict[str, tuple[str, int]] = {}

    def take(self, records: Iterable[AnyRecord], size: int, root: bytes) -> None:
        """A commit of the origin verified: its records, and size and root of the log behind it."""
        self._size = size
        if size in self._sizes:
            self._roots[size] = root.hex()
        for record in records:
            if type(record) is OpenRecord:
                # After a failed write the same process goes on, and was entered before.
                self._named = record.writers if isinstance(record.writers, str) and not record.reopened else ""
            elif self._named and isinstance(record, _LATER_KINDS):
                self._boots[record.boot] = (self._named, record.seq)
                self._named = ""  # one record is enough to ask for the boot's entry

    def flaws(self, after: Listed) -> list[str]:
        """What contradicts the list, each a sentence; empty if nothing does. ``after`` was read after the origin."""
        said = [flaw for entry in self._entries if (flaw := self._against(entry))]
        entered = {entry.writer_boot for entry in after.entries(self._origin) if entry.event == "opened"}
        for boot, (named, seq) in self._boots.items():
            if named not in after.lists:
                said.append(f"boot {boot} (record {seq}) was entered in {named}, and that list is not here")
            elif boot not in entered:
                said.append(f"boot {boot} (record {seq}) is not in {named}: the list was rolled back, or is another's")
        return said

    def _against(self, entry: WriterRecord) -> str:
        place = f"record {entry.seq} of {entry.origin}"
        if self._size < entry.size:
            return f"the log ends at {self._size} records; {place} saw it {entry.event} at {entry.size}"
        if self._roots.get(entry.size) != entry.root:
            return f"the log never was in the state of {entry.size} records that {place} saw"
        return ""


def is_list(origin: str) -> bool:
    """Whether this is the origin of a list, not of a writer (those end in ``-<number>``)."""
    return origin.endswith(SUFFIX)


def read_writers(directory: Path) -> Listed:
    """What the lists under a log directory say. Nothing is verified here: verify each list as the log that it is.

    An empty ``Listed`` where there is none, as in a log of an older version. Lines that are no records are skipped,
    since the verification of the list names them.
    """
    lists: set[str] = set()
    entries: dict[str, list[WriterRecord]] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else []:
        if not (path / "seg").is_dir():
            continue
        lists.add(path.name)
        for record in _records(path):
            if isinstance(record, WriterRecord):
                entries.setdefault(record.writer, []).append(record)
    return Listed(frozenset(lists), entries)


def _records(path: Path) -> Iterator[AnyRecord]:
    for segment in list_segments(path / "seg"):
        for batch in read_batches(segment.path):
            if batch.commit is None:
                break
            for line in batch.records:
                try:
                    yield read_record(line)
                except NotCanonical:
                    continue
