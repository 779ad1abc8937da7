"""Obligations that are written out in the heads of rules, held against what the guard can perform.

One that it cannot perform denies the exchange: better known before the first request than with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from guard.policy.inference import path_of_rule
from guard.policy.remarks import Remark, nearest
from guard.rego.nodes import Array, CallExpr, Const, Object, Ref, Rule, Term, dotted

CODE: Final = "guard_obligation_error"
_RULES: Final = ("guard", "rules")
_MEANS: Final = "id", "type"
_VARIES: Final = object()

Complaints: TypeAlias = Callable[[Mapping[str, Any], bool], list[tuple[str, str, str]]]
"""What is wrong with the members of an obligation: ``(member, what, mend)`` of each. The flag says whether there may be
further members."""


def check_obligations(
    rules: list[Rule], supported: Mapping[str, frozenset[str]], operators: frozenset[str], limit: Complaints
) -> Iterator[Remark]:
    """What is wrong with each, as far as it stands there in letters."""
    for rule in rules:
        if rule.package[:2] == _RULES and path_of_rule(rule)[3:] == ("obligations",):
            key = rule.head.key
            if isinstance(key, Object):
                yield from _check(rule, key, supported, operators)
                yield from _check_limit(rule, key, supported, limit)


def _check(
    rule: Rule, key: Object, supported: Mapping[str, frozenset[str]], operators: frozenset[str]
) -> Iterator[Remark]:
    literal = {name.value: value for name, value in key.pairs if isinstance(name, Const)}
    stage = stage_of(rule)
    everywhere = frozenset[str]().union(*supported.values())
    kind = literal.get("type")
    if kind is None:
        yield _at(key, "the obligation has no type", _choose(everywhere))
    if not isinstance(kind, Const):
        return
    if kind.value not in everywhere:
        yield _at(
            kind, f'there is no obligation "{kind.value}": the exchange is denied', _choose(everywhere, kind.value)
        )
        return
    if stage in supported and kind.value not in supported[stage]:
        what = f'"{kind.value}" cannot be performed at stage {stage}: the exchange is denied'
        yield _at(kind, what, _choose(supported[stage]))
    if kind.value != "redact":
        return
    for name in ("entity", "operator"):
        if name not in literal and len(literal) == len(key.pairs):
            yield _at(key, f"the obligation redact has no {name}: the exchange is denied", f'add "{name}"')
    operator = literal.get("operator")
    if isinstance(operator, Const) and operator.value not in operators:
        what = f'redact has no operator "{operator.value}": the exchange is denied'
        yield _at(operator, what, _choose(operators, operator.value))
    elif isinstance(operator, Const) and operator.value == "pseudonym" and stage == "response":
        what = "an answer cannot be redacted with pseudonyms: the exchange is denied"
        yield _at(operator, what, "use replace, mask, hash or drop")


def _check_limit(
    rule: Rule, key: Object, supported: Mapping[str, frozenset[str]], complaints: Complaints
) -> Iterator[Remark]:
    """What is wrong with a ``limit``, and where it would meet answers, which cannot be limited."""
    terms = {name.value: (name, term) for name, term in key.pairs if isinstance(name, Const)}
    kind = terms.get("type")
    if kind is None or not isinstance(kind[1], Const) or kind[1].value != "limit":
        return
    members = {name: literal(term) for name, (_, term) in terms.items() if name not in _MEANS}
    known = {name: value for name, value in members.items() if value is not _VARIES}
    for member, what, mend in complaints(known, True):
        yield _at(terms[member][0], f"{what}: the exchange is denied", mend)
    if len(terms) == len(key.pairs):
        for member, what, mend in complaints(known, False):
            if member not in members:
                yield _at(key, f"{what}: the exchange is denied", mend)
    if not stage_of(rule) and any("limit" not in able for able in supported.values()):
        what = "this limit does not say for which stage it is: at stage response it denies the answer"
        yield Remark("warning", CODE, what, "", 'add input.stage == "request" to the rule', *key.loc)


def literal(term: Term) -> Any:
    """The value of a term that is written out; another object, equal to nothing, for one that is computed."""
    if isinstance(term, Const):
        return term.value
    if isinstance(term, Array):
        items = [literal(item) for item in term.items]
        return _VARIES if _VARIES in items else items
    if isinstance(term, Object):
        pairs = [(literal(name), literal(value)) for name, value in term.pairs]
        computed = any(_VARIES in pair or not isinstance(pair[0], str) for pair in pairs)
        return _VARIES if computed else dict(pairs)
    return _VARIES


def stage_of(rule: Rule) -> str:
    """The stage that the body demands; empty if it names none."""
    for expr in rule.body:
        node = expr.node
        if expr.negated or not isinstance(node, CallExpr) or dotted(node.op) not in {"equal", "eq"}:
            continue
        for one, other in (node.args, node.args[::-1]):
            if isinstance(one, Ref) and dotted(one) == "input.stage" and isinstance(other, Const):
                return str(other.value)
    return ""


def _choose(words: frozenset[str], given: Any = "") -> str:
    near = nearest(str(given), words)
    return f'did you mean "{near}"?' if near else f"it is one of: {', '.join(sorted(words))}"


def _at(term: Const | Object, what: str, mend: str) -> Remark:
    return Remark("error", CODE, what, "", mend, *term.loc)
