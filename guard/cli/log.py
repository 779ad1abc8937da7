"""``guard log``: read, explain and verify the signed log.

Exit codes: 0 done; 1 not found or failed; 3 usage. ``verify``: 0 whole, 1 tampered, 2 torn tail (or unanchored under
``--require-anchor``), 3 nothing was verified. A directory may be the log, one origin of it, or the state directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
import typer

from guard.cli.complaints import warn
from guard.cli.explain import explain as explain_rules
from guard.cli.log_anchors import anchors
from guard.cli.log_conditions import Changed, Effect, Kind, RecordId, Rule, checked_effect, checked_kind
from guard.cli.log_export import export
from guard.cli.log_hash import hash_value
from guard.cli.log_label import label
from guard.cli.log_lines import print_records, warn_of_unreadable
from guard.cli.log_options import Directory, Json, directory_of
from guard.cli.log_query import query
from guard.cli.log_reads import recorded_reading
from guard.cli.log_shadow import shadow
from guard.cli.log_verify import verify
from guard.cli.terminal import console, hanging, printable
from guard.policy.document import restore
from guard.review.explain import Section, explain
from guard.review.filters import Filter
from guard.review.query import Exchange, LogReader, RecordNotFound
from guard.review.reloads import explain_reload
from guard.types import DecisionRecord

app = typer.Typer(
    name="log", help="Read, explain and verify the signed log.", no_args_is_help=True, rich_markup_mode=None
)

_TITLE_WIDTH: Final = 14


app.command()(query)
app.command("hash")(hash_value)
app.command()(shadow)
app.command()(export)
app.command()(verify)
app.command()(anchors)
app.command()(label)
app.command("explain")(explain_rules)


@app.command()
def tail(
    *,
    directory: Directory = None,
    count: Annotated[int, typer.Option("-n", min=0, metavar="N", help="How many records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with records as they are committed.")] = False,
    effect: Effect = None,
    rule: Rule = None,
    kind: Kind = None,
    record_id: RecordId = "",
    changed: Changed = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, a record on each line.")] = False,
) -> None:
    """Show the last records, a line each.

    Records of the log itself, such as who read it, are shown where --kind or --id asks for them.
    """
    wanted = Filter(
        effect=checked_effect(effect),
        rule=rule,
        kind=checked_kind(kind),
        id_prefix=record_id,
        changed=changed,
        housekeeping=kind is not None or record_id != "",
    )
    log = directory_of(directory)
    reader = LogReader(log)
    out = console()
    asked = {"effect": effect, "rule": rule, "kind": kind, "id": record_id, "changed": changed, "follow": follow}
    # Followed from before the last ones are read, so that none falls between; those seen twice are shown once.
    coming = reader.follow(wanted) if follow else iter(())
    with recorded_reading(log, "tail", **asked) as account:
        last = reader.tail(count, wanted)
        print_records(out, account.counted(last), as_json=as_json)
        account.complete = True
    if not last and count and not follow:
        warn("no record is such")
    shown = {record["id"] for record in last}
    print_records(out, (record for record in coming if record["id"] not in shown), as_json=as_json)
    warn_of_unreadable(reader)


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
    log = directory_of(directory)
    reader = LogReader(log)
    try:
        exchange = reader.find(decision_id)
    except RecordNotFound:
        reload = reader.find_reload(decision_id)
        if reload is None or policy_input:
            raise
        _print_reload(reload, as_json=as_json)
        return
    with recorded_reading(log, "show", id=exchange.decision["id"]) as account:
        account.records = 1 if exchange.outcome is None else 2
        if policy_input:
            _print_input(exchange)
        elif as_json:
            typer.echo(msgspec.json.encode(exchange))
        else:
            print_explanation(exchange)
        account.complete = True
    warn_of_unreadable(reader)


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
