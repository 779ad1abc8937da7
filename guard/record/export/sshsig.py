"""An OpenSSH signature over a checkpoint, for those whose tool is ``ssh-keygen -Y verify``.

OpenSSH signs a text of its own making (PROTOCOL.sshsig in its sources), so the signature of the checkpoint note does
not serve: the holder of the log's key makes another one. The signed text holds NUL bytes, which no note may, so neither
signature can be passed off as the other.
"""

from __future__ import annotations

import base64
from hashlib import sha512
from typing import Final

from guard.record.export.source import State
from guard.record.note import NoteInvalid, VerifierKey, open_note, split_note
from guard.types import Signer

NAMESPACE: Final = "checkpoint@policy-guard"
_MAGIC: Final = b"SSHSIG"
_KEY_TYPE: Final = b"ssh-ed25519"
_HASH: Final = b"sha512"
_WIDTH: Final = 70


def signed_by(state: State, signer: Signer) -> bool:
    """Whether this signer's key signed the checkpoint itself."""
    try:
        open_note(state.note, VerifierKey.of(signer), cosigned=True)
    except NoteInvalid:
        return False
    return True


def sign_checkpoint(state: State, signer: Signer) -> str:
    """The armored SSHSIG of the checkpoint's text (its note up to the empty line) in the namespace ``NAMESPACE``."""
    return armored(signed_text(state).encode(), signer)


def armored(message: bytes, signer: Signer) -> str:
    """The armored SSHSIG of ``message``."""
    namespace = NAMESPACE.encode()
    signed = _MAGIC + _strings(namespace, b"", _HASH, sha512(message).digest())
    signature = _strings(_KEY_TYPE, signer.sign(signed))
    blob = _MAGIC + (1).to_bytes(4, "big") + _strings(_public(signer.public_key), namespace, b"", _HASH, signature)
    encoded = base64.b64encode(blob).decode()
    lines = [encoded[at : at + _WIDTH] for at in range(0, len(encoded), _WIDTH)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def allowed_signer(key: VerifierKey) -> str:
    """The line of an ``allowed_signers`` file that lets ``key`` sign checkpoints, and nothing else."""
    encoded = base64.b64encode(_public(key.public_key)).decode()
    return f'{key.name} namespaces="{NAMESPACE}" {_KEY_TYPE.decode()} {encoded}\n'


def signed_text(state: State) -> str:
    """What is signed: the checkpoint note's text."""
    return split_note(state.note)[0]


def _public(key: bytes) -> bytes:
    return _strings(_KEY_TYPE, key)


def _strings(*parts: bytes) -> bytes:
    """Strings as SSH writes them: a length in four bytes, then the bytes (RFC 4251 section 5)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
