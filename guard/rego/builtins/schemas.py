"""json.match_schema and json.verify_schema. References lead inside the schema; nothing is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.show import to_json

from .encoding import parse_json
from .registry import builtin

if TYPE_CHECKING:
    from guard.rego.jsonschema.schema import Schema

_CHARACTERS_PER_STEP = 16


def _value(ctx: Context, source: Any) -> Any:
    """The JSON value of an operand: a text, or the value itself."""
    if type(source) is str:
        ctx.budget.charge(len(source) // _CHARACTERS_PER_STEP)
        try:
            return parse_json(source)
        except BuiltinFailure:
            raise BuiltinFailure("invalid JSON string") from None
    if type(source) not in {dict, list}:
        raise BuiltinFailure("wrong type, expected string or object")
    return to_json(source, exact=True)


def _schema(ctx: Context, source: Any) -> Schema:
    from guard.rego.jsonschema.schema import Schema, SchemaError

    try:
        return Schema(_value(ctx, source), ctx.budget)
    except SchemaError as error:
        raise BuiltinFailure(str(error)) from None


@builtin("json.verify_schema", "string | object -> array", context=True, lenient=True, deep=True)
def _verify_schema(ctx: Context, schema: Any) -> list[Any]:
    try:
        _schema(ctx, schema)
    except BuiltinFailure as failure:
        return [False, f"jsonschema: {failure.message}"]
    return [True, None]


@builtin("json.match_schema", "string | object, string | object -> array", context=True, lenient=True, deep=True)
def _match_schema(ctx: Context, document: Any, schema: Any) -> list[Any]:
    from guard.rego.jsonschema.validate import Validator

    value = _value(ctx, document)
    found = Validator(_schema(ctx, schema)).run(value).errors
    errors = [
        {"error": f"{place}: {description}", "type": kind, "field": place, "desc": description}
        for kind, place, description in found
    ]
    return [not errors, errors]
