"""``[detectors.sharing]``: files that are named, a library that is missing, and a password that others could read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from guard.cli.checking.keys import Keys
from guard.config import GuardConfig
from guard.config.sharing import SharingConfig
from guard.errors import ConfigError
from guard.exchange.sharing.store import StoreFailed, check_installed, password_of
from guard.policy.remarks import Remark

_KEY = ("detectors", "sharing")
_FILES = ("ca_file", "client_cert_file", "client_key_file")


def check_sharing(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    """What stops the start, or the sharing; and what shares less than its owner may think."""
    sharing = config.detectors.sharing
    if sharing is None:
        return
    try:
        check_installed()
    except ConfigError as error:
        yield keys.remark("error", _KEY, error.what, error.mend)
    if not config.detectors.behaviour:
        what = "nothing is shared: detectors.behaviour names no model"
        yield keys.remark("warning", _KEY, what, "name one, or remove this table")
    if config.record.tenant_keys:
        what = "tenants have pseudonym keys of their own: replicas that do not have the same ones learn of none of them"
        yield keys.remark("warning", _KEY, what, "let the replicas share state_directory/keys")
    yield from _password(sharing, keys)
    for name in _FILES:
        path = getattr(sharing, name)
        if path is not None and (problem := _unreadable(path)):
            yield keys.remark("error", (*_KEY, name), problem, "write it there in PEM, readable by the guard's user")


def _password(sharing: SharingConfig, keys: Keys) -> Iterator[Remark]:
    file, key = sharing.password_file, (*_KEY, "password_file")
    if file is None:
        if not sharing.local:
            what = "the server asks for no password: whoever reaches it can delete what is shared"
            yield keys.remark("info", (*_KEY, "url"), what, "give it one, and password_file here")
        return
    try:
        password_of(sharing)
    except StoreFailed as error:
        yield keys.remark("error", key, f"{file}: {error}", "write it there, readable by the guard's user alone")
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        what = f"{file} is open to others (mode {mode:04o})"
        yield keys.remark("warning", key, what, f"chmod 600 {file}, and replace the password")
    if not sharing.local and not sharing.encrypted:
        what = "the password goes over the network as it is"
        yield keys.remark("warning", (*_KEY, "url"), what, "use rediss://")


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return "" if file.read(1) else f"{path} is empty"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
