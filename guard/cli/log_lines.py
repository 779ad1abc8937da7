"""Records, a line each: what ``guard log tail`` and ``guard log query`` print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import typer
from rich.console import Console

from guard.cli.complaints import warn
from guard.cli.terminal import hanging, printable
from guard.review.explain import when
from guard.review.filters import effects, rules
from guard.review.query import LogReader
from guard.review.reloads import reload_summary
from guard.review.shadow import changes
from guard.types import DecisionRecord

EFFECTS: Final = {"allow": "green", "deny": "red"}
_TIME_WIDTH: Final = 26
_KIND_WIDTH: Final = 11
_SHORT: Final = 12
_SHORT_ID: Final = 18
"""Milliseconds and 12 random bits of a UUIDv7: ``guard log show`` takes the beginning of an id."""


def print_records(out: Console, records: Iterable[DecisionRecord], *, as_json: bool) -> None:
    """Print records as they come."""
    for record in records:
        if as_json:
            typer.echo(msgspec.json.encode(record, order="deterministic"))
        else:
            _print_record(out, record)


def warn_of_unreadable(reader: LogReader) -> None:
    """Say that lines of the log are no records."""
    count = reader.unreadable
    if count:
        said = "1 line is no record and is" if count == 1 else f"{count} lines are no records and are"
        warn(f"{said} left out; run: guard log verify")


def _print_record(out: Console, record: DecisionRecord) -> None:
    """One record on one line; a narrow terminal gets the rest below."""
    short = out.is_terminal
    spoken = ", ".join(rules(record, shadow=False))
    colour, head = "dim", str(record["kind"])
    if record["kind"] == "decision":
        what, head = record["what"], record["decision"]["effect"]
        colour, subject = EFFECTS[head], _id(record["id"], short=short)
        target = " ".join(str(part) for part in (what["method"], what["route"], what["model"]) if part)
        rest = [_who(record["who"], short=short), target, spoken, *changes(record)]
    elif record["kind"] == "outcome":
        verdict = "deny" if "deny" in effects(record) else "allow"
        subject = _id(record["decision_ref"], short=short)
        rest = [str(record["status"] or "no answer"), record["aborted"] or "sent", verdict, spoken, *changes(record)]
    elif record["kind"] == "config":
        colour, subject = "yellow" if record["error"] else "dim", _id(record["id"], short=short)
        rest = reload_summary(record)
    else:
        subject, rest = f"record {record['seq']} of {record['origin']}", _told(record)
    text = "  ".join(part for part in (subject, *rest) if part)
    lead = f"[dim]{when(record)}[/]  [{colour}]{printable(head):<{_KIND_WIDTH}}[/]"
    hanging(out, lead, printable(text), indent=_TIME_WIDTH + _KIND_WIDTH)


def _told(record: DecisionRecord) -> list[str]:
    """What the records of the log itself tell, in a few words."""
    if record["kind"] == "audit_read":
        asked = ", ".join(f"{name} {value}" for name, value in sorted(record["asked"].items()))
        count = record["records"]
        shown = f"{count} record{'' if count == 1 else 's'}" + ("" if record["complete"] else ", broken off")
        return [record["word"], f"by {record['reader']}", asked, shown]
    if record["kind"] == "label":
        said = f"{record['about']}: {'an attack' if record['attack'] else 'no attack'}"
        return [record["decision_ref"], said, record["note"] or "", f"by {record['reader']}"]
    if record["kind"] == "key":
        return [f"{record['event']} {record['purpose']} key {record['key']}", record.get("tenant") or ""]
    if record["kind"] == "writer":
        return [record["writer"], record["event"], f"at {record['size']} records"]
    if record["kind"] == "recovery":
        return [f"{record['dropped_bytes']} bytes moved to {record['file']}"]
    return []


def _id(text: str, *, short: bool) -> str:
    return text[:_SHORT_ID] if short and len(text) > _SHORT_ID else text


def _who(who: Mapping[str, Any], *, short: bool) -> str:
    """The pseudonym; on a terminal the part of it that tells callers apart."""
    name = str(who["id"] or who["type"])
    digits = name.rpartition(":")[2]
    return f"{digits[:_SHORT]}…" if short and name.startswith("hmac:") else name
