"""What all signers outside of this process share: a deadline, and a proof of what they return."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from guard.errors import KeyInvalid, LogUnavailable
from guard.record.note import NoteInvalid, VerifierKey

Sign: TypeAlias = Callable[[bytes], bytes]
_MEND: Final = "look at the signer; the log opens again by itself when it works"


class SignerFailed(LogUnavailable):
    """The signer gave no signature, a wrong one, or none in time."""


class Elsewhere:
    """A ``Signer`` whose signatures come from ``sign``: at most ``seconds`` for each, verified before they are used.

    One call at a time. A call that outlives its deadline goes on in its thread, and until it ends every further one
    fails at once: a device that hangs holds one thread, not one for each attempt.
    """

    def __init__(self, name: str, public_key: bytes, sign: Sign, *, what: str, seconds: float) -> None:
        """``name`` is the key name, ``what`` names the signer in errors."""
        self._name = name
        self._public_key = public_key
        self._sign = sign
        self._what = what
        self._seconds = seconds
        self._verifier = Ed25519PublicKey.from_public_bytes(public_key)
        self._busy: Future[bytes] | None = None

    @property
    def name(self) -> str:
        """The key name."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature over ``message``. Raises ``SignerFailed``."""
        if self._busy is not None and not self._busy.done():
            raise SignerFailed(f"{self._what} still hangs in an earlier call", mend=_MEND)
        self._busy = _begin(lambda: self._sign(message))
        signature = _result(self._busy, self._what, self._seconds)
        try:
            self._verifier.verify(signature, message)
        except InvalidSignature:
            raise SignerFailed(
                f"{self._what} gave a signature that is not of the configured key",
                mend="record.signer.public_key must be the public key of the signer, an Ed25519 key",
            ) from None
        return signature


def within(call: Callable[[], bytes], *, what: str, seconds: float) -> bytes:
    """What ``call`` returns. Raises ``SignerFailed`` past the deadline, ``KeyInvalid`` as it comes."""
    return _result(_begin(call), what, seconds)


def _begin(call: Callable[[], bytes]) -> Future[bytes]:
    done: Future[bytes] = Future()
    threading.Thread(target=_run, args=(call, done), name="guard-signer", daemon=True).start()
    return done


def _run(call: Callable[[], bytes], done: Future[bytes]) -> None:
    try:
        done.set_result(call())
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
        done.set_exception(error)


def _result(done: Future[bytes], what: str, seconds: float) -> bytes:
    try:
        return done.result(seconds)
    except FutureTimeout:
        raise SignerFailed(f"{what} did not answer within {seconds:g} s", mend=_MEND) from None
    except (SignerFailed, KeyInvalid):
        raise
    except Exception as error:
        # Whatever a driver raises, the log hears of it as one thing.
        raise SignerFailed(f"{what} failed ({type(error).__name__}: {error})", mend=_MEND) from error


def public_key_of(text: str, where: str) -> bytes:
    """The 32 bytes that a configuration names: a vkey, base64 of 32 or (with the algorithm) 33 bytes, or the path of a
    file in PEM. Raises ``KeyInvalid``."""
    try:
        if text.count("+") >= 2 and " " not in text:
            return VerifierKey.parse(text).public_key
    except NoteInvalid:
        pass
    try:
        data = base64.b64decode(text, validate=True)
        if len(data) == 32 or (len(data) == 33 and data[0] == 1):
            return data[-32:]
    except (binascii.Error, ValueError):
        pass
    try:
        key = load_pem_public_key(Path(text).read_bytes())
    except (OSError, ValueError) as error:
        raise KeyInvalid(
            "the public key of the signer does not read: neither a vkey, nor base64 of 32 bytes, nor a file in PEM",
            where=where,
            mend="openssl pkey -in KEY -pubout -out public.pem, and name that file",
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyInvalid("the public key of the signer is no Ed25519 key", where=where, mend="use an Ed25519 key")
    return key.public_bytes_raw()
