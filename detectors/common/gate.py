"""One pass over a text that says which patterns can match in it at all.

google-re2's ``Set`` walks one automaton for all patterns. Its Python ``Match`` swallows the error "DFA out of memory"
and answers "no match" (re2/set.cc), which would let everything pass: so the set holds a sentinel, a pattern that
matches every text. When the sentinel is missing from the answer, every pattern may match.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from detectors.common import automata
from detectors.common.automata import matcher

__all__ = ["Gate", "Opened", "matcher", "shape"]

# A text of new numbers makes the automaton grow with each character, up to 0.4 µs for one; a text is therefore cut
# into slices, between which the deadline is looked at.
_SLICE: Final = 128 * 1024
_OVERLAP: Final = 1024
_WORTH: Final = 3
_parser: Final[Any] = importlib.import_module("re._parser")

Opened: TypeAlias = Sequence[int] | frozenset[int]
"""The patterns that may match in a text."""


class Gate:
    """Which of ``sources`` (RE2 syntax) match somewhere in a text. Thread-safe after construction."""

    def __init__(self, sources: Sequence[str], *, max_mem: int = automata.SET_MEMORY_BYTES) -> None:
        """Raises ``automata.Refused`` if RE2 cannot compile one of the sources, or the whole set in ``max_mem``."""
        self.all: Final = frozenset(range(len(sources)))
        self._sentinel = len(sources)
        self._set = automata.search_set([*sources, ""], max_mem)
        shapes = [shape(source) for source in sources]
        self._across = {at for at, (within_lines, _) in enumerate(shapes) if not within_lines}
        self._long = {at for at, (_, longest) in enumerate(shapes) if longest > _OVERLAP - 2}

    def open(self, data: bytes, check: Callable[[], object] | None = None) -> Opened:
        """Indices of the patterns that may match in ``data``; all of them when RE2 gave up.

        A long text is cut at newlines, which changes the answer for no pattern that stays within a line, and a long
        line into overlapping windows, which changes it for none that is short; the others are then taken as open. Once
        a third is open, the rest is: asking costs as much. ``check`` is called between the slices, and may raise.
        """
        if len(data) <= _SLICE:
            return self._open(data)
        found = set(self._across)
        for piece, is_window in _slices(data):
            if check is not None:
                check()
            if is_window:
                found |= self._long
            found.update(self._open(piece))
            if len(found) * _WORTH > len(self.all):
                return self.all
        return sorted(found)

    def _open(self, data: bytes) -> Opened:
        hits: list[int] = self._set.Match(data)
        if len(hits) == 1 and hits[0] == self._sentinel:
            return ()
        if self._sentinel not in hits:
            return self.all
        hits.remove(self._sentinel)
        return hits


def _slices(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """``data`` in slices of at most ``_SLICE``, cut at newlines; true for a window of a line that is longer."""
    start = 0
    while len(data) - start > _SLICE:
        newline = data.rfind(b"\n", start, start + _SLICE) + 1
        end = newline or start + _SLICE
        yield data[start:end], not newline
        start = newline or end - _OVERLAP
    yield data[start:], False


def shape(source: str) -> tuple[bool, int]:
    """Whether no match of ``source`` (RE2 syntax) can hold a newline, and how many characters one has at most."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = _parser.parse(source.encode("latin-1"))
    except re.error:
        return False, sys.maxsize
    return not _takes_newline(tree), int(tree.getwidth()[1])


def _takes_newline(tree: Any) -> bool:
    return any(_node_takes_newline(str(op), value) for op, value in tree)


def _node_takes_newline(op: str, value: Any) -> bool:
    if op in ("LITERAL", "AT", "ASSERT", "ASSERT_NOT"):
        return bool(op == "LITERAL" and value == ord("\n"))
    if op in ("MAX_REPEAT", "MIN_REPEAT"):
        return _takes_newline(value[2])
    if op == "SUBPATTERN":
        return bool((value[1] | value[2]) & ~re.IGNORECASE) or _takes_newline(value[3])
    if op == "BRANCH":
        return any(map(_takes_newline, value[1]))
    if op == "IN":
        return _class_holds_newline(value)
    return op != "ANY"


def _class_holds_newline(items: Any) -> bool:
    held, negated = False, False
    for op, value in items:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            held |= value == ord("\n")
        elif name == "RANGE":
            held |= value[0] <= ord("\n") <= value[1]
        else:
            held |= re.fullmatch(_CATEGORIES[str(value)], "\n") is not None
    return held != negated


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
}
