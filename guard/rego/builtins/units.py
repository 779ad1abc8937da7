"""units.parse and units.parse_bytes: amounts with SI and binary units."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

from guard.rego import numbers
from guard.rego.runtime import BuiltinFailure

from .registry import builtin

_AMOUNT = re.compile(r"[0-9.+-]*(?:[eE][+-]?[0-9]+[0-9.]*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_MAX_DIGITS = 1000
_POWERS = {letter: power for power, letter in enumerate("kmgtpe", 1)}


def _split(text: str) -> tuple[str, str]:
    match = _AMOUNT.match(text)
    amount = match.group() if match else ""
    exponent = re.search(r"[eE][+-]?([0-9]+)", amount)
    if exponent and len(exponent.group(1)) > 6:
        raise BuiltinFailure("exponent too large")
    return amount, text[len(amount) :]


def _amount(text: str, problem: str) -> Fraction:
    if not _NUMBER.match(text):
        raise BuiltinFailure(problem)
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > _MAX_DIGITS:
        raise BuiltinFailure("amount has too many digits")
    if abs(int(exponent or 0)) > 25_000:
        raise BuiltinFailure("exponent too large")
    return Fraction(Decimal(mantissa)) * Fraction(10) ** int(exponent or 0)


@builtin("units.parse", "string -> number")
def _parse(raw: str) -> Any:
    text = raw.replace('"', "")
    if " " in text:
        raise BuiltinFailure("spaces not allowed in resource strings")
    amount, unit = _split(text)
    if not amount:
        raise BuiltinFailure("no amount provided")
    unit = unit[:1] + unit[1:].lower()
    factor = _unit(unit)
    if factor is None:
        raise BuiltinFailure(f"unit {unit} not recognized")
    found = _amount(amount, "could not parse amount to a number") * factor
    if found.denominator == 1:
        return found.numerator
    scaled = abs(found) * 10**10
    digits = int(scaled + Fraction(1, 2))
    return numbers.from_decimal(Decimal(digits if found > 0 else -digits).scaleb(-10))


def _unit(unit: str) -> Fraction | None:
    if unit == "m":
        return Fraction(0.001)
    if not unit:
        return Fraction(1)
    letter, rest = unit[0].lower(), unit[1:]
    if letter not in _POWERS or rest not in {"", "i"}:
        return None
    return Fraction((1024 if rest else 1000) ** _POWERS[letter])


@builtin("units.parse_bytes", "string -> number")
def _parse_bytes(raw: str) -> Any:
    text = raw.lower().replace('"', "")
    if " " in text:
        raise BuiltinFailure("spaces not allowed in resource strings")
    amount, unit = _split(text)
    if not amount:
        raise BuiltinFailure("no byte amount provided")
    letter, rest = unit[:1], unit[1:].removesuffix("b")
    if unit and (letter not in _POWERS or rest not in {"", "i"}):
        raise BuiltinFailure(f"byte unit {unit} not recognized")
    factor = (1024 if rest else 1000) ** _POWERS[letter] if unit else 1
    found = _amount(amount, "could not parse byte amount to a number")
    return int(numbers.round_binary(numbers.round_binary(found) * factor))
