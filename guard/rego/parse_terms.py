"""Terms: literals, references, calls and infix operators, with the precedence of Rego's grammar
(``in``, then relations, ``|``, ``&``, ``+ -``, ``* / %``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from . import numbers
from .errors import CompileError, Location
from .lexer import Token, fail
from .nodes import (
    Call,
    Const,
    Expr,
    Ref,
    SetLit,
    Template,
    Term,
    TermExpr,
    Var,
    const_ref,
)
from .parse_collections import CollectionParser

_LEVELS: tuple[dict[str, str], ...] = (
    {"==": "equal", "!=": "neq", "<": "lt", ">": "gt", "<=": "lte", ">=": "gte"},
    {"|": "or"},
    {"&": "and"},
    {"+": "plus", "-": "minus"},
    {"*": "mul", "/": "div", "%": "rem"},
)
_CONSTANTS = {"true": True, "false": False, "null": None}
ROOTS = frozenset({"data", "input"})


class TermParser(CollectionParser):
    """Reads terms. A term read once at a position is kept, so backtracking stays linear."""

    def __init__(self, tokens: list[Token], source: str) -> None:
        super().__init__(tokens, source)
        self.wildcards = 0
        self.memo: dict[int, tuple[Term, int]] = {}
        self.features: frozenset[str] = frozenset()

    # -- operators ------------------------------------------------------------------------------------------------

    def term(self, *, pair: bool = True) -> Term:
        """A term with infix operators; ``pair`` allows ``key, value in domain``."""
        left = self.infix(0)
        if pair and self.at(","):
            start = self.pos
            found = self.member_with_key(left)
            if found is not None:
                left = found
            else:
                self.pos = start
        while self.at("in") and not self.keyword_as_name():
            loc = self.take().loc
            left = Call(const_ref("internal.member_2", loc), (left, self.infix(0)), left.loc)
        return left

    def member_with_key(self, key: Term) -> Term | None:
        """``key, value in domain`` after the key; None where it is something else."""
        self.take()
        try:
            value = self.infix(0)
        except CompileError:
            return None
        if not self.at("in"):
            return None
        loc = self.take().loc
        return Call(const_ref("internal.member_3", loc), (key, value, self.infix(0)), key.loc)

    def infix(self, level: int) -> Term:
        """Operators of one level and tighter, left-associative."""
        if level == len(_LEVELS):
            return self.primary()
        left = self.infix(level + 1)
        operators = _LEVELS[level]
        while self.token.kind == "op" and self.token.text in operators:
            token = self.take()
            op = const_ref(operators[token.text], token.loc)
            left = Call(op, (left, self.infix(level + 1)), left.loc)
        return left

    # -- primaries ------------------------------------------------------------------------------------------------

    def primary(self) -> Term:
        """A term without infix operators, with its operands and calls."""
        known = self.memo.get(self.pos)
        if known is not None:
            term, self.pos = known
            return term
        start = self.pos
        term = self.primary_once()
        self.memo[start] = (term, self.pos)
        return term

    def primary_once(self) -> Term:
        """A term without infix operators, read anew."""
        token = self.token
        if token.kind == "op":
            if token.text == ".":
                return self.no_suffix(self.fraction())
            reader = self.openers.get(token.text)
            if reader is None:
                raise self.unexpected()
            if token.text == "-":
                return self.negative()
            term = reader(self)
            return self.suffixes(term) if token.text != "(" or not isinstance(term, Const) else term
        if token.kind == "ident" or (token.kind == "keyword" and token.text == "contains") or self.keyword_as_name():
            return self.suffixes(self.variable())
        if token.kind == "keyword" and token.text in _CONSTANTS:
            return self.no_suffix(Const(_CONSTANTS[self.take().text], token.loc))
        if token.kind == "string":
            return self.no_suffix(Const(self.take().value, token.loc))
        if token.kind == "number":
            return self.no_suffix(self.number())
        if token.kind == "template":
            return self.template(self.take())
        raise self.unexpected()

    def no_suffix(self, term: Term) -> Term:
        """A scalar, which takes no operands and cannot be called."""
        if self.token.text in {"[", ".", "("} and self.token.kind == "op" and not self.token.space:
            raise fail(term.loc, "illegal ref (head cannot be a scalar)")
        return term

    def variable(self) -> Var:
        """A variable; each ``_`` gets a name of its own."""
        token = self.take()
        if token.text != "_":
            return Var(token.text, token.loc)
        self.wildcards += 1
        return Var(f"$_{self.wildcards}", token.loc)

    def negative(self) -> Term:
        """A negative number, or zero minus a reference."""
        loc = self.take().loc
        token = self.token
        if token.kind == "number":
            return self.number("-", loc)
        if self.at("."):
            return self.fraction("-", loc)
        if token.kind == "ident" or self.at("contains"):
            term = self.suffixes(self.variable())
            return Call(const_ref("minus", loc), (Const(0, loc), term), loc)
        raise self.unexpected("expected number")

    def fraction(self, prefix: str = "", loc: Location | None = None) -> Const:
        """A number that begins with its decimal point."""
        start = self.take().loc
        if self.token.kind != "number":
            raise self.unexpected("expected number")
        return self.number(prefix + ".", loc or start)

    def number(self, prefix: str = "", loc: Location | None = None) -> Const:
        """A number after its sign and its decimal point."""
        token = self.take()
        text = token.text
        if not prefix.endswith(".") and len(text) > 1 and text[0] == "0" and text[1].isdigit():
            raise fail(token.loc, "expected number without leading zero")
        following = self.token
        if following.start == token.end and following.kind in {"ident", "keyword", "number"}:
            raise fail(token.loc, "illegal number format")
        value = numbers.parse_number(prefix + text)
        if value is None:
            raise fail(token.loc, "number too big")
        return Const(value, loc or token.loc)

    def template(self, token: Token) -> Template:
        """A template string: its texts, and its expressions parsed."""
        parts: list[str | Const | Expr] = []
        for part in token.value:
            if isinstance(part, str):
                if part:
                    parts.append(part)
                continue
            outer, self.tokens, self.pos, memo = (self.tokens, self.pos), part, 0, self.memo
            self.memo = {}
            expr = self.template_expression()
            (self.tokens, self.pos), self.memo = outer, memo
            if isinstance(expr.node, TermExpr) and isinstance(expr.node.term, Const):
                parts.append(expr.node.term)
            else:
                parts.append(expr)
        return Template(tuple(parts), token.loc)

    def template_expression(self) -> Expr:
        """One expression between the braces of a template string; the body parser knows how."""
        raise NotImplementedError

    def group(self) -> Term:
        """A term in parentheses."""
        self.take()
        term = self.term()
        self.expect(")")
        return term

    # -- references and calls -------------------------------------------------------------------------------------

    def suffixes(self, head: Term) -> Term:
        """Operands and calls that follow a term without a space."""
        terms: list[Term] = [head]
        while self.token.kind == "op" and not self.token.space:
            text = self.token.text
            if text == ".":
                terms.append(self.dot_operand())
            elif text == "[":
                self.take()
                terms.append(self.term())
                self.expect("]")
            elif text == "(":
                terms = [self.call(terms)]
            else:
                break
        if len(terms) == 1:
            if isinstance(head, Var) and head.name in ROOTS and terms[0] is head:
                return Ref((head,), head.loc)
            return terms[0]
        return Ref(tuple(terms), head.loc)

    def dot_operand(self) -> Const:
        """The name after a dot; keywords are names there."""
        self.take()
        token = self.token
        if token.kind not in {"ident", "keyword"} or token.space:
            raise self.unexpected("expected ident")
        self.take()
        return Const(token.text, token.loc)

    def call(self, terms: list[Term]) -> Term:
        """The arguments of a call; ``set()`` is the empty set."""
        head = terms[0]
        op = Ref(tuple(terms), head.loc)
        self.take()
        args = self.items(")")
        if not args and len(terms) == 1 and isinstance(head, Var) and head.name == "set":
            return SetLit((), head.loc)
        if not isinstance(head, Var):
            raise fail(head.loc, "illegal call of a value")
        return Call(op, tuple(args), head.loc)

    openers: ClassVar[dict[str, Callable[[TermParser], Term]]] = {
        "[": CollectionParser.array,
        "{": CollectionParser.braces,
        "(": group,
        "-": negative,
    }
