"""Keys that contradict each other, and files that they name."""

from __future__ import annotations

import shutil
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from guard.cli.checking.anchors import check_anchors
from guard.cli.checking.keys import Keys
from guard.cli.checking.sharing import check_sharing
from guard.config import GuardConfig
from guard.errors import GuardError, KeyInvalid
from guard.identity import Authenticator
from guard.identity.jwks import FileSource
from guard.policy.remarks import Remark
from guard.record.deployment import read_notes
from guard.record.keyfiles import read_private
from guard.record.keys import PSEUDONYM_KEY, SIGNING_KEY, load_keys, load_pseudonym_key
from guard.record.signers.elsewhere import public_key_of
from guard.starting import elsewhere

_KEY_SET = "write the issuer's JWK Set there"


def check_configuration(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    """Limits, identity, and files."""
    yield from _limits(config, keys)
    yield from _identity(config, keys)
    yield from _opa_files(config, keys)
    yield from check_anchors(config, keys)
    yield from check_sharing(config, keys)


# --- limits ---------------------------------------------------------------------------------------------------------


def _limits(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    """Zeros that switch something off, and bounds that another bound hides."""
    limits = config.limits
    off = {
        "max_body_bytes": "every request with a body is refused",
        "inspect_limit_bytes": "no text is inspected, and rule GUARD-002 denies what has one",
        "answer_buffer_bytes": "no answer is inspected whole, and one that is to be redacted is denied",
        "stream_buffer_bytes": "no streamed answer can be kept back, and one that is to be redacted is denied",
    }
    for name, what in off.items():
        if getattr(limits, name) == 0:
            yield keys.remark("warning", ("limits", name), f"0: {what}", "remove the key for its default")
    largest = max(limits.max_body_bytes, limits.answer_buffer_bytes)
    hidden = (
        ("inspect_limit_bytes", largest, "max_body_bytes and answer_buffer_bytes"),
        ("max_field_bytes", limits.max_body_bytes, "max_body_bytes"),
        ("max_body_bytes", limits.max_buffered_bytes, "max_buffered_bytes"),
    )
    for name, bound, by in hidden:
        value = getattr(limits, name)
        if value > bound:
            what = f"{value} is never reached: {by} ends at {bound}"
            yield keys.remark("warning", ("limits", name), what, f"lower it, or raise {by}")
    asked = config.policy.settings.get("max_request_bytes")
    if isinstance(asked, int) and asked > limits.max_body_bytes:
        what = f"{asked} is never reached: limits.max_body_bytes ends at {limits.max_body_bytes}"
        yield keys.remark("warning", ("policy", "settings", "max_request_bytes"), what, "lower it")


# --- identity -------------------------------------------------------------------------------------------------------


def _identity(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    identity = config.identity
    try:
        Authenticator(identity)
    except GuardError as error:
        yield _of(error)
    if identity.jwt is not None and identity.jwt.jwks_file is not None:
        try:
            FileSource(identity.jwt.jwks_file).read()
        except GuardError as error:
            yield keys.remark(
                "error", ("identity", "jwt", "jwks_file"), f"{error.where}: {error.what}", error.mend or _KEY_SET
            )
    for number, key in enumerate(identity.api_keys):
        if key.tenant is not None and key.tenant not in config.tenants:
            what = f"the tenant {key.tenant!r} of API key {key.id!r} is not described: rules give it any model"
            yield keys.remark(
                "warning", ("identity", "api_keys", number, "tenant"), what, f"add [tenants.{key.tenant}]"
            )


def _of(error: GuardError) -> Remark:
    return Remark("error", error.code, error.what, error.where, error.mend or "see docs/configuration.md")


# --- files ----------------------------------------------------------------------------------------------------------


def _opa_files(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    opa = config.policy.opa
    key = ("policy", "opa", "token_file")
    if "@" in opa.url:
        what = "the address holds credentials, which end in logs and errors"
        yield keys.remark("warning", ("policy", "opa", "url"), what, "put a token into token_file, and replace these")
    if opa.token_file is not None:
        problem = _unreadable(opa.token_file)
        if problem:
            yield keys.remark("error", key, problem, "write the token there, readable by the guard's user alone")
        elif opa.token_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            what = f"{opa.token_file} is open to others (mode {stat.S_IMODE(opa.token_file.stat().st_mode):04o})"
            yield keys.remark("warning", key, what, f"chmod 600 {opa.token_file}, and replace the token")
    if opa.ca_file is not None:
        problem = _unreadable(opa.ca_file) or _no_certificates(opa.ca_file)
        if problem:
            yield keys.remark("error", ("policy", "opa", "ca_file"), problem, "write the certificates there, in PEM")
    for name, path in (("client_cert_file", opa.client_cert_file), ("client_key_file", opa.client_key_file)):
        if path is not None and (problem := _unreadable(path)):
            mend = "write it there in PEM, readable by the guard's user alone"
            yield keys.remark("error", ("policy", "opa", name), problem, mend)


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return "" if file.read(1) else f"{path} is empty"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _no_certificates(path: Path) -> str:
    try:
        ssl.create_default_context(cafile=str(path))
    except (ssl.SSLError, OSError):
        return f"{path} holds no certificates in PEM"
    return ""


def check_keys(config: GuardConfig) -> Iterator[Remark]:
    """The keys of the log, if there are any yet: one that the start would refuse. Asks no token and no service."""
    directory, signer = config.state_directory / "keys", config.record.signer
    try:
        if signer.public_key:
            public_key_of(signer.public_key, "record.signer.public_key")
        if signer.command and shutil.which(signer.command[0]) is None:
            mend = "correct record.signer.command, or make it executable"
            raise KeyInvalid("the signer is no command of this machine", where=signer.command[0], mend=mend)
        if signer.module is not None and not signer.module.is_file():
            mend = "correct record.signer.module: the path of the vendor's library"
            raise KeyInvalid("the module of the token is no file", where=str(signer.module), mend=mend)
        if signer.pin_file is not None:
            read_private(signer.pin_file)
        if elsewhere(config):
            if (directory / PSEUDONYM_KEY).exists():
                load_pseudonym_key(directory / PSEUDONYM_KEY)
        elif any((directory / name).exists() for name in (SIGNING_KEY, PSEUDONYM_KEY)):
            load_keys(directory)
        read_notes(directory)
    except GuardError as error:
        yield _of(error)
