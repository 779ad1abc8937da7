"""time.*: nanoseconds since 1970, between 1677 and 2262 as in Go."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from fractions import Fraction
from functools import lru_cache
from typing import Any

from guard.rego import gotime, numbers
from guard.rego.gotime import SECOND
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import NUMBERS

from .arithmetic import integer
from .registry import builtin, operand_error

_MIN, _MAX = -(1 << 63), (1 << 63) - 1
_UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND,
    "h": 3600 * SECOND, "d": 86_400 * SECOND, "w": 7 * 86_400 * SECOND, "y": 365 * 86_400 * SECOND,
}  # fmt: skip
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w|y)")


def in_range(nanoseconds: int) -> int:
    """A time that nanoseconds can hold. Raises BuiltinFailure."""
    if not _MIN <= nanoseconds <= _MAX:
        raise BuiltinFailure("time outside of valid range")
    return nanoseconds


@lru_cache(maxsize=64)
def zone(name: str) -> dt.tzinfo:
    """A time zone by name; "" is UTC. Raises BuiltinFailure."""
    if name in {"", "UTC"}:
        return dt.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise BuiltinFailure(f"unknown time zone {name}") from None


def _time(value: Any) -> tuple[int, dt.tzinfo, str]:
    """Nanoseconds, zone and layout of ``ns``, ``[ns, zone]`` or ``[ns, zone, layout]``."""
    parts = value if type(value) is list else [value]
    if not parts:
        raise operand_error(1, ("either number (ns) or [number (ns), string (tz)]",), value)
    if type(parts[0]) not in NUMBERS:
        raise operand_error(1, ("number",), parts[0])
    for part in parts[1:3]:
        if type(part) is not str:
            raise operand_error(1, ("string",), part)
    if not numbers.is_integer(parts[0]) or not _MIN <= parts[0] <= _MAX:
        raise BuiltinFailure("timestamp too big")
    chosen = zone(parts[1]) if len(parts) > 1 else dt.UTC
    return numbers.to_int(parts[0]), chosen, parts[2] if len(parts) > 2 else ""


@builtin("time.now_ns", "-> number", context=True)
def _now(ctx: Context) -> int:
    return ctx.session.now_ns


def _read(layout: str, text: str) -> int:
    try:
        return in_range(gotime.read(layout, text))
    except gotime.TimeError as error:
        raise BuiltinFailure(str(error)) from None


@builtin("time.parse_ns", "string, string -> number")
def _parse(layout: str, text: str) -> int:
    return _read(gotime.LAYOUTS.get(layout, layout), text)


@builtin("time.parse_rfc3339_ns", "string -> number")
def _parse_rfc3339(text: str) -> int:
    return _read(gotime.LAYOUTS["RFC3339"], text)


@builtin("time.parse_duration_ns", "string -> number")
def _parse_duration(text: str) -> int:
    sign = -1 if text[:1] == "-" else 1
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":
        return 0
    position, total = 0, Fraction(0)
    while position < len(rest):
        match = _DURATION.match(rest, position)
        if match is None:
            break
        total += Fraction(match.group(1) + ("0" if match.group(1).endswith(".") else "")) * _UNITS[match.group(2)]
        position = match.end()
    if not rest or position != len(rest) or total > _MAX:
        raise BuiltinFailure(f'time: invalid duration "{text}"')
    return sign * int(total)


@builtin("time.format", "number | array -> string")
def _format(value: Any) -> str:
    nanoseconds, chosen, layout = _time(value)
    return gotime.write(nanoseconds, chosen, gotime.LAYOUTS.get(layout or "RFC3339Nano", layout))


@builtin("time.date", "number | array -> array")
def _date(value: Any) -> list[int]:
    time, _ = gotime.local(*_time(value)[:2])
    return [time.year, time.month, time.day]


@builtin("time.clock", "number | array -> array")
def _clock(value: Any) -> list[int]:
    time, _ = gotime.local(*_time(value)[:2])
    return [time.hour, time.minute, time.second]


@builtin("time.weekday", "number | array -> string")
def _weekday(value: Any) -> str:
    time, _ = gotime.local(*_time(value)[:2])
    return gotime.DAYS[time.weekday()]


@builtin("time.add_date", "number | array, number, number, number -> number")
def _add_date(value: Any, years: Any, months: Any, days: Any) -> int:
    nanoseconds, chosen, _ = _time(value)
    time, rest = gotime.local(nanoseconds, chosen)
    month = time.month - 1 + integer(months, 3)
    year = time.year + integer(years, 2) + month // 12
    if not 1 <= year <= 9999 or abs(integer(days, 4)) > 1_000_000:
        raise BuiltinFailure("time outside of valid range")
    first = dt.datetime(year, month % 12 + 1, 1, time.hour, time.minute, time.second)  # noqa: DTZ001 - zone below
    try:
        moved = (first + dt.timedelta(days=time.day - 1 + integer(days, 4))).replace(tzinfo=chosen)
    except OverflowError:
        raise BuiltinFailure("time outside of valid range") from None
    return in_range((moved - gotime.EPOCH) // dt.timedelta(seconds=1) * SECOND + rest)


@builtin("time.diff", "number | array, number | array -> array")
def _diff(left: Any, right: Any) -> list[int]:
    (one_ns, chosen, _), (two_ns, _, _) = _time(left), _time(right)
    (one, _), (two, _) = (gotime.local(each, chosen) for each in sorted((one_ns, two_ns)))
    fields = [
        two.year - one.year, two.month - one.month, two.day - one.day,
        two.hour - one.hour, two.minute - one.minute, two.second - one.second,
    ]  # fmt: skip
    following = dt.date(one.year + one.month // 12, one.month % 12 + 1, 1)
    days = (following - dt.date(one.year, one.month, 1)).days
    for position, size in ((5, 60), (4, 60), (3, 24), (2, days), (1, 12)):
        if fields[position] < 0:
            fields[position] += size
            fields[position - 1] -= 1
    return fields
