"""A signer in a PKCS#11 token (OASIS PKCS #11 3.0, CKM_EDDSA): a hardware security module, or SoftHSM.

Through ``python-pkcs11``; securesystemslib's signer for tokens knows ECDSA only, and checkpoints are Ed25519.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from guard.errors import KeyInvalid
from guard.record.keyfiles import read_private
from guard.record.signers.elsewhere import SignerFailed

_NEEDS: Final = "pip install 'policy-guard[kms]'"


class Token:
    """One key pair in one token. Nothing is opened before it is needed, so that a fork does not share a session; a
    session that failed is opened anew."""

    def __init__(self, module: Path, *, token: str, key: str, pin_file: Path | None) -> None:
        """``module`` is the vendor's library; ``token`` and ``key`` are labels; ``pin_file`` (mode 0600) holds the
        user's PIN."""
        self._module = module
        self._token = token
        self._key = key
        self._pin_file = pin_file
        self._private: Any = None

    def public_key(self) -> bytes:
        """The 32 bytes of the token's public key. Raises ``KeyInvalid``."""
        from pkcs11 import Attribute, ObjectClass

        session = self._session()
        try:
            found = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=self._key)
            point = bytes(found[Attribute.EC_POINT])
        except Exception as error:
            raise self._refused(f"its public key {self._key!r} cannot be read ({type(error).__name__})") from error
        finally:
            session.close()
        # An octet string in DER (0x04, length) around the 32 bytes (PKCS #11 3.0, section 2.3.5), or bare.
        if len(point) not in (32, 34):
            raise self._refused(f"its key {self._key!r} is no Ed25519 key")
        return point[-32:]

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature. Raises ``SignerFailed``, and whatever the driver raises."""
        from pkcs11 import Mechanism, ObjectClass

        try:
            if self._private is None:
                self._private = self._session().get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._key)
            return bytes(self._private.sign(message, mechanism=Mechanism.EDDSA))
        except KeyInvalid as error:
            raise SignerFailed(error.what, where=error.where, mend=error.mend) from error
        except Exception:
            self._private = None
            raise

    def _session(self) -> Any:
        try:
            import pkcs11
        except ImportError as error:
            raise KeyInvalid("the PKCS#11 signer is not installed", where="record.signer", mend=_NEEDS) from error
        pin = None if self._pin_file is None else read_private(self._pin_file).decode("utf-8", "replace").strip()
        try:
            token = pkcs11.lib(str(self._module)).get_token(token_label=self._token)
            try:
                return token.open(user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:
                # Whoever logs in logs in for the whole process (PKCS #11 2.40, section 5.6).
                return token.open()
        except Exception as error:
            raise self._refused(f"it cannot be opened ({type(error).__name__})") from error

    def _refused(self, what: str) -> KeyInvalid:
        return KeyInvalid(
            f"the PKCS#11 token {self._token!r}: {what}",
            where=str(self._module),
            mend="pkcs11-tool --module MODULE --list-objects --login shows what it holds",
        )
