"""The JSON Schema of records (draft 2020-12), made from the one schema that writer and verifier use."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from guard.record.schema import AnyRecord

FILE: Final = "record.v1.schema.json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CODE: Final = "``"


def record_schema() -> dict[str, Any]:
    """The schema of one line of a log that is a record, parsed; it is one of the kinds in ``$defs``."""
    (top,), definitions = msgspec.json.schema_components([AnyRecord], ref_template="#/$defs/{name}")
    return {
        "$schema": _DIALECT,
        "title": "policy-guard record, version 1",
        "description": "One record of the signed log. docs/log-format.md describes every field.",
        **top,
        "$defs": {name: _told(definition) for name, definition in sorted(definitions.items())},
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(record_schema(), indent=2, ensure_ascii=False) + "\n"


def _told(value: Any) -> Any:
    """Docstrings as descriptions: one line, without the marks of code."""
    if isinstance(value, list):
        return [_told(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: " ".join(item.replace(_CODE, "").split())
        if key == "description" and isinstance(item, str)
        else _told(item)
        for key, item in value.items()
    }
