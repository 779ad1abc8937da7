"""Characters to tokens. Layout matters in three places, so each token knows what stood before it: a call or an operand
follows its term without a space, and a line break separates expressions.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from . import errors
from .errors import CompileError, Location, RegoDiagnostic

KEYWORDS = frozenset(
    {"as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package", "some"}
    | {"true", "with"}
)

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)
    |(?P<newline>\n)
    |(?P<comment>\#[^\n]*)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<template>\$["`])
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*")
    |(?P<raw>`[^`]*`)
    |(?P<op>:=|==|!=|<=|>=|[-+*/%&|<>=.,;:(){}\[\]])
    """,
    re.VERBOSE,
)
_BAD_ESCAPE = re.compile(r"[\x00-\x1f]")


class Token(NamedTuple):
    """``kind`` is ident, keyword, number, string, op, template or eof; ``end`` is the offset past it."""

    kind: str
    text: str
    value: Any
    loc: Location
    start: int
    end: int
    space: bool
    newline: bool


class Scanned(NamedTuple):
    """A module's tokens and its comments as (row, column, text after the hash)."""

    tokens: list[Token]
    comments: list[tuple[int, int, str]]


def fail(loc: Location, message: str) -> CompileError:
    """A parse error at a place."""
    return CompileError([RegoDiagnostic(errors.PARSE, message, *loc)])


class Lexer:
    """Scans one source text."""

    def __init__(self, file: str, source: str) -> None:
        self.file = file
        self.source = source
        self.position = 0
        self.row = 1
        self.line_start = 0
        self.comments: list[tuple[int, int, str]] = []

    def scan(self) -> Scanned:
        """All tokens, with an ``eof`` at the end."""
        return Scanned(self.run(nested=False), self.comments)

    def run(self, *, nested: bool) -> list[Token]:
        """Tokens up to the end, or (``nested``) up to the brace that closes a template's expression."""
        tokens: list[Token] = []
        space = newline = False
        depth = 0
        while True:
            start, loc = self.position, self.here()
            if start >= len(self.source):
                if nested:
                    raise fail(loc, "expected } to end template string expression")
                tokens.append(Token("eof", "", None, loc, start, start, space, newline))
                return tokens
            match = _TOKEN.match(self.source, start)
            kind = match.lastgroup if match else None
            if match is None or kind is None:
                raise fail(loc, self.describe(start))
            text = match.group()
            self.position = match.end()
            if kind in {"space", "newline", "comment"}:
                space = True
                newline = self.skip(kind, text, loc) or newline
                continue
            if nested and text in {"{", "}"}:
                depth += 1 if text == "{" else -1
                if depth < 0:
                    tokens.append(Token("eof", "}", None, loc, start, start, space, newline))
                    return tokens
            tokens.append(self.token(kind, text, loc, space=space, newline=newline))
            space = newline = False

    def here(self) -> Location:
        """The location of the current position."""
        return Location(self.file, self.row, self.position - self.line_start + 1)

    def skip(self, kind: str, text: str, loc: Location) -> bool:
        """Book a blank; true where it is a line break."""
        if kind == "comment":
            self.comments.append((loc.row, loc.col, text[1:].rstrip("\r")))
            return False
        if kind == "newline":
            self.row += 1
            self.line_start = self.position
        return kind == "newline"

    def token(self, kind: str, text: str, loc: Location, *, space: bool, newline: bool) -> Token:
        """One token; its value where the text is not the value."""
        value: Any = None
        start = self.position - len(text)
        if kind == "ident":
            kind = "keyword" if text in KEYWORDS else "ident"
        elif kind == "string":
            value = self.unescape(text, loc)
        elif kind == "raw":
            kind, value = "string", text[1:-1]
            self.count_lines(text, start)
        elif kind == "template":
            value = self.template(text[1], loc)
            text = self.source[start : self.position]
        return Token(kind, text, value, loc, start, self.position, space, newline)

    def count_lines(self, text: str, start: int) -> None:
        """Book the line breaks inside a token."""
        breaks = text.count("\n")
        if breaks:
            self.row += breaks
            self.line_start = start + text.rindex("\n") + 1

    def unescape(self, text: str, loc: Location) -> str:
        """A double-quoted string has JSON's escapes and no others."""
        if "\\" not in text:
            if _BAD_ESCAPE.search(text) and not text.isprintable() and re.search(r"[\x00-\x08\x0a-\x1f]", text):
                raise fail(loc, f"illegal string literal: {text}")
            return text[1:-1]
        try:
            value: str = json.loads(text.replace("\t", "\\t"))
        except ValueError:
            raise fail(loc, f"illegal string literal: {text}") from None
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def template(self, quote: str, loc: Location) -> list[str | list[Token]]:
        """The parts of a template string: texts, and the tokens of each expression."""
        parts: list[str | list[Token]] = []
        text_start = self.position
        while True:
            if self.position >= len(self.source):
                raise fail(loc, "non-terminated template string")
            char = self.source[self.position]
            if char == "\\" and self.source[self.position + 1 : self.position + 2] in {"{", "\\", '"'}:
                self.position += 2
                continue
            if char == "\n":
                if quote == '"':
                    raise fail(loc, "non-terminated template string")
                self.row += 1
                self.line_start = self.position + 1
            if char in {quote, "{"}:
                parts.append(self.template_text(self.source[text_start : self.position], quote, loc))
                self.position += 1
                if char == quote:
                    return parts
                parts.append(self.run(nested=True))
                text_start = self.position
                continue
            self.position += 1

    def template_text(self, raw: str, quote: str, loc: Location) -> str:
        """A text part of a template string, unescaped."""
        raw = raw.replace("\\{", "{") if quote == "`" else raw
        return raw if quote == "`" else self.unescape('"' + re.sub(r"(?<!\\)((?:\\\\)*)\\\{", r"\1{", raw) + '"', loc)

    def describe(self, start: int) -> str:
        """What is wrong with a character that begins no token."""
        char = self.source[start]
        if char == '"':
            return "non-terminated string"
        if char == "`":
            return "non-terminated raw string"
        return f"illegal token: {char!r}"
