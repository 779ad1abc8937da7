"""Around every word of ``guard log`` that shows decisions: the reading is recorded, or the reader is told why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from guard.cli.complaints import tell
from guard.config import GuardConfig, load_config
from guard.errors import GuardError
from guard.policy.remarks import Remark
from guard.record.deployment import DeploymentKeys
from guard.review.reading import Reading, reading
from guard.starting import deployment_keys


@contextmanager
def recorded_reading(log: Path, word: str, **asked: str | int | bool | None) -> Iterator[Reading]:
    """Around a reading of the log in ``log``. ``asked`` are the conditions that the reader set; those that are
    ``None``, ``""``, 0 or ``False`` were not set. Switched off by ``record.audit_reads = false``."""
    config = _config()
    if not config.record.audit_reads:
        yield Reading()
        return
    told = {name: value for name, value in asked.items() if value not in (None, "", False)}
    account = None
    try:
        with reading(log, word, told, version=version("policy-guard"), deployment=_signing(log, config)) as account:
            yield account
    finally:
        if account is not None and account.unrecorded:
            tell([Remark("info", "", f"this reading is not recorded: {account.unrecorded}")])


def signing_keys(log: Path) -> DeploymentKeys | None:
    """The signing keys that the configuration in force names, if this is its log; else those beside it are meant."""
    return _signing(log, _config())


def _config() -> GuardConfig:
    # A log that is named by --dir is read under no configuration, or under one that may not load: then the defaults.
    with suppress(GuardError):
        return load_config()
    return GuardConfig()


def _signing(log: Path, config: GuardConfig) -> DeploymentKeys | None:
    """The signing keys that the configuration names, if this is its log: they may be elsewhere than beside it."""
    if config.state_directory.resolve() not in log.resolve().parents:
        return None
    with suppress(GuardError):
        return deployment_keys(config)
    return None
