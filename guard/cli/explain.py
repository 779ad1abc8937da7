"""``guard log explain``: a recorded decision as a tree: by whom, why, which rules fired and where, what they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer

from guard.cli.log_lines import warn_of_unreadable
from guard.cli.log_options import Directory, Json, directory_of
from guard.cli.log_reads import recorded_reading
from guard.cli.terminal import console
from guard.cli.tree import SEVERITIES, Twig, group, print_tree, read_line, spelled
from guard.review.because import Cause, Obliged, Ruling, because
from guard.review.explain import Section, when
from guard.review.explain import explain as sections_of
from guard.review.query import Exchange, LogReader

_SHOWN: Final = 8
_EFFECTS: Final = {"allow": "green", "deny": "red"}
_BEFORE: Final = ("Who", "What")
_AFTER: Final = ("Otherwise", "Candidate", "Found", "Behaviour", "Not inspected", "Answer", "Policy", "Record")


def explain(
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="A decision's id, its beginning, or: last")],
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show why a recorded decision fell: the rules that fired, their places, and what they read.

    The values are those of the recorded policy input, which holds no raw text.
    """
    log = directory_of(directory)
    reader = LogReader(log)
    exchange = reader.find(decision_id)
    with recorded_reading(log, "explain", id=exchange.decision["id"]) as account:
        account.records = 1 if exchange.outcome is None else 2
        _print(exchange, as_json=as_json)
        account.complete = True
    warn_of_unreadable(reader)


def _print(exchange: Exchange, *, as_json: bool) -> None:
    found = because(exchange)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    sections = {section.title: section for section in sections_of(_without_reasons(exchange))}
    below = [twig for title in _BEFORE for twig in _section(sections.get(title))]
    for ruling in found.rulings:
        below += _ruling(ruling, several=len(found.rulings) > 1)
    below += [twig for title in _AFTER for twig in _section(sections.get(title))]
    text = f"{' '.join(sections['Decision'].sentences)} {when(exchange.decision)}"
    print_tree(console(), Twig(found.id, text, style=_EFFECTS[found.effect], below=below))


def _without_reasons(exchange: Exchange) -> Exchange:
    """The exchange without the reasons of the answer's verdicts, which have branches of their own."""
    if exchange.outcome is None:
        return exchange
    verdicts = [{**verdict, "why": []} for verdict in exchange.outcome["decisions"]]
    return Exchange(exchange.decision, {**exchange.outcome, "decisions": verdicts})


def _section(section: Section | None) -> list[Twig]:
    """A section of the sentences that ``guard log show`` prints."""
    if section is None:
        return []
    if len(section.sentences) == 1:
        return [Twig(section.title.lower(), section.sentences[0])]
    return [Twig(section.title.lower(), below=[Twig("", sentence) for sentence in section.sentences])]


def _ruling(ruling: Ruling, *, several: bool) -> list[Twig]:
    whose = f" ({ruling.stage})" if several else ""
    values = ruling.input_recorded
    because_of = "denied by" if ruling.effect == "deny" else "let through in spite of"
    causes = group(because_of + whose, [_cause(cause, values=values) for cause in ruling.causes])
    if not causes:
        causes = [Twig(f"no rule denied{whose}")]
    return [
        *causes,
        *group(f"in shadow, would be denied by{whose}", [_cause(cause, values=values) for cause in ruling.in_shadow]),
        *group(f"obliged by{whose}", _obliged(ruling)),
    ]


def _cause(cause: Cause, *, values: bool) -> Twig:
    below = [Twig("at", cause.location)] if cause.location else []
    below.append(Twig("says", cause.message))
    if cause.pointers:
        below.append(Twig("found at", _listed(cause.pointers, cause.pointers_total)))
    # The first body is the rule's own.
    if len(cause.fired) > 1:
        below.append(Twig("asked, and held", ", ".join(cause.fired[1:])))
    note = "" if values else "(the record has no policy input, so no values)"
    below += group("may have read", [read_line(read) for read in cause.reads], note)
    if cause.remediation:
        below.append(Twig("remedy", cause.remediation))
    style = SEVERITIES.get(cause.severity, "bold")
    return Twig(cause.rule or cause.code, f"({cause.severity}) {cause.title}", style=style, below=below)


def _obliged(ruling: Ruling) -> list[Twig]:
    """The obligations by rule."""
    rules: dict[tuple[str, str | None], list[Obliged]] = {}
    for duty in ruling.obligations:
        rules.setdefault((duty.rule, duty.location), []).append(duty)
    return [
        Twig(rule, f"at {location}" if location else "", below=[_duty(duty, ruling.stage) for duty in duties])
        for (rule, location), duties in rules.items()
    ]


def _duty(duty: Obliged, stage: str) -> Twig:
    params = "".join(f", {key} {spelled(value)}" for key, value in sorted(duty.params.items()))
    # What was done to an answer is recorded by entity, not by duty.
    done = "" if stage == "response" and duty.result == "pending" else f": {duty.result}"
    counted = f", {'once' if duty.count == 1 else f'{duty.count} times'}" if duty.count else ""
    return Twig("", f"{duty.type}{params}{done}{counted}")


def _listed(names: Sequence[str], total: int) -> str:
    shown = ", ".join(name or "the whole body" for name in names[:_SHOWN])
    more = total - min(len(names), _SHOWN)
    return f"{shown} and {more} more" if more > 0 else shown
