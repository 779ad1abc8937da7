"""The deployment's signing key with what roots said of it, and how it is replaced.

``<keys>/log-signing.pem`` is the key, ``log-signing.notes`` a JSON list of endorsements (``guard.record.endorse``) of
it and of keys before it; ``log-signing.next.pem`` is a key that is prepared for an endorsement made elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.errors import GuardError, KeyInvalid
from guard.record.endorse import endorse, read_endorsement
from guard.record.keyfiles import create_private, destroy, ensure_private_directory, read_private
from guard.record.keys import SIGNING_KEY
from guard.record.note import NoteInvalid
from guard.record.origin_keys import Deployment, KeyPer, MakeSigner, OriginKeys
from guard.record.pem import load_signing_key, pem_of
from guard.record.segment import fsync_directory, replace_file
from guard.record.sign import Ed25519Signer
from guard.types import Signer

NOTES: Final = "log-signing.notes"
NEXT_KEY: Final = "log-signing.next.pem"


class DeploymentKeys:
    """The signing keys of one deployment, for all its origins. ``origin`` is what a log asks for.

    ``elsewhere`` makes signers, by key name, of a key that is no file here (KMS, command); ``previous`` those of such
    keys that were replaced, which sign once more: the change in each log that they signed.
    """

    def __init__(
        self,
        directory: Path,
        per: KeyPer = "deployment",
        *,
        elsewhere: MakeSigner | None = None,
        previous: Sequence[MakeSigner] = (),
    ) -> None:
        self._directory = directory
        self._per = per
        self._elsewhere = elsewhere
        self._previous = tuple(previous)

    def origin(self, origin: str) -> OriginKeys:
        """The keys of an origin."""
        return OriginKeys(origin, self._directory, self.present, self._per)

    def holds(self, origin: str, key: bytes) -> bool:
        """Whether the signer of a public key (32 bytes) is here, for this origin. Changes nothing."""
        try:
            return self.origin(origin).holds(key)
        except GuardError:
            return False

    def present(self) -> Deployment:
        """The deployment's key as it is now. Raises ``KeyInvalid``."""
        notes = read_notes(self._directory)
        path = self._directory / SIGNING_KEY
        if self._elsewhere is None:
            return Deployment(file_signer(path), path, notes, self._previous)
        # A key file that is still here signed before the key moved elsewhere.
        before = (file_signer(path),) if path.exists() else ()
        return Deployment(self._elsewhere, None, notes, (*before, *self._previous))


def file_signer(path: Path) -> MakeSigner:
    """Makes signers of the key in a PEM file. Raises ``KeyInvalid``."""
    key = load_signing_key(path)
    return lambda name: Ed25519Signer(name, key)


def read_notes(directory: Path) -> tuple[str, ...]:
    """The endorsements that lie beside the keys; none where no root was ever used. Raises ``KeyInvalid``."""
    path = directory / NOTES
    if not path.exists():
        return ()
    try:
        notes = msgspec.json.decode(read_private(path), type=list[str])
        for note in notes:
            read_endorsement(note)
    except (msgspec.DecodeError, NoteInvalid) as error:
        mend = "restore it from your backup, or remove it: then nothing leads from the root to later keys"
        raise KeyInvalid(f"the endorsements do not read: {error}", where=str(path), mend=mend) from error
    return tuple(notes)


def add_notes(directory: Path, notes: Iterable[str]) -> None:
    """Keep further endorsements."""
    known = read_notes(directory)
    kept = [*known, *(note for note in notes if note not in known)]
    replace_file(directory / NOTES, msgspec.json.encode(kept))


def held_keys(directory: Path) -> list[bytes]:
    """The public keys (32 bytes) that some log may be at: the present one, and those that origins still hold. Raises
    ``KeyInvalid``."""
    paths = [directory / SIGNING_KEY, *sorted(directory.glob("origins/*/*.pem"))]
    found: dict[bytes, None] = {}
    for path in paths:
        found[Ed25519Signer("", load_signing_key(path)).public_key] = None
    return list(found)


def endorse_deployment(name: str, key: bytes, before: Iterable[bytes | None], root: Signer) -> list[str]:
    """A root's notes: ``key`` may follow each of ``before`` in the logs of ``name``; ``None``: it may begin one."""
    return [endorse(name, key, old, (root,)) for old in before]


def prepare_next(directory: Path) -> bytes:
    """Make the key that a rotation will put in place, unless there is one already; its public key. Raises
    ``KeyInvalid``."""
    ensure_private_directory(directory)
    path = directory / NEXT_KEY
    create_private(path, lambda: pem_of(Ed25519PrivateKey.generate()))
    return Ed25519Signer("", load_signing_key(path)).public_key


def rotate(directory: Path) -> None:
    """Put the prepared key in the place of the present one.

    A log goes on under it when its writer next looks: at its next heartbeat or opening. Origins that signed under the
    old key keep it until then. Where none did, it is destroyed here.
    """
    present, following = directory / SIGNING_KEY, directory / NEXT_KEY
    load_signing_key(following)
    kept = directory / f".{SIGNING_KEY}.old"
    kept.unlink(missing_ok=True)
    os.link(present, kept, follow_symlinks=False)
    following.replace(present)
    fsync_directory(directory)
    destroy(kept)
