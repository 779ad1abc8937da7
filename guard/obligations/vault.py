"""Pseudonyms of one exchange: what the provider sees instead of a value, and the way back in the answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

from guard.errors import ObligationFailed

_SUFFIX_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters that are not mistaken for one another
_SUFFIX_LENGTH: Final = 6
MAX_VALUES: Final = 20_000
"""A vault lives as long as its exchange or connection: it must not grow with it for ever."""
_PLACEHOLDER: Final = re.compile(r"<[A-Z][A-Z0-9_]*_[0-9]+_[a-z2-9]{6}>")


class Vault:
    """Placeholders ``<EMAIL_ADDRESS_1_x7f2ab>`` and their values, for one exchange only.

    The suffix is random for each exchange and occurs in none of its texts, so nobody can write a placeholder that
    the vault would restore. Equal values have equal placeholders.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """``texts`` are the texts of the request: the suffix is chosen so that it is in none of them."""
        self._texts = texts
        self._suffix = ""
        self._values: dict[str, str] = {}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    @property
    def used(self) -> bool:
        """Whether some value was replaced, and has to come back."""
        return bool(self._values)

    def placeholder(self, entity: str, value: str) -> str:
        """The placeholder that stands for this value of this type. Raises ``ObligationFailed`` past ``MAX_VALUES``."""
        known = self._placeholders.get((entity, value))
        if known:
            return known
        if not self._suffix:
            self._suffix = _unused_suffix(self._texts)
        if len(self._values) >= MAX_VALUES:
            mend = "send less at once, or redact with replace or mask"
            raise ObligationFailed(f"more than {MAX_VALUES} values would have to be kept", mend=mend)
        number = self._counts.get(entity, 0) + 1
        self._counts[entity] = number
        placeholder = f"<{entity}_{number}_{self._suffix}>"
        self._placeholders[entity, value] = placeholder
        self._values[placeholder] = value
        return placeholder

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """``(start, end, value)`` of each placeholder of this vault in a text; anything else stays as it is."""
        if not self._values or self._suffix not in text:
            return []
        return [
            (match.start(), match.end(), self._values[match[0]])
            for match in _PLACEHOLDER.finditer(text)
            if match[0] in self._values
        ]


def _unused_suffix(texts: Iterable[str]) -> str:
    everything = "\n".join(texts)
    while True:
        number = secrets.randbits(5 * _SUFFIX_LENGTH)
        suffix = "".join(_SUFFIX_ALPHABET[number >> 5 * i & 31] for i in range(_SUFFIX_LENGTH))
        if suffix not in everything:
            return suffix
