"""References and comparisons in policies that can never hold: a misspelled field makes a rule silent, not wrong.

``input.subjet.tenant`` is undefined for every request, so a rule that asks it denies nothing, on every engine. The
schema of the policy document knows its fields; OPA's ``check --schema`` finds the same. What cannot be followed is not
judged: no remark is made of a reference that could have a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from guard.policy.inference import Inference, Known, branches
from guard.policy.remarks import Level, Remark, nearest
from guard.policy.shapes import Items, Shape, any_member, fields_of, path_of, places_of, values_of
from guard.rego.nodes import (
    Array,
    Body,
    Call,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Logical,
    NotBody,
    Ref,
    Rule,
    SetLit,
    Template,
    Term,
    Var,
    children,
    dotted,
)
from guard.rego.variables import expr_terms

CODE: Final = "guard_reference_error"
_COMPARED: Final = {"equal": "is never true", "eq": "is never true", "neq": "is always true"}
_MEMBER: Final = "internal.member_2"


class Vocabulary(msgspec.Struct, frozen=True):
    """The words that can stand at a place of the document under one configuration. ``what`` says of a word that is
    none of them what is the matter; words that begin with a prefix of ``open`` are not judged. To ask for a word of
    ``demanded`` that is none of them is an error."""

    words: frozenset[str]
    what: str
    mend: str
    open: tuple[str, ...] = ()
    demanded: frozenset[str] = frozenset()


class References:
    """Goes through the rules of an author and gathers remarks, each place once."""

    def __init__(self, inference: Inference, vocabularies: Mapping[str, Vocabulary]) -> None:
        """``vocabularies`` by the path of the document: ``input.findings[].type``."""
        self._inference = inference
        self._vocabularies = vocabularies
        self._found: dict[tuple[str, int, int, str], Remark] = {}

    def remarks(self, rules: list[Rule]) -> list[Remark]:
        """The remarks on these rules, in the order of the source."""
        for rule in rules:
            for branch in branches(rule):
                known = self._body(branch.body, {})
                head = branch.head
                for term in (*head.ref.terms[1:], head.key, head.value):
                    if term is not None:
                        self._term(term, known)
        return sorted(self._found.values(), key=lambda remark: (remark.file, remark.row, remark.col))

    # -- the walk -------------------------------------------------------------------------------------------------

    def _body(self, body: Body, outer: Known) -> Known:
        known = self._inference.bind(body, outer)
        for expr in body:
            self._expression(expr, known)
        return known

    def _expression(self, expr: Expr, known: Known) -> None:
        node = expr.node
        for modifier in expr.withs:
            if not modifier.function:
                self._term(modifier.value, known)
        if isinstance(node, CallExpr):
            self._call(dotted(node.op), node.args, known)
        for term in expr_terms(expr):
            self._term(term, known)
        if isinstance(node, NotBody):
            self._body(node.body, known)
        elif isinstance(node, Logical):
            self._body(node.left, known)
            self._body(node.right, known)
        elif isinstance(node, Every):
            member = any_member(self._inference.term(node.domain, known))
            self._body(node.body, {**known, node.value.name: member})

    def _term(self, term: Term, known: Known) -> None:
        if isinstance(term, Ref):
            self._reference(term, known)
        elif isinstance(term, Call):
            self._call(dotted(term.op), term.args, known)
        elif isinstance(term, Comprehension):
            known = self._body(term.body, known)
            for part in (term.key, term.head):
                if part is not None:
                    self._term(part, known)
            return
        elif isinstance(term, Template):
            for piece in term.parts:
                if isinstance(piece, Expr):
                    self._expression(piece, known)
        for child in children(term):
            self._term(child, known)

    # -- references -----------------------------------------------------------------------------------------------

    def _reference(self, ref: Ref, known: Known) -> None:
        shape, at = self._inference.head(ref, known)
        for operand in ref.terms[at:]:
            following = self._inference.step(shape, operand)
            if following is None and isinstance(operand, Const):
                self._undefined(shape, operand)
            if following is None:
                return
            shape = following

    def _undefined(self, shape: Shape, operand: Const) -> None:
        key, path = str(operand.value), path_of(shape)
        if not path:
            return
        fields = fields_of(shape)
        whose = "policy document" if path.startswith("input") else "data that the configuration gives"
        if fields:
            what = f"{path}.{key} does not exist: the {whose} has no such field"
            near = nearest(key, fields)
            elsewhere = list(places_of(self._inference.document, key)) if path.startswith("input") else []
            meant = elsewhere[:2] or ([f"{path}.{near}"] if near else [])
            mend = f"did you mean {' or '.join(meant)}?" if meant else f"it has: {', '.join(fields)}"
        elif isinstance(shape, Items):
            what = f"{path} is a list and has no field {key!r}"
            mend = f"go through its members: some each in {path}; each.{key}"
        else:
            what = f"{path} is a single value and has no field {key!r}"
            mend = "docs/policy-document.md lists the fields"
        self._add("error", what, mend, operand)

    # -- comparisons ----------------------------------------------------------------------------------------------

    def _call(self, name: str, args: tuple[Term, ...], known: Known) -> None:
        if len(args) != 2:
            return
        left, right = args
        if name in _COMPARED:
            self._compared(left, right, known, _COMPARED[name])
            self._compared(right, left, known, _COMPARED[name])
        elif name == _MEMBER:
            if isinstance(right, SetLit | Array):
                for item in right.items:
                    self._compared(left, item, known, "never holds")
            elif isinstance(left, Const):
                self._word(any_member(self._inference.term(right, known)), left, "never holds")

    def _compared(self, subject: Term, literal: Term, known: Known, outcome: str) -> None:
        # Of a variable that is only now bound (x = input.stage) nothing is compared.
        if isinstance(literal, Const) and not isinstance(subject, Const):
            self._word(self._inference.term(subject, known), literal, outcome)

    def _word(self, shape: Shape, literal: Const, outcome: str) -> None:
        path, value = path_of(shape), literal.value
        if not path or not (isinstance(value, str) or value is None):
            return
        listed = values_of(shape)
        if listed and value not in listed:
            words = [word for word in listed if isinstance(word, str)]
            near = nearest(value, words) if isinstance(value, str) else ""
            shown = "null" if value is None else f'"{value}"'
            mend = f'did you mean "{near}"?' if near else "it is " + " or ".join(f'"{word}"' for word in words)
            self._add("error", f"{path} is never {shown}: this {outcome}", mend, literal)
            return
        vocabulary = self._vocabularies.get(path)
        if vocabulary is None or not isinstance(value, str) or value in vocabulary.words:
            return
        if not value.startswith(vocabulary.open):
            demanded = value in vocabulary.demanded and outcome != _COMPARED["neq"]
            near = "" if demanded else nearest(value, vocabulary.words)
            mend = f'did you mean "{near}"?' if near else vocabulary.mend
            self._add("error" if demanded else "warning", f'{vocabulary.what} "{value}": this {outcome}', mend, literal)

    def _add(self, level: Level, what: str, mend: str, at: Const) -> None:
        remark = Remark(level, CODE, what, "", mend, *at.loc)
        self._found.setdefault((*at.loc, what), remark)


def replacements(rules: list[Rule]) -> Iterator[Expr]:
    """The expressions that put something in the place of ``input`` or of data: what they ask is another document."""
    for rule in rules:
        for branch in branches(rule):
            yield from _replacing(branch.body)
            for term in (branch.head.key, branch.head.value):
                if term is not None:
                    yield from _replacing_in(term)


def _replacing(body: Body) -> Iterator[Expr]:
    for expr in body:
        for modifier in expr.withs:
            target = modifier.target.terms[0] if isinstance(modifier.target, Ref) else modifier.target
            if isinstance(target, Var) and target.name in {"input", "data"}:
                yield expr
        node = expr.node
        for term in expr_terms(expr):
            yield from _replacing_in(term)
        if isinstance(node, NotBody | Every):
            yield from _replacing(node.body)
        elif isinstance(node, Logical):
            yield from _replacing((*node.left, *node.right))


def _replacing_in(term: Term) -> Iterator[Expr]:
    if isinstance(term, Comprehension):
        yield from _replacing(term.body)
    elif isinstance(term, Template):
        yield from _replacing(tuple(part for part in term.parts if isinstance(part, Expr)))
    for child in children(term):
        yield from _replacing_in(child)
