"""A proof that one record stands in the log, in the public C2SP format (https://c2sp.org/tlog-proof).

A file of one proof is enough to check it offline against the log's public key. Its ``extra`` line carries the record
itself: the specification leaves its content to the application, and it is not believed but hashed.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import msgspec

from guard.record.canonical import NotCanonical
from guard.record.cosignature import Cosignature, cosignatures
from guard.record.export.source import ExportRefused, State, broken, records
from guard.record.lines import read_line
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint
from guard.record.schema import AnyRecord
from guard.record.tree import CompactRange, ProofInvalid, leaf_hash, verify_inclusion
from guard.record.trust import Trust
from guard.types import Checkpoint

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES: Final = 262_144
"""More than a record of 65,535 bytes, a path of 64 hashes and a note of 65,535 bytes take."""

_MAX_PATH: Final = 64
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,15}")


class ProofRejected(ExportRefused):
    """A proof does not prove that the record stands in the log."""

    code = "proof_rejected"


class Proof(msgspec.Struct, frozen=True):
    """An inclusion proof. ``extra`` is the record's line or empty, ``path`` its hashes (32 bytes) from the leaf up,
    ``note`` the signed checkpoint, word for word."""

    index: int
    path: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    def encode(self) -> str:
        """The text of a ``.tlog-proof`` file."""
        extra = [f"extra {base64.b64encode(self.extra).decode()}"] if self.extra else []
        hashes = [base64.b64encode(step).decode() for step in self.path]
        return "\n".join([HEADER, *extra, f"index {self.index}", *hashes, "", self.note])

    @classmethod
    def parse(cls, text: str) -> Proof:
        """The proof of a ``.tlog-proof`` file. Raises ``ProofRejected``."""
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        if not blank or lines.pop(0) != HEADER or not lines:
            raise ProofRejected(f"the file is no proof of the form {HEADER}")
        extra = b""
        if lines[0].startswith("extra "):
            extra = _decoded(lines.pop(0).removeprefix("extra "))
        word, _, index = lines.pop(0).partition(" ") if lines else ("", "", "")
        if word != "index" or not _INDEX.fullmatch(index):
            raise ProofRejected("the proof names no index")
        path = tuple(_decoded(line) for line in lines)
        if len(path) > _MAX_PATH or any(len(step) != 32 for step in path):
            raise ProofRejected("the path of the proof is not made of SHA-256 hashes")
        return cls(int(index), path, note, extra)


class Proven(msgspec.Struct, frozen=True):
    """What a proof proved: this record stands at ``index`` of the log at ``checkpoint``, which ``key`` signed, and
    which the trusted witnesses in ``cosigned`` saw."""

    index: int
    checkpoint: Checkpoint
    key: VerifierKey
    cosigned: tuple[Cosignature, ...]
    line: bytes
    record: AnyRecord


def prove(state: State, index: int, *, with_record: bool = True) -> Proof:
    """The proof of record ``index`` in ``state``; reads the log once, holds O(log size) hashes.

    Raises ``IndexError`` if there is no such record, ``ExportRefused`` if the log does not add up to the checkpoint.
    """
    size = state.checkpoint.size
    ranges = _siblings(index, size)
    trees = [CompactRange() for _ in ranges]
    whole = CompactRange()
    order = sorted(range(len(ranges)), key=lambda number: ranges[number])
    place, own = 0, b""
    for number, line in enumerate(records(state)):
        leaf = leaf_hash(line)
        whole.append(leaf)
        if number == index:
            own = line
            continue
        while number >= ranges[order[place]][1]:
            place += 1
        trees[order[place]].append(leaf)
    if whole.root() != state.checkpoint.root:
        raise broken(state, "another root")
    return Proof(index, tuple(tree.root() for tree in trees), state.note, own if with_record else b"")


def verify_proof(text: str, trust: Trust, *, record: bytes | None = None) -> Proven:
    """Check a proof offline. Raises ``ProofRejected``.

    ``trust`` lists the log's key (that a root endorsed a key stands in the log, not in a proof) and the witnesses whose
    cosignatures count; other lines of the note are neither checked nor believed. ``record`` is the line (without
    newline) of a proof that does not carry it.
    """
    proof = Proof.parse(text)
    line = proof.extra if record is None else record
    if not line:
        raise ProofRejected("the proof carries no record", mend="give the record's line with --record")
    checkpoint, key, cosigned = _opened(proof.note, trust)
    try:
        verify_inclusion(checkpoint.root, checkpoint.size, proof.index, leaf_hash(line), proof.path)
        found = read_line(line)
    except ProofInvalid as error:
        raise ProofRejected(f"the record does not stand there: {error}") from None
    except NotCanonical as error:
        raise ProofRejected(f"what stands there is no record: {error}") from None
    if found.seq != proof.index or found.origin != checkpoint.origin:
        raise ProofRejected(f"the record calls itself {found.seq} of {found.origin}: the log contradicts itself")
    return Proven(proof.index, checkpoint, key, cosigned, line, found)


def _opened(note: str, trust: Trust) -> tuple[Checkpoint, VerifierKey, tuple[Cosignature, ...]]:
    """The checkpoint of a note that a trusted key signed under its own origin and for this size."""
    complaint = "no key of a log is trusted"
    for entry in trust.keys:
        try:
            text = open_note(note, entry.key, cosigned=True)
            checkpoint = parse_checkpoint(text)
            if checkpoint.origin != entry.key.name:
                complaint = f"{entry.key.name} signed a checkpoint of {checkpoint.origin}"
            elif not trust.covers(entry.key, checkpoint.size):
                complaint = trust.outside(entry.key, checkpoint.size)
            else:
                return checkpoint, entry.key, tuple(cosignatures(note, trust.witnesses))
        except NoteInvalid as error:
            complaint = str(error)
    raise ProofRejected(f"the checkpoint is not trusted: {complaint}")


def _siblings(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots make the audit path, from the leaf up (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise IndexError(f"no leaf {index} in a tree of {size}")
    ranges: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    ranges.reverse()
    return ranges


def _decoded(text: str) -> bytes:
    """Strict base64 (RFC 4648 section 4): one spelling for one value."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise ProofRejected("a base64 field of the proof is malformed") from None
    if not data or base64.b64encode(data).decode() != text:
        raise ProofRejected("a base64 field of the proof is not in its one canonical spelling")
    return data
