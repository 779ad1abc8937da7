"""The values at the places that an explanation names: ``input.findings[].type`` of one document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from guard.rego.symbols import Path, parsed

MAX_VALUES: Final = 8


class Read(msgspec.Struct, frozen=True):
    """A place and what stood there: the different values in order, at most ``MAX_VALUES``, and how many there were.
    None at all: the place did not exist, or ``known`` is false, because the reader has not the document of it."""

    path: str
    values: tuple[Any, ...] = ()
    total: int = 0
    known: bool = True


def read_at(place: str, documents: Mapping[str, Any]) -> Read:
    """What stands at a place. ``documents`` gives ``input`` and ``data``, as far as they are known."""
    try:
        path = parsed(place)
    except ValueError:  # the mark that some were left out
        return Read(place, known=False)
    if path[0] not in documents:
        return Read(place, known=False)
    kept: list[Any] = []
    spellings: set[bytes] = set()
    for value in _values(documents[str(path[0])], path[1:]):
        spelling = msgspec.json.encode(value, order="deterministic")
        if spelling not in spellings:
            spellings.add(spelling)
            kept += [value] if len(kept) < MAX_VALUES else []
    return Read(place, tuple(kept), len(spellings))


def _values(value: Any, path: Path) -> Iterator[Any]:
    if not path:
        yield value
        return
    step, *rest = path
    if step is None:
        members = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        for member in members:
            yield from _values(member, tuple(rest))
    elif isinstance(value, Mapping):
        if step in value:
            yield from _values(value[step], tuple(rest))
    elif isinstance(value, list | tuple) and isinstance(step, int) and 0 <= step < len(value):
        yield from _values(value[step], tuple(rest))
