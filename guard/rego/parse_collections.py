"""Arrays, objects, sets, and comprehensions of each."""

from __future__ import annotations

from .cursor import Cursor
from .errors import CompileError, Location
from .nodes import (
    Array,
    Body,
    Comprehension,
    Object,
    SetLit,
    Term,
)


class CollectionParser(Cursor):
    """Reads collections; parsers of terms and of bodies build on it and give it both."""

    def array(self) -> Term:
        """An array or an array comprehension."""
        loc = self.take().loc
        if self.at("]"):
            self.take()
            return Array((), loc)
        found = self.comprehension("array", "]", loc)
        return found or Array(tuple(self.items("]")), loc)

    def braces(self) -> Term:
        """An object, a set, or a comprehension of either."""
        loc = self.take().loc
        if self.at("}"):
            self.take()
            return Object((), loc)
        found = self.comprehension("set", "}", loc)
        if found is not None:
            return found
        first = self.term(pair=False)
        if not self.at(":"):
            return self.set_items(first, loc)
        self.take()
        found = self.comprehension("object", "}", loc, first)
        if found is not None:
            return found
        pairs = [(first, self.term(pair=False))]
        while self.at(","):
            self.take()
            if self.at("}"):
                break
            key = self.term(pair=False)
            self.expect(":")
            pairs.append((key, self.term(pair=False)))
        self.expect("}")
        return Object(tuple(pairs), loc)

    def set_items(self, first: Term, loc: Location) -> SetLit:
        """The members of a set after the first."""
        if self.at(","):
            self.take()
            return SetLit((first, *self.items("}")), loc)
        self.expect("}")
        return SetLit((first,), loc)

    def items(self, end: str) -> list[Term]:
        """Comma-separated terms up to a closing token; a trailing comma is allowed."""
        found: list[Term] = []
        while not self.at(end):
            found.append(self.term(pair=False))
            if not self.at(","):
                break
            self.take()
        self.expect(end)
        return found

    def comprehension(self, kind: str, end: str, loc: Location, key: Term | None = None) -> Comprehension | None:
        """A comprehension whose head begins here, or None with the position unchanged: ``{a | b}`` is one wherever
        the part after the bar reads as a body."""
        start = self.pos
        try:
            head = self.primary()
        except CompileError:
            self.pos = start
            return None
        if not self.at("|"):
            self.pos = start
            return None
        self.take()
        try:
            body = self.body_until(end)
        except CompileError:
            if not self.at(","):
                raise
            self.pos = start
            return None
        return Comprehension(kind, key, head, body, loc)

    def term(self, *, pair: bool = True) -> Term:
        """A term with infix operators; the term parser knows how."""
        raise NotImplementedError

    def primary(self) -> Term:
        """A term without infix operators; the term parser knows how."""
        raise NotImplementedError

    def body_until(self, end: str) -> Body:
        """Expressions up to a closing token; the body parser knows how."""
        raise NotImplementedError
