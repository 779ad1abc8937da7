"""Makes ``guard/config/guard.schema.json`` from the configuration's model and the meanings in its page."""

from __future__ import annotations

import json
from typing import Any

from guard.config import schema
from tests.house.config_tables import PAGE, rule_settings
from tests.house.pages import written
from tests.house.source import ROOT

TARGET = ROOT / "guard" / "config" / schema.FILE
_FOR_THE_GUARD = {"x-names", "propertyNames", "minProperties", "format"}
_SETTINGS = ROOT / "policies" / "schemas" / "settings" / "settings.v1.json"


def meanings() -> dict[str, str]:
    """What the page says of every key, by the key's path."""
    found = {}
    for name, (_, rows) in written(PAGE).items():
        table = name.removeprefix("config ").removeprefix("top level")
        if name.startswith("config "):
            found.update({f"{table}.{row[0].strip('`')}".lstrip("."): row[-1] for row in rows})
    return found


def open_tables() -> dict[str, dict[str, Any]]:
    """What may stand in the tables that the model leaves open: the shipped rules' settings, our detectors' options."""
    pages = written(PAGE)
    of_rules = {row[0].strip("`"): row[-1] for row in pages["rule settings"][1]}
    types = json.loads(_SETTINGS.read_text(encoding="utf-8"))["properties"]
    settings = {name: {**_plain(types[name]), "description": of_rules[name]} for name, _, _ in rule_settings()}
    options = {
        name.removeprefix("detector "): {
            "type": "object",
            "description": f"Options of the detector `{name.removeprefix('detector ')}`.",
            "properties": {row[0].strip("`"): {"description": row[-1]} for row in rows},
            "additionalProperties": False,
        }
        for name, (_, rows) in pages.items()
        if name.startswith("detector ")
    }
    return {
        "policy.settings": {"properties": settings},
        "policy.candidate.settings": {"properties": settings},
        "detectors.options": {"properties": options},
    }


def _plain(value: Any) -> Any:
    """A schema without the words that editors do not understand; the guard itself holds settings against those."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in _FOR_THE_GUARD}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def generated() -> str:
    """The file as it must be."""
    return schema.render(schema.build_schema(meanings(), extend=open_tables()))


if __name__ == "__main__":
    TARGET.write_text(generated(), encoding="utf-8")
