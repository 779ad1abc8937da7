"""Operands become variables: references and comprehensions in operand positions, and the values of modifiers, are bound
before their expression. What runs before an expression, and so may make it undefined, is decided here:
``not f(input.x)`` is false where ``input.x`` is undefined, ``not input.x == 1`` is true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .equations import Equations, output, requires_eval
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
    With,
    const_ref,
    dotted,
    must,
)
from .scopes import Names


class Hoister(Equations):
    """Hoists operands of expanded rules and queries. In rules ``==`` unifies (``equals``), in queries not."""

    def __init__(self, names: Names, *, equals: bool) -> None:
        super().__init__(names)
        self.equals = equals

    # -- values of with -------------------------------------------------------------------------------------------

    def with_values(self, body: Body, is_function: Callable[[With], bool]) -> Body:
        """Values of modifiers as variables, except the names of functions."""
        found: list[Expr] = []
        before: tuple[With, ...] = ()
        after: tuple[With, ...] = ()
        for each in body:
            expr = self.nested_with_values(each, is_function)
            if not expr.withs:
                found.append(expr)
                continue
            if expr.withs is not before:
                before, after = expr.withs, self.hoist_withs(expr.withs, is_function, found)
            found.append(replace(expr, withs=after))
        return tuple(found)

    def hoist_withs(
        self, withs: tuple[With, ...], is_function: Callable[[With], bool], found: list[Expr]
    ) -> tuple[With, ...]:
        """Modifiers with variables for values; the equations go to ``found``."""
        new: list[With] = []
        for modifier in withs:
            value, function = modifier.value, is_function(modifier)
            if requires_eval(value) and not function:
                equation = self.equation(value)
                found.append(equation)
                value = output(equation)
            new.append(With(modifier.target, value, modifier.loc, function))
        return tuple(new)

    def nested_with_values(self, expr: Expr, is_function: Callable[[With], bool]) -> Expr:
        """The bodies inside an expression have modifiers too."""
        node = expr.node
        if isinstance(node, Every | NotBody):
            return replace(expr, node=replace(node, body=self.with_values(node.body, is_function)))
        if isinstance(node, Logical):
            left, right = self.with_values(node.left, is_function), self.with_values(node.right, is_function)
            return replace(expr, node=replace(node, left=left, right=right))
        if isinstance(node, TermExpr):
            return replace(expr, node=TermExpr(self.with_values_in(node.term, is_function)))
        call = must(CallExpr, node)
        args = tuple(self.with_values_in(arg, is_function) for arg in call.args)
        return replace(expr, node=CallExpr(call.op, args))

    def with_values_in(self, term: Term, is_function: Callable[[With], bool]) -> Term:
        """The modifiers inside the comprehensions of a term."""
        if isinstance(term, Comprehension):
            return replace(term, body=self.with_values(term.body, is_function))
        if isinstance(term, Ref):
            return Ref(tuple(self.with_values_in(part, is_function) for part in term.terms), term.loc)
        if isinstance(term, Array):
            return Array(tuple(self.with_values_in(item, is_function) for item in term.items), term.loc)
        if isinstance(term, SetLit):
            return SetLit(tuple(self.with_values_in(item, is_function) for item in term.items), term.loc)
        if isinstance(term, Object):
            pairs = [
                (self.with_values_in(key, is_function), self.with_values_in(value, is_function))
                for key, value in term.pairs
            ]
            return Object(tuple(pairs), term.loc)
        return term

    # -- references become variables ------------------------------------------------------------------------------

    def hoist_body(self, body: Body) -> Body:
        """References and comprehensions in operand positions, bound to variables before their expression."""
        found: list[Expr] = []
        for expr in body:
            found.extend(self.hoist(expr))
        return tuple(found)

    def hoist(self, expr: Expr) -> list[Expr]:
        """One expression after safety: ``==`` unifies, operands are variables."""
        found: list[Expr] = []
        node = expr.node
        if isinstance(node, CallExpr):
            name = dotted(node.op)
            if self.equals and name == "equal" and len(node.args) == 2:
                node, name = CallExpr(const_ref("eq", node.op.loc), node.args), "eq"
            one = self.hoist_shallow if name == "eq" and len(node.args) == 2 else self.hoist_deep
            args = tuple(one(arg, expr, found) for arg in node.args)
            return [*found, replace(expr, node=CallExpr(node.op, args))]
        if isinstance(node, TermExpr):
            term = self.hoist_shallow(node.term, expr, found)
            return [*found, replace(expr, node=TermExpr(term))]
        if isinstance(node, Every):
            every = replace(node, domain=self.hoist_deep(node.domain, expr, found), body=self.hoist_body(node.body))
            return [*found, replace(expr, node=every)]
        if isinstance(node, NotBody):
            return [replace(expr, node=replace(node, body=self.hoist_body(node.body)))]
        logical = must(Logical, node)
        left, right = self.hoist_body(logical.left), self.hoist_body(logical.right)
        return [replace(expr, node=replace(logical, left=left, right=right))]

    def hoist_shallow(self, term: Term, expr: Expr, found: list[Expr]) -> Term:
        """An operand of ``=``, or a term that is an expression: it stays a reference, its own operands do not."""
        if isinstance(term, Ref):
            return Ref((term.terms[0], *[self.hoist_deep(part, expr, found) for part in term.terms[1:]]), term.loc)
        if isinstance(term, Comprehension):
            return replace(term, body=self.hoist_body(term.body))
        return self.hoist_deep(term, expr, found)

    def hoist_deep(self, term: Term, expr: Expr, found: list[Expr]) -> Term:
        """An operand as a variable or a constant, bound before the expression."""
        if isinstance(term, Ref | Comprehension):
            term = self.hoist_shallow(term, expr, found)
            equation = self.equation(term, expr.withs)
            found.append(equation)
            return output(equation)
        if isinstance(term, Array):
            return Array(tuple(self.hoist_deep(item, expr, found) for item in term.items), term.loc)
        if isinstance(term, SetLit):
            return SetLit(tuple(self.hoist_deep(item, expr, found) for item in term.items), term.loc)
        if isinstance(term, Object):
            pairs = [
                (self.hoist_deep(key, expr, found), self.hoist_deep(value, expr, found)) for key, value in term.pairs
            ]
            return Object(tuple(pairs), term.loc)
        return term
