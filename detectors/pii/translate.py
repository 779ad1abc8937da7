r"""From a Python regular expression to RE2, over the projected text.

The syntax tree of ``re`` is written again in RE2's syntax. What RE2 cannot say (look-around, back-references, anchors,
atomic groups) is left out or widened, so that the result matches wherever the original matches: an
over-approximation. ``exact`` says that nothing was widened: then both find the same spans.

On projected text (``detectors.pii.projection``) a non-ASCII literal stands as its projected character, which other
characters share: that widens too, and so does a literal that projection uses itself (``_`` beside no ``\w``, form
feed, NUL).
"""

from __future__ import annotations

import importlib
import re
import warnings
from typing import Any, Final

import msgspec

from detectors.pii.projection import OTHER, SPACE, WORD, project_character

_parser: Final[Any] = importlib.import_module("re._parser")
_c: Final[Any] = importlib.import_module("re._constants")

_DIGIT: Final = "0-9"
_WORD: Final = "0-9A-Za-z_"
_WHITE: Final = r"\t-\r\x20"
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": (_DIGIT, False),
    "CATEGORY_NOT_DIGIT": (_DIGIT, True),
    "CATEGORY_WORD": (_WORD, False),
    "CATEGORY_NOT_WORD": (_WORD, True),
    "CATEGORY_SPACE": (_WHITE, False),
    "CATEGORY_NOT_SPACE": (_WHITE, True),
}
_SHARED: Final = frozenset(map(ord, WORD + SPACE + OTHER))


class Untranslatable(Exception):
    """The expression uses syntax that ``re`` does not parse or that has no RE2 form."""


class Translated(msgspec.Struct, frozen=True):
    """RE2 source, and whether it is equal to the original (else it is wider)."""

    source: str
    exact: bool


def translate(pattern: str, flags: int) -> Translated:
    """The RE2 form of ``pattern`` under ``re``/``regex`` flags. Raises ``Untranslatable``."""
    if flags & re.IGNORECASE:
        pattern = pattern.replace("(?i)", "")
    known = flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = _parser.parse(pattern, known)
    except (re.error, OverflowError, RecursionError) as error:
        raise Untranslatable(str(error)) from error
    writer = _Writer(tree.state.flags)
    body = writer.sequence(tree)
    return Translated(f"(?i:{body})" if tree.state.flags & re.IGNORECASE else body, writer.exact)


def _escape(code: int) -> str:
    character = chr(code)
    return character if character.isalnum() else f"\\x{code:02x}"


class _Writer:
    """Writes a tree of ``re`` in RE2's syntax. ``exact`` turns false once something had to be widened."""

    def __init__(self, flags: int) -> None:
        self.exact = True
        self._flags = flags
        self._groups: dict[int, str] = {}

    def sequence(self, tree: Any) -> str:
        return "".join(self._node(op, value) for op, value in tree)

    def _node(self, op: Any, value: Any) -> str:
        method = getattr(self, f"_{str(op).lower()}", None)
        if method is None:
            raise Untranslatable(str(op))
        written: str = method(value)
        return written

    def _literal_code(self, code: int) -> int:
        if code < 128:
            self.exact &= code not in _SHARED
            return code
        self.exact = False
        return ord(project_character(chr(code)))

    def _literal(self, code: int) -> str:
        return _escape(self._literal_code(code))

    def _not_literal(self, code: int) -> str:
        if code >= 128 or code in _SHARED:
            self.exact = False
            return r"[\x00-\xff]"
        return f"[^{_escape(code)}]"

    def _any(self, _: Any) -> str:
        return r"[\x00-\xff]" if self._flags & re.DOTALL else r"[^\n]"

    def _in(self, items: Any) -> str:
        items = list(items)
        negated = bool(items) and items[0][0] is _c.NEGATE
        items = items[1:] if negated else items
        has_word = any(op is _c.CATEGORY and str(value) == "CATEGORY_WORD" for op, value in items)
        parts = []
        for op, value in items:
            if op is _c.CATEGORY:
                parts.append(self._category(value, negated=negated))
            else:
                low, high = (value, value) if op is _c.LITERAL else value
                parts.append(self._range(low, high, has_word=has_word, negated=negated))
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _category(self, name: Any, *, negated: bool) -> str:
        characters, complement = _CATEGORIES[str(name)]
        if not complement:
            return characters
        if negated:
            raise Untranslatable(f"{name} in a negated set")
        return {_DIGIT: r"\x00-/:-\xff", _WORD: r"\x00-/:-@\[-\^`\{-\xff", _WHITE: r"\x00-\x08\x0e-\x1f!-\xff"}[
            characters
        ]

    def _range(self, low: int, high: int, *, has_word: bool, negated: bool) -> str:
        shared = {code for code in _SHARED if low <= code <= high} - ({ord(WORD)} if has_word else set())
        if shared or high >= 128:
            self.exact = False
        if negated and (shared or high >= 128):
            raise Untranslatable("a negated set with characters that projection shares")
        if high < 128:
            return f"{_escape(low)}-{_escape(high)}"
        wide = {project_character(chr(code)) for code in range(max(low, 128), min(high, low + 0x3000) + 1)}
        if high - low >= 0x3000:
            wide |= set(WORD + SPACE + OTHER) | set("0123456789abcdefghijklmnopqrstuvwxyz")
        own = f"{_escape(low)}-\\x7f" if low < 128 else ""
        return own + "".join(_escape(ord(character)) for character in sorted(wide))

    def _branch(self, value: Any) -> str:
        return "(?:" + "|".join(self.sequence(branch) for branch in value[1]) + ")"

    def _subpattern(self, value: Any) -> str:
        group, added, removed, tree = value
        if removed or added & ~re.IGNORECASE:
            raise Untranslatable("flags within a group")
        written = f"(?{'i' if added else ''}:{self.sequence(tree)})"
        if group is not None:
            self._groups[group] = written
        return written

    def _max_repeat(self, value: Any, suffix: str = "") -> str:
        low, high, tree = value
        most = "" if high is _c.MAXREPEAT else str(high)
        return f"(?:{self.sequence(tree)}){{{low},{most}}}{suffix}"

    def _min_repeat(self, value: Any) -> str:
        return self._max_repeat(value, "?")

    def _possessive_repeat(self, value: Any) -> str:
        self.exact = False
        return self._max_repeat(value)

    def _atomic_group(self, tree: Any) -> str:
        self.exact = False
        return f"(?:{self.sequence(tree)})"

    def _at(self, where: Any) -> str:
        boundary = {"AT_BOUNDARY": r"\b", "AT_NON_BOUNDARY": r"\B"}.get(str(where))
        if boundary is None:
            self.exact = False
        return boundary or ""

    def _assert(self, _: Any) -> str:
        self.exact = False
        return ""

    _assert_not = _assert

    def _groupref(self, group: int) -> str:
        self.exact = False
        return self._groups[group]


def consumed(pattern: str, flags: int) -> str:
    """The body of an RE2 character class: every projected character that a match of ``pattern`` can hold."""
    tree = _parser.parse(pattern, flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE))
    found: set[str] = set()
    writer = _Writer(tree.state.flags)
    _collect(tree, writer, found)
    return "".join(sorted(found))


def _collect(tree: Any, writer: _Writer, found: set[str]) -> None:
    for op, value in tree:
        if op is _c.LITERAL:
            found.update(_escape(ord(case)) for case in _cases(project_character(chr(value))))
        elif op is _c.IN:
            found.add(writer._in(value)[1:-1])
        elif op in (_c.MAX_REPEAT, _c.MIN_REPEAT):
            _collect(value[2], writer, found)
        elif op is _c.SUBPATTERN:
            _collect(value[3], writer, found)
        elif op is _c.BRANCH:
            for branch in value[1]:
                _collect(branch, writer, found)
        else:
            raise Untranslatable(str(op))


def _cases(character: str) -> set[str]:
    return {character, character.lower(), character.upper()}
