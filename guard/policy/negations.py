"""``not x in list`` where ``x`` may have no value: then ``not`` has none either, and the rule that asks is silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guard.policy.inference import Inference, Path, branches, path_of_rule
from guard.policy.references import CODE
from guard.policy.remarks import Remark
from guard.policy.shapes import Fields, Items
from guard.rego.nodes import Body, CallExpr, Const, Expr, Ref, Rule, Term, TermExpr, Var, children, dotted
from guard.rego.tree import COMPLETE, rule_kind
from guard.rego.variables import expr_terms

_MEMBER: Final = "internal.member_2"
_DENY: Final = "deny"
_GIVEN: Final = {("guard", "providers"), ("guard", "tenants"), ("guard", "settings")}


def silent_negations(rules: list[Rule], inference: Inference) -> Iterator[Remark]:
    """A warning for each ``not x in …`` in the body of a deny rule whose ``x`` may be undefined.

    That is so of facts and settings of the configuration, of keys that the schema of the policy document leaves open,
    and of rules without a default. Where the body asks for the same reference elsewhere, it has a value here.
    """
    for rule in rules:
        if path_of_rule(rule)[-1] != _DENY:
            continue
        for branch in branches(rule):
            yield from _in(branch.body, inference)


def _in(body: Body, inference: Inference) -> Iterator[Remark]:
    asked = {written for expr in body if not expr.negated for term in expr_terms(expr) for written in _refs(term)}
    for expr in body:
        subject = _member(expr)
        if subject is None or _written(subject) in asked or not _undefined(subject, inference):
            continue
        name = _written(subject)
        what = f"where {name} is undefined, so is `not {name} in …`: the rule is silent then"
        mend = f"put `{name} in …` into a rule of its own, and negate that rule"
        yield Remark("warning", CODE, what, "", mend, *subject.loc)


def _member(expr: Expr) -> Ref | None:
    """``x`` of ``not x in …``, if it is a reference."""
    node = expr.node
    if not (expr.negated and isinstance(node, CallExpr) and dotted(node.op) == _MEMBER):
        return None
    return node.args[0] if isinstance(node.args[0], Ref) else None


def _refs(term: Term) -> Iterator[str]:
    """The references of a term and of its parts, as they are written."""
    if isinstance(term, Ref):
        yield _written(term)
    for child in children(term):
        yield from _refs(child)


def _written(ref: Ref) -> str:
    head, *operands = ref.terms
    return (head.name if isinstance(head, Var) else "") + "".join(map(_operand, operands))


def _operand(term: Term) -> str:
    if isinstance(term, Const):
        return f".{term.value}" if isinstance(term.value, str) else f"[{term.value}]"
    return f"[{_written(term) if isinstance(term, Ref) else term.name if isinstance(term, Var) else '…'}]"


def _undefined(ref: Ref, inference: Inference) -> bool:
    """Whether a reference may have no value. What cannot be followed is taken to have one."""
    head = ref.terms[0]
    if isinstance(head, Var) and head.name == "data":
        return _undefined_data(ref, inference)
    shape, at = inference.head(ref, {})
    for operand in ref.terms[at:]:
        if not isinstance(operand, Const):
            return False
        if isinstance(shape, Items) or (isinstance(shape, Fields) and operand.value not in shape.fields):
            return True
        following = inference.step(shape, operand)
        if following is None:
            return False  # That it never has a value is told where references are checked.
        shape = following
    return False


def _undefined_data(ref: Ref, inference: Inference) -> bool:
    words: list[str] = []
    for term in ref.terms[1:]:
        if not isinstance(term, Const) or not isinstance(term.value, str):
            break
        words.append(term.value)
        found = inference.rules.get(tuple(words))
        if found:
            return _partial(found)
    path: Path = tuple(words[:2])
    return path in _GIVEN and len(ref.terms) > 1 + len(path)


def _partial(rules: list[Rule]) -> bool:
    """Whether a complete rule can be without a value: no default, and no branch without a condition."""
    if rule_kind(rules[0]) != COMPLETE or any(rule.default for rule in rules):
        return False
    return not any(_always(branch) for rule in rules for branch in branches(rule))


def _always(rule: Rule) -> bool:
    given = all(isinstance(expr.node, TermExpr) and isinstance(expr.node.term, Const) for expr in rule.body)
    return given and (rule.head.value is None or not [*_refs(rule.head.value)])
