"""A signer behind a command: the message on its standard input, the signature on its standard output."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Final

from guard.record.signers.elsewhere import Sign, SignerFailed

_SIGNATURE: Final = 64
_MAX_OUTPUT: Final = 4096
_MEND: Final = "run it by hand with a message on its standard input; it must write 64 bytes, or base64 of them"


def command_sign(command: Sequence[str], *, seconds: float) -> Sign:
    """Signs by running ``command`` (no shell) once for each message.

    It gets the message on stdin and has ``seconds``; then its process group is killed. It writes the 64 bytes of the
    signature, or base64 of them with or without a newline, and exits with 0. Its standard error is quoted in errors.
    """
    words = list(command)

    def sign(message: bytes) -> bytes:
        try:
            process = subprocess.Popen(  # noqa: S603 - the owner's own command, from the configuration
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SignerFailed(f"the signer {words[0]} cannot be run ({error.strerror})", mend=_MEND) from error
        try:
            output, complaint = process.communicate(message, timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise SignerFailed(f"the signer {words[0]} gave no signature within {seconds:g} s", mend=_MEND) from None
        if process.returncode != 0:
            said = complaint[:200].decode("utf-8", "replace").strip()
            what = f"the signer {words[0]} failed with {process.returncode}" + (f": {said}" if said else "")
            raise SignerFailed(what, mend=_MEND)
        return _signature(output, words[0])

    return sign


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the command and what it started, and let go of its pipes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _signature(output: bytes, name: str) -> bytes:
    if len(output) == _SIGNATURE:
        return output
    try:
        decoded = base64.b64decode(output[:_MAX_OUTPUT].strip(), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != _SIGNATURE:
        raise SignerFailed(f"the signer {name} wrote {len(output)} bytes that are no signature", mend=_MEND)
    return decoded
