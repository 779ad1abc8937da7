"""Go's ``text/template``: a template's text as a tree. Source: https://pkg.go.dev/text/template.

``{{define}}`` and ``{{block}}`` give named templates; a template that stands in the text is the one named "".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_ACTION_END = re.compile(r"[ \t\r\n]+-\}\}|\}\}")
_COMMENT = re.compile(r"\{\{(?:-[ \t\r\n]+)?/\*.*?\*/([ \t\r\n]+-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\\n]|\\.)*+"|`[^`]*+`)'
    r"|(?P<char>'(?:[^'\\\n]|\\.)*+')"
    r"|(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?))"
    r"|(?P<field>\.[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<variable>\$[A-Za-z0-9_]*)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>:=|[|(),=.])"
)
_MAX_TOKENS = 500
_SPACE = " \t\r\n"


class TemplateError(Exception):
    """A template that cannot be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an action; ``spaced`` where white space stands before it."""

    kind: str
    text: str
    spaced: bool


@dataclass(frozen=True, slots=True)
class Operand:
    """What a command is made of: a literal, ``.``, a variable, a function or a pipeline, and fields of it."""

    kind: str
    value: Any = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each given the answer of the one before; ``names`` are the variables that get the last answer."""

    commands: tuple[tuple[Operand, ...], ...]
    names: tuple[str, ...] = ()
    declares: bool = False


@dataclass(slots=True)
class Block:
    """A node: ``text``, ``out``, ``if``, ``with``, ``range``, ``template``, ``break`` or ``continue``."""

    kind: str
    text: str = ""
    pipeline: Pipeline | None = None
    body: list[Block] = field(default_factory=list)
    orelse: list[Block] = field(default_factory=list)


def parse(text: str) -> dict[str, list[Block]]:
    """The named templates of a text, the text itself under "". Raises TemplateError."""
    reader = _Reader(text)
    body, _ = reader.blocks(frozenset())
    reader.named[""] = body
    return reader.named


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.trim = False
        self.named: dict[str, list[Block]] = {}
        self.line = 1
        self.counted = 0

    def fail(self, message: str) -> TemplateError:
        line = self.text.count("\n", 0, self.at) + 1
        return TemplateError(f"template: template:{line}: {message}")

    # -- text and actions ---------------------------------------------------------------------------------------------

    def blocks(self, ends: frozenset[str]) -> tuple[list[Block], list[Token]]:
        """Nodes up to one of the words that end them, and the action that it stands in."""
        found: list[Block] = []
        while True:
            start = self.text.find("{{", self.at)
            literal = self.text[self.at : start if start >= 0 else len(self.text)]
            if self.trim:
                literal = literal.lstrip(_SPACE)
            if start >= 0 and self.text[start + 2 : start + 3] == "-" and self.text[start + 3 : start + 4] in _SPACE:
                literal = literal.rstrip(_SPACE)
            if literal:
                found.append(Block("text", literal))
            if start < 0:
                self.at = len(self.text)
                if ends:
                    raise self.fail("unexpected EOF")
                return found, []
            tokens = self.action(start)
            if tokens is None:
                continue
            word = tokens[0].text if tokens and tokens[0].kind == "word" else ""
            if word in ends:
                return found, tokens
            node = self.node(word, tokens)
            if node is not None:
                found.append(node)

    def action(self, start: int) -> list[Token] | None:
        """The tokens between braces; None for a comment."""
        comment = _COMMENT.match(self.text, start)
        if comment is not None:
            self.at, self.trim = comment.end(), bool(comment.group(1))
            return None
        at = start + 2
        if self.text[at : at + 1] == "-" and self.text[at + 1 : at + 2] in _SPACE:
            at += 1
        self.at = start
        tokens: list[Token] = []
        while True:
            end = _ACTION_END.match(self.text, at)
            if end is not None:
                self.at, self.trim = end.end(), end.group() != "}}"
                if not tokens:
                    raise self.fail("missing value for command")
                return tokens
            begin = at
            while self.text[at : at + 1] and self.text[at] in _SPACE:
                at += 1
            if at > begin:
                end = _ACTION_END.match(self.text, begin) or _ACTION_END.match(self.text, at)
                if end is not None:
                    at = end.start()
                    continue
            match = _TOKEN.match(self.text, at)
            if match is None:
                shown = self.text[at : at + 1]
                raise self.fail(f"unexpected {shown!r} in action" if shown else "unclosed action")
            if len(tokens) >= _MAX_TOKENS:
                raise self.fail("action is too long")
            tokens.append(Token(str(match.lastgroup), match.group(), at > begin))
            at = match.end()

    # -- control ------------------------------------------------------------------------------------------------------

    def node(self, word: str, tokens: list[Token]) -> Block | None:
        """One action as a node; None for a definition."""
        if word in {"if", "with", "range"}:
            return self.control(word, tokens[1:])
        if word in {"define", "block"}:
            return self.definition(word, tokens)
        if word == "template":
            rest = tokens[2:]
            return Block("template", self.literal(tokens), self.pipeline(rest) if rest else None)
        if word in {"break", "continue"}:
            return Block(word)
        if word in {"end", "else"}:
            raise self.fail(f"unexpected {{{{{word}}}}}")
        return Block("out", pipeline=self.pipeline(tokens))

    def control(self, word: str, tokens: list[Token]) -> Block:
        """``if``, ``with`` and ``range``, with their ``else``."""
        node = Block(word, pipeline=self.pipeline(tokens, pair=word == "range"))
        node.body, end = self.blocks(frozenset({"end", "else"}))
        if end[0].text == "else":
            rest = end[1:]
            if rest and rest[0].text == word and word != "range":
                node.orelse = [self.control(word, rest[1:])]
                return node
            if rest:
                raise self.fail("unexpected token in else")
            node.orelse, _ = self.blocks(frozenset({"end"}))
        return node

    def definition(self, word: str, tokens: list[Token]) -> Block | None:
        """``define`` keeps a template; ``block`` also renders it in place."""
        name = self.literal(tokens)
        pipeline = self.pipeline(tokens[2:]) if word == "block" else None
        body, _ = self.blocks(frozenset({"end"}))
        self.named[name] = body
        return Block("template", name, pipeline) if word == "block" else None

    def literal(self, tokens: list[Token]) -> str:
        """The name after ``template``, ``define`` or ``block``."""
        if len(tokens) < 2 or tokens[1].kind != "string":
            raise self.fail(f"missing name in {tokens[0].text}")
        return self.string(tokens[1].text)

    # -- pipelines ----------------------------------------------------------------------------------------------------

    def pipeline(self, tokens: list[Token], *, pair: bool = False) -> Pipeline:
        """``$x := command | command``; a range may declare two variables."""
        names: tuple[str, ...] = ()
        declares = False
        for count in (1, 2) if pair else (1,):
            marks = tokens[: 2 * count]
            shape = [token.kind if token.kind == "variable" else token.text for token in marks]
            if shape in [["variable", ":="], ["variable", "="], ["variable", ",", "variable", ":="]]:
                names = tuple(token.text for token in marks if token.kind == "variable")
                declares = marks[-1].text == ":="
                tokens = tokens[len(marks) :]
                break
        commands, rest = self.commands(tokens)
        if rest:
            raise self.fail(f"unexpected {rest[0].text!r} in command")
        return Pipeline(commands, names, declares)

    def commands(self, tokens: list[Token]) -> tuple[tuple[tuple[Operand, ...], ...], list[Token]]:
        """Commands up to a closing bracket, and what follows."""
        commands: list[tuple[Operand, ...]] = []
        operands: list[Operand] = []
        while tokens and tokens[0].text != ")":
            if tokens[0].kind == "mark" and tokens[0].text == "|":
                if not operands:
                    raise self.fail("missing value for command")
                commands.append(tuple(operands))
                operands = []
                tokens = tokens[1:]
                continue
            operand, tokens = self.operand(tokens)
            operands.append(operand)
        if not operands:
            raise self.fail("missing value for command")
        return (*commands, tuple(operands)), tokens

    def operand(self, tokens: list[Token]) -> tuple[Operand, list[Token]]:
        """One operand with the fields that follow it directly."""
        token, rest = tokens[0], tokens[1:]
        fields: list[str] = []
        kind, value = token.kind, self.value(token)
        if token.text == "(" and kind == "mark":
            commands, rest = self.commands(rest)
            if not rest:
                raise self.fail("unclosed left paren")
            kind, value, rest = "pipeline", Pipeline(commands), rest[1:]
        elif kind == "field":
            kind = "dot"
            fields.append(token.text[1:])
        elif kind == "mark" and token.text == ".":
            kind = "dot"
        elif kind == "mark":
            raise self.fail(f"unexpected {token.text!r} in operand")
        while rest and rest[0].kind == "field" and not rest[0].spaced:
            fields.append(rest[0].text[1:])
            rest = rest[1:]
        return Operand(kind, value, tuple(fields)), rest

    def value(self, token: Token) -> Any:
        """The value of a literal, the name of anything else."""
        if token.kind == "string":
            return self.string(token.text)
        if token.kind == "number":
            return self.number(token.text)
        if token.kind == "char":
            inner = self.string('"' + token.text[1:-1].replace('"', '\\"').replace("\\'", "'") + '"')
            if len(inner) != 1:
                raise self.fail(f"malformed character constant: {token.text}")
            return ord(inner)
        return token.text

    def string(self, text: str) -> str:
        """The value of a quoted string."""
        if text[0] == "`":
            return text[1:-1]
        try:
            return str(json.loads(text, strict=False))
        except ValueError:
            raise self.fail(f"invalid string {text}") from None

    def number(self, text: str) -> int | float:
        """The value of a number."""
        try:
            return float(text) if re.search(r"[.eE]", text) and "x" not in text.lower() else int(text[:400], 0)
        except ValueError:
            raise self.fail(f"bad number syntax: {text!r}") from None
