"""What lies beside the segments and is held against them: ``log.vkey`` and ``checkpoint``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from guard.record.canonical import NotCanonical
from guard.record.chain import Chain
from guard.record.epochs import Epochs
from guard.record.lines import read_line
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint, split_note
from guard.record.report import Damage, StepName
from guard.record.schema import OpenRecord
from guard.record.segment import list_segments, read_batches
from guard.record.steps_anchors import MAX_NOTE_BYTES
from guard.record.trust import Trust
from guard.types import Checkpoint


class OwnKey(msgspec.Struct, frozen=True):
    """The keys that a log names for itself: in ``log.vkey`` (``published``), and in its first record (``first``)."""

    published: VerifierKey | None
    first: VerifierKey | None
    damages: list[Damage]

    @classmethod
    def read(cls, directory: Path) -> OwnKey:
        """Both, as they stand; nothing is verified."""
        damages: list[Damage] = []
        published: VerifierKey | None = None
        try:
            text = (directory / "log.vkey").read_bytes()[:MAX_NOTE_BYTES].decode()
            if not text.endswith("\n"):
                raise NoteInvalid("it does not end with a newline")
            published = VerifierKey.parse(text[:-1])
        except (OSError, ValueError) as error:
            damages.append(Damage(f"the log's own key does not read: {error}", "log.vkey", step="key"))
        return cls(published, _first_key(directory), damages)

    def beginning(self, trust: Trust | None, name: str) -> tuple[VerifierKey | None, list[Damage]]:
        """The key under which the log begins, and what speaks against it. ``name`` is the directory's."""
        damages = list(self.damages)
        own = self.first or self.published
        if trust is None:
            return own, damages
        entries = trust.keys_of(own.name if own is not None and trust.knows(own.name) else name)
        if not entries and not trust.roots:
            damages.append(Damage(f"the trust file names no key for {name}", "log.vkey", step="key"))
            return None, damages
        if entries and own is not None and not trust.listed(own) and not trust.roots:
            damages.append(Damage("the log's own key is not the trusted one", "log.vkey", step="key"))
        if own is None or (not trust.listed(own) and not trust.roots):
            return entries[0].key if entries else None, damages
        return own, damages

    def held(self, epochs: Epochs) -> list[Damage]:
        """``log.vkey`` names the first key of the log, for its whole life."""
        if self.published is None or self.published == epochs.history[0].key:
            return []
        return [Damage("the key is not the one under which this log begins", "log.vkey", step="key")]


def _first_key(directory: Path) -> VerifierKey | None:
    """The key that the first record says signs it. A record that does not read says none, and fails later."""
    segments = list_segments(directory / "seg")
    batch = next(read_batches(segments[0].path), None) if segments and segments[0].number == 0 else None
    try:
        record = read_line(batch.records[0]) if batch is not None and batch.records else None
        return VerifierKey.parse(record.key) if isinstance(record, OpenRecord) else None
    except (NotCanonical, NoteInvalid):
        return None


class Published:
    """The ``checkpoint`` file, held against the log as it is read."""

    def __init__(self, path: Path) -> None:
        self.damages: list[Damage] = []
        self._note = ""
        self._stated: Checkpoint | None = None
        self._missing = not path.exists()
        if self._missing:
            return
        try:
            with path.open("rb") as file:
                self._note = file.read(MAX_NOTE_BYTES).decode()
            self._stated = parse_checkpoint(split_note(self._note)[0])
        except (OSError, ValueError) as error:
            self._damage(f"the checkpoint does not verify: {error}")

    @property
    def stated(self) -> Checkpoint | None:
        """What the file states; ``None`` if it does not read."""
        return self._stated

    def verify(self, epochs: Epochs) -> None:
        """Its signature, by the key of its size; of a size to come, by the newest key. A file that does not verify
        states nothing."""
        if self._stated is None:
            return
        key = epochs.key_at(self._stated.size)
        try:
            open_note(self._note, key, cosigned=True)
            if self._stated.origin != key.name:
                raise NoteInvalid(f"it belongs to {self._stated.origin}")
        except NoteInvalid as error:
            self._stated = None
            self._damage(f"the checkpoint does not verify: {error}")

    def hold(self, chain: Chain, commits: int, boots: int, *, told: bool) -> None:
        """The log holds the state that the file states. ``told``: a bad record is named already."""
        stated = self._stated
        if stated is None:
            # Each boot publishes its first commit before the next: of those killed before that, there is one each.
            if self._missing and commits > boots:
                self._damage("the checkpoint file is missing")
        elif chain.size < stated.size:
            if not told:
                what = f"the log ends at {chain.size} records, its checkpoint states {stated.size}"
                self._damage(what, chain.size, "end")
        elif chain.roots.get(stated.size) != stated.root:
            self._damage(f"the log never was at the state of its checkpoint ({stated.size})", None, "end")

    def _damage(self, what: str, seq: int | None = None, step: StepName = "checkpoint") -> None:
        self.damages.append(Damage(what, "checkpoint", seq=seq, step=step))
