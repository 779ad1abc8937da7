"""Logs of one line a record, their checkpoints and proofs, for witnesses to judge."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.record.note import VerifierKey, checkpoint_text, sign_note
from guard.record.sign import Ed25519Signer
from guard.record.tree import consistency_proof, leaf_hash, root_of
from guard.types import Checkpoint, Signer

ORIGIN = "policy-guard-0"
SIGNER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
THIEF = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"t" * 32))
KEY = VerifierKey.of(SIGNER)


class Tree:
    """A log of ``size`` records; another ``story`` is another log from record ``forked_at`` on."""

    def __init__(self, size: int, *, story: str = "true", forked_at: int = 0) -> None:
        self.leaves = [
            leaf_hash(f"{'true' if number < forked_at else story} {number}".encode()) for number in range(size)
        ]

    def checkpoint(self, size: int, *, signers: Iterable[Signer] = (SIGNER,), extension: str = "") -> str:
        """The signed note of the first ``size`` records."""
        text = checkpoint_text(Checkpoint(ORIGIN, size, root_of(self.leaves[:size])))
        return sign_note(text + extension, signers)

    def proof(self, old_size: int, size: int) -> list[bytes]:
        """From one size to a larger one."""
        return consistency_proof(self.leaves[:size], old_size) if old_size else []

    def request(self, old_size: int, size: int) -> bytes:
        """The honest body of an ``add-checkpoint``."""
        return body(old_size, self.proof(old_size, size), self.checkpoint(size))


def body(old_size: int | str, proof: Iterable[bytes], note: str) -> bytes:
    """A request's body of any parts."""
    lines = "".join(f"{base64.b64encode(step).decode()}\n" for step in proof)
    return f"old {old_size}\n{lines}\n{note}".encode()
