"""What a start opens beside the log, and how often one that fails is tried again: not by every request that comes
meanwhile."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard.config import GuardConfig, RecordConfig, SignerChoice
from guard.errors import ConfigError, GuardError, GuardStopped
from guard.keyed import KeyedHash
from guard.obligations.conversations import STORE, Bounds, Conversations
from guard.record.anchoring.plan import AnchorPlan, WitnessPlace
from guard.record.deployment import DeploymentKeys
from guard.record.keys import (
    PSEUDONYM_KEY,
    load_or_create_keys,
    load_or_create_pseudonym_key,
    load_or_create_vault_key,
    load_pseudonym_key,
)
from guard.record.origin_keys import MakeSigner
from guard.record.signers.command import command_sign
from guard.record.signers.elsewhere import Elsewhere, public_key_of, within
from guard.record.signers.service import service_sign
from guard.record.signers.token import Token
from guard.telemetry import get_logger

_log = get_logger("guard.starting")

RETRY_SECONDS: Final = 1.0


class Attempts:
    """Remembers a start that failed for ``RETRY_SECONDS`` of ``clock``, a monotonic one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed_at: float | None = None
        self._failure: GuardError | None = None

    @property
    def failure(self) -> GuardError | None:
        """Why the last attempt failed; ``None`` if it did not."""
        return self._failure

    def check(self) -> None:
        """Raises ``GuardStopped`` while the last failure is too young for another attempt."""
        if self._failed_at is not None and self._clock() - self._failed_at < RETRY_SECONDS:
            raise could_not_start(self._failure)

    def failed(self, error: GuardError) -> None:
        """Note a failure."""
        self._failure, self._failed_at = error, self._clock()

    def succeeded(self) -> None:
        """Forget what failed before."""
        self._failure = self._failed_at = None


def could_not_start(error: GuardError | None) -> GuardStopped:
    """The error for a request; a fresh one each time, for a raised one carries its traceback."""
    if error is None:
        return GuardStopped("the guard is stopped", mend="start it again")
    return GuardStopped(f"the guard could not start: {error.what}", where=error.where, mend=error.mend)


def anchor_plan(record: RecordConfig) -> AnchorPlan:
    """Where the log's checkpoints go. Reads tokens and certificates. Raises ``ConfigError``."""
    anchors = record.anchors
    plan = AnchorPlan(
        every_seconds=anchors.every_seconds,
        timeout_seconds=anchors.timeout_seconds,
        directory=anchors.directory,
        syslog=anchors.syslog or "",
        http_url=anchors.http_url or "",
        http_token_file=anchors.http_token_file,
        timestamp_url=anchors.timestamp_url or "",
        timestamp_roots_file=anchors.timestamp_roots_file,
        ca_file=anchors.ca_file,
        witnesses=tuple(WitnessPlace(witness.url, witness.vkey) for witness in record.witnesses),
    )
    plan.check()
    return plan


def deployment_keys(config: GuardConfig) -> DeploymentKeys:
    """The signing keys of the log's origins. Asks a token for its public key, so it may wait. Raises ``KeyInvalid``,
    ``SignerFailed``."""
    chosen = config.record.signer
    previous = () if chosen.previous is None else (_elsewhere(chosen.previous),)
    return DeploymentKeys(
        config.state_directory / "keys",
        config.record.key_per,
        elsewhere=_elsewhere(chosen) if elsewhere(config) else None,
        previous=previous,
    )


def elsewhere(config: GuardConfig) -> bool:
    """Whether the signing key is no file of this deployment."""
    chosen = config.record.signer
    return bool(chosen.command or chosen.module or chosen.uri)


def load_log_keys(config: GuardConfig) -> tuple[DeploymentKeys, KeyedHash]:
    """The signing keys and the pseudonym key, made where they are missing. Blocks. Raises ``KeyInvalid``,
    ``SignerFailed``."""
    for path in make_log_keys(config):
        _log.warning("key created; back it up and keep it secret", file=str(path))
    return deployment_keys(config), load_pseudonym_key(config.state_directory / "keys" / PSEUDONYM_KEY)


def make_log_keys(config: GuardConfig) -> tuple[Path, ...]:
    """Make the keys of the log that are missing, the signing key only where it is a file; the files that were made.
    Raises ``KeyInvalid``."""
    directory = config.state_directory / "keys"
    if not elsewhere(config):
        return load_or_create_keys(directory).created
    _, made = load_or_create_pseudonym_key(directory)
    return () if made is None else (made,)


def _elsewhere(chosen: SignerChoice) -> MakeSigner:
    seconds = chosen.deadline_ms / 1000
    public = public_key_of(chosen.public_key, "record.signer.public_key") if chosen.public_key else b""
    if chosen.command:
        what = f"the signer {chosen.command[0]}"
        sign = command_sign(chosen.command, seconds=seconds)
        # The command's own deadline comes first: it ends the command, too.
        seconds += 1.0
    elif chosen.module is not None:
        token = Token(chosen.module, token=chosen.token, key=chosen.key, pin_file=chosen.pin_file)
        what = f"the PKCS#11 token {chosen.token!r}"
        public = public or within(token.public_key, what=what, seconds=seconds)
        sign = token.sign
    else:
        what = f"the key service {chosen.uri.partition(':')[0]}"
        sign = service_sign(chosen.uri, public)
    # One for each name, for as long as the process lives: a device that hangs is asked by one thread.
    return functools.cache(lambda name: Elsewhere(name, public, sign, what=what, seconds=seconds))


def open_conversations(config: GuardConfig) -> Conversations | None:
    """The conversation-scoped vault, if ``[vault]`` asks for one. Blocks. Raises ``KeyInvalid``, ``ConfigError``."""
    vault = config.vault
    if vault.scope != "conversation":
        return None
    secret, created = load_or_create_vault_key(config.state_directory / "keys")
    if created is not None:
        _log.warning("key created; back it up and keep it secret", file=str(created))
    bounds = Bounds(vault.ttl_seconds, vault.max_values, vault.max_conversations, vault.max_bytes)
    directory = config.state_directory / "vault"
    try:
        return Conversations(directory, secret, bounds)
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(
            f"the vault of conversations cannot be opened: {error}",
            where=str(directory / STORE),
            mend="check its permissions and the free space; deleting it loses pseudonyms and nothing else",
        ) from error
