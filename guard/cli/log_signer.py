"""Finds the signer of a checkpoint among the keys that are within reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from guard.config import load_config
from guard.errors import ConfigError
from guard.record.export.source import ExportRefused, State
from guard.record.export.sshsig import signed_by
from guard.record.keys import SIGNING_KEY, load_signing_key
from guard.record.sign import Ed25519Signer
from guard.starting import deployment_keys, elsewhere
from guard.types import Signer

_KEYS: Final = "keys"
_MEND: Final = "export where the key is under which the log is written, or name its file: --signing-key FILE"


def signer_of(state: State, key: Path | None) -> Signer:
    """The signer of the newest checkpoint: the file that is named; else one of those in ``keys`` beside the log, or the
    ``record.signer`` of the configuration. Raises ``ExportRefused``, ``KeyInvalid``, ``SignerFailed``.
    """
    if key is not None:
        signer = Ed25519Signer(state.checkpoint.origin, load_signing_key(key))
        if not signed_by(state, signer):
            raise ExportRefused("the key did not sign the newest checkpoint", where=str(key), mend=_MEND)
        return signer
    keys = state.directory.resolve().parents[1] / _KEYS
    asked = 0
    for candidate in _within_reach(state.checkpoint.origin, keys):
        if signed_by(state, candidate):
            return candidate
        asked += 1
    what = "none of the keys signed the newest checkpoint" if asked else "there is no signing key beside the log"
    raise ExportRefused(what, where=str(keys), mend=_MEND)


def _within_reach(origin: str, keys: Path) -> Iterator[Signer]:
    for path in (keys / SIGNING_KEY, *sorted((keys / "origins" / origin).glob("*.pem"))):
        if path.is_file():
            yield Ed25519Signer(origin, load_signing_key(path))
    # A log may be exported far from its configuration: then there is none, or another.
    with suppress(ConfigError):
        config = load_config()
        if elsewhere(config):
            yield deployment_keys(config).present().signer(origin)
