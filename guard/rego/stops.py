"""Why a rule has no value: where each of its bodies stopped in a watched evaluation, and what the operands held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .nodes import CallExpr, Const, Every, Expr, Ref, Rule, Var, dotted
from .origins import Origins
from .scopes import Names
from .show import to_json
from .trace import rule_path
from .tree import RuleTree, ground_path
from .values import UNDEFINED, Set, equal, key_of
from .variables import expr_terms, term_vars
from .watch import Entered, Event, Held, Seen
from .wording import Wording

_DEPTH: Final = 3
_BESIDE: Final = 4
_VALUES: Final = 5
_NO_RULE: Final = (None, 0)


class Operand(NamedTuple):
    """A variable, reference or call of an expression, and its values (JSON-like): several where it iterated, the last
    five of them, and none where it was undefined."""

    text: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """An expression (``text``, in one line) at which a body of a rule ended without a solution, in the last of
    ``tries``. ``inner`` are the stops of rules that it asked in vain."""

    rule: str
    file: str
    row: int
    col: int
    text: str
    tries: int
    operands: tuple[Operand, ...]
    inner: tuple[Stop, ...] = ()


class _Turn(NamedTuple):
    """The events of one expression of the source: where it begins, where the flat expression that failed begins, and
    where the next one begins. ``since`` is where the body began."""

    since: int
    start: int
    failed: int
    until: int


class Stops:
    """Asks the events of one watched evaluation of a program."""

    def __init__(self, tree: RuleTree, names: Names, events: tuple[Event, ...]) -> None:
        self.names = names
        self.bodies = tree.bodies
        self.events = events
        self.origins = Origins(tree.bodies)
        self.flat: dict[int, tuple[Rule, int]] = {
            id(expr): (rule, position) for rule in tree.bodies for position, expr in enumerate(rule.body)
        }

    def of(self, path: str, where: Mapping[str, Any] | None = None) -> tuple[Stop, ...]:
        """The stops of the rules at ``data.path``. ``where`` picks the turns in which variables had these values."""
        wanted = tuple(key_of(part) for part in path.split(".")[1:])
        rules = [rule for rule in self.bodies if ground_path(rule) == wanted]
        return self._stops(rules, (0, len(self.events)), where or {}, 0)

    def of_bodies(self, numbers: Iterable[int]) -> dict[int, Stop]:
        """The stop of each of these bodies that has one, by number (`Program.bodies`)."""
        span = (0, len(self.events))
        found = {number: self._stop(self.bodies[number], span, {}, 0) for number in numbers}
        return {number: stop for number, stop in found.items() if stop is not None}

    def _stops(
        self, rules: list[Rule], span: tuple[int, int], where: Mapping[str, Any], depth: int
    ) -> tuple[Stop, ...]:
        found = [self._stop(rule, span, where, depth) for rule in rules]
        return tuple(stop for stop in found if stop is not None)[:_BESIDE]

    # -- where a body ended -------------------------------------------------------------------------------------------

    def _stop(self, rule: Rule, span: tuple[int, int], where: Mapping[str, Any], depth: int) -> Stop | None:
        """Where the last turn of a body ended, or None if it held or was not tried."""
        since, end = span
        begun = [(at, position) for at, position in self._begun(rule, since, end) if self._fits(at, where)]
        if not where:
            since = max((at for at, position in begun if position == 0), default=since)
            begun = [each for each in begun if each[0] >= since]
            if any(isinstance(event, Held) and event.rule is rule for event in self.events[since:end]):
                return None
        if not begun:
            return None
        furthest = max(position for _, position in begun)
        tries = [at for at, position in begun if position == furthest]
        failed = tries[-1]
        source = self.origins.of(self._expr(failed))
        start = failed
        while start > since and self._belongs(self.events[start - 1], rule, source):
            start -= 1
        until = next((at for at, _ in self._begun(rule, failed + 1, end)), end)
        source, turn = self._innermost(source, _Turn(since, start, failed, until))
        return self._told(rule, source, turn, len(tries), depth)

    def _begun(self, rule: Rule, start: int, end: int) -> Iterator[tuple[int, int]]:
        """(event, position in the body) of each expression of a rule that was begun."""
        for at in range(start, end):
            event = self.events[at]
            if isinstance(event, Entered):
                owner, position = self.flat.get(id(event.expr), _NO_RULE)
                if owner is rule:
                    yield at, position

    def _fits(self, at: int, where: Mapping[str, Any]) -> bool:
        values = self._values(at)
        return all(name in values and to_json(values[name]) == value for name, value in where.items())

    def _belongs(self, event: Event, rule: Rule, source: Expr) -> bool:
        """Whether an event before still belongs to an expression of the source, or to what that asked."""
        if isinstance(event, Entered):
            owner, _ = self.flat.get(id(event.expr), _NO_RULE)
            return owner is not rule or self.origins.of(event.expr) is source
        return not isinstance(event, Held) or event.rule is not rule

    def _innermost(self, source: Expr, turn: _Turn) -> tuple[Expr, _Turn]:
        """The expression inside ``every`` that failed; else the expression itself."""
        if isinstance(source.node, Every):
            inside = self.origins.inside(source.node)
            for at in range(turn.until - 1, turn.failed, -1):
                event = self.events[at]
                if isinstance(event, Entered) and id(origin := self.origins.of(event.expr)) in inside:
                    return origin, turn._replace(start=at, failed=at)
        return source, turn

    def _expr(self, at: int) -> Expr:
        event = self.events[at]
        if not isinstance(event, Entered):
            raise TypeError("no expression begins here")
        return event.expr

    def _values(self, at: int) -> Mapping[str, Any]:
        event = self.events[at]
        return event.values if isinstance(event, Entered) else {}

    # -- what it held -------------------------------------------------------------------------------------------------

    def _told(self, rule: Rule, source: Expr, turn: _Turn, tries: int, depth: int) -> Stop:
        wording = Wording(rule, self.names)
        names = self._mentioned(source, self._expr(turn.failed), wording)
        operands = [Operand(name, (value,)) for name, value in self._values(turn.failed).items() if name in names]
        seen = self._seen(source, turn, wording)
        for ref in self._unseen(self._expr(turn.failed)):
            seen.setdefault(wording.of(ref), [])
        operands += [Operand(text, tuple(values[-_VALUES:])) for text, values in seen.items()]
        shown = tuple(Operand(text, tuple(map(to_json, values))) for text, values in operands)
        inner = self._asked(rule, source, turn, wording) if depth < _DEPTH else []
        below = self._stops(inner, (turn.since, turn.until), {}, depth + 1)
        return Stop(rule_path(rule), *source.loc, " ".join(source.text.split()), tries, shown, below)

    def _mentioned(self, source: Expr, flat: Expr, wording: Wording) -> set[str]:
        """The variables of the source that an expression mentions."""
        terms = [*expr_terms(source), *expr_terms(flat), *[modifier.value for modifier in source.withs]]
        return {self.names.shown(name) for term in terms for name in wording.variables(term)}

    def _seen(self, source: Expr, turn: _Turn, wording: Wording) -> dict[str, list[Any]]:
        """The different values of the references and calls of an expression, in order."""
        seen: dict[str, list[Any]] = {}
        for event in self.events[turn.start : turn.until]:
            if isinstance(event, Seen) and _has_words(event.term) and self.origins.mentions(event.term) is source:
                values = seen.setdefault(wording.of(event.term), [])
                if event.value is not UNDEFINED and not any(equal(event.value, value) for value in values):
                    values.append(event.value)
        return seen

    @staticmethod
    def _unseen(expr: Expr) -> Iterator[Ref]:
        """References of an expression that iterate; without a turn they were not looked at."""
        for term in expr_terms(expr):
            if isinstance(term, Ref) and _has_words(term) and any(isinstance(part, Var) for part in term.terms[1:]):
                yield term

    def _asked(self, rule: Rule, source: Expr, turn: _Turn, wording: Wording) -> list[Rule]:
        """The rules whose silence an expression may show: those that it asks, and those asked by the expressions
        before it which gave its variables their values."""
        names = self._mentioned(source, self._expr(turn.failed), wording)
        sources = {id(source)}
        for expr in rule.body:
            own = {self.names.shown(name) for term in expr_terms(expr) for name in term_vars(term, set())}
            if own & names - {""}:
                sources.add(id(self.origins.of(expr)))
        paths = [
            _path(event.term)
            for event in self.events[turn.since : turn.until]
            if isinstance(event, Seen) and _is_empty(event.value) and id(self.origins.mentions(event.term)) in sources
        ]
        paths += [_path(ref) for ref in self._unseen(self._expr(turn.failed))]
        return [each for each in self.bodies if each is not rule and _gives(each, paths)]


def _has_words(term: Ref | CallExpr) -> bool:
    """Whether an author would know a term: no value of the compiler's, no call that it added."""
    if isinstance(term, CallExpr):
        return dotted(term.op) != "print" and not dotted(term.op).startswith("internal.")
    head = term.terms[0]
    return isinstance(head, Var) and not head.name.startswith("$")


def _is_empty(value: Any) -> bool:
    return value is UNDEFINED or value is False or (isinstance(value, list | dict | Set) and len(value) == 0)


def _gives(rule: Rule, paths: list[tuple[Any, ...]]) -> bool:
    """Whether one of the paths leads to a rule, or into its value."""
    own = ground_path(rule)
    return not rule.default and any(path[: len(own)] == own for path in paths)


def _path(term: Ref | CallExpr) -> tuple[Any, ...]:
    """The constant beginning of a reference below ``data``, in key form."""
    head, *rest = (term.op if isinstance(term, CallExpr) else term).terms
    if not isinstance(head, Var) or head.name != "data":
        return ()
    path: list[Any] = []
    for part in rest:
        if not isinstance(part, Const):
            break
        path.append(key_of(part.value))
    return tuple(path)
