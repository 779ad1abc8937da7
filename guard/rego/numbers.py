"""Exact numbers. Integers are Python's; other numbers are decimal texts, computed as OPA does: binary floating point
with a mantissa of 64 bits (Go's ``big.Float`` after ``SetString``), printed with the fewest digits that read back the
same at that precision.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Context, Decimal, InvalidOperation
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
    shortest = _shortest(value)
    return int(shortest) if value.denominator == 1 else from_decimal(shortest)


def _shortest(value: Fraction) -> Decimal:
    """The fewest digits that stand for a value with a mantissa of 64 bits: those of Go's ``big.Float.Text``, which
    walks along the digits until the value differs from the middles to its neighbours.
    Source: https://go.dev/src/math/big/ftoa.go (roundShortest).
    """
    numerator, denominator = abs(value.numerator), value.denominator
    # In steps of half a unit in the last place: a mantissa of 65 bits, and a power of two.
    power = numerator.bit_length() - denominator.bit_length() - PRECISION
    if numerator << max(-power, 0) >= denominator << max(power, 0) + PRECISION + 1:
        power += 1
    mantissa = (numerator << -power) // denominator if power < 0 else (numerator >> power) // denominator
    even = not mantissa & 2
    digits, lower, upper = (_digits(mantissa + step, power) for step in (0, -1, 1))
    for at, digit in enumerate(digits):
        low, high = lower[at : at + 1] or "0", upper[at : at + 1] or "0"
        down = low != digit or (even and at + 1 == len(lower))
        up = digit != high and (even or int(digit) + 1 < int(high) or at + 1 < len(upper))
        if down or up:
            rounding = ROUND_HALF_EVEN if down and up else ROUND_DOWN if down else ROUND_UP
            return Context(prec=at + 1, rounding=rounding).divide(Decimal(value.numerator), Decimal(denominator))
    return _WIDE.divide(Decimal(value.numerator), Decimal(denominator))


def _digits(mantissa: int, power: int) -> str:
    """The significant decimal digits of ``mantissa * 2**power``."""
    exact = mantissa << power if power >= 0 else mantissa * 5**-power
    return format_number(exact).rstrip("0")


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
