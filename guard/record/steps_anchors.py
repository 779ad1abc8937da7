"""Anchors held against a log: checkpoints of it that were kept elsewhere, or beside it with a witness's cosignature.

An anchor fixes every record below its size. A log that had another root at that size was forked, one that ends below it
was rolled back, and two anchors of one size that differ prove against the key's holder, to anybody, that there were
two logs. Those notes are kept whole in the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from guard.record.chain import Chain
from guard.record.cosignature import cosignatures
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint, split_note
from guard.record.report import AnchorSeen, Damage, Evidence
from guard.record.segment import Batch, commit_note
from guard.record.trust import Trust, UsageError
from guard.types import Checkpoint

MAX_NOTE_BYTES: Final = 65_536
_DIRECTORY: Final = "anchors"
_MEND: Final = "an anchor is a checkpoint: a signed note of origin, size and root"


class Anchor(msgspec.Struct, frozen=True):
    """A checkpoint as its note states it; nobody has verified it. ``file`` names it in the report."""

    file: str
    note: str
    stated: Checkpoint
    given: bool


def read_given(paths: Iterable[Path]) -> list[Anchor]:
    """The anchors that the auditor names: files, or directories of ``*.note`` files. Raises ``UsageError``."""
    anchors: list[Anchor] = []
    for path in paths:
        files = sorted(path.rglob("*.note")) if path.is_dir() else [path]
        if not files:
            raise UsageError("there is no anchor here", where=str(path), mend="name a note, or a directory of *.note")
        for file in files:
            try:
                anchors.append(_read(file, str(file), given=True))
            except (OSError, ValueError) as error:
                said = (error.strerror if isinstance(error, OSError) else None) or error
                raise UsageError(f"the anchor does not read: {said}", where=str(file), mend=_MEND) from error
    return anchors


def _read(path: Path, name: str, *, given: bool) -> Anchor:
    """Raises ``OSError`` or ``ValueError``."""
    with path.open("rb") as file:
        note = file.read(MAX_NOTE_BYTES).decode()
    return Anchor(name, note, parse_checkpoint(split_note(note)[0]), given)


class Anchors:
    """The anchors of one origin: those given, and those in its ``anchors/``."""

    def __init__(self, directory: Path, given: Sequence[Anchor]) -> None:
        self.damages: list[Damage] = []
        self.evidence: list[Evidence] = []
        self._anchors = list(given)
        self._commits: dict[int, str] = {}
        self._ahead: list[Anchor] | None = None
        beside = directory / _DIRECTORY
        for path in sorted(beside.glob("*.note")) if beside.is_dir() else []:
            name = f"{_DIRECTORY}/{path.name}"
            try:
                anchor = _read(path, name, given=False)
                if path.name.partition(".")[0] != str(anchor.stated.size):
                    raise NoteInvalid(f"its name says another size than its note, {anchor.stated.size}")
                self._anchors.append(anchor)
            except (OSError, ValueError) as error:
                self.damages.append(Damage(f"the anchor does not read: {error}", name, step="anchors"))

    @property
    def sizes(self) -> set[int]:
        """Where the log is to be looked at."""
        return {anchor.stated.size for anchor in self._anchors if anchor.stated.size}

    def passed(self, chain: Chain, batch: Batch) -> None:
        """Called after each commit that verified: keeps what may be evidence."""
        if self._ahead is None:
            self._ahead = sorted(self._anchors, key=lambda anchor: anchor.stated.size, reverse=True)
        while self._ahead and self._ahead[-1].stated.size <= chain.size:
            stated = self._ahead.pop().stated
            if chain.roots.get(stated.size, stated.root) != stated.root:
                self._commits[stated.size] = commit_note(batch.commit or b"")

    def judge(
        self, chain: Chain, trust: Trust | None, key_at: Callable[[int], VerifierKey], *, broken: bool
    ) -> list[AnchorSeen]:
        """Hold each against the whole log. ``key_at`` tells whose signature a checkpoint of a size bears; ``broken``:
        tampering has been found already, so that it is no news that the log ends before an anchor."""
        seen = [self._judge_one(anchor, chain, trust, key_at(anchor.stated.size), broken) for anchor in self._anchors]
        self._find_forks(
            [anchor for anchor, one in zip(self._anchors, seen, strict=True) if one.result != "unverified"]
        )
        return seen

    def _judge_one(
        self, anchor: Anchor, chain: Chain, trust: Trust | None, key: VerifierKey, broken: bool
    ) -> AnchorSeen:
        stated = anchor.stated
        seen = AnchorSeen(anchor.file, stated.size, anchor.given, "agrees")
        try:
            open_note(anchor.note, key, cosigned=True)
            if stated.origin != key.name:
                raise NoteInvalid(f"it belongs to {stated.origin}")
            witnesses = () if trust is None else trust.witnesses
            seen = msgspec.structs.replace(
                seen, witnesses=sorted({one.witness for one in cosignatures(anchor.note, witnesses)})
            )
        except NoteInvalid as error:
            self._damage(f"the anchor does not verify: {error}", anchor)
            return msgspec.structs.replace(seen, result="unverified")
        if stated.size > chain.size:
            if not broken:
                what = f"the log ends at {chain.size} records, its anchor states {stated.size}: cut off or rolled back"
                self._damage(what, anchor, seq=chain.size)
            return msgspec.structs.replace(seen, result="beyond")
        if chain.roots.get(stated.size, stated.root) != stated.root:
            what = f"the log is another than its anchor of {stated.size} records: forked or rewritten"
            self._damage(what, anchor)
            notes = [anchor.note, self._commits[stated.size]]
            self.evidence.append(Evidence(f"{anchor.file} and the commit of this log over the same records", notes))
            return msgspec.structs.replace(seen, result="contradicts")
        return seen

    def _find_forks(self, anchors: Sequence[Anchor]) -> None:
        by_size: dict[int, Anchor] = {}
        for anchor in anchors:
            other = by_size.setdefault(anchor.stated.size, anchor)
            if other.stated.root != anchor.stated.root:
                what = f"two anchors of {anchor.stated.size} records contradict each other: {other.file} is the other"
                self._damage(what, anchor)
                self.evidence.append(Evidence(f"{other.file} and {anchor.file}", [other.note, anchor.note]))

    def _damage(self, what: str, anchor: Anchor, seq: int | None = None) -> None:
        self.damages.append(Damage(what, anchor.file, seq=seq, step="anchors"))
