"""Cheap conditions first. OPA's rule index does not even try a rule whose conditions on input or base data cannot hold,
wherever they stand in its body; so a built-in before them is not called, and cannot fail. Here such conditions move in
front of what may fail or iterate. Solutions stay the same.
"""

from __future__ import annotations

from collections.abc import Callable

from .equations import Equations
from .gen_terms import constant_value
from .nodes import Array, Body, CallExpr, Const, Expr, Object, Ref, SetLit, Term, TermExpr, Var, children, dotted, must
from .scopes import Names
from .variables import body_vars

_PLAIN = frozenset({"eq", "equal", "neq", "lt", "lte", "gt", "gte"})
_MEMBER = "internal.member_2"
_NOT_INDEXED = frozenset({"internal.print", "internal.test_case"})


class Ahead(Equations):
    """Moves conditions. ``is_base`` tells whether no rule gives a reference its value."""

    def __init__(self, names: Names, is_base: Callable[[Ref], bool]) -> None:
        super().__init__(names)
        self.is_base = is_base

    def body(self, body: Body) -> Body:
        """The body of a rule in its new order."""
        barrier = next((at for at, expr in enumerate(body) if not self.is_plain(expr)), len(body))
        if barrier >= len(body) - 1 or any(map(_is_printing, body)):
            return body
        front, back = list(body[:barrier]), [body[barrier]]
        for expr in body[barrier + 1 :]:
            moved = self.condition(expr, tuple(front), tuple(back))
            if moved is not None:
                front.append(moved)
            if moved is not expr:
                back.append(expr)
        return (*front, *back)

    def condition(self, expr: Expr, front: Body, back: Body) -> Expr | None:
        """What of an expression can stand before ``back``: all of it, that its reference is defined, or nothing."""
        if expr.withs or expr.negated:
            return None
        node = expr.node
        if isinstance(node, TermExpr):
            return self.equation(node.term) if self.is_ground_base(node.term) else None
        if not isinstance(node, CallExpr) or len(node.args) != 2:
            return None
        left, right = node.args
        name = dotted(node.op)
        if name not in {"eq", "equal", _MEMBER}:
            return None
        known = body_vars(front, set(), closures=False)
        if all(self.is_known(arg, known) for arg in node.args):
            return expr
        if name == _MEMBER:
            return None
        if not self.is_ground_base(left):
            left, right = right, left
        if not self.is_ground_base(left):
            return None
        if constant_value(right) is not None:
            return expr
        if not isinstance(right, Var):
            return self.equation(left)
        return self.equation(left) if right.name in body_vars(back, set()) else expr

    @staticmethod
    def is_known(term: Term, known: set[str]) -> bool:
        """Whether a term is a constant, or a variable that was bound in front."""
        return constant_value(term) is not None or (isinstance(term, Var) and term.name in known)

    def is_ground_base(self, term: Term) -> bool:
        """Whether a term is a reference without variables to input or base data."""
        if not isinstance(term, Ref) or not all(isinstance(part, Const) for part in term.terms[1:]):
            return False
        head = must(Var, term.terms[0])
        return head.name == "input" or (head.name == "data" and self.is_base(term))

    def is_plain(self, expr: Expr) -> bool:
        """Whether an expression can neither fail nor iterate nor cost much."""
        node = expr.node
        if expr.withs:
            return False
        if isinstance(node, TermExpr):
            return self.is_simple(node.term)
        return isinstance(node, CallExpr) and dotted(node.op) in _PLAIN and all(map(self.is_simple, node.args))

    def is_simple(self, term: Term) -> bool:
        """Whether a term is made of constants, variables and references without variables to base documents."""
        if isinstance(term, Array | Object | SetLit):
            return all(map(self.is_simple, children(term)))
        return isinstance(term, Const | Var) or self.is_ground_base(term)


def _is_printing(expr: Expr) -> bool:
    return isinstance(expr.node, CallExpr) and dotted(expr.node.op) in _NOT_INDEXED
