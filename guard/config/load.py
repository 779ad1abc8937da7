"""Gathers the three sources, merges them and validates once; an error names the key, its line and the mend."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from guard.config.explain import ConfigInvalid, Location, explain, row_of, suggestion
from guard.config.model import GuardConfig
from guard.errors import ConfigError

DEFAULT_FILE: Final = "guard.toml"
_PREFIX: Final = "GUARD_"
_BUNDLE_PATHS: Final = ("source", "public_key_file", "hmac_secret_file", "token_file", "ca_file")
# Paths in a file are relative to that file, wherever the process was started.
_PATHS: Final = (
    ("state_directory",),
    ("identity", "jwt", "jwks_file"),
    ("policy", "opa", "token_file"),
    ("policy", "opa", "ca_file"),
    ("policy", "directories"),
    ("policy", "candidate", "directories"),
    *(("detectors", "sharing", key) for key in ("password_file", "ca_file", "client_cert_file", "client_key_file")),
    *(("record", "anchors", key) for key in ("directory", "http_token_file", "timestamp_roots_file", "ca_file")),
    *(("policy", *part, "bundle", key) for part in ((), ("candidate",)) for key in _BUNDLE_PATHS),
)
_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOML: Final = {
    "Cannot overwrite a value": "this key stands twice",
    "Cannot mutate immutable": "this table was already written in braces, and cannot be added to",
    "Invalid value": "this value is none of TOML's: text stands in quotes, true and false in small letters",
    "Expected newline or end of document after a statement": "something follows the value on its line",
    "Expected '=' after a key in a key/value pair": "a key needs = and a value",
}


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
    variables = _from_environment(environment)
    merged = _merge(_merge(values, variables), keywords)

    def place(location: Location) -> str:
        given = _source_of(location, keywords, variables, environment)
        row = None if given else row_of(text, location)
        # A key that is missing belongs to who gave its table.
        given = given or (_source_of(location[:-1], keywords, variables, environment) if row is None else "")
        return given or (f"{file}:{row}" if row else str(file or ""))

    try:
        return GuardConfig(**merged)
    except ValidationError as error:
        problems = explain(error, GuardConfig, merged, place)
        raise ConfigInvalid(sorted(problems, key=lambda problem: _row(problem.where))) from None


def _row(place: str) -> int:
    row = place.rpartition(":")[2]
    return int(row) if row.isdecimal() else 0


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
    except OSError as error:
        mend = "check the path and its permissions"
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(file), mend=mend) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}", where=str(file), mend="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(file, str(error)) from None


def _no_toml(file: Path, said: str) -> ConfigError:
    at = _AT.search(said)
    where = f"{file}:{at[1]}:{at[2]}" if at and at[1] else str(file)
    said = said[: at.start()] if at else said
    if said.startswith("Cannot declare"):
        said = "this table stands twice"
    what = next((meant for begins, meant in _TOML.items() if said.startswith(begins)), said)
    return ConfigError(f"is not valid TOML: {what}", where=where, mend="see https://toml.io/en/v1.0.0")


def _anchor_paths(values: dict[str, Any], base: Path) -> None:
    for *parents, last in _PATHS:
        table: Any = values
        for parent in parents:
            table = table.get(parent) if isinstance(table, dict) else None
        if not isinstance(table, dict) or last not in table:
            continue
        value = table[last]
        if isinstance(value, str):
            # The source of a bundle may be an address.
            table[last] = value if "://" in value else str(base / value)
        elif isinstance(value, list):
            table[last] = [str(base / item) if isinstance(item, str) else item for item in value]


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    # Orchestrators inject GUARD_PORT and the like for a service called "guard": only names with a section are ours.
    sections = set(GuardConfig.model_fields)
    for name in environ:
        if name.upper().startswith(_PREFIX) and "__" in name:
            section = name[len(_PREFIX) :].split("__")[0].lower()
            if section not in sections:
                mend = suggestion(section, sections) or "see docs/configuration.md"
                raise ConfigError(f"there is no section {section!r}", where=f"environment variable {name}", mend=mend)
    try:
        return _variables(environ)
    except SettingsError:
        for name, value in environ.items():
            if not _is_json(name, value):
                mend = "lists and tables are JSON, for example GUARD_DETECTORS__ENABLED='[\"pii\"]'"
                what = "the value is no JSON, which a list or a table must be"
                raise ConfigError(what, where=f"environment variable {name}", mend=mend) from None
        raise


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(GuardConfig)
    source.env_vars = {name.lower(): value for name, value in environ.items()}
    return source()


def _is_json(name: str, value: str) -> bool:
    """Whether a variable can be read alone."""
    try:
        _variables({name: value})
    except SettingsError:
        return False
    return True


def _variable(location: Location, environ: Mapping[str, str]) -> str:
    """The variable that gives a key: of those that lead to it, or go on from it, the one with the longest name."""
    key = _PREFIX.lower() + "__".join(str(part).lower() for part in location)
    found = [name for name in environ if _leads(name.lower(), key) or _leads(key, name.lower())]
    return max(found, key=len, default=key.upper())


def _leads(name: str, to: str) -> bool:
    return to == name or to.startswith(name + "__")


def _source_of(
    location: Location, keywords: Mapping[str, Any], variables: Mapping[str, Any], environ: Mapping[str, str]
) -> str:
    """The keyword or variable that gives a key; empty for one that only the file, or nobody, gives."""
    if location and _holds(keywords, location):
        return f"keyword {location[0]}"
    if location and _holds(variables, location):
        return f"environment variable {_variable(location, environ)}"
    return ""


def _holds(values: Any, location: Location) -> bool:
    for part in location:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged
