"""Endorsements: one key's signed word that another may sign a log after it.

An endorsement is a C2SP signed note (https://c2sp.org/signed-note), so that others' tools verify it, over four lines::

    policy-guard/key/v1
    <scope>         an origin (``policy-guard-0``), or a record name (``policy-guard``) for all origins of that name
    <key>           base64(0x01 || 32 bytes of Ed25519): who may sign
    <before>        the same of the key that it replaces; ``-`` for one that replaces none

No checkpoint reads as one, and none as a checkpoint: a checkpoint has three lines. The key that is replaced stands in
the text, so that an endorsement fits one place of a log and no earlier one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Final

import msgspec

from guard.record.note import ED25519, NoteInvalid, VerifierKey, open_note, sign_note, split_note
from guard.types import Signer

HEAD: Final = "policy-guard/key/v1"
_NOBODY: Final = "-"


class Endorsement(msgspec.Struct, frozen=True):
    """An endorsement as its note says; nobody has verified it. Keys are 32 bytes; ``note`` is the signed text."""

    scope: str
    key: bytes
    before: bytes | None
    note: str

    def fits(self, origin: str, key: bytes, before: bytes | None) -> bool:
        """Whether it lets ``key`` follow ``before`` in the log of ``origin``."""
        return self.scope in (origin, record_name(origin)) and self.key == key and self.before == before

    def signed_by(self, endorser: VerifierKey) -> bool:
        """Whether that key signed it, under its own name. Other signature lines are not looked at."""
        try:
            open_note(self.note, endorser, cosigned=True)
        except NoteInvalid:
            return False
        return True


def endorse(scope: str, key: bytes, before: bytes | None, endorsers: Iterable[Signer]) -> str:
    """The note with which the endorsers let ``key`` (32 bytes) follow ``before``."""
    lines = (HEAD, scope, _encode(key), _NOBODY if before is None else _encode(before), "")
    return sign_note("\n".join(lines), endorsers)


def read_endorsement(note: str) -> Endorsement:
    """The endorsement that a note holds; nothing is verified. Raises ``NoteInvalid``."""
    text, _ = split_note(note)
    lines = text.split("\n")
    if len(lines) != 5 or lines[0] != HEAD or lines[4]:
        raise NoteInvalid("the note is no endorsement of a key")
    return Endorsement(lines[1], _decode(lines[2]), None if lines[3] == _NOBODY else _decode(lines[3]), note)


def record_name(origin: str) -> str:
    """The ``record.name`` of an origin ``<name>-<n>``."""
    return origin.rpartition("-")[0]


def _encode(key: bytes) -> str:
    return base64.b64encode(bytes((ED25519,)) + key).decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != 33 or data[0] != ED25519 or _encode(data[1:]) != text:
        raise NoteInvalid("an endorsement names no Ed25519 key")
    return data[1:]
