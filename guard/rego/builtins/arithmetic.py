"""Numbers: operators, rounding, ranges and bits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from guard.rego import numbers
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import NUMBERS, Set, compare, equal

from .registry import builtin, described, operand_error

_MAX_SHIFT = 1 << 20
_INT64 = 1 << 63
_UINT64 = (1 << 64) - 1


@builtin("plus", "number, number -> number")
def _plus(left: Any, right: Any) -> Any:
    return numbers.add(left, right)


@builtin("minus", "number | set, number | set -> any")
def _minus(left: Any, right: Any) -> Any:
    if type(left) is Set and type(right) is Set:
        return Set(left.keys - right.keys)
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return numbers.subtract(left, right)
    position, got = (2, right) if type(left) in NUMBERS or type(left) is Set else (1, left)
    raise operand_error(position, ("set",) if type(left) is Set else ("number",), got)


@builtin("mul", "number, number -> number")
def _mul(left: Any, right: Any) -> Any:
    return numbers.multiply(left, right)


@builtin("div", "number, number -> number")
def _div(left: Any, right: Any) -> Any:
    if right == 0:
        raise BuiltinFailure("divide by zero")
    return numbers.divide(left, right)


@builtin("rem", "number, number -> number")
def _rem(left: Any, right: Any) -> Any:
    first, second = numbers.binary(left), numbers.binary(right)
    if first.denominator != 1 or second.denominator != 1:
        raise BuiltinFailure("modulo on floating-point number")
    if not second:
        raise BuiltinFailure("modulo by zero")
    one, two = int(first), int(second)
    found = abs(one) % abs(two)
    return -found if one < 0 else found


@builtin("abs", "number -> number")
def _abs(value: Any) -> Any:
    return numbers.from_binary(abs(numbers.binary(value)))


def _is_short(value: Any) -> bool:
    """Whether a number is an integer of 64 bits, which OPA's arithmetic holds as it is."""
    return type(value) is int and -_INT64 <= value < _INT64


@builtin("round", "number -> number")
def _round(value: Any) -> Any:
    if _is_short(value):
        return value
    exact = numbers.binary(value)
    found = math.floor(numbers.round_binary(abs(exact) + Fraction(1, 2)))
    return found if exact >= 0 else -found


@builtin("ceil", "number -> number")
def _ceil(value: Any) -> Any:
    return value if _is_short(value) else math.ceil(numbers.binary(value))


@builtin("floor", "number -> number")
def _floor(value: Any) -> Any:
    return value if _is_short(value) else math.floor(numbers.binary(value))


def integer(value: Any, position: int, what: str = "integer number") -> int:
    """An operand that must be an integer of 64 bits, spelled as one: OPA refuses ``1.0`` and ``1e3`` here."""
    if _is_short(value):
        return int(value)
    raise operand_error(position, (what,), described("floating-point number"))


def big_integer(value: Any, position: int) -> int:
    """An operand that must have no fractional part; read with a mantissa of 64 bits, as all of OPA's numbers."""
    if _is_short(value):
        return int(value)
    exact = numbers.binary(value)
    if exact.denominator == 1:
        return int(exact)
    raise operand_error(position, ("integer number",), described("floating-point number"))


@builtin("numbers.range", "number, number -> array", context=True)
def _range(ctx: Context, start: Any, stop: Any) -> list[int]:
    first, last = big_integer(start, 1), big_integer(stop, 2)
    ctx.budget.charge(abs(last - first) + 1)
    return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


@builtin("numbers.range_step", "number, number, number -> array", context=True)
def _range_step(ctx: Context, start: Any, stop: Any, step: Any) -> list[int]:
    first, last, width = big_integer(start, 1), big_integer(stop, 2), big_integer(step, 3)
    if width <= 0:
        raise BuiltinFailure("step must be a positive integer")
    ctx.budget.charge(abs(last - first) // width + 1)
    return list(range(first, last + 1, width)) if first <= last else list(range(first, last - 1, -width))


@builtin("bits.or", "number, number -> number")
def _bits_or(left: Any, right: Any) -> int:
    return big_integer(left, 1) | big_integer(right, 2)


@builtin("bits.and", "number, number -> number")
def _bits_and(left: Any, right: Any) -> int:
    return big_integer(left, 1) & big_integer(right, 2)


@builtin("bits.xor", "number, number -> number")
def _bits_xor(left: Any, right: Any) -> int:
    return big_integer(left, 1) ^ big_integer(right, 2)


@builtin("bits.negate", "number -> number")
def _bits_negate(value: Any) -> int:
    return ~big_integer(value, 1)


def _shift(value: Any) -> int:
    found = big_integer(value, 2)
    if found < 0:
        raise operand_error(2, ("an unsigned integer number",), described("a negative integer"))
    return found & _UINT64


@builtin("bits.lsh", "number, number -> number")
def _bits_lsh(value: Any, count: Any) -> int:
    found, shift = big_integer(value, 1), _shift(count)
    if shift > _MAX_SHIFT:
        raise BuiltinFailure("shift count too large")
    if found and found.bit_length() + shift > numbers.MAX_BITS:
        raise BuiltinFailure("number too big")
    return found << shift


@builtin("bits.rsh", "number, number -> number")
def _bits_rsh(value: Any, count: Any) -> int:
    return big_integer(value, 1) >> _shift(count)


@builtin("equal", "any, any -> boolean")
def _equal(left: Any, right: Any) -> bool:
    return equal(left, right)


@builtin("eq", "any, any -> boolean")
def _eq(left: Any, right: Any) -> bool:
    return equal(left, right)


@builtin("neq", "any, any -> boolean")
def _neq(left: Any, right: Any) -> bool:
    return not equal(left, right)


@builtin("lt", "any, any -> boolean")
def _lt(left: Any, right: Any) -> bool:
    return compare(left, right) < 0


@builtin("lte", "any, any -> boolean")
def _lte(left: Any, right: Any) -> bool:
    return compare(left, right) <= 0


@builtin("gt", "any, any -> boolean")
def _gt(left: Any, right: Any) -> bool:
    return compare(left, right) > 0


@builtin("gte", "any, any -> boolean")
def _gte(left: Any, right: Any) -> bool:
    return compare(left, right) >= 0
