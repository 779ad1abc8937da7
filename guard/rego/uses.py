"""How often variables are mentioned: an operand mentioned once needs no key while the writer iterates."""

from __future__ import annotations

from .nodes import (
    Body,
    CallExpr,
    Comprehension,
    Every,
    Logical,
    NotBody,
    Term,
    TermExpr,
    Var,
    children,
)


def count_uses(body: Body, heads: tuple[Term, ...]) -> dict[str, int]:
    """How often each variable is mentioned in a body, nested bodies included, and in the terms of its head."""
    counter = _Counter()
    for term in heads:
        counter.term(term)
    counter.body(body)
    return counter.uses


class _Counter:
    def __init__(self) -> None:
        self.uses: dict[str, int] = {}

    def body(self, body: Body) -> None:
        for expr in body:
            for each in expr.withs:
                self.term(each.target)
                self.term(each.value)
            node = expr.node
            if isinstance(node, TermExpr):
                self.term(node.term)
            elif isinstance(node, CallExpr):
                for arg in node.args:
                    self.term(arg)
            elif isinstance(node, Every):
                self.term(node.domain)
                self.body(node.body)
            elif isinstance(node, NotBody):
                self.body(node.body)
            elif isinstance(node, Logical):
                self.body(node.left)
                self.body(node.right)

    def term(self, term: Term) -> None:
        if isinstance(term, Var):
            self.uses[term.name] = self.uses.get(term.name, 0) + 1
        elif isinstance(term, Comprehension):
            if term.key is not None:
                self.term(term.key)
            self.term(term.head)
            self.body(term.body)
        else:
            for child in children(term):
                self.term(child)
