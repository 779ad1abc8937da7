"""One string, key or number of a JSON text that arrives in pieces: the characters that it stands for, and where in the
text each of them is written. A pure state machine."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from guard.stream.cut import SEPARATOR
from guard.stream.tail import LONGEST_TOKEN_CHARACTERS, Edit, Tail, Window

_NOT_SPACE: Final = re.compile(r"[^ \t\n\r]")
_STARTS_OF_JSON: Final = '[{"'
_MARKS_KEPT: Final = 1024

Kind = Literal["string", "key", "number", "text"]


class Names(Protocol):
    """The keys of one object."""

    def named(self, old: str, new: str) -> None:
        """A key was written."""
        ...


class Leaf:
    """``path`` leads to the value, or to the object that the key is of: keys and indexes. A ``text`` is no JSON.

    A key and a string that may itself be JSON are held until they end, and so is a word of more than 16,384 characters:
    to shorten it would change what a tool does.
    """

    __slots__ = (
        "_closed", "_end", "_held", "_held_length", "_length", "_marks", "_raw", "_sent", "_spaced", "_start",
        "_tail", "_written", "frame", "holds_json", "kind", "name", "path", "state",
    )  # fmt: skip

    def __init__(self, kind: Kind, path: tuple[str | int, ...], start: int, context: int) -> None:
        self.kind: Final = kind
        self.path: Final = path
        self.frame: Names | None = None
        self.name = ""
        """Of a key that has ended: its characters."""
        self.holds_json: bool | None = None if kind == "string" else False
        self.state: Any = None
        """Whatever its inspector keeps with it."""
        self._tail = Tail(context, swallows=kind == "text")
        self._held: list[str] = []
        self._held_length = 0
        self._spaced = False
        self._closed = False
        # Character ``_marks[i]`` is written at ``_raw[i]``, those behind it one by one.
        self._marks = [0]
        self._raw = [start]
        self._start = self._end = start
        self._length = self._sent = 0
        self._written: list[str] = []

    # Growing ---------------------------------------------------------------------------------------------------------

    def add(self, text: str, start: int) -> None:
        """Characters that are written as they are, from ``start`` on."""
        if start - self._raw[-1] != self._length - self._marks[-1]:
            self._mark(start)
        self._grow(text)
        self._end = start + len(text)

    def add_escape(self, character: str, start: int, end: int) -> None:
        """One character that is written as ``[start, end)``."""
        if start - self._raw[-1] != self._length - self._marks[-1]:
            self._mark(start)
        self._grow(character)
        self._end = end
        self._mark(end)

    def _mark(self, start: int) -> None:
        if self._marks[-1] == self._length:
            self._raw[-1] = start
            return
        self._marks.append(self._length)
        self._raw.append(start)

    def _grow(self, text: str) -> None:
        self._length += len(text)
        if self.holds_json is None:
            first = _NOT_SPACE.search(text)
            if first is not None:
                self.holds_json = first[0] in _STARTS_OF_JSON
        self._held.append(text)
        self._held_length += len(text)
        self._spaced = self._spaced or (self.kind == "string" and SEPARATOR.search(text) is not None)

    def close(self) -> None:
        """Its end has come."""
        self._closed = True
        if self.kind == "key":
            self.name = "".join(self._held)

    # Leaving ---------------------------------------------------------------------------------------------------------

    def window(self) -> Window | None:
        """What may leave now, ``None`` if that is nothing. Of one that may hold JSON it is all, at its end."""
        if self._held and (self._closed or self._flows()):
            self._tail.feed("".join(self._held))
            self._held.clear()
            self._held_length, self._spaced = 0, False
        elif not self._closed:
            return None
        return self._tail.window(closed=self._closed)

    def _flows(self) -> bool:
        """Whether what was added may leave before the end; a word that is too long waits until it is over."""
        if self.kind == "key" or self.holds_json is not False:
            return False
        short = self._tail.held + self._held_length <= LONGEST_TOKEN_CHARACTERS
        return short or self.kind == "text" or self._spaced

    @property
    def closed(self) -> bool:
        """Whether its end has come."""
        return self._closed

    @property
    def over(self) -> bool:
        """Whether all of it has left."""
        return self._closed and self._sent == self._length

    @property
    def reached(self) -> int:
        """Where in the JSON text that which has not left begins."""
        return self._at(self._sent)

    @property
    def written(self) -> str:
        """What a key has become."""
        return "".join(self._written)

    def _at(self, position: int) -> int:
        if position == self._length:
            return self._end
        mark = bisect_right(self._marks, position) - 1
        return self._raw[mark] + position - self._marks[mark]

    def settled(self, window: Window, ready: int, edits: Sequence[Edit]) -> list[Edit]:
        """``window.text[window.fresh:ready]`` leaves; its edits as those of the JSON text."""
        origin = self._sent - window.fresh
        done: list[Edit] = []
        if self.kind == "number" and edits:
            done = [(self._start, self._end, msgspec.json.encode(_edited(window.text, 0, ready, edits)).decode())]
        elif self.kind == "text":
            done = [(self._at(origin + start), self._at(origin + end), new) for start, end, new in edits]
        else:
            done = [(self._at(origin + start), self._at(origin + end), escaped(new)) for start, end, new in edits]
        if self.kind == "key":
            self._written.append(_edited(window.text, window.fresh, ready, edits))
        self._sent = origin + ready
        self._tail.pass_on(window, ready, edits)
        if len(self._marks) > _MARKS_KEPT:
            first = bisect_right(self._marks, self._sent) - 1
            del self._marks[:first], self._raw[:first]
        return done


def escaped(text: str) -> str:
    """The text as it stands between the quotation marks of a JSON string (RFC 8259, section 7)."""
    return msgspec.json.encode(text)[1:-1].decode()


def _edited(text: str, start: int, end: int, edits: Sequence[Edit]) -> str:
    parts: list[str] = []
    for begin, stop, new in edits:
        parts += (text[start:begin], new)
        start = stop
    parts.append(text[start:end])
    return "".join(parts)
