"""Which variables a piece of syntax mentions. ``data`` and ``input`` at the head of a reference are documents, not
variables, and operators are names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .errors import Location
from .nodes import (
    Array,
    Body,
    Call,
    CallExpr,
    Comprehension,
    Every,
    Expr,
    Logical,
    NotBody,
    Object,
    Ref,
    SetLit,
    SomeDecl,
    SomeIn,
    Template,
    Term,
    TermExpr,
    Var,
    children,
)

DOCUMENTS = frozenset({"data", "input"})


def term_vars(
    term: Term, found: set[str], *, closures: bool = True, sets: bool = True, keys: bool = True, heads: bool = True
) -> set[str]:
    """Add the variables of a term to ``found``. The flags leave out comprehensions, the members of sets, the keys of
    objects, the heads of references."""
    if isinstance(term, Var):
        if term.name not in DOCUMENTS:
            found.add(term.name)
    elif isinstance(term, Ref):
        head = term.terms[0]
        if heads or not isinstance(head, Var):
            term_vars(head, found, closures=closures, sets=sets, keys=keys, heads=heads)
        for part in term.terms[1:]:
            term_vars(part, found, closures=closures, sets=sets, keys=keys, heads=heads)
    elif isinstance(term, Array | Call):
        for part in term.items if isinstance(term, Array) else term.args:
            term_vars(part, found, closures=closures, sets=sets, keys=keys, heads=heads)
    elif isinstance(term, SetLit):
        for part in term.items if sets else ():
            term_vars(part, found, closures=closures, sets=sets, keys=keys, heads=heads)
    elif isinstance(term, Object):
        for key, value in term.pairs:
            if keys:
                term_vars(key, found, closures=closures, sets=sets, keys=keys, heads=heads)
            term_vars(value, found, closures=closures, sets=sets, keys=keys, heads=heads)
    elif isinstance(term, Comprehension):
        if closures:
            comprehension_vars(term, found)
    elif isinstance(term, Template) and closures:
        for piece in term.parts:
            if isinstance(piece, Expr):
                expr_vars(piece, found, closures=True)
    return found


def comprehension_vars(term: Comprehension, found: set[str]) -> set[str]:
    """Every variable of a comprehension."""
    if term.key is not None:
        term_vars(term.key, found)
    term_vars(term.head, found)
    return body_vars(term.body, found)


def expr_terms(expr: Expr) -> Iterator[Term]:
    """The terms that stand directly in an expression, bodies and modifiers left out."""
    node = expr.node
    if isinstance(node, TermExpr):
        yield node.term
    elif isinstance(node, CallExpr):
        yield from node.args
    elif isinstance(node, Every):
        yield node.domain
    elif isinstance(node, SomeIn):
        if node.key is not None:
            yield node.key
        yield node.value
        yield node.domain


def with_vars(expr: Expr, found: set[str], *, closures: bool) -> set[str]:
    """The variables of the modifiers."""
    for modifier in expr.withs:
        if isinstance(modifier.target, Ref):
            term_vars(modifier.target, found, closures=closures, heads=False)
        if not modifier.function:
            term_vars(modifier.value, found, closures=closures)
    return found


def expr_vars(expr: Expr, found: set[str], *, closures: bool) -> set[str]:
    """The variables of an expression; without ``closures``, those outside nested bodies, plus what implicit bodies of
    ``not``, ``and`` and ``or`` need from outside."""
    node = expr.node
    for term in expr_terms(expr):
        term_vars(term, found, closures=closures)
    with_vars(expr, found, closures=closures)
    if isinstance(node, SomeDecl):
        found.update(name.name for name in node.names)
    elif isinstance(node, Every):
        if closures:
            body_vars(node.body, found)
            found.update(name.name for name in (node.key, node.value) if name is not None)
    elif isinstance(node, NotBody | Logical):
        for body, explicit in operand_bodies(node):
            if closures:
                body_vars(body, found)
            elif not explicit:
                found |= needed_by_implicit(body)
    return found


def operand_bodies(node: NotBody | Logical) -> tuple[tuple[Body, bool], ...]:
    """The bodies of a node and whether each was written in braces."""
    if isinstance(node, NotBody):
        return ((node.body, node.explicit),)
    return ((node.left, node.explicit_left), (node.right, node.explicit_right))


def body_vars(body: Iterable[Expr], found: set[str], *, closures: bool = True) -> set[str]:
    """The variables of a body."""
    for expr in body:
        expr_vars(expr, found, closures=closures)
    return found


def needed_by_implicit(body: Body) -> set[str]:
    """What an operand without braces must find bound outside: everything but the intermediate results that expansion
    made, which one expression binds and another reads."""
    if len(body) == 1:
        return expr_vars(body[0], set(), closures=False)
    uses: dict[str, int] = {}
    bound: set[str] = set()
    for expr in body:
        for name in expr_vars(expr, set(), closures=False):
            uses[name] = uses.get(name, 0) + 1
        if isinstance(expr.node, CallExpr) and expr.generated:
            last = expr.node.args[-1]
            bound |= term_vars(last, set())
            if expr.node.args and isinstance(expr.node.args[0], Var):
                bound.add(expr.node.args[0].name)
    return {name for name, count in uses.items() if name not in bound or count == 1}


def closure_vars(expr: Expr) -> set[str]:
    """The variables inside the nested bodies of an expression: comprehensions, ``every``, ``not``, ``and``, ``or``."""
    found: set[str] = set()
    for term in expr_terms(expr):
        _closures_in(term, found)
    for modifier in expr.withs:
        _closures_in(modifier.value, found)
    node = expr.node
    if isinstance(node, Every):
        body_vars(node.body, found)
    elif isinstance(node, NotBody | Logical):
        for body, _ in operand_bodies(node):
            body_vars(body, found)
    return found


def _closures_in(term: Term, found: set[str]) -> None:
    if isinstance(term, Comprehension):
        comprehension_vars(term, found)
    elif isinstance(term, Ref | Array | SetLit | Call):
        parts = term.terms if isinstance(term, Ref) else term.args if isinstance(term, Call) else term.items
        for part in parts:
            _closures_in(part, found)
    elif isinstance(term, Object):
        for key, value in term.pairs:
            _closures_in(key, found)
            _closures_in(value, found)


def pattern_vars(term: Term) -> set[str]:
    """The variables that matching a term against a value binds: not those in sets, keys, calls or references."""
    if isinstance(term, Var):
        return {term.name}
    if isinstance(term, Array):
        return set().union(*[pattern_vars(item) for item in term.items])
    if isinstance(term, Object):
        return set().union(*[pattern_vars(value) for _, value in term.pairs])
    return set()


def place(term: Term, name: str) -> Location | None:
    """Where a variable stands in a term; None where it does not."""
    if isinstance(term, Var):
        return term.loc if term.name == name else None
    if isinstance(term, Comprehension):
        heads = (term.head,) if term.key is None else (term.key, term.head)
        return next((loc for loc in (place(part, name) for part in heads) if loc is not None), None)
    return next((loc for loc in (place(part, name) for part in children(term)) if loc is not None), None)
