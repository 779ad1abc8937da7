"""Cosignatures: what a witness adds to a checkpoint that it found to extend every earlier one it has seen.

Source: C2SP tlog-cosignature (https://c2sp.org/tlog-cosignature), Ed25519, signature type 0x04. The signature of such a
line is ``u64 time || 64 bytes``, over ``cosignature/v1``, ``time <seconds>`` and the note's text, a line each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import msgspec

from guard.record.note import (
    NoteInvalid,
    NoteSignature,
    check_signature,
    encode_key,
    key_id,
    parse_key,
    signature_line,
    split_note,
)
from guard.types import Signer

COSIGNATURE: Final = 0x04
_MAX_TIME: Final = 2**63 - 1


class CosignerKey(msgspec.Struct, frozen=True):
    """A witness: its name and Ed25519 public key (32 bytes)."""

    name: str
    public_key: bytes

    @property
    def id(self) -> bytes:
        """The key id, 4 bytes."""
        return key_id(self.name, self.public_key, COSIGNATURE)

    def encode(self) -> str:
        """The vkey encoding: ``<name>+<8 hex digits of the key id>+<base64(0x04 || public key)>``."""
        return encode_key(self.name, self.public_key, COSIGNATURE)

    @classmethod
    def parse(cls, text: str) -> CosignerKey:
        """The key of a vkey line. Raises ``NoteInvalid``."""
        return cls(*parse_key(text, COSIGNATURE, "a witness's verifier key (type 0x04)"))

    @classmethod
    def of(cls, signer: Signer) -> CosignerKey:
        """The public side of a witness's signer."""
        return cls(signer.name, signer.public_key)

    def made(self, line: NoteSignature) -> bool:
        """Whether the line claims to be by this witness."""
        return line.name == self.name and line.key_id == self.id

    def verify(self, text: str, line: NoteSignature) -> int:
        """The time (seconds since the Unix epoch) at which this witness cosigned ``text``. Raises ``NoteInvalid``."""
        stamp, signature = line.signature[:8], line.signature[8:]
        seconds = int.from_bytes(stamp, "big")
        if len(signature) != 64 or not 0 < seconds <= _MAX_TIME:
            raise NoteInvalid(f"the cosignature of {self.name} is malformed")
        check_signature(self.name, self.public_key, _message(text, seconds), signature)
        return seconds


class Cosignature(msgspec.Struct, frozen=True):
    """A cosignature that verified: by whom, and when (seconds since the Unix epoch)."""

    witness: str
    time: int


def cosign(text: str, signer: Signer, *, seconds: int | None = None) -> str:
    """The cosignature line of a witness over a checkpoint's note text, with its newline; now, if no time is given."""
    stamp = int(time.time()) if seconds is None else seconds
    if not 0 < stamp <= _MAX_TIME:
        raise ValueError("the time of a cosignature lies between 1 and 2**63 - 1")
    signature = stamp.to_bytes(8, "big") + signer.sign(_message(text, stamp))
    return signature_line(signer.name, CosignerKey.of(signer).id, signature)


def cosignatures(note: str, witnesses: Iterable[CosignerKey]) -> list[Cosignature]:
    """Who of ``witnesses`` cosigned a note, a line each, in the note's order; other lines are ignored.

    The log's own signature is not looked at: ``open_note`` does that. Raises ``NoteInvalid`` if the note is malformed
    or a line that names one of the witnesses does not verify.
    """
    text, lines = split_note(note)
    known = list(witnesses)
    return [Cosignature(key.name, key.verify(text, line)) for line in lines for key in known if key.made(line)]


def _message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
