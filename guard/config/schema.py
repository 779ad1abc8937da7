"""The JSON Schema of ``guard.toml`` for editors: completion, descriptions and errors while typing.

Draft 2020-12, in the subset that Taplo ("Even Better TOML") understands: no references, no ``null``, no formats. The
model gives keys, types and bounds; ``docs/configuration.md`` gives the meanings. Both become ``guard.schema.json`` in
this package, made by ``python -m tests.house.config_schema`` and held current by a test.

A schema sees one file: what the environment and keywords add, and whether policies fit, is for ``guard check``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from guard.config.model import GuardConfig

FILE: Final = "guard.schema.json"
DIRECTIVE: Final = "#:schema"
"""The comment with which the first line of a TOML file names its schema."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DROPPED: Final = frozenset({"title", "format"})
# What the model checks in code, said in the schema's words.
_ALSO: Final[Mapping[str, Mapping[str, Any]]] = {
    "identity.jwt": {"oneOf": [{"required": ["jwks_file"]}, {"required": ["jwks_url"]}]},
}


def schema_text() -> str:
    """The schema as it ships."""
    return files("guard.config").joinpath(FILE).read_text(encoding="utf-8")


def build_schema(
    meanings: Mapping[str, str], *, extend: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The schema of the model.

    ``meanings`` describes keys by their path as ``docs/configuration.md`` writes it: ``limits.max_body_bytes``,
    ``routes[].path``, ``providers.NAME.pci``. ``extend`` adds members to the schema of a path, for tables that the
    model leaves open. Raises ``KeyError`` for a key of the model without a meaning.
    """
    raw = GuardConfig.model_json_schema(mode="validation")
    writer = _Writer(raw.get("$defs", {}), meanings, {**_ALSO, **(extend or {})})
    body = writer.node(raw, "")
    return {
        "$schema": _DIALECT,
        "title": "guard.toml",
        **body,
        "description": "Configuration of policy-guard. Paths are relative to the file.",
    }


def render(schema: Mapping[str, Any]) -> str:
    """The schema as a file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Writer:
    """Rewrites what pydantic says of the model: references put in place, ``null`` left out, keys described."""

    def __init__(
        self, definitions: Mapping[str, Any], meanings: Mapping[str, str], extend: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._definitions = definitions
        self._meanings = meanings
        self._extend = extend

    def node(self, raw: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The schema of the value at ``path``."""
        raw = self._resolved(raw)
        made: dict[str, Any] = {}
        for word, value in raw.items():
            if word in _DROPPED or word == "$defs":
                continue
            if word == "properties":
                made[word] = {key: self._key(inner, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
            elif word == "items":
                made[word] = self.node(value, f"{path}[]")
            elif word == "patternProperties":
                made[word] = {pattern: self.node(inner, f"{path}.NAME") for pattern, inner in value.items()}
                made["additionalProperties"] = False
            elif word == "anyOf":
                made[word] = [self.node(inner, path) for inner in value]
            elif word == "description":
                made[word] = _plain(value)
            elif word != "default" or _is_telling(value):
                made[word] = value
        return {**made, **self._extend.get(path, {})}

    def _key(self, raw: Mapping[str, Any], path: str) -> dict[str, Any]:
        made = self.node(raw, path)
        if path in self._meanings:
            return {**made, "description": self._meanings[path]}
        # Tables, and lists and maps of them, are described by their model.
        patterns = made.get("patternProperties", {}).values()
        for table in (made, made.get("items", {}), *patterns):
            if "properties" in table and "description" in table:
                return {**made, "description": table["description"]}
        raise KeyError(path)

    def _resolved(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The node with its reference put in place and, as TOML has no ``null``, without that choice."""
        node = dict(raw)
        if "anyOf" in node:
            choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
            node["anyOf"] = choices
            if len(choices) == 1:
                del node["anyOf"]
                node = {**node, **choices[0]}
        if "$ref" in node:
            definition = self._definitions[node.pop("$ref").removeprefix("#/$defs/")]
            node = {**definition, **{word: value for word, value in node.items() if word != "default"}}
        return node


def _is_telling(default: Any) -> bool:
    """Whether a default tells a reader something: not the absence of a key, and not a whole table."""
    return not (default is None or isinstance(default, dict) or (isinstance(default, list) and _holds_tables(default)))


def _holds_tables(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
