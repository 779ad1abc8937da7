"""Modules: the package, imports and rules. Rego v1 only: a body needs ``if``, a partial set needs ``contains``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from . import errors
from .errors import CompileError, Location, RegoDiagnostic
from .lexer import KEYWORDS, Lexer, fail
from .nodes import (
    Body,
    Call,
    Comprehension,
    Const,
    Expr,
    Head,
    Import,
    Module,
    Ref,
    Rule,
    Template,
    Term,
    TermExpr,
    Var,
    children,
)
from .parse_bodies import BodyParser

ROOT_IMPORTS = frozenset({"data", "input", "rego", "future"})
FUTURE_KEYWORDS = frozenset({"in", "every", "contains", "if"})
_MAX_SOURCE = 8 * 1024 * 1024


@dataclass(slots=True)
class _HeadParts:
    head: Head
    contains: bool


class ModuleParser(BodyParser):
    """Reads one module. ``optional`` names the future keywords that the capabilities allow."""

    optional: frozenset[str] = frozenset()
    package: tuple[str, ...] = ()

    def module(self, file: str, comments: list[tuple[int, int, str]]) -> Module:
        """The whole file."""
        if self.token.kind == "eof":
            raise fail(self.token.loc, "empty module")
        self.check_lines(first=True)
        loc = self.expect_package()
        self.package = self.package_path()
        imports: list[Import] = []
        rules: list[Rule] = []
        while self.token.kind != "eof":
            if not self.token.newline and not self.at(";"):
                raise self.unexpected("expected a line break")
            if self.at(";"):
                self.take()
                continue
            if self.at("import") and not self.keyword_as_name():
                imports.append(self.import_line())
            else:
                rules.extend(self.rules())
        return Module(file, self.package, loc, tuple(imports), tuple(rules), tuple(comments), self.source)

    def check_lines(self, *, first: bool) -> None:
        """The first statement must be the package."""
        if first and not self.at("package"):
            raise fail(self.token.loc, "package expected")

    def expect_package(self) -> Location:
        """Past the keyword; the location of the statement."""
        return self.expect("package").loc

    def package_path(self) -> tuple[str, ...]:
        """``a.b["c"]`` as a path."""
        if self.token.kind not in {"ident", "keyword"}:
            raise self.unexpected("expected ident")
        token = self.take()
        if self.token.text in {".", "["} and not self.token.space:
            term = self.suffixes(Var(token.text, token.loc))
        else:
            term = Var(token.text, token.loc)
        terms = term.terms if isinstance(term, Ref) else (term,)
        path = [token.text]
        for part in terms[1:]:
            if not (isinstance(part, Const) and type(part.value) is str):
                raise fail(token.loc, "package name cannot contain variables or non-string values")
            path.append(part.value)
        return tuple(path)

    # -- imports --------------------------------------------------------------------------------------------------

    def import_line(self) -> Import:
        """``import path`` or ``import path as alias``."""
        loc = self.take().loc
        if self.token.kind != "ident":
            raise self.unexpected("expected ident")
        term = self.suffixes(self.variable())
        if isinstance(term, Var):
            term = Ref((term,), term.loc)
        head = term.terms[0] if isinstance(term, Ref) else None
        if not isinstance(term, Ref) or not isinstance(head, Var):
            raise fail(loc, "expected path")
        if head.name not in ROOT_IMPORTS:
            raise fail(
                term.loc,
                f"unexpected import path, must begin with one of: {{data, future, input, rego}}, got: {head.name}",
            )
        for part in term.terms[1:]:
            if not (isinstance(part, Const) and type(part.value) is str):
                raise fail(part.loc, "unexpected token in import path: expecting string")
        alias = self.import_alias()
        found = Import(term, alias, loc)
        self.check_import(found, head.name)
        return found

    def import_alias(self) -> str | None:
        """The name after ``as``, or None."""
        if not self.at("as"):
            return None
        self.take()
        if self.token.kind != "ident":
            raise self.unexpected("expected var")
        return self.take().text

    def check_import(self, found: Import, root: str) -> None:
        """An import path that Rego knows; turns imported keywords on."""
        path = [str(part.value) for part in found.path.terms[1:] if isinstance(part, Const)]
        if root == "rego":
            if path != ["v1"]:
                raise fail(found.loc, f"invalid import, must be `rego.v1`, got: rego.{'.'.join(path)}")
        elif root == "future":
            allowed = FUTURE_KEYWORDS | self.optional
            if not path or path[0] != "keywords":
                raise fail(found.path.loc, "invalid import, must be `future.keywords`")
            if found.alias:
                raise fail(found.loc, "`future` imports cannot be aliased")
            if len(path) > 2 or (len(path) == 2 and path[1] not in allowed):
                known = ", ".join(sorted(allowed))
                raise fail(found.path.loc, f"unexpected keyword, must be one of [{known}], got: {path[-1]}")
            self.features |= frozenset(path[1:]) & self.optional if len(path) == 2 else self.optional
        elif found.alias is None and path and path[-1] in KEYWORDS:
            raise fail(found.path.loc, f"unexpected import path, must not end with a keyword, got: {path[-1]}")

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
            return [self.constant(parts, start.loc)]
        if not has_if:
            raise fail(start.loc, "`if` keyword is required before rule body")
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

    def constant(self, parts: _HeadParts, loc: Location) -> Rule:
        """A rule without a body: ``pi := 3.14``, ``names contains "a"``."""
        head = parts.head
        if not parts.contains and head.value is None:
            if len(head.ref.terms) > 1 and head.args is None:
                raise fail(loc, "`contains` keyword is required for partial set rules")
            if head.args is None:
                raise fail(loc, "var cannot be used for rule name")
            head = replace(head, value=Const(True, head.loc))
        return self.finish(Rule(head, _always(head.loc), False, None, loc))

    def rule_body(self) -> Body:
        """After ``if``: one expression, or a body in braces. Braces are a body unless they read as a term followed by
        more (``{1} == x``), as in OPA: one expression is tried first, and a set literal alone is a body."""
        start = self.pos
        first: CompileError | None = None
        try:
            expr = self.expression()
        except CompileError as error:
            first = error
        else:
            if not (isinstance(expr.node, TermExpr) and type(expr.node.term).__name__ == "SetLit" and not expr.negated):
                return (expr,)
        self.pos = start
        if not self.at("{"):
            raise first or self.unexpected("rule body expected")
        self.take()
        return self.body_until("}")

    def otherwise(self, head: Head) -> Rule:
        """An ``else`` branch and those after it."""
        loc = self.take().loc
        value: Term = Const(True, loc)
        if self.at(":=", "="):
            self.take()
            value = self.term()
        elif not self.at("if", "{"):
            raise self.unexpected("expected else value term or rule body")
        branch = replace(head, value=value, loc=loc)
        body = _always(loc)
        if self.at("if") and not self.keyword_as_name():
            self.take()
            body = self.rule_body()
        elif self.at("{"):
            raise fail(self.token.loc, "`if` keyword is required before rule body")
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
        if self.at("=", ":="):
            self.take()
            value = self.term()
        elif default:
            raise self.unexpected("expected default rule value")
        return _HeadParts(Head(ref, args, None, value, token.loc), contains=False)

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


def parse_module(file: str, source: str, optional: frozenset[str] = frozenset()) -> Module:
    """The tree of one file. Raises CompileError (``rego_parse_error``)."""
    if len(source) > _MAX_SOURCE:
        raise CompileError([RegoDiagnostic(errors.PARSE, "module is larger than 8 MiB", file, 1, 1)])
    scanned = Lexer(file, source).scan()
    parser = ModuleParser(scanned.tokens, source)
    parser.optional = optional
    try:
        return parser.module(file, scanned.comments)
    except RecursionError:
        raise fail(parser.token.loc, "the text nests too deeply") from None


_REF_ONLY = re.compile(r"data(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")


def parse_query(text: str, optional: frozenset[str] = frozenset(), file: str = "") -> Body:
    """The body of a query. Raises CompileError (``rego_parse_error``)."""
    scanned = Lexer(file, text).scan()
    parser = ModuleParser(scanned.tokens, text)
    parser.features = optional & {"not"} if optional == {"not"} else frozenset()
    if parser.token.kind == "eof":
        raise fail(parser.token.loc, "cannot evaluate empty query")
    try:
        body = parser.expressions("")
    except RecursionError:
        raise fail(parser.token.loc, "the text nests too deeply") from None
    if parser.token.kind != "eof":
        raise parser.unexpected()
    return body
