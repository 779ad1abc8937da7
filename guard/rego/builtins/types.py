"""Type names, type tests and to_number."""

from __future__ import annotations

from typing import Any

from guard.rego import numbers
from guard.rego.runtime import BuiltinFailure
from guard.rego.values import NUMBERS, type_name

from .registry import builtin


@builtin("type_name", "any -> string")
def _type_name(value: Any) -> str:
    return type_name(value)


def _test(name: str, wanted: str) -> None:
    @builtin(name, "any -> boolean")
    def check(value: Any) -> bool:
        return type_name(value) == wanted


for _kind in ("array", "boolean", "null", "number", "object", "set", "string"):
    _test(f"is_{_kind}", _kind)


@builtin("to_number", "null | boolean | number | string -> number")
def _to_number(value: Any) -> Any:
    if value is None:
        return 0
    if type(value) is bool:
        return int(value)
    if type(value) in NUMBERS:
        return value
    found = numbers.parse_number(value) if numbers.is_json_number(value.lstrip("+")) else None
    if value.lstrip("+-").lower() in {"nan", "inf", "infinity"}:
        raise BuiltinFailure("operand 1 must be valid number string", "eval_type_error")
    if found is None:
        raise BuiltinFailure("invalid syntax")
    return found
