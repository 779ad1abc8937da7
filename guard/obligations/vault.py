"""Pseudonyms: what the provider sees instead of a value, and the way back in the answer."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from guard.errors import ObligationFailed
from guard.obligations.spellings import LONGEST, beginning, forms, lowered, words_of
from guard.obligations.standing import Standing, is_json_spelling, json_escaped, spelled_as

_SUFFIX_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters that are not mistaken for one another
_SUFFIX_LENGTH: Final = 6
MAX_VALUES: Final = 20_000
"""A vault lives as long as its exchange or connection: it must not grow with it for ever."""
LONGEST_PLACEHOLDER: Final = LONGEST
"""Characters of the longest form of a placeholder that is restored."""


class VaultState(msgspec.Struct, frozen=True):
    """What a vault keeps: the suffix, and ``(entity, number, value)`` of each placeholder in the order of giving."""

    suffix: str
    values: tuple[tuple[str, int, str], ...]


class Vault:
    """Placeholders ``<EMAIL_ADDRESS_1_x7f2ab>`` and their values, for one exchange, connection or conversation only.

    The suffix is random for each exchange and occurs in none of its texts, so nobody can write a placeholder that
    the vault would restore. Equal values have equal placeholders. A placeholder comes back in any spelling of
    ``guard.obligations.spellings``; its entity, number and suffix have to be exactly those of one that was given.
    """

    def __init__(self, texts: Iterable[str] = (), *, max_values: int = MAX_VALUES) -> None:
        """``texts`` are the texts of the request: the suffix is chosen so that it is in none of them."""
        self._max_values = max_values
        self._texts = texts
        self._suffix = ""
        self._values: dict[tuple[str, str], str] = {}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._entities: tuple[str, ...] = ()
        self._given: list[tuple[str, int, str]] = []

    @classmethod
    def of(cls, state: VaultState, *, max_values: int = MAX_VALUES) -> Self:
        """The vault that kept this."""
        vault = cls(max_values=max_values)
        vault._suffix = state.suffix
        for entity, number, value in state.values:
            vault._keep(entity, number, value)
        return vault

    @property
    def state(self) -> VaultState:
        """What it keeps, for another time."""
        return VaultState(self._suffix, tuple(self._given))

    @property
    def size(self) -> int:
        """How many values it keeps."""
        return len(self._given)

    @property
    def used(self) -> bool:
        """Whether some value was replaced, and has to come back."""
        return bool(self._values)

    def placeholder(self, entity: str, value: str) -> str:
        """The placeholder that stands for this value of this type. Raises ``ObligationFailed`` past ``max_values``."""
        known = self._placeholders.get((entity, value))
        if known:
            return known
        if not self._suffix:
            self._suffix = _unused_suffix(self._texts)
        if len(self._values) >= self._max_values:
            mend = "send less at once, or redact with replace or mask"
            raise ObligationFailed(f"more than {self._max_values} values would have to be kept", mend=mend)
        return self._keep(entity, self._counts.get(words_of(entity), 0) + 1, value)

    def _keep(self, entity: str, number: int, value: str) -> str:
        words = words_of(entity)
        if words not in self._counts:
            self._entities = tuple(sorted({*self._entities, words}, key=lambda name: (-len(name), name)))
        self._counts[words] = number
        placeholder = f"<{entity}_{number}_{self._suffix}>"
        self._placeholders[entity, value] = placeholder
        self._values[words, str(number)] = value
        self._given.append((entity, number, value))
        return placeholder

    def spans(
        self, text: str, *, standing: Standing | None = None, origin: int = 0, markup: bool = False
    ) -> list[tuple[int, int, str]]:
        r"""``(start, end, new text)`` of each placeholder of this vault in a text, sorted; all else stays as it is.

        Mangled forms are found, too. The new text is the value, spelled as the brackets were: with character
        references for ``&lt;…&gt;``, percent-encoded for ``%3C…%3E``, escaped as in a JSON string for ``\u003c…``; and
        escaped, too, where the placeholder stands in a string of a JSON document that the text begins with, or that is
        fenced in it. ``markup``: whoever writes the text escapes it for HTML himself.

        For a stream: ``text`` is what is held back with at least ``LONGEST_PLACEHOLDER`` characters of what came before
        it, as the provider spelled it, and ``standing`` was fed all that came before ``text[origin]``. A span whose end
        lies in the last ``could_begin(text)`` characters is not settled, all others are final.
        """
        if not self._values or (self._suffix not in text and self._suffix not in lowered(text)):
            return []
        found = []
        for form in forms(text, self._suffix, self._entities):
            value = self._values.get((form.entity, form.number))
            if value is not None:
                found.append((form.start, form.end, spelled_as(value, form.spelling, markup=markup)))
        return _within_json(found, text, standing or Standing(), origin)

    def could_begin(self, tail: str) -> int:
        """How many characters at the end of ``tail`` may be the beginning of a placeholder or of a mangled form of one,
        or one that the next characters may still change (a closing bracket, a letter that makes it another word).

        ``0 <= n <= min(len(tail), LONGEST_PLACEHOLDER)``; 0 where nothing is kept. Hold so many characters back until
        the next piece, or until the text ends; then ``spans`` of the whole is what ``spans`` of the pieces was. Give
        the text with ``LONGEST_PLACEHOLDER`` characters or more before what is new: less is only slower to let go.
        """
        if not self._values:
            return 0
        return beginning(tail, self._suffix, self._entities)


def _within_json(
    found: list[tuple[int, int, str]], text: str, standing: Standing, origin: int
) -> list[tuple[int, int, str]]:
    """The same, escaped where a string of JSON holds them."""
    if all(json_escaped(new) == new for _, _, new in found):
        return found
    inside = standing.inside(text[origin:], [max(start - origin, 0) for start, _, _ in found])
    # What was spelled with an escape of JSON is escaped as it says.
    return [
        (start, end, json_escaped(new) if within and not is_json_spelling(text[start:end]) else new)
        for (start, end, new), within in zip(found, inside, strict=True)
    ]


def _unused_suffix(texts: Iterable[str]) -> str:
    everything = lowered("\n".join(texts))
    while True:
        number = secrets.randbits(5 * _SUFFIX_LENGTH)
        suffix = "".join(_SUFFIX_ALPHABET[number >> 5 * i & 31] for i in range(_SUFFIX_LENGTH))
        if suffix not in everything:
            return suffix
