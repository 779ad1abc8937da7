"""Bodies: expressions with ``not``, ``some``, ``every``, ``with``, and the optional ``and`` and ``or``."""

from __future__ import annotations

from dataclasses import replace

from .errors import CompileError, Location
from .lexer import fail
from .nodes import (
    Body,
    Call,
    CallExpr,
    Every,
    Expr,
    ExprNode,
    Logical,
    NotBody,
    Ref,
    SomeDecl,
    SomeIn,
    Term,
    TermExpr,
    Var,
    With,
    const_ref,
    dotted,
)
from .parse_terms import TermParser

_TIGHTNESS = ("or", "and")


class BodyParser(TermParser):
    """Reads bodies. ``features`` holds the names of imported optional keywords: not, and, or."""

    def body_until(self, end: str) -> Body:
        """Expressions up to the closing token, which is taken."""
        if self.at(end):
            raise fail(self.token.loc, "found empty body")
        body = self.expressions(end)
        self.expect(end)
        return body

    def expressions(self, end: str) -> Body:
        """Expressions separated by semicolons or line breaks; stops before ``end`` or the end of the text."""
        found = [self.expression()]
        while not self.at(end) and self.token.kind != "eof":
            if self.at(";"):
                self.take()
                if self.at(end) or self.token.kind == "eof":
                    break
            elif not self.token.newline:
                raise self.unexpected(f"expected \\n or ; or {end}")
            found.append(self.expression())
        return tuple(found)

    def expression(self) -> Expr:
        """One expression with its modifiers."""
        token = self.token
        logical = bool(self.features & {"and", "or"})
        expr = self.explicit_operand() if logical and self.at("{") else None
        group = None if expr else self.operand_group()
        expr = expr or group or self.simple(token.loc)
        if logical and self.at_logical():
            if expr.withs and group is None:
                raise fail(expr.withs[0].loc, f"`with` modifier is not allowed on operand of `{self.token.text}`")
            expr = self.logical(self.operand(expr), 0, token.loc)
        if isinstance(expr.node, Logical) and not expr.withs:
            expr.withs = self.modifiers()
        expr.text = self.text_from(token.start)
        return expr

    def template_expression(self) -> Expr:
        """The expression of a template string."""
        start = self.token
        expr = self.expression()
        if expr.negated or isinstance(expr.node, NotBody):
            raise fail(start.loc, "unexpected negation ('not') in template-string expression")
        if isinstance(expr.node, SomeDecl | SomeIn):
            raise fail(start.loc, "unexpected 'some' in template-string expression")
        if isinstance(expr.node, Every):
            raise fail(start.loc, "unexpected 'every' in template-string expression")
        if isinstance(expr.node, CallExpr) and dotted(expr.node.op) in {"eq", "assign"}:
            raise fail(start.loc, "unexpected assignment or unification in template-string expression")
        if self.token.kind != "eof":
            raise fail(self.token.loc, "expected } to end template string expression")
        return expr

    def simple(self, loc: Location) -> Expr:
        """An expression without ``and`` and ``or`` around it."""
        if self.token.kind == "keyword" and not self.keyword_as_name():
            if self.at("not"):
                return self.negation(loc)
            if self.at("some"):
                return self.some(loc)
            if self.at("every"):
                return self.every(loc)
        node = self.node()
        return Expr(node, loc, withs=self.modifiers())

    def negation(self, loc: Location) -> Expr:
        """``not`` and what it negates."""
        start = self.take().start
        if self.at("some", "every") and not self.keyword_as_name():
            raise self.unexpected(f"illegal negation of '{self.token.text}'")
        group = self.operand_group()
        if group is not None:
            return Expr(NotBody((group,), explicit=True), loc, withs=self.modifiers())
        if "not" not in self.features:
            node = self.node()
            return Expr(node, loc, negated=True, withs=self.modifiers())
        if self.at("{"):
            begin = self.pos
            self.take()
            try:
                body = self.body_until("}")
            except CompileError:
                self.pos = begin
                raise
            return Expr(NotBody(body, explicit=True), loc, withs=self.modifiers())
        inner = Expr(self.node(), loc)
        withs = self.modifiers()
        inner.text = self.text_from(start)
        return Expr(NotBody((inner,), explicit=False), loc, withs=withs)

    def node(self) -> ExprNode:
        """A term, a call, ``left = right`` or ``left := right``."""
        left = self.term()
        if self.at("=", ":="):
            token = self.take()
            op = "eq" if token.text == "=" else "assign"
            return CallExpr(const_ref(op, token.loc), (left, self.term()))
        if isinstance(left, Call):
            return CallExpr(left.op, left.args)
        return TermExpr(left)

    def modifiers(self) -> tuple[With, ...]:
        """Every ``with`` that follows."""
        found: list[With] = []
        while self.at("with") and not self.keyword_as_name():
            loc = self.take().loc
            if self.token.kind != "ident":
                raise self.unexpected("expected ident")
            target = self.primary()
            if not isinstance(target, Ref | Var):
                raise self.unexpected("expected with target path")
            self.expect("as")
            found.append(With(target, self.term(), loc))
        return tuple(found)

    # -- some, every ----------------------------------------------------------------------------------------------

    def some(self, loc: Location) -> Expr:
        """``some x, y`` or ``some x in xs``."""
        self.take()
        start = self.pos
        member = self.membership()
        if member is not None:
            key, value, domain = member
            return Expr(SomeIn(key, value, domain), loc, withs=self.modifiers())
        self.pos = start
        names: list[Var] = []
        while True:
            if self.token.kind != "ident":
                raise self.unexpected("expected var")
            names.append(self.variable())
            if not self.at(","):
                return Expr(SomeDecl(tuple(names)), loc)
            self.take()

    def membership(self) -> tuple[Term | None, Term, Term] | None:
        """``value in domain`` or ``key, value in domain``; None where something else stands here."""
        try:
            term = self.term()
        except CompileError:
            return None
        if not isinstance(term, Call):
            return None
        name = dotted(term.op)
        if name == "internal.member_2":
            return None, term.args[0], term.args[1]
        if name == "internal.member_3":
            return term.args[0], term.args[1], term.args[2]
        raise self.unexpected("expected `x in xs` or `x, y in xs` expression")

    def every(self, loc: Location) -> Expr:
        """``every x in xs { body }``."""
        self.take()
        member = self.membership()
        if member is None:
            raise self.unexpected("expected `x[, y] in xs { ... }` expression")
        key, value, domain = member
        if not isinstance(value, Var):
            raise fail(value.loc, "expected value to be a variable")
        if key is not None and not isinstance(key, Var):
            raise fail(key.loc, "expected key to be a variable")
        if not self.at("{"):
            raise self.unexpected("missing body")
        self.take()
        body = self.body_until("}")
        return Expr(Every(key, value, domain, body), loc, withs=self.modifiers())

    # -- and, or --------------------------------------------------------------------------------------------------

    def at_logical(self) -> bool:
        """Whether an imported ``and`` or ``or`` stands here."""
        return self.token.kind == "ident" and self.token.text in self.features and self.token.text in _TIGHTNESS

    def explicit_operand(self) -> Expr | None:
        """``{ body }`` where an operator follows; None with the position unchanged otherwise."""
        start = self.pos
        loc = self.take().loc
        try:
            body = self.body_until("}")
        except CompileError:
            self.pos = start
            return None
        if not self.at_logical():
            self.pos = start
            return None
        return self.logical((body, True), 0, loc)

    def operand_group(self) -> Expr | None:
        """``( ... )`` around a chain of operands, or around one operand with its modifiers; None with the position
        unchanged where the parentheses belong to a term."""
        if not (self.features & {"and", "or"} and self.at("(")):
            return None
        start = self.pos
        loc = self.take().loc
        try:
            left = self.logical_operand()
        except CompileError:
            self.pos = start
            return None
        if self.at_logical():
            expr = self.logical(left, 0, loc)
        elif len(left[0]) == 1 and (isinstance(left[0][0].node, Logical) or self.at("with")):
            expr = left[0][0]
        else:
            self.pos = start
            return None
        expr = Expr(expr.node, loc, withs=self.modifiers()) if self.at("with") else expr
        self.expect(")")
        return expr

    @staticmethod
    def operand(expr: Expr) -> tuple[Body, bool]:
        """An expression as an implicit operand."""
        return (expr,), False

    def logical(self, left: tuple[Body, bool], level: int, loc: Location) -> Expr:
        """A chain of one operator and tighter ones, whose first operand was read."""
        if level + 1 < len(_TIGHTNESS) and self.at_logical() and self.token.text == _TIGHTNESS[level + 1]:
            left = self.operand(self.logical(left, level + 1, loc))
        while self.at_logical() and self.token.text == _TIGHTNESS[level]:
            op = self.take().text
            right = self.logical_operand()
            if level + 1 < len(_TIGHTNESS) and self.at_logical() and self.token.text == _TIGHTNESS[level + 1]:
                right = self.operand(self.logical(right, level + 1, loc))
            left = self.operand(Expr(Logical(op, left[0], right[0], left[1], right[1]), loc))
        return left[0][0]

    def logical_operand(self) -> tuple[Body, bool]:
        """What stands right of ``and`` or ``or``."""
        token = self.token
        if self.at("{"):
            self.take()
            return self.body_until("}"), True
        if self.at("not") and not self.keyword_as_name():
            expr = self.negation(token.loc)
        else:
            group = self.operand_group()
            if group is not None:
                return self.operand(group)
            expr = Expr(self.node(), token.loc)
        if expr.withs and not isinstance(expr.node, NotBody):
            raise fail(expr.withs[0].loc, "`with` modifier is not allowed on an operand of `and` or `or`")
        expr.text = self.text_from(token.start)
        return self.operand(replace(expr))
