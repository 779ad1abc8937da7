"""Modules and queries: the package, imports and rules of a file, or one body."""

from __future__ import annotations

from . import errors
from .errors import CompileError, RegoDiagnostic
from .lexer import KEYWORDS, Lexer, fail
from .nodes import (
    Body,
    Const,
    Import,
    Module,
    Ref,
    Rule,
    Var,
)
from .parse_rules import RuleParser

ROOT_IMPORTS = frozenset({"data", "input", "rego", "future"})
FUTURE_KEYWORDS = frozenset({"in", "every", "contains", "if"})
OPTIONAL_KEYWORDS = frozenset({"not", "and", "or"})
_MAX_SOURCE = 8 * 1024 * 1024


class ModuleParser(RuleParser):
    """Reads one module. ``optional`` names the future keywords that the capabilities allow."""

    optional: frozenset[str] = frozenset()

    def module(self, file: str, comments: list[tuple[int, int, str]]) -> Module:
        """The whole file."""
        if self.token.kind == "eof":
            raise fail(self.token.loc, "empty module")
        if not self.at("package"):
            raise fail(self.token.loc, "package expected")
        loc = self.take().loc
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
            if path == ["v2"] and self.optional >= OPTIONAL_KEYWORDS:
                self.features |= OPTIONAL_KEYWORDS
            elif path != ["v1"]:
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
