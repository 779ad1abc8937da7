"""Signed notes and checkpoints: the C2SP formats, byte by byte, and checked by a tool that is not ours."""

from __future__ import annotations

import base64
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guard.record.note import (
    NoteInvalid,
    VerifierKey,
    checkpoint_text,
    open_note,
    parse_checkpoint,
    sign_note,
    split_note,
)
from guard.record.sign import Ed25519Signer
from guard.types import Checkpoint, Signer

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
SIGNER = Ed25519Signer("example.com/log", PRIVATE)
OTHER = Ed25519Signer("example.com/witness", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
KEY = VerifierKey.of(SIGNER)
TEXT = "example.com/log\n3\nrra8/ieLFKcLcftHpeVFeCZNsP/6WvSuOFm6zRWPKOY=\n"

# The verifier key and note of the package documentation of Go's golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_published_by_another_implementation_opens() -> None:
    """The example of Go's note package verifies under its published key."""
    text = open_note(GO_NOTE, VerifierKey.parse(GO_KEY))
    assert text.startswith("If you think cryptography")
    assert VerifierKey.parse(GO_KEY).encode() == GO_KEY


def test_a_note_has_the_bytes_that_the_specification_describes() -> None:
    """A note built by hand from the C2SP text is the note that we write."""
    key_hash = sha256(b"example.com/log\n\x01" + PUBLIC).digest()[:4]
    signature = base64.b64encode(key_hash + PRIVATE.sign(TEXT.encode())).decode()
    assert sign_note(TEXT, (SIGNER,)) == f"{TEXT}\n— example.com/log {signature}\n"


def test_a_verifier_key_has_the_form_that_the_specification_describes() -> None:
    """A vkey is name, hexadecimal key id and base64 of the algorithm byte and the key, joined by plus signs."""
    key_hash = sha256(b"example.com/log\n\x01" + PUBLIC).digest()[:4].hex()
    expected = f"example.com/log+{key_hash}+{base64.b64encode(bytes([1]) + PUBLIC).decode()}"
    assert KEY.encode() == expected
    assert VerifierKey.parse(expected) == KEY


def test_a_checkpoint_is_origin_size_and_root() -> None:
    """The checkpoint text goes both ways."""
    checkpoint = Checkpoint("example.com/log", 3, base64.b64decode(TEXT.split("\n")[2]))
    assert checkpoint_text(checkpoint) == TEXT
    assert parse_checkpoint(TEXT) == checkpoint


def test_openssl_accepts_the_signature(tmp_path: Path) -> None:
    """OpenSSL, given the note's text, the key and the 64 bytes, says that the signature verifies; and not otherwise."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl binary: apt-get install openssl")
    text, (signature,) = split_note(sign_note(TEXT, (SIGNER,)))
    (tmp_path / "text").write_bytes(text.encode())
    (tmp_path / "signature").write_bytes(signature.signature)
    (tmp_path / "key.pem").write_bytes(
        PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    command = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem"]
    command += ["-in", "text", "-sigfile", "signature"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "text").write_bytes(text.replace("\n3\n", "\n4\n").encode())
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_our_signer_meets_the_protocol() -> None:
    """The file signer is a ``guard.types.Signer``, as others may be."""
    assert isinstance(SIGNER, Signer)


@pytest.mark.parametrize("position", range(len(sign_note(TEXT, (SIGNER,)).encode())))
def test_every_changed_byte_is_noticed(position: int) -> None:
    """Attack: no byte of a signed note can change."""
    note = bytearray(sign_note(TEXT, (SIGNER,)).encode())
    note[position] ^= 0x01
    with pytest.raises((NoteInvalid, UnicodeDecodeError)):
        open_note(note.decode(), KEY)


def test_signatures_of_others_have_no_place_in_a_commit() -> None:
    """Attack: a signature line smuggled into a commit is refused; in a cosigned checkpoint it is let be."""
    note = sign_note(TEXT, (SIGNER, OTHER))
    with pytest.raises(NoteInvalid, match="no place"):
        open_note(note, KEY)
    assert open_note(note, KEY, cosigned=True) == TEXT
    with pytest.raises(NoteInvalid, match="no place"):
        open_note(sign_note(TEXT, (SIGNER, SIGNER)), KEY, cosigned=True)


def test_a_note_of_another_key_is_refused() -> None:
    """Attack: a note under the right name and another key is not ours."""
    impostor = Ed25519Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"i" * 32))
    with pytest.raises(NoteInvalid, match="not signed by"):
        open_note(sign_note(TEXT, (impostor,)), KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/log\n3\n",
        TEXT + "extension\n",
        TEXT.replace("\n3\n", "\n03\n"),
        TEXT.replace("\n3\n", "\n-3\n"),
        TEXT.replace("\n3\n", "\n3.0\n"),
        TEXT.replace("OY=\n", "OZ=\n"),
        TEXT.replace("OY=\n", "OY\n"),
        "\n3\nrra8/ieLFKcLcftHpeVFeCZNsP/6WvSuOFm6zRWPKOY=\n",
        "example.com/log\n3\nAAAA\n",
    ],
)
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    """Leading zeros, loose base64, extension lines and missing fields are refused."""
    with pytest.raises(NoteInvalid):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        KEY.encode().replace("example", "elpmaxe"),
        KEY.encode().upper(),
        KEY.encode() + "\n",
        "two words+00000000+AAAA",
        KEY.encode()[:-4],
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    """A key whose id does not belong to its name and bytes, or with loose spelling, is refused."""
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(vkey)


@pytest.mark.parametrize(
    "note",
    ["", TEXT, TEXT + "\n", TEXT + "\nsignature\n", TEXT + "\n— name\n", TEXT + "\n— name AAAA\n", TEXT + "\x00\n\n"],
)
def test_a_text_without_proper_signature_lines_is_no_note(note: str) -> None:
    """A note has a text, an empty line and signature lines, and no control characters."""
    with pytest.raises(NoteInvalid):
        split_note(note)
