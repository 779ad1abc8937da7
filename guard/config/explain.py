"""What is wrong with a configuration, for people: the key, where it stands, what it must be. Values are never told.

A value may be a secret that landed under the wrong key, in a file or in a variable, and errors end in logs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from guard.errors import ConfigError

Location = tuple[int | str, ...]

_TABLE: Final = re.compile(r"^\s*\[(\[)?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"^\s*([A-Za-z0-9_\-\"'.]+)\s*=")
_PAGE: Final = "see docs/configuration.md"
_MUST: Final[Mapping[str, str]] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "missing": "is missing",
    "model_type": "must be a table",
    "path_type": "must be a path, in quotes",
    "string_type": "must be text, in quotes",
    "tuple_type": 'must be a list: ["..."]',
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("must be at least", "ge"),
    "greater_than": ("must be greater than", "gt"),
    "less_than_equal": ("must be at most", "le"),
    "less_than": ("must be less than", "lt"),
}
_PATTERNS: Final[Mapping[str, str]] = {
    r"^[A-Za-z0-9._:-]{1,64}$": "must be a name: 1 to 64 of A-Z a-z 0-9 . _ : -",
    r"^/": "must begin with /",
    r"^sha256:[0-9a-f]{64}$": "must be sha256: and 64 hex digits, the hash of the key and not the key",
    r"^(https?://[^/\s]+/?|unix:///[^\s?#]+)$": "must be http:// or https:// with host and port, without a path, "
    "or unix:///path/of/socket",
    r"^(/[A-Za-z0-9._~-]+)+$": "must be a plain path, like /healthz",
    r"^data(\.[A-Za-z_][A-Za-z0-9_]*)+$": "must be a reference below data, like data.guard.decision",
    r"^[a-z0-9][a-z0-9.-]{0,62}$": "must be 1 to 63 of a-z 0-9 . -, beginning with a letter or digit",
}


class ConfigInvalid(ConfigError):
    """A configuration that is not valid. ``problems`` has an entry for each thing that is wrong."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(_line, self.problems)), mend=_PAGE)


def _line(problem: ConfigError) -> str:
    place = f"{problem.where}: " if problem.where else ""
    return f"{place}{problem.what}" + (f"; {problem.mend}" if problem.mend != _PAGE else "")


def explain(
    error: ValidationError, model: type[BaseModel], values: Any, place: Callable[[Location], str]
) -> list[ConfigError]:
    """The problems of a validation, one for each key. ``values`` is what was validated, ``place`` tells where a key
    stands."""
    found: dict[Location, ConfigError] = {}
    details = error.errors(include_url=False)
    for detail in details:
        location = _key_of(detail, values)
        # A list whose only entry is wrong is told to be empty, too.
        empty = detail["type"] != "too_short" or all(len(each["loc"]) <= len(location) for each in details)
        if location not in found and empty:
            what, mend = _what(detail, location, values, model)
            found[location] = ConfigError(what, where=place(location), mend=mend)
    return list(found.values())


def _key_of(detail: ErrorDetails, values: Any) -> Location:
    """The key that an error is about: without what the library adds for the choices of a union and for names."""
    location = detail["loc"]
    for number, part in enumerate(location):
        if isinstance(values, Mapping):
            if part not in values:
                return location[: number + (detail["type"] == "missing")]
        elif not isinstance(values, list | tuple) or not isinstance(part, int):
            return location[:number]
        values = values[part]
    return location


def _what(detail: ErrorDetails, location: Location, values: Any, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong with a key, and the mend."""
    kind, context = detail["type"], detail.get("ctx", {})
    key = dotted_key(location) or "the configuration"
    if kind == "extra_forbidden":
        known = keys_beside(location, model)
        mend = suggestion(str(location[-1]), known) or (f"known here: {', '.join(sorted(known))}" if known else _PAGE)
        return f"unknown key {key!r}", mend
    if "[key]" in detail["loc"]:
        return f"{key}: this name {_pattern(context)}", _PAGE
    if kind == "literal_error":
        given = _value(values, location)
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        near = suggestion(given, set(words)) if isinstance(given, str) else ""
        return f"{key}: must be {_alternatives(words)}", near or _PAGE
    if kind == "string_pattern_mismatch":
        return f"{key}: {_pattern(context)}", _PAGE
    if kind in _BOUNDS:
        words_, name = _BOUNDS[kind]
        return f"{key}: {words_} {context[name]}", _PAGE
    if kind == "too_short":
        return f"{key}: must hold at least {context['min_length']}", _PAGE
    if kind in {"tuple_type", "dict_type"} and _holds_tables(_value(values, location)):
        if kind == "tuple_type":
            return f"{key}: must be a list of tables", f"write [[{key}]]"
        return f"{key}: must be a table of tables", f"write [{key}.NAME]"
    if kind in _MUST:
        return f"{key}: {_MUST[kind]}", _PAGE
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}", _PAGE


def _holds_tables(value: Any) -> bool:
    """Whether somebody wrote ``[x]`` for ``[[x]]``, or the other way round."""
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(each, Mapping) for each in value))


def _pattern(context: Mapping[str, Any]) -> str:
    pattern = str(context.get("pattern", ""))
    return _PATTERNS.get(pattern, f"must match {pattern}")


def _alternatives(words: Sequence[str]) -> str:
    shown = [f'"{word}"' for word in words]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _value(values: Any, location: Location) -> Any:
    for part in location:
        values = values[part]
    return values


def dotted_key(location: Location) -> str:
    """A key as the pages write it: ``routes[1].path``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def suggestion(word: str, known: set[str]) -> str:
    """``did you mean 'x'?``, or nothing."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def keys_beside(location: Location, root: type[BaseModel]) -> set[str]:
    """The keys that are allowed where the last part of ``location`` stands."""
    model: type[BaseModel] | None = root
    for part in location[:-1]:
        if model is None or isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        # A name that is the owner's to choose, between a table and its entries, is no field.
        if field is not None:
            model = _model_in(field.annotation)
    return set(model.model_fields) if model is not None else set()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in getattr(annotation, "__args__", ()) if (found := _model_in(each))), None)


def row_of(text: str, location: Location) -> int | None:
    """The line (from 1) on which a key, or the nearest table above it, stands in the file."""
    target = [str(part) for part in location]
    table: list[str] = []
    counts: dict[tuple[str, ...], int] = {}
    best: tuple[int, int | None] = (0, None)
    for row, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            if header[1]:
                index = counts.get(tuple(table), -1) + 1
                counts[tuple(table)] = index
                table = [*table, str(index)]
            path = table
        elif key := _KEY.match(line):
            path = [*table, *(part.strip("\"'") for part in key[1].split("."))]
        else:
            continue
        if path == target[: len(path)] and len(path) > best[0]:
            best = (len(path), row)
        elif target and path[: len(target)] == target and best[1] is None:
            best = (0, row)
    return best[1]
