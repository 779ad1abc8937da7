"""Exact numbers. Integers are Python's; other numbers are decimal texts, computed as OPA does: binary floating point
with a mantissa of 64 bits (Go's ``big.Float`` after ``SetString``), printed with the fewest digits that read back the
same at that precision.
"""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

Number = int | float | Decimal

PRECISION = 64
_EXACT = 1 << PRECISION
# 4,214 digits: Python's own limit for reading and writing integers is 4,300.
MAX_BITS = 14_000
_DIGITS_LIMIT = 4_200
_WIDE = Context(prec=60_000, Emax=999_999, Emin=-999_999)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")


def is_json_number(text: str) -> bool:
    """Whether the text is a number in JSON's grammar."""
    return bool(_JSON_NUMBER.match(text))


def parse_number(text: str) -> Number | None:
    """The number a text stands for; None where it is none or its exponent is absurd."""
    if text.lstrip("+-").isdigit():
        return int(text) if len(text) <= 4000 else _long_int(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_LIMIT:
        return None
    return from_decimal(value)


def _long_int(text: str) -> int | None:
    value = 0
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-")
    if len(digits) > _DIGITS_LIMIT:
        return None
    for start in range(0, len(digits), 4000):
        chunk = digits[start : start + 4000]
        value = value * 10 ** len(chunk) + int(chunk)
    return sign * value


def from_decimal(value: Decimal) -> Number:
    """The canonical form: a float where its text is this decimal, else an int where integral, else the Decimal."""
    approximate = float(value)
    if not math.isfinite(approximate):
        return value
    if Decimal(repr(approximate)) == value:
        return approximate
    if value == value.to_integral_value(context=_WIDE):
        return int(value)
    return value


def to_fraction(value: Number) -> Fraction:
    """The exact value of a number's decimal text."""
    return Fraction(repr(value)) if type(value) is float else Fraction(value)


def is_integer(value: Number) -> bool:
    """Whether the number has no fractional part."""
    if type(value) is int:
        return True
    return value.is_integer() if type(value) is float else to_fraction(value).denominator == 1


def to_int(value: Number) -> int:
    """The integer that an integral number is."""
    return int(to_fraction(value)) if type(value) is not int else value


def _fits(value: int) -> bool:
    """Whether a 64-bit mantissa holds an integer exactly."""
    return -_EXACT < value < _EXACT


def round_binary(value: Fraction, bits: int = PRECISION) -> Fraction:
    """Nearest value with a mantissa of that many bits, ties to even."""
    if value == 0:
        return value
    numerator, denominator = abs(value.numerator), value.denominator
    shift = bits - (numerator.bit_length() - denominator.bit_length())
    scaled = (numerator << shift) / Fraction(denominator) if shift >= 0 else Fraction(numerator, denominator << -shift)
    if scaled >= 1 << bits:
        scaled /= 2
        shift -= 1
    mantissa = round(scaled)
    rounded = Fraction(mantissa, 1 << shift) if shift >= 0 else Fraction(mantissa << -shift)
    return rounded if value > 0 else -rounded


def binary(value: Number) -> Fraction:
    """The number as OPA's arithmetic reads it: rounded to 64 bits."""
    return round_binary(to_fraction(value))


def check_size(value: Fraction) -> Fraction:
    """The value, unless its exponent is absurd. Raises OverflowError."""
    if abs(value.numerator.bit_length() - value.denominator.bit_length()) > MAX_BITS:
        raise OverflowError("number too big")
    return value


def from_binary(value: Fraction) -> Number:
    """The number that a 64-bit result prints as."""
    if value.denominator == 1 and _fits(int(value)):
        return int(value)
    check_size(value)
    for digits in (17, 18, 19, 20, 21):
        text = _WIDE_DIVIDE[digits].divide(Decimal(value.numerator), Decimal(value.denominator))
        if _reads_as(text, value):
            shortest = _shorten(text, value, digits)
            return int(shortest) if value.denominator == 1 else from_decimal(shortest)
    raise AssertionError("21 digits always distinguish 64-bit mantissas")


def _reads_as(text: Decimal, value: Fraction) -> bool:
    """Whether a decimal text is close enough to stand for a value. Go takes both neighbours of a power of two for
    equally far, though the lower one is nearer."""
    found = Fraction(text)
    if round_binary(found) == value:
        return True
    size = abs(value)
    if size.numerator & (size.numerator - 1) or size.denominator & (size.denominator - 1):
        return False
    return 0 <= size - abs(found) <= size / (1 << PRECISION)


_WIDE_DIVIDE = {digits: Context(prec=digits) for digits in range(1, 22)}


def _shorten(text: Decimal, value: Fraction, digits: int) -> Decimal:
    if digits > 17:
        return text
    for fewer in range(1, 17):
        shorter = _WIDE_DIVIDE[fewer].plus(text)
        if _reads_as(shorter, value):
            return shorter
    return text


def add(left: Number, right: Number) -> Number:
    """Sum."""
    if type(left) is int and type(right) is int and _fits(left) and _fits(right) and _fits(found := left + right):
        return found
    return from_binary(round_binary(binary(left) + binary(right)))


def subtract(left: Number, right: Number) -> Number:
    """Difference."""
    if type(left) is int and type(right) is int and _fits(left) and _fits(right) and _fits(found := left - right):
        return found
    return from_binary(round_binary(binary(left) - binary(right)))


def multiply(left: Number, right: Number) -> Number:
    """Product."""
    if type(left) is int and type(right) is int and _fits(left) and _fits(right) and _fits(found := left * right):
        return found
    return from_binary(round_binary(binary(left) * binary(right)))


def divide(left: Number, right: Number) -> Number:
    """Quotient; the divisor is not zero."""
    if type(left) is int and type(right) is int and _fits(left) and _fits(right) and left % right == 0:
        return left // right
    return from_binary(round_binary(binary(left) / binary(right)))


def format_number(value: Number) -> str:
    """The JSON text of a number."""
    if type(value) is int:
        return str(value) if value.bit_length() < 13_000 else format(Decimal(value), "f")
    if type(value) is Decimal:
        return str(value).replace("E", "e").replace("e+", "e")
    number = float(value)
    if number.is_integer() and abs(number) < 1e21:
        return str(int(number))
    text = repr(number)
    if "e" in text:
        mantissa, exponent = text.split("e")
        sign = exponent[0] if exponent[0] in "+-" else "+"
        return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').zfill(2)}"
    return text


def plain(value: Any) -> Any:
    """A number as ``json`` reads one: Decimal becomes the nearest float, or an int past the floats."""
    if type(value) is Decimal:
        nearest = float(value)
        return nearest if math.isfinite(nearest) else int(value)
    return value
