"""How ``guard policy eval --explain`` prints an explanation: decision, rules, places, variables, what was read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

from guard import rego
from guard.cli.complaints import warn
from guard.cli.policy.given import GIVE_INPUT
from guard.cli.terminal import console
from guard.cli.tree import SEVERITIES, Twig, group, operand_line, print_tree, read_line, spelled
from guard.policy.embedded import MAX_STEPS
from guard.policy.why import PARTS, Author, Explanation, Fired, Part, Place, Silent, Stopped, is_decision
from guard.types import UNDEFINED

Explain = Annotated[
    bool, typer.Option("--explain", help="Print which rules fired, where, with which values, and what they read.")
]
Full = Annotated[bool, typer.Option("--full", help="Explain, too, where each rule stopped that did not fire.")]
Rules = Annotated[
    list[str] | None, typer.Option("--rule", metavar="ID", help="Explain why this rule did not fire; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="The explanation as JSON.")]

_TITLES: Final[dict[Part, str]] = {
    "reasons": "denied by",
    "obligations": "obliged by",
    "would_deny": "in shadow, would be denied by",
    "": "held",
}
_ID_KEYS: Final = frozenset({"id", "message", "pointers"})


def explain_query(
    author: Author, query: str, arguments: Mapping[str, Any], *, silent: list[str], strict: bool, as_json: bool
) -> bool:
    """Explain one evaluation, and return whether the query has a value. ``arguments`` has ``input`` where one was
    given. Raises ``BadParameter`` for a query that is no reference, ``Exit`` where the evaluation failed."""
    try:
        told = author.explain(
            query, arguments.get("input", UNDEFINED), silent=silent, max_steps=MAX_STEPS, strict=strict
        )
    except rego.CompileError:
        what = f"only a reference below data can be explained, such as data.guard.decision, not {query!r}"
        raise typer.BadParameter(what, param_hint="QUERY") from None
    if not arguments:
        warn(f"no input was given, so nothing that reads it held; {GIVE_INPUT}")
    if as_json:
        typer.echo(msgspec.json.encode(told))
    else:
        print_explanation(told)
    if told.failure:
        raise typer.Exit(1)
    return told.defined


def known(wanted: list[str], identifiers: list[str]) -> list[str]:
    """The ids, each of which a rule has. Raises ``BadParameter``."""
    for identifier in wanted:
        if identifier not in identifiers:
            near = difflib.get_close_matches(identifier, identifiers, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are: {', '.join(identifiers) or 'none'}"
            raise typer.BadParameter(f"no rule has the id {identifier!r}; {meant}", param_hint="--rule")
    return wanted


def print_explanation(explanation: Explanation) -> None:
    """The tree, on standard output."""
    below: list[Twig] = []
    for part in (*PARTS, ""):
        fired = [each for each in explanation.fired if each.part == part]
        below += group(_TITLES[part], [_fired(each) for each in fired])
    below += group("did not fire", [_silent(each) for each in explanation.silent])
    if not explanation.fired:
        below.insert(0, Twig("no rule fired", style=""))
    print_tree(console(), Twig(explanation.query, _outcome(explanation), below=below))


def _outcome(explanation: Explanation) -> str:
    if explanation.failure:
        return f"failed: {explanation.failure}"
    if not explanation.defined:
        return "is undefined"
    value = explanation.value
    if is_decision(value):
        return "allows" if value["allow"] and not value.get("reasons") else "denies"
    return f"= {spelled(value)}"


def _fired(fired: Fired) -> Twig:
    below = [_place("at", fired.place)]
    below += [Twig("says", _said(item)) for item in fired.said]
    below += _variables(fired.solutions, fired.times)
    below += group("asked, and held", [_place("", place) for place in fired.asked])
    below += group("may have read", [read_line(read) for read in fired.reads])
    if fired.remediation and fired.part != "obligations":
        below.append(Twig("remedy", fired.remediation))
    return _rule(fired.id or fired.place.rule, fired.severity, fired.title, below)


def _rule(name: str, severity: str | None, title: str, below: Sequence[Twig]) -> Twig:
    marked = f"({severity}) " if severity else ""
    return Twig(name, marked + title, style=SEVERITIES.get(severity or "", "bold"), below=below)


def _place(head: str, place: Place) -> Twig:
    where = f"{place.file}:{place.row}"
    return Twig(head, f"{where}  {place.source}") if head else Twig(where, place.source, style="")


def _said(item: Any) -> str:
    if not isinstance(item, dict):
        return spelled(item)
    told = [str(item["message"])] if isinstance(item.get("message"), str) else []
    pointers = item.get("pointers")
    if isinstance(pointers, list) and pointers:
        told.append(f"at {', '.join(str(each) or 'the whole body' for each in pointers)}")
    told += [f"{key} {spelled(value)}" for key, value in item.items() if key not in _ID_KEYS]
    return "; ".join(told)


def _variables(solutions: Sequence[dict[str, Any]], times: int) -> list[Twig]:
    """The variables of each solution; those that have one value in all of them are told once."""
    several = times > 1
    found: list[Twig] = []
    for number, values in enumerate(solutions, start=1):
        lines = [Twig(name, f"= {spelled(value)}", style="") for name, value in sorted(values.items())]
        if lines:
            found.append(Twig(f"with ({number} of {times})" if several else "with", below=lines))
    return found


def _silent(silent: Silent) -> Twig:
    below = [Twig("at", f"{silent.place.file}:{silent.place.row}  {silent.place.source}")]
    below.append(Twig("it was not asked", style="") if silent.stopped is None else _stopped("stopped", silent.stopped))
    return _rule(silent.id, silent.severity, silent.title, below)


def _stopped(head: str, stopped: Stopped) -> Twig:
    place = stopped.place
    tried = f"  (the last of {stopped.tries} tries)" if stopped.tries > 1 else ""
    below = [operand_line(operand) for operand in stopped.operands]
    below += [_stopped(f"{inner.place.rule} stopped", inner) for inner in stopped.below]
    return Twig(head, f"at {place.file}:{place.row}  {place.source}{tried}", below=below)
