"""``guard log anchors``: the checkpoints that lie beside the log, who cosigned them and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from guard.cli.complaints import warn
from guard.cli.log_options import Directory, Json, directory_of
from guard.cli.terminal import printable
from guard.config import load_config
from guard.errors import ConfigError
from guard.record.anchoring.store import anchor_files
from guard.record.cosignature import Cosignature, CosignerKey, cosignatures
from guard.record.note import NoteInvalid, parse_checkpoint, split_note
from guard.record.trust import read_trust
from guard.record.verify import find_origins
from guard.review.query import LogReader


class Listed(msgspec.Struct, frozen=True):
    """One anchor. ``others`` counts signature lines beside the log's own that no known witness made."""

    origin: str
    size: int
    file: str
    cosigned: list[Cosignature]
    others: int
    stamped: bool
    evidence: bool


def anchors(
    *,
    directory: Directory = None,
    count: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many of each origin, the newest.")] = 10,
    trust: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Whose cosignatures count; else record.witnesses.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the anchors that lie beside the log: size, cosignatures that verify, time-stamps, evidence.

    Whether the log agrees with them, guard log verify says.
    """
    log = directory_of(directory)
    witnesses = _witnesses(trust, given=directory is not None)
    listed = [one for origin in find_origins(LogReader(log).directory) for one in _listed(origin, witnesses)[-count:]]
    if as_json:
        typer.echo(msgspec.json.encode(listed))
        return
    if not listed:
        warn("no anchor lies beside this log; [record.anchors] and [[record.witnesses]] say where checkpoints go")
    for one in listed:
        typer.echo(printable(_line(one)))


def _witnesses(trust: Path | None, *, given: bool) -> list[CosignerKey]:
    """Those of the trust file, else of the configuration; a log that was named may have no configuration here."""
    if trust is not None:
        return list(read_trust(trust).witnesses)
    try:
        return [CosignerKey.parse(witness.vkey) for witness in load_config().record.witnesses]
    except (ConfigError, NoteInvalid):
        if given:
            return []
        raise


def _listed(origin: Path, witnesses: list[CosignerKey]) -> list[Listed]:
    found = []
    for path in anchor_files(origin / "anchors"):
        try:
            note = path.read_text(encoding="utf-8")
            text, lines = split_note(note)
            size = parse_checkpoint(text).size
            cosigned = cosignatures(note, witnesses)
        except ValueError as error:
            warn(f"{path}: {error}")
            continue
        others = sum(line.name != origin.name for line in lines) - len(cosigned)
        stamped, evidence = path.with_suffix(".tsr").exists(), not path.stem.isdecimal()
        found.append(Listed(origin.name, size, str(path), cosigned, others, stamped, evidence))
    return sorted(found, key=lambda one: (one.size, one.file))


def _line(one: Listed) -> str:
    parts = [f"{one.origin}  {one.size} records"]
    parts += [f"{each.witness} at {datetime.fromtimestamp(each.time, UTC):%Y-%m-%dT%H:%M:%SZ}" for each in one.cosigned]
    if one.others:
        parts.append(f"{one.others} by witnesses that are not known here")
    if one.stamped:
        parts.append("time-stamp")
    if one.evidence:
        parts.append(f"CONTRADICTS the log: {one.file}")
    return "  ".join(parts)
