"""Rules: heads, values, bodies, ``else``, ``default``. Rego v1 only: bodies need ``if``, partial sets ``contains``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import CompileError, Location
from .lexer import Token, fail
from .nodes import (
    Body,
    Call,
    Comprehension,
    Const,
    Expr,
    Head,
    Ref,
    Rule,
    SetLit,
    Template,
    Term,
    TermExpr,
    Var,
    children,
)
from .parse_bodies import BodyParser


@dataclass(slots=True)
class _HeadParts:
    head: Head
    contains: bool

    def is_member(self) -> bool:
        """Whether Rego v0 takes ``name[key]`` without a value for a member of a set."""
        head = self.head
        return len(head.ref.terms) == 2 and head.args is None and head.value is None and not self.contains


class RuleParser(BodyParser):
    """Reads the rules of one package."""

    package: tuple[str, ...] = ()

    # -- rules ----------------------------------------------------------------------------------------------------

    def rules(self) -> list[Rule]:
        """A rule, or the rules of one head with several bodies in a row."""
        start = self.token
        default = self.at("default") and not self.keyword_as_name()
        if default:
            self.take()
        parts = self.head(default=default)
        head = parts.head
        if default:
            self.check_default(head, start.loc)
            return [self.finish(Rule(head, _always(head.loc), True, None, start.loc))]
        has_if = self.at("if") and not self.keyword_as_name()
        if not has_if and not self.at("{"):
            return [self.constant(parts, start)]
        if not has_if:
            kind = "rule" if head.args is None else "function"
            message = f"`if` keyword is required before {kind} body"
            if parts.is_member():
                message += ", `contains` keyword is required for partial set rules"
            raise fail(start.loc, f"{message}: write `{self.v1_head(parts, start)} if {{ ... }}`")
        self.take()
        if not parts.contains and head.value is None:
            head = replace(head, value=Const(True, head.loc))
        rule = Rule(head, self.rule_body(), False, None, start.loc)
        if self.at("else") and not self.keyword_as_name():
            if head.key is not None:
                raise fail(self.token.loc, "else keyword cannot be used on multi-value rules")
            if any(not isinstance(term, Const) for term in head.ref.terms[1:]):
                raise fail(self.token.loc, "else keyword cannot be used on rules with variables in head")
            rule.orelse = self.otherwise(head)
        found = [self.finish(rule)]
        while self.at("{"):
            if rule.orelse is not None:
                raise fail(self.token.loc, "expected else keyword")
            loc = self.take().loc
            found.append(self.finish(Rule(head, self.body_until("}"), False, None, loc)))
        return found

    def finish(self, rule: Rule) -> Rule:
        """Complete a rule with its package and last row."""
        rule.package = self.package
        rule.end_row = self.end_row()
        return rule

    def end_row(self) -> int:
        """The row where the last token taken ends."""
        token = self.tokens[self.pos - 1]
        return token.loc.row + self.source.count("\n", token.start, token.end)

    def v1_head(self, parts: _HeadParts, start: Token) -> str:
        """The text of a head of Rego v0 as Rego v1 spells it: a member of a set after ``contains``."""
        text = self.source[start.start : self.tokens[self.pos - 1].end]
        if not parts.is_member():
            return text
        name, bracket, member = text.partition("[")
        if not bracket:
            name, _, key = text.partition(".")
            return f'{name} contains "{key}"'
        return f"{name.strip()} contains {member.removesuffix(']').strip()}"

    def constant(self, parts: _HeadParts, start: Token) -> Rule:
        """A rule without a body: ``pi := 3.14``, ``names contains "a"``."""
        head, loc = parts.head, start.loc
        if not parts.contains and head.value is None:
            if len(head.ref.terms) > 1 and head.args is None:
                spelling = f"write `{self.v1_head(parts, start)}`"
                raise fail(loc, f"`contains` keyword is required for partial set rules: {spelling}")
            if head.args is None:
                raise fail(loc, "var cannot be used for rule name")
            head = replace(head, value=Const(True, head.loc))
        return self.finish(Rule(head, _always(head.loc), False, None, loc))

    def rule_body(self) -> Body:
        """After ``if``: one expression, or a body in braces. Braces are a body unless they read as a term followed by
        more (``{1} == x``), as in OPA: one expression is tried first, and a set literal alone is a body."""
        start = self.pos
        try:
            expr = self.expression()
        except CompileError:
            self.pos = start
            if not self.at("{"):
                raise
        else:
            if not (isinstance(expr.node, TermExpr) and isinstance(expr.node.term, SetLit) and not expr.negated):
                return (expr,)
            self.pos = start
            if not self.at("{"):
                raise self.unexpected("rule body expected")
        self.take()
        return self.body_until("}")

    def otherwise(self, head: Head) -> Rule:
        """An ``else`` branch and those after it."""
        loc = self.take().loc
        value: Term = Const(True, loc)
        assigned = self.at(":=")
        if self.at(":=", "="):
            self.take()
            value = self.term()
        elif not self.at("if", "{"):
            raise self.unexpected("expected else value term or rule body")
        branch = replace(head, value=value, loc=loc, assigned=assigned)
        body = _always(loc)
        if self.at("if") and not self.keyword_as_name():
            self.take()
            body = self.rule_body()
        elif self.at("{"):
            raise fail(self.token.loc, "`if` keyword is required before rule body: write `else := ... if { ... }`")
        rule = Rule(branch, body, False, None, loc)
        if self.at("else") and not self.keyword_as_name():
            rule.orelse = self.otherwise(head)
        return self.finish(rule)

    # -- heads ----------------------------------------------------------------------------------------------------

    def head(self, *, default: bool) -> _HeadParts:
        """Everything before the body."""
        token = self.token
        named = token.kind == "ident" or (token.text == "contains" and token.kind == "keyword")
        if not named and not self.keyword_as_name():
            raise self.unexpected("expected rule head name" if token.kind == "keyword" else "")
        ref, args = self.head_ref()
        if self.at("contains"):
            if args is not None:
                raise self.unexpected("the contains keyword can only be used with multi-value rule definitions")
            self.take()
            return _HeadParts(Head(ref, None, self.term(), None, token.loc), contains=True)
        value: Term | None = None
        assigned = self.at(":=")
        if self.at("=", ":="):
            self.take()
            value = self.term()
        elif default:
            raise self.unexpected("expected default rule value")
        return _HeadParts(Head(ref, args, None, value, token.loc, assigned), contains=False)

    def head_ref(self) -> tuple[Ref, tuple[Term, ...] | None]:
        """The reference of a head, and the arguments of a function."""
        name = self.variable()
        if name.name.startswith("$"):
            raise fail(name.loc, "rule name must not be a wildcard")
        term = self.suffixes(name)
        if isinstance(term, Call):
            return term.op, term.args
        if isinstance(term, Ref):
            if isinstance(term.terms[0], Call):
                raise fail(term.loc, "rule head ref invalid")
            return term, None
        return Ref((term,), name.loc), None

    def check_default(self, head: Head, loc: Location) -> None:
        """A default has a constant value and plain arguments."""
        if head.value is None or not _is_constant(head.value):
            raise fail(loc, "illegal default rule (value cannot contain ref, var or call)")
        names: set[str] = set()
        for arg in head.args or ():
            if not isinstance(arg, Var):
                raise fail(loc, "illegal default rule (arguments cannot contain anything but variables)")
            if arg.name in names:
                raise fail(loc, f"illegal default rule (arguments cannot be repeated {arg.name})")
            names.add(arg.name)


def _always(loc: Location) -> Body:
    return (Expr(TermExpr(Const(True, loc)), loc, generated=True, text="true"),)


def _is_constant(term: Term) -> bool:
    if isinstance(term, Comprehension):
        return True
    if isinstance(term, Ref | Var | Call | Template):
        return False
    return all(_is_constant(child) for child in children(term))
