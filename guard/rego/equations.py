"""Equations that the compiler adds: ``$t1 = term`` before the expression that needs the term as a variable."""

from __future__ import annotations

from .errors import Location
from .nodes import (
    Body,
    CallExpr,
    Comprehension,
    Const,
    Expr,
    Ref,
    Term,
    TermExpr,
    Var,
    With,
    children,
    const_ref,
    must,
)
from .scopes import Names


class Equations:
    """Makes the compiler's own variables and the expressions that bind them."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def fresh(self, loc: Location) -> Var:
        """A variable of the compiler's."""
        return Var(self.names.fresh(), loc)

    def equation(self, term: Term, withs: tuple[With, ...] = ()) -> Expr:
        """``fresh = term``."""
        call = CallExpr(const_ref("eq", term.loc), (self.fresh(term.loc), term))
        return Expr(call, term.loc, withs=withs, generated=True)


def output(expr: Expr) -> Var:
    """The variable that an equation made here binds."""
    return must(Var, must(CallExpr, expr.node).args[0])


def append(body: Body, extra: list[Expr]) -> Body:
    """The body with more expressions; a body that only says ``true`` gives way."""
    if not extra:
        return body
    if len(body) == 1 and body[0].generated and isinstance(body[0].node, TermExpr):
        return tuple(extra)
    return (*body, *extra)


def requires_eval(term: Term | None) -> bool:
    """Whether a term holds a reference or a comprehension."""
    if term is None or isinstance(term, Const | Var):
        return False
    if isinstance(term, Ref | Comprehension):
        return True
    return any(requires_eval(child) for child in children(term))
