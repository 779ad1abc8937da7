"""Which key may sign which sizes of a log: a state machine without I/O, for readers and for the writer's recovery.

A log begins under its first key. A ``key`` record with the event ``replaced`` ends that key's epoch: the commit that
holds it is the last one that the old key signs, every later one is the new key's. So epochs follow each other without
a gap, a retired key signs nothing more (its signature is refused at every later size), and a newer key nothing earlier.
No key comes back.

What a reader believes is up to its ``Trust``: see there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from guard.record.canonical import NotCanonical
from guard.record.endorse import Endorsement, read_endorsement, record_name
from guard.record.note import NoteInvalid, VerifierKey, split_note
from guard.record.schema import AnyRecord, KeyRecord, read_record
from guard.record.trust import Trust

MARK: Final = b'"kind":"key"'
"""Stands in every ``key`` record, and in no other: quotes inside strings are escaped."""


class EpochRefused(ValueError):
    """A key signed where it may not, or a ``key`` record does not hold. ``index``: the record in its batch, if one."""

    def __init__(self, what: str, index: int | None = None) -> None:
        super().__init__(what)
        self.index = index


class Epoch(msgspec.Struct, frozen=True):
    """A key and the sizes of the checkpoints that it signed; ``last`` is ``None`` while it signs.

    ``grounds`` says why the reader believes it, ``""`` for a reader without a trust file.
    """

    key: VerifierKey
    first: int
    last: int | None = None
    grounds: str = ""

    def covers(self, size: int) -> bool:
        """Whether a checkpoint of ``size`` records is this key's."""
        return self.first <= size and (self.last is None or size <= self.last)


class Epochs(msgspec.Struct, frozen=True):
    """The epochs of one origin's log up to some commit. ``after`` goes on to the next."""

    history: tuple[Epoch, ...]
    trust: Trust | None = None

    @classmethod
    def beginning(cls, key: VerifierKey, trust: Trust | None = None) -> Epochs:
        """Before the first commit of the origin that is ``key.name``."""
        return cls((Epoch(key, 1),), trust)

    @property
    def key(self) -> VerifierKey:
        """The key that signs now."""
        return self.history[-1].key

    def key_at(self, size: int) -> VerifierKey:
        """The key of a checkpoint of ``size`` records; that of now for sizes to come."""
        return next((epoch.key for epoch in self.history if epoch.covers(size)), self.key)

    def retired_signer(self, note: str) -> Epoch | None:
        """The closed epoch whose key a note's signature line names, if it names one of this log. Nothing is verified;
        a log that never changed its key costs nothing here."""
        if len(self.history) == 1:
            return None
        _, lines = split_note(note)
        ids = {line.key_id for line in lines}
        return next((epoch for epoch in self.history[:-1] if epoch.key.id in ids), None)

    def after(self, records: Sequence[AnyRecord], before: int, size: int) -> Epochs:
        """The epochs after a commit of ``size`` records, ``before`` of them older, whose signature is ``key``'s.

        Raises ``EpochRefused``.
        """
        if before and KeyRecord not in map(type, records):
            # Every commit but a few: only a listed range can speak against it.
            self._hold_in_range(size)
            return self
        turns = [(index, record) for index, record in enumerate(records) if isinstance(record, KeyRecord)]
        begun = [entry for entry in turns if entry[1].event == "begun"]
        replaced = [entry for entry in turns if entry[1].event == "replaced"]
        if begun and (before or len(begun) > 1 or begun[0][1].key != self.key.encode()):
            raise EpochRefused("a key record says that the log begins, where it does not", begun[0][0])
        if len(replaced) > 1:
            raise EpochRefused("two key records stand under one commit", replaced[1][0])
        state = self if before else self._begin(begun[0][1] if begun else None)
        state._hold_in_range(size)
        return state._replace(*replaced[0], size) if replaced else state

    def _hold_in_range(self, size: int) -> None:
        if self.trust is not None and (outside := self.trust.outside(self.key, size)):
            raise EpochRefused(outside)

    def _begin(self, record: KeyRecord | None) -> Epochs:
        """Believe the first key, or refuse the log."""
        if self.trust is None:
            return self
        grounds = "listed" if self.trust.listed(self.key) else _chained(self.key, record, self.trust)
        return Epochs((msgspec.structs.replace(self.history[-1], grounds=grounds),), self.trust)

    def _replace(self, index: int, record: KeyRecord, size: int) -> Epochs:
        old = self.key
        try:
            new = VerifierKey.parse(record.key)
            endorsements = [
                entry for entry in _endorsements(record) if entry.fits(old.name, new.public_key, old.public_key)
            ]
        except NoteInvalid as error:
            raise EpochRefused(f"the key record does not hold: {error}", index) from None
        if record.before != old.encode() or new.name != old.name:
            raise EpochRefused("the key record replaces another key than the one that signs", index)
        if any(epoch.key == new for epoch in self.history):
            raise EpochRefused(f"the key {new.id.hex()} signed this log before and was retired", index)
        if not any(entry.signed_by(VerifierKey(entry.scope, old.public_key)) for entry in endorsements):
            raise EpochRefused("the key before has not endorsed the new key", index)
        closed = msgspec.structs.replace(self.history[-1], last=size)
        opened = Epoch(new, size + 1, None, self._grounds(new, endorsements))
        return Epochs((*self.history[:-1], closed, opened), self.trust)

    def _grounds(self, new: VerifierKey, endorsements: Sequence[Endorsement]) -> str:
        if self.trust is None:
            return ""
        if self.trust.listed(new):
            return "listed"
        roots = [root.name for root in self.trust.roots if any(entry.signed_by(root) for entry in endorsements)]
        return f"endorsed by {roots[0]} and the key before" if roots else "endorsed by the key before"


def _endorsements(record: KeyRecord) -> list[Endorsement]:
    return [read_endorsement(note) for note in record.endorsements]


def _chained(first: VerifierKey, record: KeyRecord | None, trust: Trust) -> str:
    """Why the first key of a log is believed: from a root, each endorsed key endorses the next. Raises
    ``EpochRefused``."""
    believed = {root: root.name for root in trust.roots}
    scopes = (first.name, record_name(first.name))
    try:
        for endorsement in [] if record is None else _endorsements(record):
            names = [name for key, name in believed.items() if endorsement.signed_by(key)]
            if names and endorsement.scope in scopes and endorsement.before is None:
                believed[VerifierKey(endorsement.scope, endorsement.key)] = names[0]
    except NoteInvalid as error:
        raise EpochRefused(f"the key record does not hold: {error}") from None
    for scope in scopes:
        if name := believed.get(VerifierKey(scope, first.public_key)):
            return f"endorsed by {name}"
    raise EpochRefused(f"the trust file names no key for {first.name}")


def key_records(lines: Iterable[bytes]) -> list[KeyRecord]:
    """The ``key`` records among record lines; lines that are no records are passed over. Cheap where there is none."""
    found: list[KeyRecord] = []
    for line in lines:
        if MARK not in line:
            continue
        try:
            record = read_record(line)
        except NotCanonical:
            continue
        if isinstance(record, KeyRecord):
            found.append(record)
    return found


def named_keys(lines: Iterable[bytes], origin: str) -> set[VerifierKey]:
    """The keys that lines, of which nothing is verified, name as successors in the log of ``origin``."""
    named: set[VerifierKey] = set()
    for record in key_records(lines):
        try:
            key = VerifierKey.parse(record.key)
        except NoteInvalid:
            continue
        if record.event == "replaced" and key.name == origin:
            named.add(key)
    return named
