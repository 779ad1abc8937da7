"""A signer in a key management service, through securesystemslib: what its URIs name and signs Ed25519, such as
``hashivault:KEY``, or ``file2:PATH`` for an encrypted or plain key file."""

from __future__ import annotations

import base64
from importlib import import_module
from typing import Any, Final

from guard.errors import KeyInvalid
from guard.record.signers.elsewhere import Sign, SignerFailed

_NEEDS: Final = "pip install 'policy-guard[kms]'"


def service_sign(uri: str, public_key: bytes) -> Sign:
    """Signs with the key that securesystemslib finds under ``uri``. Raises ``KeyInvalid`` where it is not installed."""
    try:
        library = import_module("securesystemslib.signer")
    except ImportError as error:
        raise KeyInvalid("the signer for key services is not installed", where="record.signer", mend=_NEEDS) from error
    key = library.SSlibKey(_name(public_key), "ed25519", "ed25519", {"public": public_key.hex()})
    opened: list[Any] = []

    def sign(message: bytes) -> bytes:
        if not opened:
            try:
                opened.append(library.Signer.from_priv_key_uri(uri, key))
            except ImportError as error:
                raise SignerFailed(f"{uri.partition(':')[0]} needs a package: {error}", mend=_NEEDS) from error
        try:
            return bytes.fromhex(opened[0].sign(message).signature)
        except Exception:
            opened.clear()
            raise

    return sign


def _name(public_key: bytes) -> str:
    return base64.urlsafe_b64encode(public_key).decode()[:16]
