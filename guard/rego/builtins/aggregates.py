"""count, sum, product, max, min, sort, all, any, and membership."""

from __future__ import annotations

from fractions import Fraction
from itertools import repeat
from typing import Any

from guard.rego import numbers
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import NUMBERS, UNDEFINED, Set, compare, equal, key_of, sort_values

from .registry import builtin

_COLLECTION = "array | set"


@builtin("count", "array | object | set | string -> number")
def _count(value: Any) -> int:
    return len(value)


def _numbers(values: Any) -> list[Any]:
    found = values if type(values) is list else values.sorted()
    for value in found:
        if type(value) not in NUMBERS:
            raise BuiltinFailure("operand 1 must be array of numbers but got array containing other", "eval_type_error")
    return found


@builtin("sum", "array | set -> number", context=True)
def _sum(ctx: Context, values: Any) -> Any:
    found = _numbers(values)
    if all(type(value) is int for value in found) and sum(map(abs, found)) < 1 << numbers.PRECISION:
        return sum(found)
    total = Fraction(0)
    for value in found:
        ctx.budget.charge(1)
        total = numbers.round_binary(total + numbers.binary(value))
    return numbers.from_binary(total)


@builtin("product", "array | set -> number", context=True)
def _product(ctx: Context, values: Any) -> Any:
    found = Fraction(1)
    for value in _numbers(values):
        ctx.budget.charge(1)
        found = numbers.check_size(numbers.round_binary(found * numbers.binary(value)))
    return numbers.from_binary(found)


@builtin("max", "array | set -> any", context=True)
def _max(ctx: Context, values: Any) -> Any:
    if type(values) is Set:
        return values.sorted()[-1] if len(values) else UNDEFINED
    found, effort = UNDEFINED, ctx.budget.effort()
    for value in values:
        if found is UNDEFINED or compare(value, found, effort) > 0:
            found = value
    return found


@builtin("min", "array | set -> any", context=True)
def _min(ctx: Context, values: Any) -> Any:
    if type(values) is Set:
        # OPA starts from null, so that null is never less than another member.
        members = values.sorted()
        return members[members[0] is None and len(members) > 1] if members else UNDEFINED
    found, effort = UNDEFINED, ctx.budget.effort()
    for value in values:
        if found is UNDEFINED or compare(value, found, effort) < 0:
            found = value
    return found


@builtin("sort", "array | set -> array", context=True)
def _sort(ctx: Context, values: Any) -> list[Any]:
    return sort_values(values, ctx.budget.effort()) if type(values) is list else list(values.sorted())


@builtin("internal.member_2", "any, any -> boolean", context=True)
def _member(ctx: Context, value: Any, collection: Any) -> bool:
    kind = type(collection)
    if kind is Set:
        return key_of(value) in collection.keys
    if type(value) is str:  # Python's equality is Rego's between a string and any value, and pays for no parts.
        return value in (collection if kind is list else collection.values() if kind is dict else ())
    effort = ctx.budget.effort()
    if kind is list:
        return any(map(equal, repeat(value), collection, repeat(effort)))
    if kind is dict:
        return any(map(equal, repeat(value), collection.values(), repeat(effort)))
    return False


@builtin("internal.member_3", "any, any, any -> boolean")
def _member_with_key(key: Any, value: Any, collection: Any) -> bool:
    kind = type(collection)
    if kind is Set:
        return equal(key, value) and key_of(value) in collection.keys
    if kind is list:
        return type(key) is int and 0 <= key < len(collection) and equal(value, collection[key])
    if kind is dict:
        held = key_of(key)
        return held in collection and equal(value, collection[held])
    return False
