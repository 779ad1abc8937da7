"""``guard log``: read, explain and verify the signed log.

Exit codes: 0 done; 1 not found or failed; 3 usage. ``verify``: 0 whole, 1 tampered, 2 torn tail (or unanchored under
``--require-anchor``), 3 usage.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from guard.config import load_config
from guard.record.report import EXIT_USAGE, EXIT_WHOLE, Report
from guard.record.verify import UsageError, read_trust
from guard.record.verify import verify as verify_log
from guard.review.explain import explain, when
from guard.review.query import Exchange, Filter, LogReader, effects, rules
from guard.types import DecisionRecord

app = typer.Typer(name="log", help="Read, explain and verify the signed log.", no_args_is_help=True)

_COLOURS: Final = {"allow": "green", "deny": "red", "WHOLE": "green", "TORN TAIL": "yellow", "TAMPERED": "bold red"}

Directory = Annotated[
    Path | None, typer.Option("--dir", "-d", help="The log's directory; else the configuration's state_directory/log.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of sentences.")]


@app.command()
def tail(
    *,
    directory: Directory = None,
    count: Annotated[int, typer.Option("-n", min=0, help="How many records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with records as they are committed.")] = False,
    effect: Annotated[str | None, typer.Option(help="Only records with this effect: allow or deny.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only records in which this rule spoke.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only records of this kind: decision, outcome, open ...")] = None,
    record_id: Annotated[str, typer.Option("--id", help="Only the exchange whose id begins so.")] = "",
    as_json: Json = False,
) -> None:
    """Show the last records, a line each."""
    if effect not in (None, "allow", "deny"):
        raise typer.BadParameter("--effect is allow or deny")
    reader = LogReader(_directory(directory))
    wanted = Filter(effect=effect, rule=rule, kind=kind, id_prefix=record_id)
    console = _console()
    # Followed from before the last ones are read, so that none falls between; those seen twice are shown once.
    coming = reader.follow(wanted) if follow else iter(())
    last = reader.tail(count, wanted)
    _print_records(console, last, as_json=as_json)
    shown = {record["id"] for record in last}
    _print_records(console, (record for record in coming if record["id"] not in shown), as_json=as_json)
    _warn_of_unreadable(reader)


@app.command()
def show(
    decision_id: Annotated[str, typer.Argument(metavar="ID|last", help="A decision's id, its beginning, or last.")],
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Explain one decision in plain sentences."""
    reader = LogReader(_directory(directory))
    exchange = reader.find(decision_id)
    if as_json:
        typer.echo(msgspec.json.encode(exchange))
    else:
        print_explanation(exchange)
    _warn_of_unreadable(reader)


@app.command()
def verify(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The log, or one origin of it.")] = None,
    trust: Annotated[Path | None, typer.Option(help="File of trusted verifier keys, one vkey a line.")] = None,
    require_anchor: Annotated[bool, typer.Option("--require-anchor", help="Exit 2 if no anchor is known.")] = False,
    as_json: Json = False,
) -> None:
    """Verify the log, and say what is not proven. Exits 0 whole, 1 tampered, 2 torn tail, 3 usage."""
    try:
        keys = None if trust is None else read_trust(trust)
        report = verify_log(_directory(directory), trust=keys, require_anchor=require_anchor)
    except UsageError as error:
        for label, text in (("error", error.what), ("where", error.where), ("mend ", error.mend)):
            typer.echo(f"{label}: {text}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    if as_json:
        typer.echo(report.to_json())
    else:
        print_report(report)
    if report.exit_code != EXIT_WHOLE:
        raise typer.Exit(report.exit_code)


def print_verification(directory: Path) -> int:
    """Verify a log and print the report for people; returns the exit code of ``guard log verify``."""
    report = verify_log(directory)
    print_report(report)
    return report.exit_code


def print_report(report: Report) -> None:
    """Print a report for people."""
    console = _console()
    for line in report.lines():
        headline, colon, rest = line.partition(":")
        if headline in _COLOURS:
            console.print(f"[{_COLOURS[headline]}]{headline}[/]{colon}{_safe(rest)}")
        else:
            console.print(_safe(line))


def print_explanation(exchange: Exchange) -> None:
    """Print a decision in plain sentences."""
    console = _console()
    for section in explain(exchange):
        for number, sentence in enumerate(section.sentences):
            title = section.title if number == 0 else ""
            console.print(f"[bold]{title:<14}[/]{_safe(sentence)}")


def _safe(text: str) -> str:
    """Text of a log as rich prints it: a tampered log must not drive the reader's terminal."""
    return escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def _directory(given: Path | None) -> Path:
    return given if given is not None else load_config().state_directory / "log"


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _print_records(console: Console, records: Iterable[DecisionRecord], *, as_json: bool) -> None:
    for record in records:
        if as_json:
            typer.echo(msgspec.json.encode(record, order="deterministic"))
        else:
            console.print(_line(record))


def _line(record: DecisionRecord) -> str:
    """One record on one line, as rich markup."""
    spoken = ", ".join(rules(record))
    if record["kind"] == "decision":
        what, effect = record["what"], record["decision"]["effect"]
        colour = _COLOURS[effect]
        target = " ".join(str(part) for part in (what["method"], what["route"], what["model"]) if part)
        who = record["who"]["id"] or record["who"]["type"]
        text = f"[{colour}]{effect:<9}[/]{_safe(str(record['id']))}  {_safe(who)}  {_safe(target)}  {_safe(spoken)}"
    elif record["kind"] == "outcome":
        verdict = "deny" if "deny" in effects(record) else "allow"
        fate = record["aborted"] or "sent"
        text = f"  outcome {_safe(str(record['decision_ref']))}  {_safe(str(record['status']))}  {_safe(fate)}"
        text += f"  [{_COLOURS[verdict]}]{verdict}[/]  {_safe(spoken)}"
    else:
        text = f"{_safe(record['kind']):<9}record {record['seq']} of {_safe(record['origin'])}"
    return f"[dim]{when(record)}[/]  {text}".rstrip()


def _warn_of_unreadable(reader: LogReader) -> None:
    if reader.unreadable:
        typer.echo(f"warning: {reader.unreadable} lines are no records; run: guard log verify", err=True)
