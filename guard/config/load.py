"""Gathers the three sources, merges them and validates once; an error names the key, its line and the mend."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from guard.config.model import GuardConfig
from guard.errors import ConfigError

DEFAULT_FILE: Final = "guard.toml"
_PREFIX: Final = "GUARD_"
# Paths in a file are relative to that file, wherever the process was started.
_PATHS: Final = (
    ("state_directory",),
    ("identity", "jwt", "jwks_file"),
    ("policy", "opa", "token_file"),
    ("policy", "opa", "ca_file"),
    ("policy", "directories"),
)
_TABLE: Final = re.compile(r"^\s*\[(\[)?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"^\s*([A-Za-z0-9_\-\"'.]+)\s*=")


def load_config(
    path: str | Path | None = None, *, environ: Mapping[str, str] | None = None, **keywords: Any
) -> GuardConfig:
    """The configuration from a file, the environment and keywords, the last winning.

    ``path`` ``None`` means ``$GUARD_CONFIG``, else ``guard.toml`` in the working directory if it is there, else the
    defaults. Raises ``ConfigError``.
    """
    environment = os.environ if environ is None else environ
    file = find_config_file(path, environment)
    text, values = _read(file) if file else ("", {})
    if file:
        _anchor_paths(values, file.parent)
    merged = _merge(_merge(values, _from_environment(environment)), keywords)
    try:
        return GuardConfig(**merged)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, file, text)), mend="see docs/configuration.md") from None


def find_config_file(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Path | None:
    """The file that ``load_config`` reads; ``None`` where the defaults stand. Raises ``ConfigError``."""
    named = path or (os.environ if environ is None else environ).get("GUARD_CONFIG")
    if named:
        file = Path(named)
        if not file.is_file():
            raise ConfigError("there is no such file", where=str(file), mend="create one with: guard init")
        return file
    file = Path(DEFAULT_FILE)
    return file if file.is_file() else None


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read: {error}", where=str(file), mend="check the path and its permissions"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"is not valid TOML: {error}", where=str(file), mend="see https://toml.io/en/v1.0.0"
        ) from None


def _anchor_paths(values: dict[str, Any], base: Path) -> None:
    for *parents, last in _PATHS:
        table: Any = values
        for parent in parents:
            table = table.get(parent) if isinstance(table, dict) else None
        if not isinstance(table, dict) or last not in table:
            continue
        value = table[last]
        if isinstance(value, str):
            table[last] = str(base / value)
        elif isinstance(value, list):
            table[last] = [str(base / item) if isinstance(item, str) else item for item in value]


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    # Orchestrators inject GUARD_PORT and the like for a service called "guard": only names with a section are ours.
    sections = set(GuardConfig.model_fields)
    for name in environ:
        if name.upper().startswith(_PREFIX) and "__" in name:
            section = name[len(_PREFIX) :].split("__")[0].lower()
            if section not in sections:
                mend = _suggest(section, sections) or "see docs/configuration.md"
                raise ConfigError(f"there is no section {section!r}", where=f"environment variable {name}", mend=mend)
    source = EnvSettingsSource(GuardConfig)
    source.env_vars = {name.lower(): value for name, value in environ.items()}
    try:
        return source()
    except Exception as error:  # noqa: BLE001 - the library wraps a JSON error of a complex value in its own type
        raise ConfigError(str(error), where="environment", mend="complex values are JSON, e.g. '[\"pii\"]'") from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _explain(error: ValidationError, file: Path | None, text: str) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        location = problem["loc"]
        key = ".".join(map(str, location))
        row = _row_of(text, location)
        place = f"{file}:{row}: " if file and row else ""
        if problem["type"] == "extra_forbidden":
            suggestion = _suggest(str(location[-1]), _keys_beside(location))
            lines.append(f"{place}unknown key {key!r}" + (f"; {suggestion}" if suggestion else ""))
        else:
            lines.append(f"{place}{key}: {problem['msg']}")
    return lines


def _keys_beside(location: tuple[int | str, ...]) -> set[str]:
    """The keys that are allowed where the last part of ``location`` stands."""
    model: Any = GuardConfig
    for part in location[:-1]:
        if isinstance(part, int) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        field = model.model_fields.get(part)
        model = _model_in(field.annotation) if field else None
    return set(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else set()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found:
            return found
    return None


def _suggest(word: str, known: set[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _row_of(text: str, location: tuple[int | str, ...]) -> int | None:
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
    return best[1]
