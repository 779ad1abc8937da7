"""What a term may hold, told without running it: which places of ``input`` and of base data its parts come from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

Step: TypeAlias = "str | int | None"
Path: TypeAlias = tuple[Step, ...]
"""``("input", "findings", None, "type")``; None is any member."""

_DEEPEST: Final = 12
_HEAVIEST: Final = 200
_HEAD: Final = re.compile(r"\w+")
_STEP: Final = re.compile(r"""\.(\w+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\[\]""")


class Symbol(NamedTuple):
    """Where a value may come from. ``paths`` are places that it may be the value of; what a policy builds itself has
    ``fields`` by name and ``item`` for any other member; ``word`` is the string that a constant is. ``weight`` counts
    its parts."""

    paths: frozenset[Path] = frozenset()
    fields: tuple[tuple[str, Symbol], ...] = ()
    item: Symbol | None = None
    word: str | None = None
    weight: int = 1


UNKNOWN: Final = Symbol()


def at(*path: Step) -> Symbol:
    """The value at a place."""
    return Symbol(frozenset((path,)))


def built(fields: tuple[tuple[str, Symbol], ...] = (), item: Symbol | None = None) -> Symbol:
    """A value that a policy builds of others."""
    weight = sum(part.weight for _, part in fields) + (item.weight if item else 0)
    return Symbol(fields=fields, item=item, weight=1 + weight)


def member(symbol: Symbol, key: Step) -> Symbol:
    """The member of a value at a key."""
    paths = frozenset(path if len(path) >= _DEEPEST else (*path, key) for path in symbol.paths)
    inner = [part for name, part in symbol.fields if key is None or name == key]
    if symbol.item is not None:
        inner.append(symbol.item)
    return joined((Symbol(paths), *inner)) if inner else Symbol(paths)


def joined(symbols: Iterable[Symbol]) -> Symbol:
    """What one of several values may hold."""
    found = list(dict.fromkeys(symbol for symbol in symbols if symbol != UNKNOWN))
    if len(found) < 2:
        return found[0] if found else UNKNOWN
    fields: dict[str, list[Symbol]] = {}
    for symbol in found:
        for name, part in symbol.fields:
            fields.setdefault(name, []).append(part)
    items = [symbol.item for symbol in found if symbol.item is not None]
    whole = built(tuple((name, joined(parts)) for name, parts in fields.items()), joined(items) if items else None)
    return whole._replace(paths=frozenset().union(*(symbol.paths for symbol in found)))


def spelled(path: Path) -> str:
    """``input.findings[].type``; a name that is no identifier stands quoted in brackets."""
    text = str(path[0])
    for step in path[1:]:
        if step is None:
            text += "[]"
        elif isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if step.isidentifier() else f"[{json.dumps(step)}]"
    return text


def parsed(place: str) -> Path:
    """The path of a place as `spelled` writes it. Raises ValueError for anything else."""
    head = _HEAD.match(place)
    if head is None:
        raise ValueError(f"not a place: {place}")
    path: list[Step] = [head[0]]
    at = head.end()
    while at < len(place):
        found = _STEP.match(place, at)
        if found is None:
            raise ValueError(f"not a place: {place}")
        name, number, text = found.groups()
        path.append(name if name is not None else int(number) if number else json.loads(text) if text else None)
        at = found.end()
    return tuple(path)


class Answer(NamedTuple):
    """What a document or a call gives, and what it read and asked for that."""

    value: Symbol
    seen: Seen


@dataclass(slots=True)
class Seen:
    """Gathers while a body is gone through. ``paths`` are the places that references name, ``used`` those whose value
    mattered as it is, and not only a member of it."""

    paths: set[Path] = field(default_factory=set)
    used: set[Path] = field(default_factory=set)
    asks: set[int] = field(default_factory=set)

    def take(self, answer: Answer) -> Symbol:
        """Read what a document or a call read; its value."""
        self.paths |= answer.seen.paths
        self.used |= answer.seen.used
        self.asks |= answer.seen.asks
        return answer.value

    def use(self, symbol: Symbol) -> None:
        """All of a value matters: it is compared, given to a built-in, or answered."""
        self.paths |= symbol.paths
        self.used |= symbol.paths
        for part in (*(part for _, part in symbol.fields), *([symbol.item] if symbol.item else [])):
            self.use(part)

    def bounded(self, symbol: Symbol) -> Symbol:
        """The value, if it can be followed further. One of too many parts is used as a whole: values that hold others
        twice would double with each step."""
        if symbol.weight <= _HEAVIEST:
            return symbol
        self.use(symbol)
        return UNKNOWN

    def places(self) -> set[Path]:
        """The paths, without those that only led to a longer one."""
        leading = {path[:length] for path in self.paths for length in range(1, len(path))} - self.used
        return {path for path in self.paths - leading if len(path) > 1}
