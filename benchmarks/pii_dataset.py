"""Labelled texts: files in presidio-research's JSON format, and a seeded generator of our own.

The format is a list of ``{"full_text", "spans": [{"entity_type", "entity_value", "start_position", "end_position"}]}``.
Names of the generated texts come from the shipped gazetteer, cut in two by a checksum: one half is left to the detector
that is graded (``known_half`` writes it as a file), the other it has never seen.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from benchmarks.pii_templates import CITIES, DENSE, MONTHS, NEGATIVE, STREETS, TEMPLATES
from detectors.pii.cards import ISSUERS, is_luhn
from detectors.pii.gazetteer import Gazetteer, shipped

_SLOT: Final = re.compile(r"\{(\w+)\}")
_FIELDS: Final = ("entity_type", "start_position", "end_position")


class Span(msgspec.Struct, frozen=True):
    """A labelled span ``[start, end)`` in code points. ``unseen``: a name that the graded detector has on no list."""

    type: str
    start: int
    end: int
    unseen: bool = False


class Sample(msgspec.Struct, frozen=True):
    """A text and all that is personal in it."""

    text: str
    spans: tuple[Span, ...]


def load(path: Path) -> list[Sample]:
    """The samples of a file. Raises ``SystemExit`` that names what is wrong with it."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: cannot be read: {error}") from None
    if not isinstance(listed, list):
        raise SystemExit(f"{path}: not a list of texts")
    return [_sample(path, number, given) for number, given in enumerate(listed)]


def _sample(path: Path, number: int, given: Any) -> Sample:
    where = f"{path}: text {number}"
    if not isinstance(given, dict) or not isinstance(given.get("full_text"), str):
        raise SystemExit(f"{where}: no full_text")
    text, spans = given["full_text"], []
    for span in given.get("spans") or []:
        if not isinstance(span, dict) or any(field not in span for field in _FIELDS):
            raise SystemExit(f"{where}: a span lacks one of {', '.join(_FIELDS)}")
        entity, start, end = (span[field] for field in _FIELDS)
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
            raise SystemExit(f"{where}: span {start}..{end} is not within its {len(text)} characters")
        spans.append(Span(str(entity), start, end))
    return Sample(text, tuple(spans))


def as_json(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """The samples in presidio-research's format."""
    return [
        {
            "full_text": sample.text,
            "spans": [
                {
                    "entity_type": span.type,
                    "entity_value": sample.text[span.start : span.end],
                    "start_position": span.start,
                    "end_position": span.end,
                }
                for span in sample.spans
            ],
        }
        for sample in samples
    ]


# --- names ----------------------------------------------------------------------------------------------------------


def is_known(name: str) -> bool:
    """Whether a name is in the half that the graded detector keeps."""
    return not crc32(name.encode()) & 1


def known_half(path: Path) -> Path:
    """Writes a gazetteer that lacks the unseen half of the names."""
    names = shipped()
    sections = {
        "first": filter(is_known, names.first),
        "last": filter(is_known, names.last),
        "ordinary": names.ordinary,
        "never": names.never,
        "phrase": names.phrase,
    }
    text = "".join(f"[{section}]\n{' '.join(sorted(words))}\n" for section, words in sections.items())
    path.write_text(text, encoding="utf-8")
    return path


class _Names:
    """Names to draw from: written as names are, the ambiguous ones among them."""

    def __init__(self, gazetteer: Gazetteer) -> None:
        self._first = sorted(name for name in gazetteer.first if name.isascii() and name.isalpha() and len(name) > 2)
        self._last = sorted(name for name in gazetteer.last if name.isascii() and name.isalpha() and len(name) > 2)
        self._halves = {
            known: (
                [name for name in self._first if is_known(name) is known],
                [name for name in self._last if is_known(name) is known],
            )
            for known in (True, False)
        }

    def draw(self, rng: random.Random, kind: str) -> tuple[str, bool]:
        """A name, and whether it is unseen: both parts of a full name come from one half."""
        known = rng.random() < 0.5
        first, last = self._halves[known]
        parts = {"first": [rng.choice(first)], "last": [rng.choice(last)]}.get(kind) or [
            rng.choice(first),
            rng.choice(last),
        ]
        return " ".join(map(str.capitalize, parts)), not known


# --- values ---------------------------------------------------------------------------------------------------------


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _card(rng: random.Random) -> str:
    issuer = rng.choice(ISSUERS)
    prefix = str(rng.randint(int(issuer.low), int(issuer.high)))
    length = rng.choice(issuer.lengths + issuer.rare)
    body = prefix + _digits(rng, length - 1 - len(prefix))
    number = next(body + digit for digit in "0123456789" if is_luhn(body + digit))
    separator = rng.choice(["", "", " ", "-", "."])
    return separator.join(re.findall(".{1,4}", number)) if length == 16 else number


def _iban(rng: random.Random) -> str:
    bban = _digits(rng, 18)
    number = f"DE{98 - int(bban + '131400') % 97:02}{bban}"
    return " ".join(re.findall(".{1,4}", number)) if rng.random() < 0.5 else number


def _phone(rng: random.Random) -> str:
    form = rng.choice(
        (
            "+1 XZZ-XZZ-9999",
            "(XZZ) XZZ-9999",
            "+44 20 7999 9999",
            "+49 30 X999999",
            "0049 89 X999999",
            "015X X999999",
            "6X9 999 999",
            "8 9X9 999-99-99",
            "09X9 999 999",
        )
    )
    drawn = {"X": "23456789", "Z": "23456789", "9": "0123456789"}
    return "".join(rng.choice(drawn.get(sign, sign)) for sign in form)


def _born(rng: random.Random) -> str:
    year, month, day = rng.randint(1935, 2008), rng.randint(1, 12), rng.randint(1, 28)
    name = MONTHS[month - 1]
    return rng.choice(
        [
            f"{year}-{month:02}-{day:02}",
            f"{day:02}/{month:02}/{year}",
            f"{day}.{month}.{year}",
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
        ]
    )


def _address(rng: random.Random) -> str:
    city, postcode, country = rng.choice(CITIES)
    street = rng.choice(STREETS[country])
    code = re.sub("9", lambda _: rng.choice("0123456789"), postcode)
    number = rng.randint(1, 9999 if country == "us" else 180)
    whole = rng.random() < 0.7
    if country in {"us", "uk"}:
        return f"{number} {street}, {city}{', ' if country == 'us' else ' '}{code}" if whole else f"{number} {street}"
    line = f"{number} {street}" if country == "fr" else f"{street} {number}"
    return f"{line}, {code} {city}" if whole else line


def _email(rng: random.Random) -> str:
    word = "".join(rng.choice("abcdefghijklmnoprstuvw") for _ in range(rng.randint(4, 9)))
    more = rng.choice(["", "." + word[:3], str(rng.randint(1, 99))])
    return f"{word}{more}@{word[::-1]}.{rng.choice(['com', 'org', 'de', 'co.uk'])}"


def _address_of_host(rng: random.Random) -> str:
    return ".".join(str(rng.randint(11, 223)) for _ in range(4))


def _ssn(rng: random.Random) -> str:
    return f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"


_VALUES: Final[dict[str, tuple[str, Callable[[random.Random], str]]]] = {
    "card": ("CREDIT_CARD", _card),
    "iban": ("IBAN_CODE", _iban),
    "phone": ("PHONE_NUMBER", _phone),
    "born": ("DATE_OF_BIRTH", _born),
    "address": ("STREET_ADDRESS", _address),
    "email": ("EMAIL_ADDRESS", _email),
    "ip": ("IP_ADDRESS", _address_of_host),
    "ssn": ("US_SSN", _ssn),
}


def generate(count: int, seed: int = 1) -> list[Sample]:
    """``count`` labelled texts; the same seed gives the same texts. One in five holds nothing personal."""
    rng, names = random.Random(seed), _Names(shipped())
    return [_filled(rng.choice(NEGATIVE if rng.random() < 0.2 else TEMPLATES), rng, names) for _ in range(count)]


def dense(characters: int, seed: int = 1) -> str:
    """A text of that many characters full of personal data, each line other values."""
    rng, names = random.Random(seed), _Names(shipped())
    lines: list[str] = []
    left = characters
    while left > 0:
        lines.append(_filled(rng.choice(DENSE), rng, names).text)
        left -= len(lines[-1]) + 1
    return "\n".join(lines)[:characters]


def _filled(template: str, rng: random.Random, names: _Names) -> Sample:
    text, spans, position = "", [], 0
    for slot in _SLOT.finditer(template):
        text += template[position : slot.start()]
        position, unseen = slot.end(), False
        kind = slot.group(1)
        if kind in _VALUES:
            entity, make = _VALUES[kind]
            value = make(rng)
        else:
            entity = "PERSON"
            value, unseen = names.draw(rng, kind.removeprefix("small_"))
            value = value.lower() if kind.startswith("small_") else value
        spans.append(Span(entity, len(text), len(text) + len(value), unseen))
        text += value
    return Sample(text + template[position:], tuple(spans))
