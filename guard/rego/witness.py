"""The variables of bodies that held, for authors: a program written so that each success tells what it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .gen_rules import RuleWriter
from .nodes import Rule
from .scopes import Names
from .tree import RuleTree

_SOLUTIONS: Final = 8


class Testimony(NamedTuple):
    """The solutions of one body: the first ones, as variables of the source with their values (JSON-like), and how
    many there were."""

    solutions: tuple[dict[str, Any], ...]
    total: int


@dataclass(frozen=True, slots=True)
class Witnessed:
    """The value of a reference (`UNDEFINED` if none) and the bodies that held for it, by number, in order of their
    first success. ``failure`` is what ended the evaluation, empty if nothing did."""

    value: Any
    held: dict[int, Testimony]
    failure: str = ""


@dataclass(slots=True)
class Witness:
    """Collects the solutions of one evaluation."""

    solutions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    totals: dict[int, int] = field(default_factory=dict)

    def held(self, number: int, values: dict[str, Any]) -> None:
        """A body has a solution."""
        self.totals[number] = self.totals.get(number, 0) + 1
        kept = self.solutions.setdefault(number, [])
        if len(kept) < _SOLUTIONS:
            kept.append(values)


class WitnessWriter(RuleWriter):
    """Writes a program whose bodies tell their `Witness` the variables with which they held."""

    def __init__(self, tree: RuleTree, replaceable: frozenset[str], names: Names) -> None:
        super().__init__(tree, replaceable, traced=False)
        self.names = names

    def fired(self, rule: Rule) -> None:
        """Tell of a solution, with the variables of the source that have a value."""
        super().fired(rule)
        shown = [(self.names.shown(name), python) for name, python in self.bound.items()]
        values = ", ".join(f"{name!r}: {python}" for name, python in shown if name and name != "_")
        self.line(f"ctx.trace.held({rule.number}, {{{values}}})")
