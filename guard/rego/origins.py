"""Which expression of the source a flattened one, or a term, came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter

from .errors import Location
from .nodes import Body, CallExpr, Comprehension, Every, Expr, Logical, NotBody, Ref, Rule, Term, children
from .variables import expr_terms, operand_bodies


class Origins:
    """All expressions of the source of some rules, by place."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.comprehended: set[int] = set()
        self.by_file: dict[str, list[tuple[tuple[int, int], Expr]]] = {}
        for rule in rules:
            for expr in self._expressions(rule.body):
                self.by_file.setdefault(rule.file, []).append(((expr.loc.row, expr.loc.col), expr))
        for found in self.by_file.values():
            found.sort(key=itemgetter(0))

    def of(self, expr: Expr) -> Expr:
        """The expression of the source; one that has no place stays itself."""
        return expr if expr.text else self.at(expr.loc) or expr

    def at(self, loc: Location) -> Expr | None:
        """The innermost expression that begins at or before a place."""
        found = self.by_file.get(loc.file, [])
        position = bisect_right(found, (loc.row, loc.col), key=itemgetter(0)) - 1
        return found[position][1] if position >= 0 and loc.row else None

    def mentions(self, term: Ref | CallExpr) -> Expr | None:
        """The expression that mentions a reference or calls a function; None inside comprehensions, where a value that
        does not fit is no failure."""
        ref = term.op if isinstance(term, CallExpr) else term
        return None if id(ref) in self.comprehended else self.at(ref.loc)

    def inside(self, every: Every) -> set[int]:
        """The expressions in the body of ``every``, by ``id``."""
        return {id(expr) for expr in self._expressions(every.body)}

    def _expressions(self, body: Body) -> Iterator[Expr]:
        for expr in body:
            node = expr.node
            if expr.text and not expr.generated:
                yield expr
            if isinstance(node, Every):
                yield from self._expressions(node.body)
            elif isinstance(node, NotBody | Logical):
                for operand, _ in operand_bodies(node):
                    yield from self._expressions(operand)
            for term in expr_terms(expr):
                yield from self._in_comprehensions(term)

    def _in_comprehensions(self, term: Term) -> Iterator[Expr]:
        if not isinstance(term, Comprehension):
            for part in children(term):
                yield from self._in_comprehensions(part)
            return
        for expr in term.body:
            if isinstance(expr.node, CallExpr):
                self.comprehended.add(id(expr.node.op))
            self.comprehended.update(id(each) for each in expr_terms(expr) if isinstance(each, Ref))
        yield from self._expressions(term.body)
