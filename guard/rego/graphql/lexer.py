"""Tokens of GraphQL (section 2.1 of the specification). A bad character becomes an ``Invalid`` token, which the parser
reports where it meets it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from guard.rego.show import quote

EOF, INVALID, NAME, INT, FLOAT, STRING, BLOCK = "<EOF>", "<Invalid>", "Name", "Int", "Float", "String", "BlockString"
_WORDS = frozenset({NAME, INT, FLOAT, STRING, BLOCK})
_SPACE = re.compile(r"[ \t,\r\n\ufeff]*")
_PUNCTUATION = re.compile(r"\.\.\.|[!$&():=@\[\]{}|]")
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")
_NUMBER = re.compile(r"-?(?:0(?![0-9])|[1-9][0-9]*+)(?:(\.[0-9]++)|(?!\.))(?:([eE][+-]?[0-9]++)|(?![eE]))")
_COMMENT = re.compile(r"#[^\x00-\x08\x0a-\x1f]*")
_STRING_PART = r'"(?:[^"\\\x00-\x08\x0a-\x1f]|\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))*+'
_BLOCK_PART = r'"""(?:[^"\x00-\x08\x0b\x0c\x0e-\x1f\\]|\\(?:""")?|"(?!""))*+'
_STRING = re.compile(_STRING_PART + '"')
_BLOCK = re.compile(_BLOCK_PART + '("{3,})')
_BROKEN = tuple(
    re.compile(part)
    for part in (_BLOCK_PART, _STRING_PART + r"\\?", r"-?(?:0|[1-9][0-9]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?)")
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """A token: its kind (punctuation stands for itself), its value, its place, and the comments before it."""

    kind: str
    value: str
    pos: tuple[int, int]
    comments: tuple[str, ...]

    def shown(self) -> str:
        """The token as messages name it."""
        return f"{self.kind} {quote(self.value)}" if self.kind in _WORDS and self.value else self.kind


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text; the last is ``<EOF>`` or ``<Invalid>``."""
    at, row, line_start = 0, 1, 0
    comments: list[str] = []
    while True:
        space = _SPACE.match(text, at)
        end = space.end() if space else at
        row, line_start = _count_lines(text, at, end, row, line_start)
        at = end
        comment = _COMMENT.match(text, at)
        if comment is not None:
            comments.append(comment.group())
            at = comment.end()
            continue
        kind, value, end = _token(text, at)
        begin = at
        if kind in {BLOCK, INVALID}:
            row, line_start = _count_lines(text, at, end, row, line_start)
        if kind == INVALID:
            begin = end
        offset = 1 if kind == STRING else 3 if kind == BLOCK else 0
        yield Token(kind, value, (row, begin + offset - line_start + 1), tuple(comments))
        if kind in {EOF, INVALID}:
            return
        at = end
        comments = []


def _count_lines(text: str, begin: int, end: int, row: int, line_start: int) -> tuple[int, int]:
    """The row and the start of its line at ``end``. A column behind CR LF counts from the CR."""
    at = begin
    while at < end:
        char = text[at]
        at += 1
        if char in "\r\n":
            row += 1
            line_start = at
            if char == "\r" and text[at : at + 1] == "\n":
                at += 1
    return row, line_start


def _token(text: str, at: int) -> tuple[str, str, int]:
    """(kind, value, end) of the token at an offset."""
    if at >= len(text):
        return EOF, "", at
    if match := _PUNCTUATION.match(text, at):
        return match.group(), "", match.end()
    if match := _NAME.match(text, at):
        return NAME, match.group(), match.end()
    if match := _NUMBER.match(text, at):
        return FLOAT if match.group(1) or match.group(2) else INT, match.group(), match.end()
    if text.startswith('"""', at):
        if match := _BLOCK.match(text, at):
            return BLOCK, _block_value(match.group()[3:-3]), match.end()
    elif match := _STRING.match(text, at):
        return STRING, _ESCAPE.sub(_unescape, match.group()[1:-1]), match.end()
    broken = next(filter(None, (pattern.match(text, at) for pattern in _BROKEN)), None)
    return INVALID, "", broken.end() if broken else at


def _unescape(match: re.Match[str]) -> str:
    name = match.group(1)
    if name[0] == "u" and len(name) == 5:
        code = int(name[1:], 16)
        return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)
    return _ESCAPES.get(name, name)


def _block_value(raw: str) -> str:
    """The value of a block string (section 2.9.4): common indentation and blank edges removed."""
    lines = raw.replace('\\"""', '"""').replace("\r\n", "\n").replace("\r", "\n").split("\n")
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip(" \t")]
    common = min(indents, default=0)
    lines[1:] = [line[common:] for line in lines[1:]]
    while lines and not lines[0].strip(" \t"):
        lines.pop(0)
    while lines and not lines[-1].strip(" \t"):
        lines.pop()
    return "\n".join(lines)
