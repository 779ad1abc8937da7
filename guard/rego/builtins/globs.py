"""glob.*, translated to RE2, and regex.globs_match: whether two simple patterns (literals, ``.``, ``[a-z]``, ``+`` and
``*``) have a string in common. Sources: https://www.openpolicyagent.org/docs/policy-reference/builtins/glob,
https://www.openpolicyagent.org/docs/policy-reference/builtins/regex.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import type_name

from .regex import compile_pattern
from .registry import builtin

_KEPT = 1024
_MAX_WILDCARDS = 500
_ALL = ((0, 0x10FFFF),)


@builtin("glob.match", "string, array | null, string -> boolean")
def _glob_match(pattern: str, delimiters: Any, text: str) -> bool:
    if delimiters is None:
        separators = ""
    else:
        for item in delimiters:
            if type(item) is not str or len(item) != 1:
                message = f"operand 2 must be array of runes but got array containing {type_name(item)}"
                raise BuiltinFailure(message, "eval_type_error")
        separators = "".join(delimiters) or "."
    return compile_pattern(glob_pattern(pattern, separators)).fullmatch(text) is not None


@lru_cache(maxsize=_KEPT)
def glob_pattern(pattern: str, separators: str) -> str:
    """A glob as a regular expression. ``*`` and ``?`` stop at separators, ``**`` does not; ``[a-c]``, ``[!abc]`` and
    ``{one,two}`` as in shells. Raises BuiltinFailure where brackets do not close."""
    escaped = "".join(f"\\x{{{ord(char):x}}}" for char in separators)
    single = f"[^{escaped}]" if separators else "."
    out: list[str] = ["(?s)"]
    depth, position = 0, 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            if pattern.startswith("*", position):
                while pattern.startswith("*", position):
                    position += 1
                out.append(".*")
            else:
                out.append(single + "*")
        elif char == "?":
            out.append(single)
        elif char == "[":
            text, position = _glob_class(pattern, position)
            out.append(text)
        elif char == "{":
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        else:
            if char == "\\" and position < len(pattern):
                char = pattern[position]
                position += 1
            out.append(_literal(char))
    if depth:
        raise BuiltinFailure("unexpected end of input")
    if sum(each.endswith("*") for each in out) > _MAX_WILDCARDS:
        raise BuiltinFailure("too many wildcards")
    return "".join(out)


def _literal(char: str) -> str:
    return char if char.isalnum() else f"\\x{{{ord(char):x}}}"


def _glob_class(pattern: str, position: int) -> tuple[str, int]:
    """``abc]`` or ``!a-c]`` after the opening bracket."""
    end = pattern.find("]", position + 1)
    if end < 0:
        raise BuiltinFailure("unexpected end of input")
    body = pattern[position:end]
    negated = body[:1] in {"!", "^"}
    chars = body[1:] if negated else body
    if len(chars) == 3 and chars[1] == "-":
        if chars[0] > chars[2]:
            raise BuiltinFailure(f"hi character {chars[2]!r} should be greater than lo {chars[0]!r}")
        inner = f"{_literal(chars[0])}-{_literal(chars[2])}"
    else:
        inner = "".join(map(_literal, chars))
    return f"[{'^' if negated else ''}{inner}]", end + 1


@builtin("glob.quote_meta", "string -> string")
def _glob_quote_meta(pattern: str) -> str:
    return re.sub(r"[*?\\\[\]{}]", lambda match: "\\" + match.group(), pattern)


# -- regex.globs_match ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Atom:
    """A class of characters as ranges, and how often it may occur."""

    ranges: tuple[tuple[int, int], ...]
    least: int = 1
    endless: bool = False


def _parse(pattern: str) -> list[_Atom]:
    atoms: list[_Atom] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char in "+*":
            if not atoms or atoms[-1].endless:
                raise _invalid(pattern, position - 1, f"flag '{char}' must be preceded by a non-flag")
            atoms[-1] = _Atom(atoms[-1].ranges, 1 if char == "+" else 0, endless=True)
        elif char == "]":
            raise _invalid(pattern, position, "set-close ']' with no preceding '['")
        elif char == "[":
            ranges, position = _class(pattern, position)
            atoms.append(_Atom(ranges))
        elif char == ".":
            atoms.append(_Atom(_ALL))
        else:
            if char == "\\":
                if position == len(pattern):
                    raise _invalid(pattern, position - 1, "input ends with a \\ escape character")
                char = pattern[position]
                position += 1
            atoms.append(_Atom(((ord(char), ord(char)),)))
    return atoms


def _class(pattern: str, position: int) -> tuple[tuple[tuple[int, int], ...], int]:
    end = pattern.find("]", position)
    if end < 0:
        raise _invalid(pattern, len(pattern) - 1, "found [ without matching ]")
    body, ranges, at = pattern[position:end], [], 0
    while at < len(body):
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            low, high = ord(body[at]), ord(body[at + 2])
            if low > high:
                raise _invalid(pattern, position + at, "range low is greater than range high")
            ranges.append((low, high))
            at += 3
        else:
            ranges.append((ord(body[at]), ord(body[at])))
            at += 1
    return tuple(ranges), end + 1


def _invalid(pattern: str, position: int, problem: str) -> BuiltinFailure:
    return BuiltinFailure(f"input:{pattern}, pos:{position}, {problem}: the input provided is invalid")


def _skips(atoms: list[_Atom], position: int) -> list[int]:
    """The positions reachable without reading a character."""
    found = [position]
    while position < len(atoms) and atoms[position].least == 0:
        position += 1
        found.append(position)
    return found


def _after(atoms: list[_Atom], position: int) -> list[int]:
    """The positions after reading one character of the atom at a position."""
    atom = atoms[position]
    found = _skips(atoms, position + 1)
    return [*found, -position - 1] if atom.endless else found


def _meet(left: _Atom, right: _Atom) -> bool:
    return any(low <= top and bottom <= high for low, high in left.ranges for bottom, top in right.ranges)


@builtin("regex.globs_match", "string, string -> boolean", context=True)
def _globs_match(ctx: Context, one: str, two: str) -> bool:
    left, right = _parse(one), _parse(two)
    todo = [(a, b) for a in _skips(left, 0) for b in _skips(right, 0)]
    seen = set(todo)
    while todo:
        ctx.budget.charge(1)
        a, b = todo.pop()
        if _done(left, a) and _done(right, b):
            return True
        at, bt = _place(a), _place(b)
        if at == len(left) or bt == len(right) or not _meet(left[at], right[bt]):
            continue
        for pair in ((x, y) for x in _after(left, at) for y in _after(right, bt)):
            if pair not in seen:
                seen.add(pair)
                todo.append(pair)
    return False


def _place(position: int) -> int:
    """The atom of a position; a negative one stands inside a repetition, past its first character."""
    return -position - 1 if position < 0 else position


def _done(atoms: list[_Atom], position: int) -> bool:
    """Whether the pattern may end here."""
    return position >= 0 and all(atom.least == 0 for atom in atoms[position:])
