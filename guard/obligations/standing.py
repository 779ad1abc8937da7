"""Where a restored value stands, and how it has to be spelled there."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from copy import copy
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import msgspec

_REFERENCE: Final = re.compile(r"&((?:amp;)*)(?:#|lt;|gt;|nbsp;)", re.IGNORECASE)
_PERCENT: Final = re.compile(r"%((?:25)*)[2-5][0-9a-f]", re.IGNORECASE)
_BEGINS: Final = re.compile(r'\s*(?:(?=\{\s*["}])|(?=\[\s*["{\[\]0-9-]))([{\[])')
_MAY_BEGIN: Final = re.compile(r"\s*[{\[]?\s*\Z")
_FENCE_OPENS: Final = re.compile("```json", re.IGNORECASE)
_MARK: Final = re.compile(r'["{}\[\]]|```')
_STRING_REST: Final = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_UNICODE: Final = re.compile(r"(\\{1,2})[ux]", re.IGNORECASE)


def spelled_as(value: str, form: str, *, markup: bool = False) -> str:
    """The value as the form of a placeholder was spelled: its escapes say what reader it was written for, and an escape
    that was escaped once more says it twice. A form without escapes stands for the value as it is. In ``markup`` the
    writer of the text escapes what is new, once."""
    if found := _REFERENCE.search(form):
        for _ in range(len(found[1]) // 4 + (not markup)):
            value = html.escape(value)
    elif found := _PERCENT.search(form):
        value = quote(value, safe="")
        for _ in range(len(found[1]) // 2):
            value = value.replace("%", "%25")
    elif found := _UNICODE.search(form):
        for _ in range(len(found[1])):
            value = json_escaped(value)
    return value


def json_escaped(value: str) -> str:
    """The value as it stands between the quotation marks of a JSON string (RFC 8259, section 7)."""
    return msgspec.json.encode(value)[1:-1].decode()


def is_json_spelling(form: str) -> bool:
    """Whether the form of a placeholder is spelled with an escape of JSON, so that ``spelled_as`` escapes for it."""
    return _UNICODE.search(form) is not None


class Standing:
    """Whether a place of a text lies in a string of JSON: of the document that the text begins with, or of one in a
    fence (three backticks and ``json``). A state machine over pieces in any cut; memory is a few characters."""

    __slots__ = ("_depth", "_fenced", "_rest", "_state")

    def __init__(self) -> None:
        self._state: _State = "start"
        self._depth = 0
        self._fenced = False
        self._rest = ""

    def inside(self, text: str, places: Sequence[int]) -> list[bool]:
        """For each place (an offset into ``text``, ascending), whether it lies in a string. ``text`` goes on where what
        was fed ended; this object does not change."""
        ahead = copy(self)
        found, position = [], 0
        for place in places:
            ahead.feed(text[position:place])
            found.append(ahead._state == "string")
            position = place
        return found

    def feed(self, text: str) -> None:
        """Go on over a piece of the text, as the provider spelled it."""
        text, self._rest = self._rest + text, ""
        position = 0
        while position < len(text):
            position = _STEPS[self._state](self, text, position)

    def _start(self, text: str, position: int) -> int:
        begun = _BEGINS.match(text, position)
        if begun is not None:
            self._state = "json"
            return begun.start(1)
        if _MAY_BEGIN.match(text, position):
            self._rest = text[position:].strip()
            return len(text)
        self._state = "prose"
        return position

    def _prose(self, text: str, position: int) -> int:
        opened = _FENCE_OPENS.search(text, position)
        if opened is None:
            self._rest = _partly(text[position:], "```json")
            return len(text)
        self._state, self._fenced = "json", True
        return opened.end()

    def _json(self, text: str, position: int) -> int:
        mark = _MARK.search(text, position)
        if mark is None:
            self._rest = _partly(text[position:], "```")
            return len(text)
        if mark[0] == '"':
            self._state = "string"
        elif mark[0] == "```":
            self._state = "prose" if self._fenced else "json"
            self._fenced = False
        elif not self._fenced:
            self._depth += 1 if mark[0] in "{[" else -1
            self._state = "json" if self._depth > 0 else "prose"
        return mark.end()

    def _string(self, text: str, position: int) -> int:
        match = _STRING_REST.match(text, position)
        end = match.end() if match else position
        if end == len(text):
            return end
        if text[end] == '"':
            self._state = "json"
            return end + 1
        self._rest = text[end:]
        return len(text)


_State: TypeAlias = Literal["start", "prose", "json", "string"]
_STEPS: Final[dict[_State, Callable[[Standing, str, int], int]]] = {
    "start": Standing._start,
    "prose": Standing._prose,
    "json": Standing._json,
    "string": Standing._string,
}


def _partly(text: str, mark: str) -> str:
    """The end of the text with which the mark may begin."""
    low = text[-len(mark) + 1 :].lower()
    return next((low[at:] for at in range(len(low)) if mark.startswith(low[at:])), "")
