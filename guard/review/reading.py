"""Whoever reads decisions through our tools, and could have written them, is written down himself."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import GuardError, KeyInvalid
from guard.record.deployment import DeploymentKeys
from guard.record.keys import PSEUDONYM_KEY, load_pseudonym_key
from guard.record.reads import SUFFIX, audit_read_record, write_reading
from guard.record.verify import find_origins
from guard.types import DecisionRecord

_ORIGIN: Final = re.compile(r"(?P<name>.+)-\d+")
_LOGIN: Final = Path("/proc/self/loginuid")
_NOBODY: Final = 2**32 - 1


class Reading(msgspec.Struct):
    """One reading while it lasts. ``records`` counts what was shown; ``complete``: it was shown to the end.

    ``unrecorded`` says afterwards why the reading was not recorded, ``None`` if it was.
    """

    records: int = 0
    complete: bool = False
    unrecorded: str | None = None

    def counted(self, records: Iterable[DecisionRecord]) -> Iterator[DecisionRecord]:
        """The records as they are read, each counted."""
        for record in records:
            self.records += 1
            yield record


@contextmanager
def reading(
    log: Path,
    word: str,
    asked: Mapping[str, str | int | bool],
    *,
    version: str,
    deployment: DeploymentKeys | None = None,
) -> Iterator[Reading]:
    """Around a reading of the log in ``log``, or of one origin of it: records it when it is over, however it ends.

    The keys are those beside the log (``../keys``), the signing keys those of ``deployment`` if given. Without them, or
    where nothing can be written, the reading is not recorded, and goes on: who may read the files needs no tool of
    ours. Nothing is raised for that.
    """
    account = Reading()
    try:
        yield account
    finally:
        account.unrecorded = _record(log, account, word=word, asked=asked, version=version, deployment=deployment)


def _record(
    log: Path,
    account: Reading,
    *,
    word: str,
    asked: Mapping[str, str | int | bool],
    version: str,
    deployment: DeploymentKeys | None,
) -> str | None:
    named = log_and_name(log)
    if named is None:
        return "no origin of this log has the name of a writer"
    directory, name = named
    keys = keys_beside(log)
    try:
        keyed = load_pseudonym_key(keys / PSEUDONYM_KEY)
    except KeyInvalid:
        return "the keys beside the log cannot be read"
    record = audit_read_record(
        word, asked, reader=reader_name(), records=account.records, complete=account.complete, keyed=keyed
    )
    try:
        signer = (deployment or DeploymentKeys(keys)).origin
        write_reading(directory, name, record, signer=signer, software_version=version)
    except GuardError as error:
        return error.what
    except OSError as error:
        return f"the log cannot be written ({error.strerror or error})"
    return None


def log_and_name(log: Path) -> tuple[Path, str] | None:
    """The directory of a log, or of the log to which an origin belongs, and the name of its writers; ``None`` where no
    origin has the name of a writer."""
    found = find_origins(log.resolve())
    origins = [origin.name for origin in found]
    directory = found[0].parent if found else log
    name = next((match["name"] for origin in origins if (match := _ORIGIN.fullmatch(origin))), None)
    if name is None:
        name = next((origin.removesuffix(SUFFIX) for origin in origins if origin.endswith(SUFFIX)), None)
    return None if name is None else (directory, name)


def keys_beside(log: Path) -> Path:
    """Where the keys of a log lie if they are beside it: ``<state>/keys`` of ``<state>/log``, or of an origin in it."""
    found = find_origins(log.resolve())
    return (found[0].parent if found else log.resolve()).parent / "keys"


def reader_name() -> str:
    """The operating system's name of who reads: of who logged in, where the system tells (it outlasts ``sudo``)."""
    uid = os.getuid()
    with suppress(OSError, ValueError):
        login = int(_LOGIN.read_text(encoding="ascii"))
        uid = uid if login == _NOBODY else login
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
