"""Safety: every variable is bound before it is needed. Bodies are reordered with as few moves as OPA makes; what
cannot be ordered is ``rego_unsafe_var_error``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import errors
from .errors import RegoDiagnostic
from .nodes import (
    Array,
    Body,
    CallExpr,
    Comprehension,
    Every,
    Expr,
    Logical,
    NotBody,
    Object,
    Ref,
    SetLit,
    Term,
    TermExpr,
    dotted,
    must,
)
from .scopes import Names
from .unify import Unifier, ref_outputs
from .variables import (
    body_vars,
    closure_vars,
    expr_terms,
    expr_vars,
    term_vars,
    with_vars,
)

Arity = Callable[[Ref], int]


class Safety:
    """Orders bodies. ``arity`` answers a function's number of arguments, -1 where it is unknown."""

    def __init__(self, arity: Arity, names: Names, diagnostics: list[RegoDiagnostic]) -> None:
        self.arity = arity
        self.names = names
        self.diagnostics = diagnostics

    def check(self, body: Body, known: set[str]) -> Body:
        """The body in an order that is safe, given the variables bound outside."""
        ordered, unsafe = self.order(body, known)
        self.report(unsafe)
        return ordered

    def report(self, unsafe: list[tuple[Expr, set[str]]]) -> None:
        """Diagnostics for the variables that found no binding."""
        found: list[RegoDiagnostic] = []
        for expr, names in unsafe:
            for name in sorted(names):
                shown = self.names.shown(name)
                if shown:
                    found.append(RegoDiagnostic(errors.UNSAFE_VAR, f"var {shown} is unsafe", *expr.loc))
        if not found:
            found = [RegoDiagnostic(errors.UNSAFE_VAR, "expression is unsafe", *expr.loc) for expr, _ in unsafe[:1]]
        seen = set(self.diagnostics)
        self.diagnostics.extend(sorted((each for each in found if each not in seen), key=lambda each: each[2:]))

    def order(self, body: Body, known: set[str]) -> tuple[Body, list[tuple[Expr, set[str]]]]:
        """A safe order, and the expressions that found no place with the variables they lack."""
        own = body_vars(body, set(), closures=False)
        safe = own & known
        missing = {id(expr): expr_vars(expr, set(), closures=False) - safe for expr in body}
        ordered: list[Expr] = []
        waiting = list(body)
        while waiting:
            left: list[Expr] = []
            for expr in waiting:
                outputs = self.outputs(expr, safe)
                closed = (closure_vars(expr) & own) - known
                if closed:
                    unbound = closed - self.outputs_of_body(ordered, safe | known)
                    unbound -= safe
                    if unbound and unbound == outputs:
                        left.append(expr)
                        continue
                    missing[id(expr)] |= unbound
                missing[id(expr)] -= outputs | safe
                if missing[id(expr)]:
                    left.append(expr)
                    continue
                ordered.append(expr)
                safe |= outputs
            if len(left) == len(waiting):
                break
            waiting = left
        else:
            left = []
        unsafe = [(expr, missing[id(expr)] or closure_vars(expr) - known) for expr in waiting]
        nested = self.nested(ordered, known, unsafe)
        return (nested if not unsafe else body), unsafe

    # -- nested bodies --------------------------------------------------------------------------------------------

    def nested(self, ordered: list[Expr], known: set[str], unsafe: list[tuple[Expr, set[str]]]) -> Body:
        """The ordered body with its inner bodies ordered too."""
        scope = set(known)
        found: list[Expr] = []
        for index, expr in enumerate(ordered):
            if index:
                expr_vars(ordered[index - 1], scope, closures=False)
            found.append(self.inner(expr, scope, unsafe))
        return tuple(found)

    def inner(self, expr: Expr, scope: set[str], unsafe: list[tuple[Expr, set[str]]]) -> Expr:
        """An expression with its inner bodies ordered."""
        node = expr.node
        if isinstance(node, TermExpr):
            return replace(expr, node=TermExpr(self.inner_term(node.term, expr, scope, unsafe)))
        if isinstance(node, CallExpr):
            args = tuple(self.inner_term(arg, expr, scope, unsafe) for arg in node.args)
            return replace(expr, node=CallExpr(node.op, args))
        if isinstance(node, Every):
            names = {name.name for name in (node.key, node.value) if name is not None}
            return replace(expr, node=replace(node, body=self.inner_body(node.body, scope | names, unsafe)))
        if isinstance(node, NotBody):
            return replace(expr, node=replace(node, body=self.inner_body(node.body, scope, unsafe)))
        logical = must(Logical, node)
        left, right = self.inner_body(logical.left, scope, unsafe), self.inner_body(logical.right, scope, unsafe)
        return replace(expr, node=replace(logical, left=left, right=right))

    def inner_body(self, body: Body, scope: set[str], unsafe: list[tuple[Expr, set[str]]]) -> Body:
        """An inner body ordered; what it lacks goes to ``unsafe``."""
        ordered, more = self.order(body, scope)
        unsafe.extend(more)
        return ordered

    def inner_term(self, term: Term, expr: Expr, scope: set[str], unsafe: list[tuple[Expr, set[str]]]) -> Term:
        """A term with the comprehensions inside it ordered."""
        if isinstance(term, Comprehension):
            return self.inner_comprehension(term, expr, scope, unsafe)
        if isinstance(term, Ref):
            return Ref(tuple(self.inner_term(part, expr, scope, unsafe) for part in term.terms), term.loc)
        if isinstance(term, Array):
            return Array(tuple(self.inner_term(item, expr, scope, unsafe) for item in term.items), term.loc)
        if isinstance(term, SetLit):
            return SetLit(tuple(self.inner_term(item, expr, scope, unsafe) for item in term.items), term.loc)
        if isinstance(term, Object):
            pairs = [
                (self.inner_term(key, expr, scope, unsafe), self.inner_term(value, expr, scope, unsafe))
                for key, value in term.pairs
            ]
            return Object(tuple(pairs), term.loc)
        return term

    def inner_comprehension(
        self, term: Comprehension, expr: Expr, scope: set[str], unsafe: list[tuple[Expr, set[str]]]
    ) -> Comprehension:
        """A comprehension ordered; its head must be bound by its body or outside."""
        heads = term_vars(term.head, set())
        if term.key is not None:
            term_vars(term.key, heads)
        lacking = heads - body_vars(term.body, set(), closures=False) - scope
        if lacking:
            unsafe.append((expr, lacking))
        if term.closed:
            body, undeclared = self.order(term.body, scope)
            self.check_closed(body, scope, undeclared)
            return replace(term, body=body)
        body = self.inner_body(term.body, scope, unsafe)
        return replace(term, body=body)

    def check_closed(self, body: Body, scope: set[str], undeclared: list[tuple[Expr, set[str]]]) -> None:
        """An argument of ``print`` or a part of a template may not bind a variable."""
        for name in sorted(self.outputs_of_body(body, scope).union(*[names for _, names in undeclared])):
            shown = self.names.shown(name)
            if shown:
                self.diagnostics.append(RegoDiagnostic(errors.COMPILE, f"var {shown} is undeclared", *body[-1].loc))

    # -- outputs --------------------------------------------------------------------------------------------------

    def outputs_of_body(self, body: Body | list[Expr], known: set[str]) -> set[str]:
        """What a body binds beyond what is known."""
        safe = set(known)
        for expr in body:
            safe |= self.outputs(expr, safe)
        return safe - known

    def outputs(self, expr: Expr, safe: set[str]) -> set[str]:
        """What one expression binds, given what is bound."""
        if expr.negated or (expr.withs and not with_vars(expr, set(), closures=False) <= safe):
            return set()
        node = expr.node
        if isinstance(node, TermExpr):
            return ref_outputs(node.term, safe, set())
        if isinstance(node, CallExpr):
            if dotted(node.op) == "eq" and len(node.args) == 2:
                return self.equation_outputs(node, safe)
            return self.call_outputs(expr, node, safe)
        if isinstance(node, Every):
            return ref_outputs(node.domain, safe, set())
        return set()

    @staticmethod
    def equation_outputs(node: CallExpr, safe: set[str]) -> set[str]:
        """What ``left = right`` binds."""
        found: set[str] = set()
        for arg in node.args:
            ref_outputs(arg, safe, found)
        bound = found | safe
        return (bound | Unifier(bound).run(node.args[0], node.args[1])) - safe

    def call_outputs(self, expr: Expr, node: CallExpr, safe: set[str]) -> set[str]:
        """What a call binds: its output, once its inputs are bound."""
        arity = self.arity(node.op)
        if arity < 0:
            return set()
        found: set[str] = set()
        for term in expr_terms(expr):
            ref_outputs(term, safe, found)
        if arity >= len(node.args):
            return found
        needed: set[str] = set()
        for arg in node.args[:arity]:
            term_vars(arg, needed, closures=False, sets=False, keys=False, heads=False)
        if needed - found - safe:
            return set()
        for arg in node.args[arity:]:
            term_vars(arg, found, closures=False, sets=False, keys=False, heads=False)
        return found
