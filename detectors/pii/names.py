"""Names of persons by explainable rules: cue words, titles, and lists of first names and surnames.

No model. What stands for a name gets a score by what speaks for it (``TIERS``), which the finding's evidence names, so
that a policy can choose how sure it wants to be. Names without a cue that stand on no list are not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from detectors.common.automata import each, matcher
from detectors.common.budget import Budget
from detectors.common.gate import Gate
from detectors.common.resolve import Candidate
from detectors.pii.cues import CUES, ENDS, KEYS, TITLES, source_of
from detectors.pii.gazetteer import Gazetteer, plain
from detectors.pii.projection import View, project

ENTITY: Final = "PERSON"
TIERS: Final = {
    "title + surname": 0.85,
    "title + capitalised word": 0.7,
    "first name + surname": 0.85,
    "two first names": 0.75,
    "first name + surname that is a word": 0.6,
    "first name that is a word + surname": 0.6,
    "first name + capitalised word": 0.55,
    "cue + name": 0.85,
    "cue + capitalised word": 0.65,
    "greeting + first name": 0.6,
    "key": 0.85,
    "capitalised word + surname": 0.4,
    "first name": 0.35,
}
"""What speaks for a name, and the score that it gives."""

_CAPITAL: Final = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\u017f\u0370-\u03ff\u0400-\u042f\u1e00-\u1eff"
_WORD: Final = rf"[{_CAPITAL}][^\W\d_]*+(?:['\u2019-][^\W\d_]++){{0,3}}+(?!\w)"
# The look-behind stands behind the capital: the search then skips to capitals at the speed of C.
_FIRST_WORD: Final = _WORD.replace("]", rf"](?<![\w@#$/\\.-][{_CAPITAL}])", 1)
_PARTICLE: Final = (
    "van|von|de|der|den|del|della|di|da|dos|das|du|la|le|bin|ibn|al|el|ter|ten|zu|zur|"
    "van der|van den|van de|de la|von der"
)
_PART: Final = rf"[{_CAPITAL}](?:(?![{_CAPITAL}])[^\W\d_]|[\u0100-\u017f])+"
# A full stop stands behind an initial, else it ends a sentence.
_MORE: Final = rf"(?:(?:\.(?<!\w\w\.))?[ ](?:(?:{_PARTICLE})[ ])?{_WORD})"
_RUN: Final = re.compile(rf"{_FIRST_WORD}{_MORE}{{0,4}}")
_PAIRED: Final = re.compile(rf"{_FIRST_WORD}{_MORE}{{1,4}}")
_SMALL: Final = re.compile(r"[^\W\d_]{2,20}(?:['\u2019-][^\W\d_]{2,20})?(?:[ ][^\W\d_]{2,20})?")
_VALUE: Final = re.compile(r"\s*([^\W\d_][^\W\d_'\u2019.-]{0,30}(?:[ ][^\W\d_][^\W\d_'\u2019.-]{0,30}){0,4})\s*")
_AS_NAMES: Final = re.compile(rf"(?:(?:Mc|Mac|Van|De|[DLO]['\u2019])?{_PART}(?:-{_PART})*|[{_CAPITAL}])")
_POSSESSIVE: Final = ("'s", "\u2019s")
_LONGEST: Final = 4

# On projected text a letter outside ASCII is an underscore.
_CAPITALISED: Final = r"[A-Z_][A-Za-z_'\-]*"
_PAIR: Final = rf"{_CAPITALISED}\.?[ \f](?:(?:{_PARTICLE})[ \f])?[A-Z_]"
_ALONE: Final = r"[A-Z_][A-Za-z_'\-]{2}"

Token = tuple[int, int, str]
"""Start, end and plain form of a capitalised word, as offsets of the text."""


def _gate_of(cue: str) -> str:
    """Where the cue has a name behind it: but for the cues of ``ENDS["small"]``, one begins with a capital."""
    return source_of(cue) if cue in ENDS["small"] else f"{source_of(cue)}[A-Z_]"


def _tokens(run: str, offset: int) -> list[Token]:
    """The capitalised words of a run that begins at ``offset``; particles are left out."""
    found = []
    for written in run.split(" "):
        word = written.rstrip(".")
        if word.endswith(_POSSESSIVE):
            word = word[:-2]
        if not word[0].islower():
            found.append((offset, offset + len(word), plain(word)))
        offset += len(written) + 1
    return found


class Names:
    """Finds names of persons. Thread-safe; keeps no text."""

    entities = frozenset({ENTITY})
    key_gate_source = KEYS

    def __init__(self, gazetteer: Gazetteer, *, strict: bool) -> None:
        """``strict``: single first names and surnames after an unknown word as well."""
        self._first, self._last, self._ordinary = gazetteer.first, gazetteer.last, gazetteer.ordinary
        self._phrases = gazetteer.phrase
        self._strict = strict
        self._runs = _RUN if strict else _PAIRED
        gates = [_gate_of(TITLES), *map(_gate_of, CUES)]
        self.gate_source = "|".join([_PAIR, *([_ALONE] if strict else []), *gates])
        self._places = [matcher(source_of(TITLES)), *(matcher(source_of(cue)) for cue in CUES)]
        self._which = Gate(gates)
        self._keys = re.compile(KEYS)

    def find(self, view: View, key: Sequence[str], budget: Budget) -> Iterator[Candidate]:
        """Names by key, title, cue and list, which may overlap. Linear."""
        text = view.canonical
        if key and (named := self._by_key(text, key)) is not None:
            yield named
        for at in sorted(self._which.open(view.projected, budget.check)):
            for match in each(self._places[at], view.projected, budget):
                budget.check()
                yield from (
                    self._after_cue(text, match.end(), CUES[at - 1]) if at else self._after_title(text, match.end())
                )
        for count, run in enumerate(self._runs.finditer(text)):
            if not count & 63:
                budget.check()
            tokens = _tokens(run.group(), run.start())
            if self._strict or any(word in self._first or "-" in word for _, _, word in tokens):
                yield from self._in_run(tokens)

    # --- what words are ---------------------------------------------------------------------------------------------

    def _is_first(self, word: str) -> bool:
        if word in self._first:
            return word not in self._ordinary and len(word) > 2
        return "-" in word and all(part in self._first for part in word.split("-"))

    def _is_last(self, word: str) -> bool:
        if word in self._last:
            return word not in self._ordinary
        return "-" in word and all(part in self._last for part in word.split("-"))

    def _is_name(self, word: str) -> bool:
        return self._is_first(word) or self._is_last(word)

    def _is_plain_word(self, word: str) -> bool:
        """Whether a word stands in ordinary text and on no list of names."""
        return word in self._ordinary and word not in self._first and word not in self._last

    # --- lists ------------------------------------------------------------------------------------------------------

    def _in_run(self, tokens: list[Token]) -> Iterator[Candidate]:
        index = 0
        while index < len(tokens):
            found = self._from(tokens, index)
            if found is None:
                index += 1
                continue
            after, tier = found
            yield self._candidate(tokens, index, after, tier)
            index = after

    def _from(self, tokens: list[Token], index: int) -> tuple[int, str] | None:
        """The name that begins with the token: the index behind it, and its tier."""
        word = tokens[index][2]
        known, named = self._is_first(word), word in self._first
        after = index + 1
        while after < len(tokens) and len(tokens[after][2]) == 1:
            after += 1
        if after < len(tokens) and len(word) > 1:
            second = tokens[after][2]
            if f"{word}_{second}" in self._phrases:
                return None
            tier = self._pair(known, named, word, second)
            if tier is not None:
                after += 1
                while after < len(tokens) and after - index < _LONGEST and self._continues(tokens[after][2]):
                    after += 1
                return after, tier
        return (index + 1, "first name") if self._strict and known and len(word) > 3 else None

    def _continues(self, word: str) -> bool:
        return len(word) == 1 or self._is_name(word)

    def _pair(self, known: bool, named: bool, word: str, second: str) -> str | None:
        """The tier of a word and the capitalised word after it."""
        surname = self._is_last(second)
        if known:
            if surname:
                return "first name + surname"
            if second in self._last:
                return "first name + surname that is a word"
            if self._is_first(second):
                return "two first names"
            return None if second in self._ordinary else "first name + capitalised word"
        if named and surname:
            return "first name that is a word + surname"
        if self._strict and surname and word not in self._ordinary:
            return "capitalised word + surname"
        return None

    # --- cues -------------------------------------------------------------------------------------------------------

    def _after_title(self, text: str, position: int) -> Iterator[Candidate]:
        run = _RUN.match(text, position)
        if run is None:
            return
        tokens = _tokens(run.group(), run.start())
        after = self._extent(tokens)
        if after:
            known = any(word in self._last or word in self._first for _, _, word in tokens[:after])
            yield self._candidate(tokens, 0, after, "title + surname" if known else "title + capitalised word")

    def _after_cue(self, text: str, position: int, cue: str) -> Iterator[Candidate]:
        run = _RUN.match(text, position)
        if run is None:
            if cue in ENDS["small"]:
                yield from self._small(text, position)
            return
        tokens = _tokens(run.group(), run.start())
        if cue in ENDS["greeting"]:
            if self._is_first(tokens[0][2]):
                after = self._extent(tokens)
                yield self._candidate(tokens, 0, after, "greeting + first name")
            return
        after = self._extent(tokens)
        if not after:
            return
        if any(self._is_name(word) for _, _, word in tokens[:after]):
            yield self._candidate(tokens, 0, after, "cue + name")
        elif self._is_unknown_name(text, tokens, after, cue):
            yield self._candidate(tokens, 0, after, "cue + capitalised word")

    @staticmethod
    def _is_unknown_name(text: str, tokens: list[Token], after: int, cue: str) -> bool:
        """Whether words of no list are written as names are, and stand as one: "Acme Corporation" does not."""
        alone = after == len(tokens) and (after > 1 or cue not in ENDS["pair"]) and len(tokens[after - 1][2]) > 1
        return alone and all(_AS_NAMES.fullmatch(text, start, end) for start, end, _ in tokens[:after])

    def _extent(self, tokens: list[Token]) -> int:
        """How many tokens, from the first on, can be one name: none if the first is an ordinary word."""
        after = 0
        while after < len(tokens) and after < _LONGEST and not self._is_plain_word(tokens[after][2]):
            after += 1
        if after == 1 and tokens[0][2] in self._ordinary and tokens[0][2] not in self._first:
            return 0
        return after

    def _small(self, text: str, position: int) -> Iterator[Candidate]:
        """A name without capitals: its first word must be a first name."""
        match = _SMALL.match(text, position)
        if match is None:
            return
        first, _, second = match.group().partition(" ")
        if self._is_first(plain(first)):
            whole = bool(second) and self._is_name(plain(second))
            end = match.end() if whole else match.start() + len(first)
            yield Candidate(ENTITY, match.start(), end, TIERS["cue + name"], "cue + name")

    # --- keys -------------------------------------------------------------------------------------------------------

    def _by_key(self, text: str, key: Sequence[str]) -> Candidate | None:
        """The whole value of a key that says "name of a person", if it looks like one."""
        if self._keys.fullmatch(project(" ".join(key)).decode()) is None:
            return None
        value = _VALUE.fullmatch(text)
        if value is None:
            return None
        words = [plain(word.strip(".")) for word in value.group(1).split(" ")]
        if all(self._is_plain_word(word) for word in words) or any(
            word in {"the", "of", "a", "your"} for word in words
        ):
            return None
        return Candidate(ENTITY, *value.span(1), TIERS["key"], "key")

    @staticmethod
    def _candidate(tokens: list[Token], first: int, after: int, tier: str) -> Candidate:
        return Candidate(ENTITY, tokens[first][0], tokens[after - 1][1], TIERS[tier], tier)
