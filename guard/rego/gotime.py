"""Go's time layouts (https://pkg.go.dev/time#pkg-constants): the reference time ``Mon Jan 2 15:04:05 MST 2006`` shows
the form. Times are nanoseconds since 1970 in UTC; no floats.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache

SECOND = 1_000_000_000
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LAYOUTS = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
}
_ELEMENTS = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|_2(?!006)|002|0[1-6]"
    r"|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07"
    r"|[.,]0+(?![0-9])|[.,]9+(?![0-9])|15|PM|pm|[1-5]"
)


class TimeError(ValueError):
    """A text that does not match its layout, or a field out of range."""


@lru_cache(maxsize=256)
def elements(layout: str) -> tuple[tuple[bool, str], ...]:
    """(is an element, text) of each part of a layout."""
    parts: list[tuple[bool, str]] = []
    position = 0
    for match in _ELEMENTS.finditer(layout):
        if match.start() > position:
            parts.append((False, layout[position : match.start()]))
        parts.append((True, match.group()))
        position = match.end()
    if position < len(layout):
        parts.append((False, layout[position:]))
    return tuple(parts)


def local(nanoseconds: int, zone: dt.tzinfo) -> tuple[dt.datetime, int]:
    """The civil time in a zone (whole seconds) and the nanoseconds within the second."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return (EPOCH + dt.timedelta(seconds=seconds)).astimezone(zone), rest


# -- writing ----------------------------------------------------------------------------------------------------------


def write(nanoseconds: int, zone: dt.tzinfo, layout: str) -> str:
    """The time in a layout."""
    time, rest = local(nanoseconds, zone)
    return "".join(_write(text, time, rest) if is_element else text for is_element, text in elements(layout))


def _write(element: str, time: dt.datetime, rest: int) -> str:
    if element[0] in ".,":
        digits = f"{rest:09d}"
        if element[1] == "0":
            return element[0] + digits[: len(element) - 1].ljust(len(element) - 1, "0")
        digits = digits[: len(element) - 1].rstrip("0")
        return element[0] + digits if digits else ""
    if element[0] in "Z-":
        return _offset(element, time)
    hour = time.hour % 12 or 12
    simple = {
        "January": MONTHS[time.month - 1], "Jan": MONTHS[time.month - 1][:3], "1": str(time.month),
        "01": f"{time.month:02d}", "Monday": DAYS[time.weekday()], "Mon": DAYS[time.weekday()][:3],
        "2": str(time.day), "_2": f"{time.day:2d}", "02": f"{time.day:02d}",
        "002": f"{time.timetuple().tm_yday:03d}", "__2": f"{time.timetuple().tm_yday:3d}",
        "15": f"{time.hour:02d}", "3": str(hour), "03": f"{hour:02d}", "4": str(time.minute),
        "04": f"{time.minute:02d}", "5": str(time.second), "05": f"{time.second:02d}", "2006": f"{time.year:04d}",
        "06": f"{time.year % 100:02d}", "PM": "AM" if time.hour < 12 else "PM", "pm": "am" if time.hour < 12 else "pm",
        "MST": _zone_name(time),
    }  # fmt: skip
    return simple[element]


def _zone_name(time: dt.datetime) -> str:
    name = time.tzname() or ""
    return name if name and not name.startswith(("+", "-", "UTC+", "UTC-")) else _offset("-0700", time)


def _offset(element: str, time: dt.datetime) -> str:
    offset = time.utcoffset() or dt.timedelta()
    seconds = int(offset.total_seconds())
    if element[0] == "Z" and seconds == 0:
        return "Z"
    sign = "-" if seconds < 0 else "+"
    hours, minutes, rest = abs(seconds) // 3600, abs(seconds) // 60 % 60, abs(seconds) % 60
    colon = ":" if ":" in element else ""
    text = f"{sign}{hours:02d}"
    fields = len(element.replace(":", "")[1:]) // 2
    if fields > 1:
        text += f"{colon}{minutes:02d}"
    return text + (f"{colon}{rest:02d}" if fields > 2 else "")


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Fields:
    year: int = 0
    month: int = 1
    day: int = 1
    yearday: int = 0
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanoseconds: int = 0
    offset: int = 0
    half: str = ""


_PATTERNS = {
    "2006": r"[0-9]{4}", "06": r"[0-9]{2}", "01": r"[0-9]{2}", "02": r"[0-9]{2}", "002": r"[0-9]{3}",
    "15": r"[0-9]{1,2}", "03": r"[0-9]{2}", "04": r"[0-9]{2}", "05": r"[0-9]{2}", "1": r"[0-9]{1,2}",
    "2": r" ?[0-9]{1,2}", "_2": r" ?[0-9]{1,2}", "__2": r" {0,2}[0-9]{1,3}", "3": r"[0-9]{1,2}",
    "4": r"[0-9]{1,2}", "5": r"[0-9]{1,2}", "PM": r"[AP]M", "pm": r"[ap]m", "MST": r"[A-Z]{3,5}(?:[+-][0-9]{1,2})?",
}  # fmt: skip
_TARGETS = {
    "2006": "year", "01": "month", "1": "month", "02": "day", "2": "day", "_2": "day", "002": "yearday",
    "__2": "yearday", "15": "hour", "03": "hour", "3": "hour", "04": "minute", "4": "minute", "05": "second",
    "5": "second",
}  # fmt: skip


def read(layout: str, text: str) -> int:
    """The time that a text in a layout stands for. Raises TimeError."""
    fields = _Fields()
    parts = elements(layout)
    position = 0
    for number, (is_element, part) in enumerate(parts):
        if not is_element:
            position = _literal(part, text, position, layout)
            continue
        position = _read(part, text, position, fields)
        following = parts[number + 1][1] if number + 1 < len(parts) else ""
        if part in {"05", "5"} and following[:1] not in {".", ","}:
            position = _fraction(text, position, fields)
    if position != len(text):
        raise TimeError(f'parsing time "{text}": extra text: "{text[position:]}"')
    return _assemble(fields, text)


def _literal(part: str, text: str, position: int, layout: str) -> int:
    for char in part:
        if char == " ":
            while text[position : position + 1] == " ":
                position += 1
        elif text[position : position + 1] == char:
            position += 1
        else:
            raise TimeError(f'parsing time "{text}" as "{layout}": cannot parse "{text[position:]}" as "{part}"')
    return position


def _fraction(text: str, position: int, fields: _Fields) -> int:
    match = re.compile(r"[.,]([0-9]+)").match(text, position)
    if match is None:
        return position
    fields.nanoseconds = int(match.group(1)[:9].ljust(9, "0"))
    return match.end()


def _read(element: str, text: str, position: int, fields: _Fields) -> int:
    if element in {"January", "Jan", "Monday", "Mon"}:
        return _name(element, text, position, fields)
    if element[0] in ".,":
        return _fraction(text, position, fields)
    if element[0] in "Z-":
        return _read_offset(element, text, position, fields)
    match = re.compile(_PATTERNS[element]).match(text, position)
    if match is None:
        raise TimeError(f'parsing time "{text}": cannot parse "{text[position:]}" as "{element}"')
    found = match.group()
    if element in {"PM", "pm"}:
        fields.half = found.lower()
    elif element == "06":
        fields.year = int(found) + (1900 if int(found) >= 69 else 2000)
    elif element != "MST":
        setattr(fields, _TARGETS[element], int(found))
    return match.end()


def _name(element: str, text: str, position: int, fields: _Fields) -> int:
    names = MONTHS if element.startswith("Jan") else DAYS
    for number, name in enumerate(names, 1):
        shown = name if element in {"January", "Monday"} else name[:3]
        if text[position : position + len(shown)].lower() == shown.lower():
            if names is MONTHS:
                fields.month = number
            return position + len(shown)
    raise TimeError(f'parsing time "{text}": cannot parse "{text[position:]}" as "{element}"')


def _read_offset(element: str, text: str, position: int, fields: _Fields) -> int:
    if element[0] == "Z" and text[position : position + 1] == "Z":
        return position + 1
    colon = ":" if ":" in element else ""
    count = len(element.replace(":", "")[1:]) // 2
    pattern = r"([+-])([0-9]{2})" + f"{colon}([0-9]{{2}})" * (count - 1)
    match = re.compile(pattern).match(text, position)
    if match is None:
        raise TimeError(f'parsing time "{text}": cannot parse "{text[position:]}" as "{element}"')
    numbers = [int(each) for each in match.groups()[1:]]
    seconds = sum(value * unit for value, unit in zip(numbers, (3600, 60, 1), strict=False))
    fields.offset = -seconds if match.group(1) == "-" else seconds
    return match.end()


def _assemble(fields: _Fields, text: str) -> int:
    hour = fields.hour
    if fields.half:
        if not 0 <= hour <= 12:
            raise TimeError(f'parsing time "{text}": hour out of range')
        hour = hour % 12 + (12 if fields.half == "pm" else 0)
    try:
        if fields.yearday:
            day = dt.date(fields.year, 1, 1) + dt.timedelta(days=fields.yearday - 1)
        else:
            day = dt.date(fields.year, fields.month, fields.day)
        clock = dt.time(hour, fields.minute, fields.second)
    except (ValueError, OverflowError) as error:
        if fields.year == 0:
            raise TimeError("time outside of valid range") from None
        raise TimeError(f'parsing time "{text}": {str(error).split(" must")[0]} out of range') from None
    seconds = (dt.datetime.combine(day, clock, dt.UTC) - EPOCH) // dt.timedelta(seconds=1)
    return (seconds - fields.offset) * SECOND + fields.nanoseconds
