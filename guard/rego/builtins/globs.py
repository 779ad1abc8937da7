"""regex.globs_match: whether two simple patterns (literals, ``.``, ``[a-z]``, ``+``, ``*``) have a string in common."""

from __future__ import annotations

from dataclasses import dataclass

from guard.rego.runtime import BuiltinFailure, Context

from .registry import builtin

_ALL = ((0, 0x10FFFF),)


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
