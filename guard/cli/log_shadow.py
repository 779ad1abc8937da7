"""``guard log shadow``: what a rollout would change, from what candidates and rules in shadow mode left in the log."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from guard.cli.complaints import warn
from guard.cli.log_lines import warn_of_unreadable
from guard.cli.log_options import Directory, Json, directory_of
from guard.cli.log_reads import recorded_reading
from guard.cli.terminal import console, hanging, printable
from guard.review.filters import Filter
from guard.review.query import LogReader
from guard.review.shadow import Change, Impact, Summary, summarised

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d{1,9})([smhdw])")
_TITLES: Final[dict[Change, tuple[str, str]]] = {
    "deny_to_allow": ("DENY -> ALLOW", "bold red"),
    "allow_to_deny": ("ALLOW -> DENY", "yellow"),
    "obligations": ("OTHER OBLIGATIONS", "cyan"),
}
_INDENT: Final = 2


def shadow(
    *,
    directory: Directory = None,
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Only records since: 30m, 12h or 7d ago, or an ISO date or time (UTC)."),
    ] = "",
    revision: Annotated[
        str, typer.Option(metavar="REV", help="Only candidates whose revision begins so; else the newest.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Say what would change: which requests and answers would be decided otherwise, and by which rule.

    What would be let in comes first.
    """
    start_us = since_us(since, time.time_ns() // 1000)
    log = directory_of(directory)
    reader = LogReader(log)
    with recorded_reading(log, "shadow", since=start_us, revision=revision) as account:
        records = account.counted(reader.records(Filter(since_us=start_us, housekeeping=False)))
        summary = summarised(records, revision=revision)
        if as_json:
            typer.echo(msgspec.json.encode(summary))
        else:
            _tell(summary, revision)
        account.complete = True
    warn_of_unreadable(reader)


def since_us(text: str, now_us: int) -> int:
    """Microseconds since the epoch: 0 for no text. Raises ``typer.BadParameter``."""
    if not text:
        return 0
    if ago := _AGO.fullmatch(text):
        return max(0, now_us - int(ago[1]) * _UNITS[ago[2]] * 1_000_000)
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise typer.BadParameter("--since is like 30m, 12h, 7d, 2026-01-31 or 2026-01-31T08:00:00Z") from None


def _tell(summary: Summary, revision: str) -> None:
    out = console()
    for impact in summary.candidates[: None if revision else 1]:
        hanging(out, "", f"Candidate {impact.revision}: {_judged(impact)}", indent=0)
        hanging(out, "", f"One evaluation took {impact.mean_us} µs, at most {impact.most_us} µs.", indent=0)
        if impact.failed:
            failed = ", ".join(f"{code} {count}" for code, count in sorted(impact.failed.items()))
            hanging(out, "[bold red]NO DECISION[/]  ", f"{failed}; in earnest each would be a denial", indent=13)
        _rows(out, impact)
    others = [] if revision else summary.candidates[1:]
    if others:
        named = ", ".join(f"{impact.revision} ({impact.judged})" for impact in others)
        hanging(out, "", f"Earlier candidates, with --revision: {named}.", indent=0)
    if not summary.candidates:
        which = f"No candidate {revision} judged" if revision else "No candidate judged"
        hanging(out, "", f"{which} anything. docs/shadow.md says how to put policies in shadow.", indent=0)
    hanging(out, "", f"Rules in shadow mode: {_judged(summary.rules)}", indent=0)
    _rows(out, summary.rules)
    if summary.lost:
        warn(f"{summary.lost} records were too long to hold what was in shadow")


def _judged(impact: Impact) -> str:
    what = "request, message or answer was" if impact.judged == 1 else "requests, messages and answers were"
    would = "none would be" if not impact.changed else f"{impact.changed} would be"
    return f"{impact.judged} {what} judged; {would} decided otherwise."


def _rows(out: Console, impact: Impact) -> None:
    said: Change | None = None
    for row in impact.rows:
        if row.change != said:
            title, colour = _TITLES[row.change]
            out.print(f"[{colour}]{title}[/]")
            said = row.change
        what = row.obligation or row.severity
        text = f"{row.count:>7}  {row.rule}  {what}  {row.stage}  e.g. {', '.join(row.decisions)}"
        hanging(out, " " * _INDENT, printable(text), indent=_INDENT + 9)
