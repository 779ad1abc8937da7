"""``[policy.settings]`` against what policies read: a misspelled or mistyped setting is an error at load, not a rule
that never fires."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from guard.errors import Diagnostic

CODE: Final = "guard_settings_error"
SCHEMA: Final = Path("schemas") / "settings" / "settings.v1.json"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def check_settings(settings: Any, modules: Mapping[str, str], shipped: Path) -> Iterator[Diagnostic]:
    """Every setting that has the wrong type or range, or that no module mentions."""
    if not isinstance(settings, dict):
        yield Diagnostic(CODE, "policy.settings must be a table")
        return
    known: dict[str, Any] = json.loads((shipped / SCHEMA).read_text("utf-8"))["properties"]
    for name, value in settings.items():
        if name in known:
            problem = _problem(value, known[name])
            if problem:
                yield Diagnostic(CODE, f"policy.settings.{name} {problem}")
        elif not any(re.search(rf"\b{re.escape(name)}\b", text) for text in modules.values()):
            near = difflib.get_close_matches(name, known, n=1)
            yield Diagnostic(
                CODE, f"no policy reads policy.settings.{name}" + (f"; did you mean {near[0]}?" if near else "")
            )


def _problem(value: Any, schema: Mapping[str, Any]) -> str:
    """What is wrong with a value; types, bounds and items are all that the settings' schema uses."""
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"must be of type {kind}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"must be at least {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        return f"must be at most {schema['maximum']}"
    if isinstance(value, list):
        kind = schema["items"]["type"]
        if not all(isinstance(item, _TYPES[kind]) for item in value):
            return f"must hold values of type {kind} only"
    return ""
