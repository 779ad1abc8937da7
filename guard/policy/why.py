"""One evaluation explained to the author of its policies: what fired, where, with which variables, what it read; and of
the rules that did not fire, the expression at which they stopped.

For an author's own machine and an author's own input: it shows values. The log has none of them
(`guard.policy.explain`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from guard import rego
from guard.policy.bundle import Bundle
from guard.policy.explain import MAX_FIRED
from guard.policy.places import Read, read_at
from guard.rego.stops import Stop
from guard.types import UNDEFINED, Severity

Part = Literal["reasons", "obligations", "would_deny", ""]
_NOWHERE: Final[tuple[Part, list[Any]]] = ("", [])
PARTS: Final[tuple[Part, ...]] = ("reasons", "obligations", "would_deny")


class Place(msgspec.Struct, frozen=True):
    """A body in its file: the path of its rule, and the first line of it as it is written."""

    rule: str
    file: str
    row: int
    source: str


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """A body that held. ``part`` is where in the decision its value stands, empty for one that carries no id of the
    decision; ``said`` are those values. ``solutions`` are the variables of the first times it held, of ``times``."""

    part: Part
    id: str
    title: str
    severity: Severity | None
    remediation: str
    place: Place
    said: tuple[Any, ...]
    solutions: tuple[dict[str, Any], ...]
    times: int
    asked: tuple[Place, ...]
    reads: tuple[Read, ...]


class Stopped(msgspec.Struct, frozen=True):
    """The first expression that did not hold (``place.source`` in one line), the last time it was ``tries``, with what
    its operands held; ``below`` are the rules that it asked in vain."""

    place: Place
    tries: int
    operands: tuple[Read, ...]
    below: tuple[Stopped, ...]


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with an id that did not fire, and where it stopped: ``None`` where it was not asked."""

    id: str
    title: str
    severity: Severity | None
    place: Place
    stopped: Stopped | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation did. ``value`` is that of the query, absent (``defined`` false) where it has none;
    ``failure`` is what ended it, empty if nothing did."""

    query: str
    defined: bool
    value: Any
    failure: str
    fired: tuple[Fired, ...]
    silent: tuple[Silent, ...]


class Author:
    """Explains evaluations of one bundle."""

    def __init__(self, bundle: Bundle, program: rego.Program) -> None:
        self._bundle = bundle
        self._program = program
        self._bodies = program.bodies
        self._places = [
            Place(body.path, body.file, body.row, _line(bundle.modules.get(body.file, ""), body.row))
            for body in self._bodies
        ]

    def identifiers(self) -> list[str]:
        """The ids of all rules that can speak."""
        return sorted({found for number in range(len(self._bodies)) if (found := self._id(number))})

    def explain(
        self, query: str, input_: Any, *, silent: Collection[str], max_steps: int, strict: bool = False
    ) -> Explanation:
        """The value of ``data.…`` for an input, and why. ``silent`` are the ids whose silence is to be explained too.
        Raises ``guard.rego.CompileError`` for a query that is no plain reference."""
        given = {} if input_ is UNDEFINED else {"input": input_}
        seen = self._program.witness(query, **given, max_steps=max_steps, strict_builtin_errors=strict)
        defined = seen.value is not rego.UNDEFINED
        fired = list(self._fired(seen, {**given, "data": self._bundle.data}))
        quiet = [n for n in range(len(self._bodies)) if self._id(n) in silent and n not in seen.held]
        return Explanation(
            query=query,
            defined=defined,
            value=seen.value if defined else None,
            failure=seen.failure,
            fired=tuple(fired),
            silent=tuple(self._silent(quiet, query, given, max_steps)) if quiet else (),
        )

    def _id(self, number: int) -> str:
        found = self._bodies[number].literal.get("id")
        return found if isinstance(found, str) else ""

    def _fired(self, seen: rego.Witnessed, documents: Mapping[str, Any]) -> Iterator[Fired]:
        """The bodies with an id that held; where the value is no decision and there is none, every body that did."""
        speaking = [number for number in seen.held if self._id(number)]
        if not speaking and not is_decision(seen.value):
            speaking = list(seen.held)
        reads = self._program.reads(speaking)
        parts = _parts(seen.value)
        for number in speaking:
            identifier = self._id(number)
            info = self._bundle.rules.get(identifier)
            testimony = seen.held[number]
            asked = [self._places[each] for each in seen.held if each in reads[number].asks]
            part, said = parts.get(identifier, _NOWHERE)
            yield Fired(
                part=part,
                id=identifier,
                title=info.title if info else "",
                severity=info.severity if info else None,
                remediation=info.remediation if info else "",
                place=self._places[number],
                said=tuple(said),
                solutions=testimony.solutions,
                times=testimony.total,
                asked=tuple(asked[:MAX_FIRED]),
                reads=tuple(read_at(path, documents) for path in reads[number].paths),
            )

    def _silent(self, numbers: list[int], query: str, given: dict[str, Any], max_steps: int) -> Iterator[Silent]:
        stops = self._program.watch(query, **given, max_steps=max_steps)
        found = stops.of_bodies(numbers)
        for number in numbers:
            info = self._bundle.rules.get(self._id(number))
            yield Silent(
                id=self._id(number),
                title=info.title if info else "",
                severity=info.severity if info else None,
                place=self._places[number],
                stopped=_stopped(found[number]) if number in found else None,
            )


def is_decision(value: Any) -> bool:
    """Whether a value is what an entrypoint answers."""
    return isinstance(value, dict) and isinstance(value.get("allow"), bool)


def _parts(value: Any) -> dict[str, tuple[Part, list[Any]]]:
    """For each id of a decision, where it stands in it and what it says there."""
    found: dict[str, tuple[Part, list[Any]]] = {}
    for part in PARTS if isinstance(value, dict) else ():
        items = value.get(part)
        for item in items if isinstance(items, list) else ():
            identifier = item.get("id") if isinstance(item, dict) else None
            if isinstance(identifier, str):
                found.setdefault(identifier, (part, []))[1].append(item)
    return found


def _stopped(stop: Stop) -> Stopped:
    return Stopped(
        Place(stop.rule, stop.file, stop.row, stop.text),
        stop.tries,
        tuple(Read(operand.text, operand.values, len(operand.values)) for operand in stop.operands),
        tuple(map(_stopped, stop.inner)),
    )


def _line(source: str, row: int) -> str:
    lines = source.splitlines()
    return lines[row - 1].strip() if 0 < row <= len(lines) else ""
