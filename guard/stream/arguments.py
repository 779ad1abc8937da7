"""A JSON text that arrives in pieces, such as the arguments of a tool call: its strings, keys and long numbers are
inspected as they grow, and everything between them passes. A pure state machine; memory is bounded by what is held.

What is certain of a string may leave up to a whole character of it: never a part of an escape, nor half of a surrogate
pair. New text is escaped, so that JSON stays JSON (RFC 8259). A text that is no JSON, or no longer, is inspected as it
stands, from where that shows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from guard.errors import ObligationFailed
from guard.stream.leaf import Leaf
from guard.stream.tail import Edit, Window

_SPACE: Final = re.compile(r"[ \t\n\r]+")
_RUN: Final = re.compile(r'[^"\\]+')
_ESCAPE: Final = re.compile(
    r'\\(?:(["\\/bfnrt])|u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))'
)
_ESCAPE_SO_FAR: Final = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?))?\Z"
)
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SCALAR: Final = re.compile(r'[^ \t\n\r,:"{}\[\]]+')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LONGEST_SCALAR: Final = 4300
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 100_000

State = Literal["start", "first", "value", "first_key", "key", "colon", "next", "done", "text"]


class _Frame:
    """An open array or object: the index or key where its text is, and the keys that it has, as they were written."""

    __slots__ = ("is_object", "key", "names", "renamed")

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object
        self.key: str | int = 0
        self.names: set[int] = set()
        self.renamed: set[int] = set()

    def named(self, old: str, new: str) -> None:
        """A key was written. Raises ``ObligationFailed`` if it became equal to another."""
        name = hash(new)
        if name in self.names and (new != old or name in self.renamed):
            raise ObligationFailed(
                "Two keys of one object become equal",
                where="rewriting the stream",
                mend="Use an operator that keeps values apart, such as pseudonym or hash.",
            )
        self.names.add(name)
        if new != old:
            self.renamed.add(name)


class Offer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """``window`` of a text may leave once it is inspected. Of a leaf that ``holds_json`` it is all of it: it may itself
    be JSON, and what its escapes spell is known only then."""

    leaf: Leaf
    window: Window


class JsonText:
    """One JSON text. ``feed`` it, inspect the ``offers``, ``settle`` each, and let go what ``leave`` says."""

    def __init__(self, context: int, is_text: Callable[[str], bool]) -> None:
        """``context``: characters of a string that are kept behind what has left. ``is_text``: whether a number, as it
        is written, is to be inspected."""
        self._context = context
        self._is_text = is_text
        self._state: State = "start"
        self._stack: list[_Frame] = []
        self._string: Leaf | None = None
        self._scalar = ""
        self._scalar_ended = False
        self._values = 0
        self._rest = ""
        self._scanned = self._left = 0
        self._queue: deque[Leaf] = deque()
        self._edits: list[Edit] = []

    # Reading ---------------------------------------------------------------------------------------------------------

    def feed(self, piece: str) -> None:
        """More of the text."""
        self._scan(self._rest + piece, last=False)

    def finish(self) -> None:
        """The text has ended, whole or not: all of it is offered now."""
        self._scan(self._rest, last=True)
        if self._scalar and not self._end_scalar():
            self._fall_back()
        for leaf in self._queue:
            leaf.close()
        self._string = None

    def _scan(self, text: str, *, last: bool) -> None:
        base, at = self._scanned, 0
        while at < len(text):
            if self._state == "text":
                self._queue[-1].add(text[at:], base + at)
                after = len(text)
            elif self._string is not None:
                after = self._in_string(self._string, text, at, base, last=last)
            else:
                after = self._outside(text, at)
            if after == at and self._state != "text":
                break
            at = after
            self._scanned = base + at
        self._rest = text[at:]

    def _in_string(self, leaf: Leaf, text: str, at: int, base: int, *, last: bool) -> int:
        run = _RUN.match(text, at)
        if run is not None:
            leaf.add(run[0], base + at)
            return run.end()
        if text[at] == '"':
            self._end_string(leaf)
            return at + 1
        if not last and _ESCAPE_SO_FAR.match(text, at):
            return at
        escape = _ESCAPE.match(text, at)
        if escape is not None:
            leaf.add_escape(_spelled(escape), base + at, base + escape.end())
            return escape.end()
        # No escape of JSON: lenient readers take the character behind the sign.
        after = min(at + 2, len(text))
        leaf.add_escape(text[after - 1], base + at, base + after)
        return after

    def _outside(self, text: str, at: int) -> int:
        space = _SPACE.match(text, at)
        if self._scalar:
            return self._after_scalar(text, at, space)
        if space is not None:
            return space.end()
        character = text[at]
        if self._state in ("start", "value", "first") and character != "]":
            return self._value(character, text, at)
        if self._state in ("key", "first_key") and character == '"':
            self._open(is_key=True)
        elif self._state == "colon" and character == ":":
            self._state = "value"
        elif self._state == "next" and character == ",":
            frame = self._stack[-1]
            if not frame.is_object:
                frame.key = int(frame.key) + 1
            self._state = "key" if frame.is_object else "value"
        elif character in "}]" and self._closes(character):
            self._stack.pop()
            self._state = "next" if self._stack else "done"
        else:
            return self._fall_back(at)
        return at + 1

    def _value(self, character: str, text: str, at: int) -> int:
        self._values += 1
        if self._values > MAX_VALUES:
            return self._fall_back(at)
        if character == '"':
            self._open(is_key=False)
        elif character in "{[" and len(self._stack) < MAX_DEPTH:
            self._stack.append(_Frame(is_object=character == "{"))
            self._state = "first_key" if character == "{" else "first"
        elif self._state != "start" and (scalar := _SCALAR.match(text, at)):
            self._scalar, self._scalar_ended = scalar[0], False
            return scalar.end()
        else:
            return self._fall_back(at)
        return at + 1

    def _after_scalar(self, text: str, at: int, space: re.Match[str] | None) -> int:
        """A number goes on, or ends where another character of JSON shows that it was one."""
        more = space or (None if self._scalar_ended else _SCALAR.match(text, at))
        if more is not None and len(self._scalar) + len(more[0]) <= _LONGEST_SCALAR:
            self._scalar += more[0]
            self._scalar_ended = space is not None
            return more.end()
        if text[at] in ",]}" and self._end_scalar():
            return self._outside(text, at)
        return self._fall_back(at)

    def _end_scalar(self) -> bool:
        scalar = self._scalar.rstrip(" \t\n\r")
        if scalar not in ("true", "false", "null"):
            if not _NUMBER.fullmatch(scalar):
                return False
            if self._is_text(scalar):
                leaf = self._leaf("number", self._scanned - len(self._scalar))
                leaf.add(scalar, self._scanned - len(self._scalar))
                leaf.close()
        self._scalar = ""
        self._state = "next" if self._stack else "done"
        return True

    def _open(self, *, is_key: bool) -> None:
        self._string = self._leaf("key" if is_key else "string", self._scanned + 1)

    def _leaf(self, kind: Literal["string", "key", "number", "text"], start: int) -> Leaf:
        path = tuple(frame.key for frame in (self._stack[:-1] if kind == "key" else self._stack))
        leaf = Leaf(kind, () if kind == "text" else path, start, self._context)
        if kind == "key":
            leaf.frame = self._stack[-1]
        self._queue.append(leaf)
        return leaf

    def _end_string(self, leaf: Leaf) -> None:
        leaf.close()
        self._string = None
        if leaf.kind == "key":
            self._stack[-1].key = leaf.name
            self._state = "colon"
        else:
            self._state = "next" if self._stack else "done"

    def _closes(self, character: str) -> bool:
        if not self._stack or self._stack[-1].is_object != (character == "}"):
            return False
        return self._state in ("next", "first_key" if character == "}" else "first")

    def _fall_back(self, at: int = 0) -> int:
        """From here on, or from the number before, this is no JSON that every reader reads alike."""
        self._state = "text"
        leaf = self._leaf("text", self._scanned - len(self._scalar))
        if self._scalar:
            leaf.add(self._scalar, self._scanned - len(self._scalar))
            self._scalar = ""
        return at

    # Leaving ---------------------------------------------------------------------------------------------------------

    def offers(self) -> Iterator[Offer]:
        """What may leave of each text that has grown, in order."""
        for leaf in tuple(self._queue):
            window = leaf.window()
            if window is not None:
                yield Offer(leaf, window)

    def settle(self, leaf: Leaf, window: Window, ready: int, edits: Sequence[Edit]) -> None:
        """``window.text[window.fresh:ready]`` was inspected and leaves with these edits.

        Raises ``ObligationFailed`` if two keys of one object become equal.
        """
        self._edits += leaf.settled(window, ready, edits)
        if leaf.frame is not None and leaf.over:
            leaf.frame.named(leaf.name, leaf.written)

    def leave(self) -> tuple[int, list[Edit]]:
        """How many characters of the text may leave, and the edits in them; both count from where the last ended."""
        while self._queue and self._queue[0].over:
            self._queue.popleft()
        end = self._queue[0].reached if self._queue else self._scanned - len(self._scalar)
        left, self._left = self._left, end
        due = [(start - left, stop - left, new) for start, stop, new in self._edits if stop <= end]
        self._edits = [edit for edit in self._edits if edit[1] > end]
        return end - left, due


def _spelled(escape: re.Match[str]) -> str:
    """The character that an escape stands for; half of a surrogate pair stands for none."""
    short, high, low, unit = escape.groups()
    if short is not None:
        return _SHORT.get(short, short)
    if high is not None:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    code = int(unit, 16)
    return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
