"""Signed notes and checkpoints in the public C2SP formats, so that others' tools read ours.

Sources: C2SP signed-note (https://c2sp.org/signed-note) and tlog-checkpoint (https://c2sp.org/tlog-checkpoint). A note
is a text that ends in a newline, an empty line, and signature lines ``— <key name> <base64(key id || signature)>``.
Only Ed25519 (algorithm 0x01) is known here; witnesses' lines (0x04) are read by ``guard.record.cosignature``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from guard.types import Checkpoint, Signer

ED25519: Final = 0x01
_MAX_NOTE: Final = 65_535
_KEY_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")


class NoteInvalid(ValueError):
    """A note, checkpoint or verifier key is malformed, or no trusted key signed it."""


def key_id(name: str, public_key: bytes, algorithm: int = ED25519) -> bytes:
    """The 4 bytes that stand before a signature: SHA-256(name || 0x0A || algorithm || public key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes((algorithm,)) + public_key).digest()[:4]


class VerifierKey(msgspec.Struct, frozen=True):
    """A named Ed25519 public key (32 bytes)."""

    name: str
    public_key: bytes

    @property
    def id(self) -> bytes:
        """The key id, 4 bytes."""
        return key_id(self.name, self.public_key)

    def encode(self) -> str:
        """The vkey encoding: ``<name>+<8 hex digits of the key id>+<base64(0x01 || public key)>``."""
        return encode_key(self.name, self.public_key, ED25519)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key of a vkey line. Raises ``NoteInvalid``."""
        return cls(*parse_key(text, ED25519, "an Ed25519 verifier key"))

    @classmethod
    def of(cls, signer: Signer) -> VerifierKey:
        """The public side of a signer."""
        return cls(signer.name, signer.public_key)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raises ``NoteInvalid`` unless ``signature`` (64 bytes) is this key's over ``message``."""
        check_signature(self.name, self.public_key, message, signature)


def encode_key(name: str, public_key: bytes, algorithm: int) -> str:
    """The vkey encoding of a named public key."""
    encoded = base64.b64encode(bytes((algorithm,)) + public_key).decode()
    return f"{name}+{key_id(name, public_key, algorithm).hex()}+{encoded}"


def parse_key(text: str, algorithm: int, what: str) -> tuple[str, bytes]:
    """Name and 32-byte public key of a vkey of this algorithm; ``what`` names the kind. Raises ``NoteInvalid``."""
    name, _, rest = text.partition("+")
    hexadecimal, _, encoded = rest.partition("+")
    data = _base64(encoded)
    if not _KEY_NAME.fullmatch(name) or len(data) != 33 or data[0] != algorithm:
        raise NoteInvalid(f"not {what} of the form name+hash+base64")
    if key_id(name, data[1:], algorithm).hex() != hexadecimal:
        raise NoteInvalid(f"the key id {hexadecimal} does not belong to the name and key beside it")
    return name, data[1:]


def check_signature(name: str, public_key: bytes, message: bytes, signature: bytes) -> None:
    """Raises ``NoteInvalid`` unless ``signature`` is the Ed25519 signature of ``name``'s key over ``message``."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise NoteInvalid(f"the signature of {name} does not verify") from None


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes


def sign_note(text: str, signers: Iterable[Signer]) -> str:
    """The note of ``text`` (which ends in a newline) under the signers' keys."""
    message = text.encode()
    lines = [
        signature_line(signer.name, key_id(signer.name, signer.public_key), signer.sign(message)) for signer in signers
    ]
    return f"{text}\n{''.join(lines)}"


def signature_line(name: str, key_id: bytes, signature: bytes) -> str:
    """One signature line, with its newline."""
    return f"\u2014 {name} {base64.b64encode(key_id + signature).decode()}\n"


def split_note(note: str) -> tuple[str, list[NoteSignature]]:
    """Text and signatures of a note; nothing is verified. Raises ``NoteInvalid``."""
    if len(note) > _MAX_NOTE or _CONTROL.search(note):
        raise NoteInvalid("the note is too long or holds control characters")
    end = note.rfind("\n\n")
    if end < 0 or not note.endswith("\n"):
        raise NoteInvalid("the note has no signatures")
    text, block = note[: end + 1], note[end + 2 :]
    if not block:
        raise NoteInvalid("the note has no signatures")
    return text, [_signature(line) for line in block[:-1].split("\n")]


def open_note(note: str, key: VerifierKey, *, cosigned: bool = False) -> str:
    """The text of a note that ``key`` signed. Raises ``NoteInvalid``.

    Lines by other keys are refused, unless ``cosigned`` allows them (then they are neither checked nor believed, as
    the specification says).
    """
    text, signatures = split_note(note)
    own = [line for line in signatures if line.name == key.name and line.key_id == key.id]
    if not own:
        raise NoteInvalid(f"the note is not signed by {key.name} ({key.id.hex()})")
    if len(own) > 1 or (len(signatures) > 1 and not cosigned):
        raise NoteInvalid("the note carries signature lines that have no place there")
    key.verify(text.encode(), own[0].signature)
    return text


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The note text of a checkpoint: origin, size and base64 root, a line each."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root).decode()}\n"


def parse_checkpoint(text: str, *, extended: bool = False) -> Checkpoint:
    """The checkpoint of a note text; with ``extended``, extension lines may follow. Raises ``NoteInvalid``."""
    lines = text.split("\n")
    if extended and len(lines) > 4 and all(lines[3:-1]):
        lines[3:-1] = []
    if len(lines) != 4 or lines[3] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise NoteInvalid("not a checkpoint of origin, size and root")
    root = _base64(lines[2])
    if len(root) != 32:
        raise NoteInvalid("the root of a checkpoint has 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _base64(encoded)
    if dash != "\u2014" or not _KEY_NAME.fullmatch(name) or len(data) < 5:
        raise NoteInvalid("a signature line is malformed")
    return NoteSignature(name, data[:4], data[4:])


def _base64(text: str) -> bytes:
    """Strict RFC 4648 section 4: one spelling for one value (spare bits are zero)."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid("a base64 field is malformed") from None
    if base64.b64encode(data).decode() != text:
        raise NoteInvalid("a base64 field is not in its one canonical spelling")
    return data
