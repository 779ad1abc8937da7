"""Shapes of the variables and rules of policies: which part of the policy document each can hold.

Followed are equations, iteration, comprehensions and rules that hand on what they found. A variable that could be
anything (an argument of a function, the answer of a built-in) is anything: nothing is ever claimed of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from guard.policy.shapes import ANY, Fields, Items, Scalar, Shape, any_member, either, named
from guard.rego import Capabilities
from guard.rego.builtins import BUILTINS
from guard.rego.compiler import Compiler, package_globals
from guard.rego.imports import imported
from guard.rego.locals import LocalNames
from guard.rego.nodes import (
    Array,
    Body,
    CallExpr,
    Comprehension,
    Const,
    Object,
    Ref,
    Rule,
    SetLit,
    Template,
    Term,
    Var,
    children,
    dotted,
)
from guard.rego.tree import COMPLETE, SET, rule_kind
from guard.rego.variables import expr_terms

Known: TypeAlias = Mapping[str, Shape]
"""Variables by name; one that is missing can be anything."""
Path: TypeAlias = tuple[str, ...]

_PASSES: Final = 4


def resolved(modules: Mapping[str, str]) -> list[Rule]:
    """The rules of all modules, each variable under a name of its own and each name as its full path.

    Raises ``guard.rego.CompileError`` for modules that do not parse.
    """
    compiler = Compiler(Capabilities())
    parsed = compiler.parse(modules)
    packages = package_globals(parsed)
    found: list[Rule] = []
    for module in parsed:
        known = {**packages[module.package], **imported(module)}
        names = LocalNames(known, compiler.names, compiler.diagnostics, BUILTINS)
        found += [names.rule(rule) for rule in module.rules]
    return found


def branches(rule: Rule) -> Iterator[Rule]:
    """The rule and its ``else`` branches."""
    branch: Rule | None = rule
    while branch is not None:
        yield branch
        branch = branch.orelse


def path_of_rule(rule: Rule) -> Path:
    """The path of a rule below ``data``, up to its first operand that is no name."""
    terms = rule.head.ref.terms
    path = [*rule.package, terms[0].name if isinstance(terms[0], Var) else ""]
    for term in terms[1:]:
        if not isinstance(term, Const) or not isinstance(term.value, str):
            break
        path.append(term.value)
    return tuple(path)


class Inference:
    """Shapes under one document and one set of rules."""

    def __init__(self, rules: list[Rule], document: Shape, data: Mapping[Path, Shape]) -> None:
        """``data`` gives the shapes of base data by their path below ``data``."""
        self.document = document
        self._data = data
        self.rules: dict[Path, list[Rule]] = {}
        for rule in rules:
            self.rules.setdefault(path_of_rule(rule), []).append(rule)
        self._shapes: dict[Path, Shape] = {}

    # -- bodies ---------------------------------------------------------------------------------------------------

    def bind(self, body: Body, outer: Known) -> dict[str, Shape]:
        """The variables of a body, with those around it. Only what must hold for the body to hold binds."""
        known = dict(outer)
        holding = [expr for expr in body if not expr.negated and not expr.withs]
        for _ in range(_PASSES):
            before = len(known)
            for expr in holding:
                node = expr.node
                if isinstance(node, CallExpr) and dotted(node.op) == "eq" and len(node.args) == 2:
                    left, right = node.args
                    self._equal(left, right, known)
                    self._equal(right, left, known)
                for term in expr_terms(expr):
                    self._members(term, known)
            if len(known) == before:
                break
        return known

    def _equal(self, left: Term, right: Term, known: dict[str, Shape]) -> None:
        if isinstance(left, Var) and left.name not in known:
            shape = self.term(right, known)
            if shape is not ANY:
                known[left.name] = shape

    def _members(self, term: Term, known: dict[str, Shape]) -> None:
        """``set[x]`` holds for its members only, so ``x`` is one of them."""
        if isinstance(term, Ref):
            shape, at = self.head(term, known)
            for operand in term.terms[at:]:
                if isinstance(operand, Var) and operand.name not in known and isinstance(shape, Items) and shape.is_set:
                    known[operand.name] = shape.item
                following = self.step(shape, operand)
                if following is None:
                    return
                shape = following
        if not isinstance(term, Comprehension):
            for child in children(term):
                self._members(child, known)

    # -- terms ----------------------------------------------------------------------------------------------------

    def term(self, term: Term, known: Known) -> Shape:
        """What a term can be."""
        if isinstance(term, Ref):
            return self._reference(term, known)
        if isinstance(term, Var):
            return self.document if term.name == "input" else known.get(term.name, ANY)
        if isinstance(term, Const | Template):
            return Scalar()
        if isinstance(term, Array | SetLit):
            return Items(either(tuple(self.term(item, known) for item in term.items)), isinstance(term, SetLit))
        if isinstance(term, Object):
            pairs = ((key, value) for key, value in term.pairs if isinstance(key, Const) and isinstance(key.value, str))
            return Fields({str(key.value): self.term(value, known) for key, value in pairs}, ANY)
        if isinstance(term, Comprehension):
            shape = self.term(term.head, self.bind(term.body, known))
            return Fields({}, shape) if term.kind == "object" else Items(shape, term.kind == "set")
        return ANY

    def _reference(self, ref: Ref, known: Known) -> Shape:
        shape, at = self.head(ref, known)
        for operand in ref.terms[at:]:
            following = self.step(shape, operand)
            if following is None:
                return ANY
            shape = following
        return shape

    def head(self, ref: Ref, known: Known) -> tuple[Shape, int]:
        """What a reference begins with, and the number of its first operand after that."""
        first = ref.terms[0]
        if isinstance(first, Var) and first.name == "data":
            return self._below_data(ref)
        return self.term(first, known), 1

    def _below_data(self, ref: Ref) -> tuple[Shape, int]:
        path: list[str] = []
        for number, term in enumerate(ref.terms[1:], start=2):
            if not isinstance(term, Const) or not isinstance(term.value, str):
                break
            path.append(term.value)
            if tuple(path) in self.rules:
                return self.rule(tuple(path)), number
            if tuple(path) in self._data:
                return self._data[tuple(path)], number
        return ANY, len(ref.terms)

    @staticmethod
    def step(shape: Shape, operand: Term) -> Shape | None:
        """One operand further; ``None`` where that is undefined whatever the values are."""
        if isinstance(operand, Const) and isinstance(operand.value, str):
            return named(shape, operand.value)
        return any_member(shape)

    # -- rules ----------------------------------------------------------------------------------------------------

    def rule(self, path: Path) -> Shape:
        """What the rules of a path give: a set, or the values of complete rules."""
        if path not in self._shapes:
            self._shapes[path] = ANY  # while it is looked for
            self._shapes[path] = self._of_rules(self.rules[path])
        return self._shapes[path]

    def _of_rules(self, rules: list[Rule]) -> Shape:
        kinds = {rule_kind(rule) for rule in rules}
        if kinds not in ({SET}, {COMPLETE}):
            return ANY
        values = []
        for rule in rules:
            for branch in branches(rule):
                value = branch.head.key if branch.head.key is not None else branch.head.value
                known = self.bind(branch.body, {})
                values.append(Scalar() if value is None else self.term(value, known))
        shape = either(tuple(values))
        return Items(shape, is_set=True) if kinds == {SET} else shape
