"""Cosignatures (C2SP tlog-cosignature): signed as specified, read strictly, and worth nothing over another text."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from guard.record.cosignature import Cosignature, CosignerKey, cosign, cosignatures
from guard.record.note import NoteInvalid, VerifierKey, checkpoint_text, open_note, sign_note, split_note
from guard.record.sign import Ed25519Signer
from guard.types import Checkpoint
from tests.record.logs import KEY, ORIGIN

WITNESS = Ed25519Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
OTHER = Ed25519Signer("witness.example/w2", Ed25519PrivateKey.from_private_bytes(b"v" * 32))
TEXT = checkpoint_text(Checkpoint(ORIGIN, 3, b"r" * 32))
NOTE = sign_note(TEXT, (KEY.signer(ORIGIN),))
SECONDS = 1_679_315_147


def test_the_message_is_header_time_and_note_text() -> None:
    """The signed bytes, the key id and the line are built as the specification says, checked without our verifier."""
    line = cosign(TEXT, WITNESS, seconds=SECONDS)
    dash, name, encoded = line.removesuffix("\n").split(" ")
    data = base64.b64decode(encoded)
    assert (dash, name) == ("\u2014", "witness.example/w1")
    assert data[:4] == sha256(b"witness.example/w1\n\x04" + WITNESS.public_key).digest()[:4]
    assert data[4:12] == SECONDS.to_bytes(8, "big")
    message = f"cosignature/v1\ntime 1679315147\n{TEXT}".encode()
    Ed25519PublicKey.from_public_bytes(WITNESS.public_key).verify(data[12:], message)


def test_a_cosigned_note_opens_under_the_log_key_and_names_its_witnesses() -> None:
    """The log's own signature is found beside the cosignatures, and each known witness tells its time."""
    note = NOTE + cosign(TEXT, WITNESS, seconds=SECONDS) + cosign(TEXT, OTHER, seconds=SECONDS + 1)
    assert open_note(note, VerifierKey.of(KEY.signer(ORIGIN)), cosigned=True) == TEXT
    keys = [CosignerKey.of(OTHER), CosignerKey.of(WITNESS)]
    assert cosignatures(note, keys) == [
        Cosignature("witness.example/w1", SECONDS),
        Cosignature("witness.example/w2", SECONDS + 1),
    ]
    assert cosignatures(note, keys[:1]) == [Cosignature("witness.example/w2", SECONDS + 1)]
    assert cosignatures(NOTE, keys) == []


def test_a_witness_key_reads_as_it_was_written() -> None:
    """A vkey of type 0x04 is its own inverse, and a log's key (0x01) is none of a witness."""
    key = CosignerKey.of(WITNESS)
    assert CosignerKey.parse(key.encode()) == key
    with pytest.raises(NoteInvalid, match="0x04"):
        CosignerKey.parse(VerifierKey.of(WITNESS).encode())
    with pytest.raises(NoteInvalid, match="Ed25519"):
        VerifierKey.parse(key.encode())


def test_a_cosignature_is_worth_nothing_elsewhere() -> None:
    """Over another root, with another time, cut, or made as a plain note signature: refused, not passed over."""
    key = CosignerKey.of(WITNESS)
    genuine = split_note(NOTE + cosign(TEXT, WITNESS, seconds=SECONDS))[1][1]
    assert key.verify(TEXT, genuine) == SECONDS
    stamp, signature = genuine.signature[:8], genuine.signature[8:]
    plain = WITNESS.sign(TEXT.encode())
    for data in (
        (SECONDS + 1).to_bytes(8, "big") + signature,
        bytes(8) + signature,
        stamp + signature[:-1],
        stamp + signature + b"\x00",
        b"\xff" * 8 + signature,
        stamp + plain,
        stamp,
    ):
        with pytest.raises(NoteInvalid):
            key.verify(TEXT, type(genuine)(genuine.name, genuine.key_id, data))
    with pytest.raises(NoteInvalid):
        key.verify(checkpoint_text(Checkpoint(ORIGIN, 3, b"q" * 32)), genuine)


@pytest.mark.parametrize("seconds", [0, -1, 2**63])
def test_a_cosignature_has_a_time(seconds: int) -> None:
    """A time of zero would say nothing of when, and times have 63 bits."""
    with pytest.raises(ValueError, match="time of a cosignature"):
        cosign(TEXT, WITNESS, seconds=seconds)
