"""Which rules can hold for an input: rules of one document that compare the same input field with constants are kept in
a table by that constant, so that five hundred of them cost as much as the few that match.

Only conditions that every solution of a body needs count: ``input.a.b == constant`` and ``input.a.b in {constants}``,
also by way of a variable, neither negated nor under ``with``. Rules with ``else`` are not indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import Location
from .gen_terms import constant_value
from .nodes import Body, CallExpr, Const, Ref, Rule, Term, Var, dotted
from .values import UNDEFINED, Set, key_of, rank

_LEAST_RULES = 8
_SCALARS = frozenset({str, int, float, bool, type(None), Decimal})
_HASHABLE = frozenset({str, int})

Path = tuple[str, ...]
Keys = frozenset[Any]
BodyFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to find rules, which are numbers here: by the value at a path, else ``rest``."""

    path: Path
    table: dict[Any, Plan | tuple[int, ...]]
    rest: Plan | tuple[int, ...]

    def bind(self, bodies: Sequence[BodyFunction], places: Sequence[Location]) -> Index:
        """The index of these bodies and the places of their rules."""
        return Index(self, bodies, dict(zip(bodies, places, strict=True)))


class Index:
    """A plan with functions in the place of numbers. ``places`` has the location of each function's rule."""

    __slots__ = ("path", "places", "rest", "table")

    def __init__(self, plan: Plan, bodies: Sequence[BodyFunction], places: dict[BodyFunction, Location]) -> None:
        def bound(part: Plan | tuple[int, ...]) -> Index | tuple[BodyFunction, ...]:
            return Index(part, bodies, places) if isinstance(part, Plan) else tuple(bodies[at] for at in part)

        self.path = plan.path
        self.table = {key: bound(part) for key, part in plan.table.items()}
        self.rest = bound(plan.rest)
        self.places = places

    def rules(self, document: Any) -> tuple[BodyFunction, ...]:
        """The bodies that may have a solution for an input."""
        value = document
        for part in self.path:
            value = value.get(part, UNDEFINED) if type(value) is dict else UNDEFINED
        kind = type(value)
        hit: Index | tuple[BodyFunction, ...]
        if kind in _HASHABLE:
            hit = self.table.get(value, ())
        elif kind in _SCALARS:
            hit = self.table.get(key_of(value), ())
        else:
            hit = ()
            if value is not UNDEFINED:
                rank(value)
        found = hit.rules(document) if isinstance(hit, Index) else hit
        rest = self.rest
        return found + (rest.rules(document) if isinstance(rest, Index) else rest)


def plan_rules(rules: Sequence[Rule]) -> Plan | None:
    """A plan for the rules of a document, by their positions; None where a table would not pay."""
    known = [(number, conditions(rule.body)) for number, rule in enumerate(rules)]
    plan = _split(known)
    return plan if isinstance(plan, Plan) else None


def _split(known: list[tuple[int, dict[Path, Keys]]]) -> Plan | tuple[int, ...]:
    values: dict[Path, set[Any]] = {}
    counts: dict[Path, int] = {}
    for _, found in known:
        for path, keys in found.items():
            values.setdefault(path, set()).update(keys)
            counts[path] = counts.get(path, 0) + 1
    paths = [path for path, count in counts.items() if count >= _LEAST_RULES and len(values[path]) > 1]
    if not paths:
        return tuple(number for number, _ in known)
    best = max(paths, key=lambda path: (min(counts[path], len(values[path])), counts[path]))
    table: dict[Any, list[tuple[int, dict[Path, Keys]]]] = {}
    rest: list[tuple[int, dict[Path, Keys]]] = []
    for number, found in known:
        if best not in found:
            rest.append((number, found))
            continue
        others = {path: keys for path, keys in found.items() if path != best}
        for key in found[best]:
            table.setdefault(key, []).append((number, others))
    return Plan(best, {key: _split(part) for key, part in table.items()}, _split(rest))


def conditions(body: Body) -> dict[Path, Keys]:
    """For each input path that a body compares with constants, the keys that it may have."""
    found: dict[Path, Keys] = {}
    names: dict[str, Path] = {}
    for expr in body:
        node = expr.node
        if expr.negated or expr.withs or not isinstance(node, CallExpr) or len(node.args) != 2:
            continue
        name = dotted(node.op)
        if name in {"eq", "equal"}:
            for term, other in (node.args, node.args[::-1]):
                path = _path(term, names)
                if path is not None and isinstance(other, Var):
                    names.setdefault(other.name, path)
                _require(found, path, _keys((other,)))
        elif name == "internal.member_2":
            members = constant_value(node.args[1])
            if members is not None and type(members[0]) in {list, Set}:
                _require(found, _path(node.args[0], names), _keys(tuple(map(Const, members[0]))))
    return found


def _require(found: dict[Path, Keys], path: Path | None, keys: Keys | None) -> None:
    if path is not None and keys is not None:
        found[path] = found[path] & keys if path in found else keys


def _path(term: Term, names: dict[str, Path]) -> Path | None:
    """The keys of ``input.a.b``, or of the reference that a variable stands for."""
    if isinstance(term, Var):
        return names.get(term.name)
    if not isinstance(term, Ref) or len(term.terms) < 2:
        return None
    head, *parts = term.terms
    if not isinstance(head, Var) or head.name != "input":
        return None
    keys = [part.value for part in parts if isinstance(part, Const) and type(part.value) is str]
    return tuple(keys) if len(keys) == len(parts) else None


def _keys(terms: Sequence[Term]) -> Keys | None:
    """Scalars in key form; None where a term is anything else."""
    values = [term.value for term in terms if isinstance(term, Const) and type(term.value) in _SCALARS]
    return frozenset(map(key_of, values)) if len(values) == len(terms) else None
