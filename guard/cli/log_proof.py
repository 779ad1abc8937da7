"""``guard log verify --proof``: check the proof of one record, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import typer

from guard.cli.complaints import complain, unusable, warn
from guard.cli.log_options import directory_of
from guard.cli.terminal import printable
from guard.errors import GuardError
from guard.record.export.proof import MAX_PROOF_BYTES, ProofRejected, Proven, verify_proof
from guard.record.history import read_epochs
from guard.record.report import EXIT_TAMPERED, EXIT_USAGE, EXIT_WHOLE
from guard.record.segment import MAX_RECORD_BYTES
from guard.record.trust import Trust, TrustedKey, UsageError, read_trust
from guard.record.verify import find_origins


def check_proof(proof: Path, *, trust: Path | None, record: Path | None, directory: Path | None, as_json: bool) -> int:
    """Check a proof and tell; returns the exit code: 0 proven, 1 not proven, 3 nothing was checked.

    Without ``trust`` the keys are those that lie in the log in ``directory``.
    """
    try:
        known = _own_keys(directory_of(directory)) if trust is None else read_trust(trust)
        text = _read(proof, MAX_PROOF_BYTES).decode("utf-8", "replace")
        line = None if record is None else _read(record, MAX_RECORD_BYTES + 1).removesuffix(b"\n")
    except GuardError as error:
        complain(error)
        return EXIT_USAGE
    except OSError as error:
        complain(unusable(error, what="nothing was checked"))
        return EXIT_USAGE
    try:
        proven = verify_proof(text, known, record=line)
    except ProofRejected as error:
        if as_json:
            typer.echo(msgspec.json.encode({"proven": False, "reason": error.what}))
        complain(ProofRejected(error.what, where=str(proof), mend=error.mend))
        return EXIT_TAMPERED
    _tell(proven, as_json=as_json)
    if trust is None:
        warn("the key lies in the log itself, so integrity is proven and origin is not: --trust FILE proves both")
    return EXIT_WHOLE


def _tell(proven: Proven, *, as_json: bool) -> None:
    checkpoint = proven.checkpoint
    if as_json:
        typer.echo(msgspec.json.encode(_summary(proven)))
        return
    typer.echo(
        printable(f"PROVEN: record {proven.index} of {checkpoint.origin}, in its log of {checkpoint.size} records")
    )
    typer.echo(printable(f"  signed by {proven.key.encode()}"))
    for line in proven.cosigned:
        typer.echo(printable(f"  cosigned by {line.witness} at {line.time} (seconds since 1970, UTC)"))
    typer.echo(printable(proven.line.decode()))


def _summary(proven: Proven) -> dict[str, Any]:
    return {
        "proven": True,
        "origin": proven.checkpoint.origin,
        "index": proven.index,
        "size": proven.checkpoint.size,
        "root": proven.checkpoint.root.hex(),
        "key": proven.key.encode(),
        "cosigned": [msgspec.structs.asdict(line) for line in proven.cosigned],
        "record": msgspec.Raw(proven.line),
    }


def _own_keys(place: Path) -> Trust:
    origins = find_origins(place)
    if not origins:
        raise UsageError(
            "no key is trusted, and there is no log here", where=str(place), mend="name a trust file with --trust FILE"
        )
    return Trust(tuple(entry for origin in origins for entry in _epochs(origin)))


def _epochs(origin: Path) -> list[TrustedKey]:
    """The keys that a log names for itself, each for the sizes that it signed. Raises ``UsageError``."""
    try:
        return [TrustedKey(epoch.key, epoch.first, epoch.last) for epoch in read_epochs(origin).history]
    except ValueError as error:
        raise UsageError(
            f"the log's own keys do not read: {error}", where=str(origin), mend="guard log verify names the damage"
        ) from None


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UsageError(f"the file is longer than {limit} bytes", where=str(path), mend="name another file")
    return data
