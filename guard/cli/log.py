"""``guard log``: read, explain and verify the signed log.

Exit codes: 0 done; 1 not found or failed; 3 usage. ``verify``: 0 whole, 1 tampered, 2 torn tail (or unanchored under
``--require-anchor``), 3 nothing was verified. A directory may be the log, one origin of it, or the state directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from guard.cli.complaints import complain, unusable, warn
from guard.cli.explain import explain as explain_rules
from guard.cli.log_options import Directory, Json, directory_of
from guard.cli.log_shadow import shadow
from guard.cli.terminal import console, hanging, mute, printable, verdict_stands
from guard.errors import GuardError
from guard.policy.document import restore
from guard.record.report import EXIT_USAGE, EXIT_WHOLE, Report
from guard.record.verify import read_trust
from guard.record.verify import verify as verify_log
from guard.review.explain import Section, explain, explain_reload, reload_summary, when
from guard.review.query import Exchange, Filter, LogReader, RecordNotFound, effects, rules
from guard.review.shadow import changes
from guard.types import DecisionRecord

app = typer.Typer(
    name="log", help="Read, explain and verify the signed log.", no_args_is_help=True, rich_markup_mode=None
)

_COLOURS: Final = {
    "allow": "green",
    "deny": "red",
    "WHOLE": "green",
    "TORN TAIL": "yellow",
    "INCOMPLETE": "yellow",
    "TAMPERED": "bold red",
}
_KINDS: Final = ("decision", "outcome", "open", "close", "heartbeat", "recovery", "config")
_TIME_WIDTH: Final = 26
_TITLE_WIDTH: Final = 14
_SHORT: Final = 12


app.command()(shadow)
app.command("explain")(explain_rules)


@app.command()
def tail(
    *,
    directory: Directory = None,
    count: Annotated[int, typer.Option("-n", min=0, metavar="N", help="How many records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with records as they are committed.")] = False,
    effect: Annotated[str | None, typer.Option(metavar="EFFECT", help="Only allow, or only deny.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="ID", help="Only records in which this rule spoke.")] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help=f"Only records of this kind: {', '.join(_KINDS)}.")
    ] = None,
    record_id: Annotated[str, typer.Option("--id", metavar="ID", help="Only the exchange whose id begins so.")] = "",
    changed: Annotated[
        bool, typer.Option("--changed", help="Only records in which something in shadow would decide otherwise.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, a record on each line.")] = False,
) -> None:
    """Show the last records, a line each."""
    if effect not in (None, "allow", "deny"):
        raise typer.BadParameter("--effect is allow or deny")
    if kind is not None and kind not in _KINDS:
        raise typer.BadParameter(f"--kind is one of {', '.join(_KINDS)}")
    reader = LogReader(directory_of(directory))
    wanted = Filter(effect=effect, rule=rule, kind=kind, id_prefix=record_id, changed=changed)
    out = console()
    # Followed from before the last ones are read, so that none falls between; those seen twice are shown once.
    coming = reader.follow(wanted) if follow else iter(())
    last = reader.tail(count, wanted)
    if not last and count and not follow:
        warn("no record is such")
    _print_records(out, last, as_json=as_json)
    shown = {record["id"] for record in last}
    _print_records(out, (record for record in coming if record["id"] not in shown), as_json=as_json)
    _warn_of_unreadable(reader)


@app.command()
def show(
    decision_id: Annotated[
        str, typer.Argument(metavar="ID", help="A decision's or reload's id, its beginning, or: last")
    ],
    directory: Directory = None,
    policy_input: Annotated[
        bool, typer.Option("--input", help="Only what the policy saw, as guard policy eval -i takes it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Explain one decision, or one reload, in plain sentences."""
    reader = LogReader(directory_of(directory))
    try:
        exchange = reader.find(decision_id)
    except RecordNotFound:
        reload = reader.find_reload(decision_id)
        if reload is None or policy_input:
            raise
        _print_reload(reload, as_json=as_json)
        return
    if policy_input:
        _print_input(exchange)
    elif as_json:
        typer.echo(msgspec.json.encode(exchange))
    else:
        print_explanation(exchange)
    _warn_of_unreadable(reader)


@app.command()
def verify(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="The log, one origin of it, or its state directory; else configured."),
    ] = None,
    trust: Annotated[Path | None, typer.Option(metavar="FILE", help="Trusted verifier keys, one vkey a line.")] = None,
    require_anchor: Annotated[bool, typer.Option("--require-anchor", help="Exit 2 if no anchor is known.")] = False,
    as_json: Json = False,
) -> None:
    """Verify the log, and say what is not proven.

    Exits 0 whole, 1 tampered, 2 torn tail or an anchor is required and missing, 3 nothing was verified.
    """
    try:
        keys = None if trust is None else read_trust(trust)
        report = verify_log(directory_of(directory), trust=keys, require_anchor=require_anchor)
    except GuardError as error:
        complain(error)
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        complain(unusable(error, what="the log cannot be read, so nothing was verified"))
        raise typer.Exit(EXIT_USAGE) from None
    try:
        with verdict_stands():
            if as_json:
                typer.echo(report.to_json())
            else:
                print_report(report)
    except OSError as error:
        mute()
        complain(unusable(error, what="the report cannot be written"))
        raise typer.Exit(report.exit_code or EXIT_USAGE) from None
    if report.exit_code != EXIT_WHOLE:
        raise typer.Exit(report.exit_code)


def print_verification(directory: Path) -> int:
    """Verify a log and print the report for people; returns the exit code of ``guard log verify``."""
    report = verify_log(directory)
    print_report(report)
    return report.exit_code


def print_report(report: Report) -> None:
    """Print a report for people."""
    out = console()
    for line in map(printable, report.lines()):
        headline, colon, rest = line.partition(":")
        if headline in _COLOURS:
            hanging(out, f"[{_COLOURS[headline]}]{headline}[/]{colon} ", rest.lstrip(), indent=len(headline) + 2)
        else:
            hanging(out, "  ", line.lstrip(), indent=4)


def print_explanation(exchange: Exchange) -> None:
    """Print a decision in plain sentences."""
    _print_sections(explain(exchange))


def _print_reload(record: DecisionRecord, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(record))
    else:
        _print_sections(explain_reload(record))


def _print_sections(sections: Iterable[Section]) -> None:
    out = console()
    for section in sections:
        for number, sentence in enumerate(section.sentences):
            title = section.title if number == 0 else ""
            hanging(out, f"[bold]{title:<{_TITLE_WIDTH}}[/]", printable(sentence), indent=_TITLE_WIDTH)


def _print_input(exchange: Exchange) -> None:
    recorded = exchange.decision["policy_input"]
    if recorded is None:
        raise RecordNotFound(
            "no policy was asked", where=f"decision {exchange.decision['id']}", mend="guard log show says why"
        )
    typer.echo(msgspec.json.format(msgspec.json.encode(restore(recorded)), indent=2))


def _print_records(out: Console, records: Iterable[DecisionRecord], *, as_json: bool) -> None:
    for record in records:
        if as_json:
            typer.echo(msgspec.json.encode(record, order="deterministic"))
        else:
            _print_record(out, record)


def _print_record(out: Console, record: DecisionRecord) -> None:
    """One record on one line; a narrow terminal gets the rest below."""
    spoken = ", ".join(rules(record, shadow=False))
    if record["kind"] == "decision":
        what, effect = record["what"], record["decision"]["effect"]
        colour, head, subject = _COLOURS[effect], effect, str(record["id"])
        target = " ".join(str(part) for part in (what["method"], what["route"], what["model"]) if part)
        rest = [_who(record["who"], short=out.is_terminal), target, spoken, *changes(record)]
    elif record["kind"] == "outcome":
        verdict = "deny" if "deny" in effects(record) else "allow"
        colour, head, subject = "dim", "outcome", str(record["decision_ref"])
        rest = [str(record["status"] or "no answer"), record["aborted"] or "sent", verdict, spoken, *changes(record)]
    elif record["kind"] == "config":
        colour, head, subject = "yellow" if record["error"] else "dim", "config", str(record["id"])
        rest = reload_summary(record)
    else:
        colour, head, subject = "dim", record["kind"], f"record {record['seq']} of {record['origin']}"
        rest = []
    text = "  ".join(part for part in (subject, *rest) if part)
    lead = f"[dim]{when(record)}[/]  [{colour}]{printable(head):<9}[/]"
    hanging(out, lead, printable(text), indent=_TIME_WIDTH + 9)


def _who(who: Mapping[str, Any], *, short: bool) -> str:
    """The pseudonym; on a terminal the part of it that tells callers apart."""
    name = str(who["id"] or who["type"])
    digits = name.rpartition(":")[2]
    return f"{digits[:_SHORT]}…" if short and name.startswith("hmac:") else name


def _warn_of_unreadable(reader: LogReader) -> None:
    if reader.unreadable:
        warn(f"{reader.unreadable} lines are no records; run: guard log verify")
