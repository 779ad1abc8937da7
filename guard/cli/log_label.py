"""``guard log label``: an analyst says whether a decision was right about an attack, for good and signed."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer

from guard.cli.log_options import Directory, directory_of
from guard.cli.log_reads import signing_keys
from guard.errors import ConfigError
from guard.record.deployment import DeploymentKeys
from guard.record.groups import LABEL_ABOUT, LABEL_NOTE
from guard.record.keys import PSEUDONYM_KEY, load_pseudonym_key
from guard.record.reads import label_record, write_reading
from guard.review.filters import Filter
from guard.review.query import Exchange, LogReader
from guard.review.reading import keys_beside, log_and_name, reader_name
from guard.types import DecisionRecord

BEHAVIOUR: Final = "behaviour"
_UNUSUAL: Final = 400
"""The score, in thousandths, from which a behaviour model's verdict is what may be judged: docs/behaviour.md."""
_TRUTH: Final = {"true": True, "false": False}


def label(
    *,
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="A decision's id, its beginning, or: last")],
    truth: Annotated[
        Literal["true", "false"],
        typer.Argument(metavar="true|false", help="true: it was an attack; false: a false alarm."),
    ],
    about: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="The type of finding that is judged, or behaviour; else the only one."),
    ] = None,
    note: Annotated[
        str | None, typer.Option(metavar="TICKET", help="A ticket's id. Texts do not enter the log.")
    ] = None,
    directory: Directory = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whether a decision's finding was right. A signed record of its own; the last one about a finding holds.

    With --about a type that was not found, true says that an attack was missed. guard model calibrate and guard model
    train behaviour read the labels.
    """
    log = directory_of(directory)
    exchange = LogReader(log).find(decision_id)
    found, subject = exchange.decision, _about(exchange, about)
    if note is not None and not re.fullmatch(LABEL_NOTE, note):
        raise ConfigError(
            "the note is no ticket's id, and texts do not enter the log",
            where="--note",
            mend="write an id such as SEC-1234: letters, digits, dots, slashes, dashes, at most 64",
        )
    attack = _TRUTH[truth]
    before = _last(log, found["id"], subject)
    _write(log, found["id"], subject, attack=attack, note=note)
    if as_json:
        typer.echo(_json(found["id"], subject, attack=attack, note=note, before=before))
        return
    said = f"labelled {found['id']}: {subject} was {'an attack' if attack else 'no attack'}"
    if before is not None and before != attack:
        said += f", no longer {'an attack' if before else 'no attack'}"
    typer.echo(said)


def _about(exchange: Exchange, given: str | None) -> str:
    """What the label is about: the only thing that was seen, in the request or the answer. Raises ``ConfigError`` where
    that is not clear."""
    if given is not None:
        if not re.fullmatch(LABEL_ABOUT, given):
            raise ConfigError(f"{given!r} is no type of finding", where="--about", mend="such as PROMPT_INJECTION")
        return given
    decision: DecisionRecord = exchange.decision
    documents = [record.get("policy_input") or {} for record in (decision, exchange.outcome or {})]
    types = {str(finding["type"]) for document in documents for finding in document.get("findings", ())}
    seen = sorted(types)
    if any((document.get("anomaly") or {}).get("score", 0) >= _UNUSUAL for document in documents):
        seen.append(BEHAVIOUR)
    if len(seen) == 1:
        return seen[0]
    what = f"the decision has several findings: {', '.join(seen)}" if seen else "nothing was found in this decision"
    mend = "name the one that you judge: --about TYPE" if seen else "name what was missed: --about PROMPT_INJECTION"
    raise ConfigError(what, where=f"decision {decision['id']}", mend=mend)


def _last(log: Path, decision_id: str, about: str) -> bool | None:
    """What was said of it before."""
    last: bool | None = None
    for record in LogReader(log).records(Filter(kind="label")):
        if record["decision_ref"] == decision_id and record["about"] == about:
            last = record["attack"]
    return last


def _write(log: Path, decision_id: str, about: str, *, attack: bool, note: str | None) -> None:
    """Raises ``GuardError`` where the keys or the log cannot be used: a label that is not kept must not seem to be."""
    named = log_and_name(log)
    if named is None:
        raise ConfigError("no origin of this log has the name of a writer", where=str(log), mend="name the whole log")
    keys = keys_beside(log)
    record = label_record(
        decision_id,
        about,
        attack=attack,
        note=note,
        reader=reader_name(),
        keyed=load_pseudonym_key(keys / PSEUDONYM_KEY),
    )
    signing = signing_keys(log) or DeploymentKeys(keys)
    write_reading(*named, record, signer=signing.origin, software_version=version("policy-guard"))


def _json(decision_id: str, about: str, *, attack: bool, note: str | None, before: bool | None) -> bytes:
    return msgspec.json.encode(
        {"decision": decision_id, "about": about, "attack": attack, "note": note, "before": before}
    )
