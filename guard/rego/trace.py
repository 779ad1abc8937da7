"""What an evaluation did: the rules that fired and the lines it reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import Location
from .nodes import Rule
from .tree import ground_path
from .values import value_of


class Fired(NamedTuple):
    """A rule whose body held. ``path`` is ``data.a.b``; rows and columns count from 1."""

    path: str
    file: str
    row: int
    col: int


@dataclass(frozen=True, slots=True)
class Trace:
    """The value of a reference, with the rules that fired in order of their first success, and the ``places`` of the
    expressions reached and of the heads of those rules."""

    value: Any
    fired: tuple[Fired, ...]
    places: frozenset[Location]

    @property
    def lines(self) -> frozenset[tuple[str, int]]:
        """(file, row) of each line reached."""
        return frozenset((place.file, place.row) for place in self.places)


def rule_path(rule: Rule) -> str:
    """``data.a.b`` of a rule, up to the first variable of its head."""
    return ".".join(["data", *[str(value_of(part)) for part in ground_path(rule)]])


class Recorder:
    """Collects during one evaluation."""

    def __init__(self) -> None:
        self.rules: dict[int, Rule] = {}
        self.places: set[Location] = set()

    def fire(self, rule: Rule) -> None:
        """A body of this rule held."""
        self.rules.setdefault(id(rule), rule)
        self.places.add(rule.loc)

    def cover(self, loc: Location) -> None:
        """An expression was reached, or a default used."""
        self.places.add(loc)

    def finish(self, value: Any) -> Trace:
        """The record so far."""
        fired = [Fired(rule_path(rule), *rule.loc) for rule in self.rules.values()]
        return Trace(value, tuple(fired), frozenset(self.places))
