"""The ways on which checkpoints leave: does each stand open, and does a witness know more of the log than there is.

Nothing is sent that a receiver would keep: syslog, HTTP and time-stamps are not tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from guard.cli.diagnosis.check import Check
from guard.config import GuardConfig
from guard.errors import ConfigError
from guard.record.anchoring.failing import AnchorFailed
from guard.record.anchoring.web import Endpoint
from guard.record.cosignature import CosignerKey, cosignatures
from guard.record.note import NoteInvalid, parse_checkpoint, split_note
from guard.record.verify import find_origins
from guard.starting import anchor_plan
from guard.types import Checkpoint

_NAME = "anchors"
_TIMEOUT_SECONDS = 3.0


def check_anchors(config: GuardConfig) -> Iterator[Check]:
    """The ways out that ``[record]`` names; nothing where it names none."""
    try:
        plan = anchor_plan(config.record)
    except ConfigError:
        return  # told among the remarks on the configuration
    if plan.directory is not None:
        yield _directory(plan.directory)
    origins = [
        path for path in find_origins(config.state_directory / "log") if path.name.rpartition("-")[2].isdecimal()
    ]
    for place in plan.witnesses:
        endpoint = Endpoint(place.url, timeout_seconds=_TIMEOUT_SECONDS, ca_file=plan.ca_file)
        key = CosignerKey.parse(place.vkey)
        for origin in origins or [Path(f"{config.record.name}-0")]:
            yield _witness(endpoint, key, origin)


def _directory(directory: Path) -> Check:
    if not directory.is_dir():
        mend = "mount it, or make it; the guard does not make it itself"
        return Check(_NAME, "problem", "the directory for checkpoints is not there", str(directory), mend)
    if not os.access(directory, os.W_OK | os.X_OK):
        return Check(_NAME, "problem", "the directory for checkpoints is closed to this user", str(directory), "chmod")
    return Check(_NAME, "ok", "the directory for checkpoints takes files", str(directory))


def _witness(endpoint: Endpoint, key: CosignerKey, origin: Path) -> Check:
    """One witness of one log. The witness is asked first: what it saw, the log must have."""
    name = f"witness {key.name}"
    try:
        answer = endpoint.get(f"/{sha256(origin.name.encode()).hexdigest()}/checkpoint")
    except AnchorFailed as error:
        mend = "start the witness, or look at the network between; requests do not wait for it"
        return Check(name, "warning", f"no answer: {error.what}", endpoint.host, mend)
    if answer.status != 200:
        mend = f"once the log has begun, give the witness the keys of {origin.name} that guard keys show prints"
        return Check(name, "warning", f"it has cosigned nothing of {origin.name} yet", endpoint.host, mend)
    try:
        note = answer.body.decode()
        seen = parse_checkpoint(split_note(note)[0])
        if not cosignatures(note, [key]):
            raise NoteInvalid("it is not cosigned by the configured key")
    except ValueError as error:
        mend = "compare record.witnesses with the key that the witness prints"
        return Check(name, "problem", f"its checkpoint of {origin.name} does not read: {error}", endpoint.host, mend)
    own = _own(origin)
    if own is None or seen.size > own.size or (seen.size == own.size and seen.root != own.root):
        there = "none" if own is None else str(own.size)
        what = (
            f"it has seen {seen.size} records of {origin.name}, and its checkpoint has {there}: rolled back or forked"
        )
        return Check(name, "problem", what, str(origin), "keep the directory as evidence, run guard log verify")
    return Check(name, "ok", f"it has cosigned {seen.size} records of {origin.name}", endpoint.host)


def _own(origin: Path) -> Checkpoint | None:
    try:
        return parse_checkpoint(split_note((origin / "checkpoint").read_text(encoding="utf-8"))[0])
    except (OSError, ValueError):
        return None
