"""A log in memory, to be damaged: read from a real one, written back to a directory of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.errors import GuardError
from guard.record.canonical import canonical
from guard.record.note import VerifierKey, checkpoint_text, sign_note
from guard.record.recovery import GENESIS
from guard.record.segment import commit_line, commit_note, list_segments, read_batches
from guard.record.sign import Ed25519Signer
from guard.record.tree import CompactRange, leaf_hash
from guard.types import Checkpoint, Signer

KEPT_RECORDS = 1000
"""Of a longer log the first commits with about so many records are attacked: an older state of it, and as honest."""


class NotAttacked(GuardError):
    """The log cannot be attacked: there is none, it is not whole, or it is too short."""

    code = "adversary_usage"


class Group(msgspec.Struct):
    """One commit: its record lines, and the commit line, all without newlines."""

    records: list[bytes]
    commit: bytes


class Log(msgspec.Struct):
    """One origin's log. ``checkpoint`` is the note in the file of that name, ``vkey`` the line of ``log.vkey``."""

    origin: str
    segments: list[list[Group]]
    checkpoint: str
    vkey: str

    @classmethod
    def read(cls, directory: Path, records: int = KEPT_RECORDS) -> Log:
        """The first commits of the log in an origin's directory, up to ``records`` records. Raises ``NotAttacked``."""
        segments: list[list[Group]] = []
        left = records
        for segment in list_segments(directory / "seg"):
            groups: list[Group] = []
            for batch in read_batches(segment.path):
                if batch.commit is None or (left < len(batch.records) and (groups or segments)):
                    left = 0
                    break
                groups.append(Group(batch.records, batch.commit))
                left -= len(batch.records)
            segments += [groups] if groups else []
            if left <= 0:
                break
        if sum(map(len, segments)) < 2:
            mend = "let the service write a few records first, or take more of them"
            raise NotAttacked(
                f"{records} records of the log are fewer than two commits", where=str(directory), mend=mend
            )
        origin = commit_note(segments[0][0].commit).partition("\n")[0]
        vkey = (directory / "log.vkey").read_text(encoding="utf-8").rstrip("\n")
        return cls(origin, segments, commit_note(segments[-1][-1].commit), vkey)

    def copy(self) -> Log:
        """Another one, to be damaged."""
        return copy.deepcopy(self)

    @property
    def groups(self) -> list[Group]:
        """All commits in order. The list is a new one, the groups are not."""
        return [group for segment in self.segments for group in segment]

    @property
    def size(self) -> int:
        """The number of records."""
        return sum(len(group.records) for group in self.groups)

    def files(self) -> dict[str, bytes]:
        """The log's files by their place in the origin's directory."""
        made = {
            f"seg/{number:06}.jsonl": b"".join(
                line + b"\n" for group in groups for line in (*group.records, group.commit)
            )
            for number, groups in enumerate(self.segments)
        }
        return {**made, "checkpoint": self.checkpoint.encode(), "log.vkey": f"{self.vkey}\n".encode()}

    def keep(self, commits: int) -> None:
        """Cut everything after so many commits, and let the ``checkpoint`` file say so: nobody's key is needed."""
        kept: list[list[Group]] = []
        for segment in self.segments:
            kept += [segment[:commits]] if commits > 0 else []
            commits -= len(segment)
        self.segments = kept
        self.checkpoint = commit_note(self.groups[-1].commit)

    def locate(self, seq: int) -> tuple[Group, int]:
        """The commit that holds record ``seq``, and the record's index in it."""
        for group in self.groups:
            if seq < len(group.records):
                return group, seq
            seq -= len(group.records)
        raise IndexError(f"there is no record {seq}")

    def rewrite(self, seq: int, signer: Signer, **changes: Any) -> None:
        """Change fields of record ``seq`` as the holder of ``signer`` can: chain, tree and signatures fit again."""
        group, index = self.locate(seq)
        group.records[index] = canonical({**msgspec.json.decode(group.records[index]), **changes})
        self.seal(signer, seq)

    def seal(self, signer: Signer, first: int = 0) -> None:
        """Chain and sign again every commit that holds record ``first`` or one after it."""
        tree, prev = CompactRange(), GENESIS
        for group in self.groups:
            if tree.size + len(group.records) > first:
                for index, line in enumerate(group.records):
                    record = {**msgspec.json.decode(line), "seq": tree.size + index, "prev": prev}
                    group.records[index] = canonical(record)
                    prev = sha256(group.records[index]).hexdigest()
                group.commit = _signed(group, tree, signer)
            tree.extend(leaf_hash(line) for line in group.records)
            prev = sha256(group.records[-1]).hexdigest()
        self.checkpoint = commit_note(self.groups[-1].commit)

    def under(self, signer: Signer) -> None:
        """Write the whole log again as if ``signer`` had signed it from the beginning."""
        self.vkey = VerifierKey.of(signer).encode()
        for record, group, index in self._records():
            if record["kind"] == "open":
                group.records[index] = canonical({**record, "key": self.vkey})
        self.seal(signer)

    def kinds(self) -> list[str]:
        """The kind of each record."""
        return [str(record["kind"]) for record, _, _ in self._records()]

    def record(self, seq: int) -> dict[str, Any]:
        """Record ``seq``, parsed."""
        group, index = self.locate(seq)
        parsed: dict[str, Any] = msgspec.json.decode(group.records[index])
        return parsed

    def _records(self) -> Iterator[tuple[dict[str, Any], Group, int]]:
        for group in self.groups:
            for index, line in enumerate(group.records):
                yield msgspec.json.decode(line), group, index


def stranger() -> Callable[[str], Signer]:
    """A new key that nobody trusts: makes its signer under the name of an origin."""
    key = Ed25519PrivateKey.generate()
    return lambda origin: Ed25519Signer(origin, key)


def write_files(directory: Path, files: dict[str, bytes]) -> Path:
    """Write the files under ``directory``, which must not exist yet."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(data)
    (directory / "seg").mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def _signed(group: Group, before: CompactRange, signer: Signer) -> bytes:
    tree = before.copy()
    tree.extend(leaf_hash(line) for line in group.records)
    note = sign_note(checkpoint_text(Checkpoint(signer.name, tree.size, tree.root())), (signer,))
    return commit_line(note)[:-1]
