"""The signing keys of one origin, on disk: ``<keys>/origins/<origin>/<16 hex digits>.pem``, named by the public key.

An origin keeps its own name (a hard link) for the deployment's key, so a rotation cannot take away the key under which
a log that sleeps must sign its last commit; when the last origin has gone on, the file's last name goes, and its
content is overwritten. With a key per boot or day each origin makes its own keys here, and the deployment's key
endorses only the first: whoever takes the machine later holds no key that signed an earlier epoch.

The log itself says which of the files is the present key; a crash between the commit and the clean-up loses nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.errors import KeyInvalid
from guard.record.endorse import endorse, read_endorsement, record_name
from guard.record.keyfiles import create_private, destroy, ensure_private_directory
from guard.record.pem import load_signing_key, pem_of
from guard.record.segment import fsync_directory
from guard.record.sign import Ed25519Signer, Reason, SigningKeys, Succession, not_held
from guard.types import Signer

KeyPer: TypeAlias = Literal["deployment", "boot", "day"]
MakeSigner: TypeAlias = Callable[[str], Signer]


class Deployment(msgspec.Struct, frozen=True):
    """The deployment's signing key: ``signer`` makes its signer under a key name, ``path`` is its file (``None`` for a
    key that is elsewhere), ``endorsements`` are a root's notes, ``previous`` makes signers of keys that it replaced."""

    signer: MakeSigner
    path: Path | None = None
    endorsements: tuple[str, ...] = ()
    previous: tuple[MakeSigner, ...] = ()


class OriginKeys(SigningKeys):
    """``deployment`` is asked whenever its key is needed, so a rotation shows without a restart. ``today`` gives the
    day (UTC, ISO 8601)."""

    def __init__(
        self,
        origin: str,
        directory: Path,
        deployment: Callable[[], Deployment],
        per: KeyPer = "deployment",
        *,
        today: Callable[[], str] | None = None,
    ) -> None:
        """``directory`` is that of all keys."""
        self.name = origin
        self._directory = directory / "origins" / origin
        self._deployment = deployment
        self._per = per
        self._today = today or (lambda: _day(datetime.now(UTC).timestamp()))
        self._made: set[bytes] = set()

    def first(self) -> Signer:
        """The deployment's key, or one of the origin's own."""
        if self._per != "deployment":
            return self._new()
        deployment = self._deployment()
        self._adopt(deployment)
        return deployment.signer(self.name)

    def begun(self, signer: Signer) -> tuple[str, ...]:
        """Notes that lead from a root, or from the deployment's key, to this one."""
        deployment = self._deployment()
        endorser = deployment.signer(record_name(self.name))
        notes = _fitting(deployment, self.name, endorser.public_key, None)
        if signer.public_key == endorser.public_key:
            return notes
        return (*notes, endorse(self.name, signer.public_key, None, (endorser,)))

    def held(self, public_key: bytes) -> Signer:
        """From the origin's own files, else the deployment's keys."""
        own = self._own(public_key)
        if own is not None:
            return own
        deployment = self._deployment()
        signer = self._known(deployment, public_key)
        if signer is None:
            raise not_held(self.name)
        if signer.public_key == deployment.signer(self.name).public_key:
            self._adopt(deployment)
        return signer

    def holds(self, public_key: bytes) -> bool:
        """Whether ``held`` would give a signer. Changes nothing. Raises ``KeyInvalid`` for a file that is damaged."""
        return self._own(public_key) is not None or self._known(self._deployment(), public_key) is not None

    def _own(self, public_key: bytes) -> Signer | None:
        path = self._path(public_key)
        if not path.exists():
            return None
        key = Ed25519Signer(self.name, load_signing_key(path))
        if key.public_key != public_key:
            raise KeyInvalid("the file holds another key than its name says", where=str(path), mend="restore it")
        return key

    def _known(self, deployment: Deployment, public_key: bytes) -> Signer | None:
        signers = (make(self.name) for make in (deployment.signer, *deployment.previous))
        return next((signer for signer in signers if signer.public_key == public_key), None)

    def successor(self, signer: Signer, used: Collection[bytes], *, opening: bool) -> Succession | None:
        """The deployment's key if it was rotated, or a new one where the boot or the day is new."""
        notes: tuple[str, ...] = ()
        if self._per == "deployment":
            deployment = self._deployment()
            following = deployment.signer(self.name)
            if following.public_key == signer.public_key:
                return None
            if following.public_key in used:
                raise KeyInvalid(
                    "the deployment's signing key signed this log before, and was replaced since: no key comes back",
                    where=self.name,
                    mend="guard keys rotate",
                )
            self._adopt(deployment)
            notes = _fitting(deployment, self.name, following.public_key, signer.public_key)
            reason: Reason = "rotate"
        elif self._due(signer, opening=opening):
            following = self._new()
            reason = "boot" if self._per == "boot" else "day"
        else:
            return None
        return Succession(
            following, reason, (*notes, endorse(self.name, following.public_key, signer.public_key, (signer,)))
        )

    def settled(self, signer: Signer) -> None:
        """Destroys the origin's files of all other keys."""
        own = self._path(signer.public_key).name
        if self._directory.is_dir():
            for path in self._directory.glob("*.pem"):
                if path.name != own:
                    destroy(path)

    def _due(self, signer: Signer, *, opening: bool) -> bool:
        if self._per == "boot":
            return opening and signer.public_key not in self._made
        path = self._path(signer.public_key)
        own = path.exists() and path.stat().st_nlink == 1
        return not own or _day(path.stat().st_mtime) != self._today()

    def _new(self) -> Signer:
        ensure_private_directory(self._directory)
        key = Ed25519PrivateKey.generate()
        signer = Ed25519Signer(self.name, key)
        create_private(self._path(signer.public_key), lambda: pem_of(key))
        self._made.add(signer.public_key)
        return signer

    def _adopt(self, deployment: Deployment) -> None:
        """Give the deployment's key file a name of this origin's."""
        if deployment.path is None:
            return
        ensure_private_directory(self._directory)
        target = self._path(deployment.signer(self.name).public_key)
        try:
            os.link(deployment.path, target, follow_symlinks=False)
        except FileExistsError:
            return
        fsync_directory(self._directory)

    def _path(self, public_key: bytes) -> Path:
        return self._directory / f"{key_file_name(public_key)}.pem"


def key_file_name(public_key: bytes) -> str:
    """16 hex digits of the SHA-256 of a public key (32 bytes)."""
    return sha256(public_key).hexdigest()[:16]


def _fitting(deployment: Deployment, origin: str, key: bytes, before: bytes | None) -> tuple[str, ...]:
    return tuple(note for note in deployment.endorsements if read_endorsement(note).fits(origin, key, before))


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
