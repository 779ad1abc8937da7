"""What a witness keeps on its disk: its key, and the last checkpoint that it cosigned of each log.

::

    <state>/lock                        held by the running witness (flock)
    <state>/witness.pem                 its private key, mode 0600
    <state>/witness.vkey                its name and public key, for those who configure it
    <state>/logs/<SHA-256 of origin>.note       the last checkpoint, with the log's signature and the cosignature
    <state>/evidence/<SHA-256 of origin>/...    notes that the log signed and that contradict what was cosigned
"""

from __future__ import annotations

import fcntl
import os
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guard.errors import ConfigError, GuardError
from guard.record.cosignature import CosignerKey
from guard.record.keyfiles import create_private, ensure_private_directory
from guard.record.keys import load_signing_key
from guard.record.note import NoteInvalid, parse_checkpoint, split_note
from guard.record.segment import make_directory, replace_file
from guard.record.sign import Ed25519Signer
from guard.types import Checkpoint

MAX_EVIDENCE: Final = 100
"""How many contradicting notes are kept of one log: whoever has its key could make any number."""

_MAX_NOTE_BYTES: Final = 65_536


class WitnessStateInvalid(GuardError):
    """The state of a witness does not read, or another process uses it. It cosigns nothing."""

    code = "witness_state_invalid"


class WitnessState:
    """The directory of one witness, locked for this process. Not more than one thread for one origin at a time."""

    def __init__(self, directory: Path, name: str | None) -> None:
        """Takes the lock; makes key and directory where they are missing. ``name`` is the key name, which a state that
        exists has already.

        Raises ``WitnessStateInvalid``, ``KeyInvalid``, ``ConfigError`` or ``OSError``.
        """
        ensure_private_directory(directory)
        self._directory = directory
        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._lock()
            self.signer = self._own_signer(name)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def key(self) -> CosignerKey:
        """What clients configure."""
        return CosignerKey.of(self.signer)

    def close(self) -> None:
        """Let another process have the state."""
        os.close(self._fd)

    def note(self, origin: str) -> str | None:
        """The note that was cosigned last; ``None`` if none was. Raises ``WitnessStateInvalid`` or ``OSError``."""
        path = self._path(origin)
        try:
            with path.open("rb") as file:
                return file.read(_MAX_NOTE_BYTES).decode()
        except FileNotFoundError:
            return None
        except ValueError:
            raise self._invalid(path, "it is not UTF-8") from None

    def checkpoint(self, origin: str) -> Checkpoint | None:
        """The checkpoint that was cosigned last; ``None`` if none was. Raises ``WitnessStateInvalid`` or ``OSError``.

        A file that does not read is never taken for none: that would forget what the log must extend.
        """
        note = self.note(origin)
        if note is None:
            return None
        try:
            text, lines = split_note(note)
            checkpoint = parse_checkpoint(text, extended=True)
            own = [line for line in lines if self.key.made(line)]
            if checkpoint.origin != origin or not own:
                raise NoteInvalid("it is not what this witness keeps of that log")
            for line in own:
                self.key.verify(text, line)
        except NoteInvalid as error:
            raise self._invalid(self._path(origin), str(error)) from None
        return checkpoint

    def keep(self, origin: str, note: str) -> None:
        """Remember a cosigned note, durably, in the place of the last one. Raises ``OSError``: then the last one
        stands."""
        path = self._path(origin)
        if not path.parent.is_dir():
            make_directory(path.parent)
        replace_file(path, note.encode())

    def keep_evidence(self, origin: str, kind: str, held: str, offered: str) -> Path | None:
        """Keep two notes that contradict each other; the file, or ``None`` once there are too many.

        The file holds both notes, the one that was cosigned first, with a line of ``-`` between. Raises ``OSError``.
        """
        directory = self._directory / "evidence" / digest_of(origin)
        if not directory.is_dir():
            make_directory(directory)
        path = directory / f"{kind}-{sha256(offered.encode()).hexdigest()[:16]}.notes"
        if path.exists():
            return path
        if sum(1 for _ in directory.iterdir()) >= MAX_EVIDENCE:
            return None
        replace_file(path, f"{held}-----\n{offered}".encode())
        return path

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WitnessStateInvalid(
                "another process is the witness of this state", where=str(self._directory), mend="stop it first"
            ) from None

    def _own_signer(self, name: str | None) -> Ed25519Signer:
        path = self._directory / "witness.vkey"
        if not path.exists():
            if name is None:
                raise ConfigError(
                    "a new witness needs a name", where=str(self._directory), mend="--name witness.example.com/1"
                )
            create_private(self._directory / "witness.pem", _new_key)
        key = load_signing_key(self._directory / "witness.pem")
        if name is not None and not path.exists():
            signer = Ed25519Signer(name, key)
            try:
                CosignerKey.parse(CosignerKey.of(signer).encode())
            except NoteInvalid:
                raise ConfigError(
                    f"{name!r} is no key name", where="--name", mend="a name without spaces and without +"
                ) from None
            replace_file(path, f"{CosignerKey.of(signer).encode()}\n".encode())
            return signer
        try:
            kept = CosignerKey.parse(path.read_text(encoding="utf-8").strip())
        except (NoteInvalid, UnicodeDecodeError) as error:
            raise self._invalid(path, str(error)) from None
        signer = Ed25519Signer(kept.name, key)
        if CosignerKey.of(signer) != kept:
            raise self._invalid(path, "it does not belong to witness.pem")
        if name not in (None, kept.name):
            raise ConfigError(
                f"this witness is {kept.name}", where="--name", mend="leave --name out, or begin with another --state"
            )
        return signer

    def _path(self, origin: str) -> Path:
        return self._directory / "logs" / f"{digest_of(origin)}.note"

    @staticmethod
    def _invalid(path: Path, why: str) -> WitnessStateInvalid:
        return WitnessStateInvalid(
            f"the state of the witness does not read: {why}",
            where=str(path),
            mend="restore the file as it was last; with an older one the witness would cosign a fork",
        )


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def digest_of(origin: str) -> str:
    """How the protocol names an origin in addresses."""
    return sha256(origin.encode()).hexdigest()
