"""Payment card numbers by issuer range, length and check digit.

presidio knows cards of 14 to 16 digits that begin with 1, 3, 4, 5 (50 to 55) or 6, apart by spaces or hyphens. Here
are the other ranges and lengths, and digits apart by dots, underscores or line ends. Sources: ISO/IEC 7812-1 (number
and check digit), the issuers' public ranges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from detectors.common.automata import each, matcher
from detectors.common.budget import Budget
from detectors.common.resolve import Candidate
from detectors.pii.projection import View

ENTITY: Final = "CREDIT_CARD"
SURE: Final = 1.0
LIKELY: Final = 0.6
"""Bare digits of a length or range that other numbers have as well: one in ten passes the check digit."""


class Issuer(msgspec.Struct, frozen=True):
    """A range of leading digits, ``low`` to ``high`` (of equal length), and the numbers of digits of its cards.

    ``rare`` lengths are valid, and seldom seen.
    """

    name: str
    low: str
    high: str
    lengths: tuple[int, ...]
    rare: tuple[int, ...] = ()

    def holds(self, digits: str) -> bool:
        """Whether ``digits`` begin in the range."""
        return self.low <= digits[: len(self.low)] <= self.high


ISSUERS: Final = (
    Issuer("American Express", "34", "34", (15,)),
    Issuer("American Express", "37", "37", (15,)),
    Issuer("Diners Club", "300", "305", (14,), (16,)),
    Issuer("Diners Club", "3095", "3095", (14,), (16,)),
    Issuer("Diners Club", "36", "36", (14,), (16, 19)),
    Issuer("Diners Club", "38", "39", (14,), (16, 19)),
    Issuer("JCB", "3528", "3589", (16,), (17, 18, 19)),
    Issuer("Visa", "4", "4", (16,), (13, 19)),
    Issuer("Mastercard", "2221", "2720", (16,)),
    Issuer("Mastercard", "51", "55", (16,)),
    Issuer("Mir", "2200", "2204", (16,), (19,)),
    Issuer("Discover", "6011", "6011", (16,), (19,)),
    Issuer("Discover", "644", "659", (16,), (19,)),
    Issuer("UnionPay", "62", "62", (16,), (17, 18, 19)),
    Issuer("RuPay", "508", "508", (16,)),
    Issuer("RuPay", "81", "82", (16,)),
    Issuer("Troy", "9792", "9792", (16,)),
    Issuer("Verve", "506099", "506198", (16,), (18, 19)),
    Issuer("Dankort", "5019", "5019", (16,)),
    Issuer("Hipercard", "606282", "606282", (16,)),
    *(
        Issuer("Maestro", prefix, prefix, (16,), (13, 14, 15, 17, 18, 19))
        for prefix in ("5018", "5020", "5038", "5893", "6304", "6759", "6761", "6762", "6763")
    ),
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
# Groups as cards are printed, one kind of separator throughout.
_GROUPS: Final = ("4:4:4:4:3", "4:4:4:4", "4:4:4:2", "4:4:4:1", "4:6:5", "4:6:4", "6:13", "8:8")
_SEPARATORS: Final = (r"[ \f]", "-", r"\.", "_", r"\r?\n", r" ?[-._/] ?")


def is_luhn(digits: str) -> bool:
    """Whether the last of ``digits`` (ASCII) is the check digit of the others: Luhn, ISO/IEC 7812-1 annex B."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = ord(digit) - 48
        total += _DOUBLED[value] if index & 1 else value
    return total % 10 == 0


def issuer_of(digits: str) -> tuple[str, bool] | None:
    """The issuer whose range and lengths ``digits`` fit, and whether that length is a usual one."""
    for issuer in ISSUERS:
        if issuer.holds(digits):
            if len(digits) in issuer.lengths:
                return issuer.name, True
            if len(digits) in issuer.rare:
                return issuer.name, False
    return None


def _grouped(separator: str) -> str:
    return "|".join(separator.join(f"[0-9]{{{size}}}" for size in groups.split(":")) for groups in _GROUPS)


class Cards:
    """Card numbers that an issuer's range and the check digit confirm. Thread-safe."""

    entities = frozenset({ENTITY})
    key_gate_source = ""

    def __init__(self) -> None:
        forms = "|".join(_grouped(separator) for separator in _SEPARATORS)
        self.gate_source = r"[2-689][0-9]{3}(?:[0-9]{9,15}|[0-9]{0,4}(?:\r?\n|[ \f_.\-/]{1,3})[0-9]{4})"
        self._places = matcher(rf"(?:^|[^0-9])([0-9]{{13,19}}|{forms})")

    def find(self, view: View, key: Sequence[str], budget: Budget) -> Iterator[Candidate]:  # noqa: ARG002 - Rule's
        """Cards, left to right. Linear."""
        data = view.projected
        for match in each(self._places, data, budget):
            budget.check()
            start, end = match.span(1)
            found = None if data[end : end + 1].isdigit() else self._judge(data[start:end])
            if found is not None:
                yield Candidate(ENTITY, start, end, *found)

    @staticmethod
    def _judge(written: bytes) -> tuple[float, str] | None:
        bare = written.isdigit()
        digits = written.decode() if bare else "".join(chr(byte) for byte in written if 48 <= byte <= 57)
        issuer = issuer_of(digits)
        if issuer is None or not is_luhn(digits) or len(set(digits)) < 2:
            return None
        name, usual = issuer
        return SURE if usual or not bare else LIKELY, f"{name} range, check digit"
