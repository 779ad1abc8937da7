"""Erasure by destroying a tenant's pseudonym key, on record in ``<name>-keys``, a log of its own.

The log of keys is opened for the length of one erasure, under its lock: before the key is destroyed, so that an erasure
that cannot be recorded does not begin.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import GuardError, KeyInvalid, LogLocked, LogUnavailable
from guard.record.boot import BootFacts
from guard.record.key_records import key_destroyed
from guard.record.segment import make_directory
from guard.record.sign import SigningKeys
from guard.record.tenant_keys import TenantKeys
from guard.record.writer import Writer
from guard.types import Receipt, Signer

SUFFIX: Final = "-keys"


class Erased(msgspec.Struct, frozen=True):
    """What was destroyed, and where that stands: ``tenant`` is its pseudonym, ``seq`` the record in ``origin``."""

    key_id: str
    tenant: str
    origin: str
    seq: int


def erase_tenant(
    tenants: TenantKeys,
    tenant: str,
    *,
    log: Path,
    name: str,
    signer: Callable[[str], Signer | SigningKeys],
    software_version: str = "",
) -> Erased:
    """Destroy the key of a tenant and record that in the log directory ``log``, as a log of ``record.name`` ``name``.

    Raises ``KeyInvalid`` if the tenant has no key, ``LogLocked``, ``LogTampered``, ``LogUnavailable``, ``OSError``.
    """
    keyed = tenants.existing(tenant)
    if keyed is None:
        raise KeyInvalid(
            "this tenant has no key",
            where=str(tenants.path(tenant).parent),
            mend="keys of tenants are made with record.tenant_keys = true, when the tenant first comes",
        )
    path = log / f"{name}{SUFFIX}"
    make_directory(path)
    fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogLocked("another erasure is under way", where=str(path), mend="try again") from None
        writer = Writer(path, signer(path.name), BootFacts(software_version=software_version))
        try:
            writer.open()
            tenants.destroy(tenant)
            seq = _recorded(writer, keyed.key_id, tenants.pseudonym(tenant))
        finally:
            writer.poison()
    finally:
        os.close(fd)
    return Erased(keyed.key_id, tenants.pseudonym(tenant), path.name, seq)


def _recorded(writer: Writer, key_id: str, tenant: str) -> int:
    try:
        answers = writer.commit([key_destroyed(key_id, tenant)])
        writer.close({})
    except (OSError, GuardError) as error:
        what = f"the key {key_id} is destroyed, and that could not be recorded: {error}"
        raise LogUnavailable(what, where=str(writer.directory), mend="note it elsewhere; the key is gone") from error
    answer = answers[0]
    assert isinstance(answer, Receipt)  # noqa: S101 - our own record fits its schema
    return answer.seq
