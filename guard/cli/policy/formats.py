"""Result sets as ``opa eval --format …`` prints them, byte for byte.

Source: https://www.openpolicyagent.org/docs/cli#eval and the behaviour of opa 1.18.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from rich.cells import cell_len

from guard import rego

Row = dict[str, Any]
UNDEFINED: Final = "undefined"


class Format(enum.StrEnum):
    """How a result set is printed."""

    JSON = "json"
    PRETTY = "pretty"
    RAW = "raw"
    VALUES = "values"
    BINDINGS = "bindings"
    DISCARD = "discard"


def printed(result: list[Row], form: Format) -> str:
    """The text of a result set, without the last line's end; empty where opa prints nothing."""
    rows = [_sorted(row) for row in result]
    match form:
        case Format.JSON:
            return rego.render({"result": [_shown(row) for row in rows]} if rows else {})
        case Format.DISCARD:
            return rego.render({"result": "discarded"} if rows else {})
        case Format.PRETTY:
            return _pretty(rows)
        case Format.RAW:
            return "\n".join(" ".join(map(_raw, _values(row))) for row in rows)
        case Format.VALUES:
            return "\n".join(rego.render(_values(row)) for row in rows)
        case Format.BINDINGS:
            return "\n".join(rego.render(row["bindings"]) for row in rows)


def _sorted(row: Row) -> Row:
    expressions = [{**each, "value": _in_order(each["value"])} for each in row["expressions"]]
    return {"expressions": expressions, "bindings": _in_order(row.get("bindings") or {})}


def _shown(row: Row) -> Row:
    return row if row["bindings"] else {"expressions": row["expressions"]}


def _in_order(value: Any) -> Any:
    """With the members of objects sorted, as Go writes them."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _values(row: Row) -> list[Any]:
    return [each["value"] for each in row["expressions"]]


def _raw(value: Any) -> str:
    return value if isinstance(value, str) else rego.compact(value)


def _pretty(rows: list[Row]) -> str:
    """One value as JSON; several values, or bindings, as a table."""
    if not rows:
        return UNDEFINED
    first = rows[0]
    values = _values(first)
    if len(rows) == 1 and not first["bindings"] and (len(values) == 1 or all(v is True or v is False for v in values)):
        return rego.render(values[0])
    # Beside variables, an expression that only said true has no column.
    shown = [n for n, value in enumerate(values) if not first["bindings"] or not isinstance(value, bool)]
    head = [*first["bindings"], *[first["expressions"][n]["text"] for n in shown]]
    cells = [
        [rego.compact(each) for each in (*row["bindings"].values(), *[_values(row)[n] for n in shown])] for row in rows
    ]
    return _table(head, cells)


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    rules = ["─" * (width + 2) for width in widths]
    centred = [_centred(text, width) for text, width in zip(head, widths, strict=True)]
    lines = [[text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join(
        [
            f"┌{'┬'.join(rules)}┐",
            *[f"│ {' │ '.join(line)} │" for line in (centred,)],
            f"├{'┼'.join(rules)}┤",
            *[f"│ {' │ '.join(line)} │" for line in lines],
            f"└{'┴'.join(rules)}┘",
        ]
    )


def _centred(text: str, width: int) -> str:
    space = width - cell_len(text)
    return " " * (space // 2) + text + " " * (space - space // 2)
