"""An evaluation watched expression by expression: where the bodies of a rule stopped, and what their operands held.

For authors whose test fails; too slow for requests. What happened is kept as a list of events, and asked afterwards.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from .gen_rules import RuleWriter
from .nodes import CallExpr, Expr, Ref, Rule
from .scopes import Names
from .trace import Recorder
from .tree import RuleTree

_KEPT_EVENTS: Final = 50_000


class Entered(NamedTuple):
    """An expression was begun with these variables bound, by the names of the source."""

    expr: Expr
    values: dict[str, Any]


class Seen(NamedTuple):
    """A reference or a call had this value (``UNDEFINED`` if none)."""

    term: Ref | CallExpr
    value: Any


class Held(NamedTuple):
    """A body had a solution."""

    rule: Rule


Event = Entered | Seen | Held


class Watcher(Recorder):
    """Collects the events of one evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.events: deque[Event] = deque(maxlen=_KEPT_EVENTS)

    def fire(self, rule: Rule) -> None:
        """A body of this rule held."""
        self.events.append(Held(rule))

    def enter(self, expr: Expr, values: dict[str, Any]) -> None:
        """An expression begins."""
        self.events.append(Entered(expr, values))

    def saw(self, term: Ref | CallExpr, value: Any) -> None:
        """A reference or a call has a value."""
        self.events.append(Seen(term, value))


class WatchWriter(RuleWriter):
    """Writes a program that tells its ``Watcher`` each expression, and each value that it looks at."""

    def __init__(self, tree: RuleTree, replaceable: frozenset[str], names: Names) -> None:
        super().__init__(tree, replaceable, traced=True)
        self.names = names

    def expression(self, expr: Expr) -> None:
        """One expression, announced with the variables that have a value before it."""
        shown = [(self.names.shown(name), python) for name, python in self.bound.items()]
        values = ", ".join(f"{name!r}: {python}" for name, python in shown if name and name != "_")
        self.line(f"ctx.trace.enter({self.constant(expr)}, {{{values}}})")
        super().expression(expr)

    def ref(self, ref: Ref) -> tuple[str, bool]:
        """A reference, whose value is told."""
        found, maybe = super().ref(ref)
        self.line(f"ctx.trace.saw({self.constant(ref)}, {found})")
        return found, maybe

    def result(self, node: CallExpr, expr: Expr) -> str:
        """A call, whose answer is told."""
        found = super().result(node, expr)
        self.line(f"ctx.trace.saw({self.constant(node)}, {found})")
        return found
