"""Phone numbers, found as ``phonenumbers.PhoneNumberMatcher`` finds them, once for all regions.

presidio runs that matcher over the whole text once for each region, and the matcher gives up in silence after 65,535
tries. Here RE2 finds the runs of characters in which a candidate can stand, the groups of each candidate are walked
once, and only the regions whose numbering plan can hold the digits of a group parse it. Tries are counted and the
deadline is looked at: what does not finish is said.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import phonenumbers
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    Leniency,
    NumberParseException,
    phonenumbermatcher,
    phonenumberutil,
)

from detectors.common import automata
from detectors.common.automata import each, matcher
from detectors.common.budget import Budget
from detectors.pii.claims import Claims, Cover
from detectors.pii.context import raised
from detectors.pii.patterns import Match
from detectors.pii.plans import NumberingPlans
from detectors.pii.projection import View
from detectors.pii.translate import consumed, translate

_CANDIDATE: Final[re.Pattern[str]] = phonenumbermatcher._PATTERN
_SECOND_NUMBER: Final[re.Pattern[str]] = phonenumberutil._SECOND_NUMBER_START_PATTERN
_BRACKETS: Final[re.Pattern[str]] = phonenumbermatcher._MATCHING_BRACKETS
_PUB_PAGES: Final[re.Pattern[str]] = phonenumbermatcher._PUB_PAGES
_LEAD: Final[re.Pattern[str]] = phonenumbermatcher._LEAD_PATTERN
_CORE: Final = re.compile(rf"(?:{_LEAD.pattern}|\d).*[\d#\uff03]", re.DOTALL)
"""From where a candidate can begin to where one can end."""
_FIRST: Final = re.compile(r"[+\uff0b\d]")
_NOT_DIGIT: Final = re.compile(r"\D")
_CODE_DIGITS: Final = 3
_UNLIMITED: Final = 1 << 60
_SUFFIX: Final = 8
_LONGEST: Final = 600
"""Characters of a candidate: 21 groups of digits have at most 526. Only space before an extension makes it longer,
and then the number counts without the extension; the library would take quadratic time to refuse it."""

Span = tuple[int, int]


def _names_country(behind_plus: str) -> bool:
    """Whether the digits behind a plus begin with a country code; else the library reads on without the plus."""
    digits = _NOT_DIGIT.sub("", behind_plus)[:_CODE_DIGITS]
    if digits.startswith("0"):
        return False
    return any(int(digits[:size]) in COUNTRY_CODE_TO_REGION_CODE for size in range(1, len(digits) + 1))


class _Walk(phonenumbers.PhoneNumberMatcher):
    """Walks the groups of a candidate, as the library's matcher does, for many regions at once; lives for one call."""

    def __init__(self, plans: NumberingPlans, leniency: int, budget: Budget) -> None:
        super().__init__("", None, leniency=leniency, max_tries=_UNLIMITED)
        self._plans = plans
        self.budget = budget
        self._waiting: list[str] = []
        self._found: dict[str, Span] = {}
        self._possible = False
        self._visited = False
        self._regions_of: dict[str, frozenset[str]] = {}
        self._impossible: set[str] = set()
        self._read: dict[tuple[str, int, int], dict[str, Span | None]] = {}
        self._international: dict[tuple[str, str, int], bool] = {}

    def read(self, candidate: str, start: int, text: str, regions: Sequence[str]) -> dict[str, Span]:
        """The span of the first number in ``candidate`` for each of ``regions`` that finds one, often for none.

        ``candidate`` stands at ``start`` of ``text``; the spans are those of ``text``.
        """
        if candidate in self._impossible:
            return {}
        low = max(0, start - 1)
        self.text = text[low : start + len(candidate) + _SUFFIX]
        known = self._read.setdefault((self.text, start - low, len(candidate)), {})
        unread = [region for region in regions if region not in known]
        if unread:
            known.update(dict.fromkeys(unread))
            known.update(self._walk(candidate, start - low, unread))
        found = {}
        for region in regions:
            span = known[region]
            if span is not None:
                found[region] = low + span[0], low + span[1]
        return found

    def _walk(self, candidate: str, offset: int, regions: list[str]) -> dict[str, Span]:
        self.budget.check()
        self._waiting = regions
        self._found = {}
        self._possible = self._visited = False
        self._extract_match(candidate, offset)
        if self._visited and not self._possible:
            self._impossible.add(candidate)
        return self._found

    def _parse_and_verify(self, candidate: str, offset: int) -> Any:
        """One group: true ends the walk, once every region has found its number."""
        self._visited = True
        possible = self._regions_of.get(candidate)
        if possible is None:
            self.budget.spend()
            possible = self._regions_of[candidate] = self._plans.of(candidate)
        if not possible:
            return None
        self._possible = True
        asked = [region for region in self._waiting if region in possible]
        if not asked or not self._stands(candidate, offset):
            return None
        for region in self._accepting(candidate, offset, asked):
            self._found[region] = (offset, offset + len(candidate))
            self._waiting.remove(region)
        return None if self._waiting else True

    def _stands(self, candidate: str, offset: int) -> bool:
        """Whether form and neighbours allow a number, whatever the region."""
        if not _BRACKETS.fullmatch(candidate) or _PUB_PAGES.search(candidate):
            return False
        if self.leniency < Leniency.VALID:
            return True
        if offset > 0 and not _LEAD.match(candidate) and self._binds(self.text[offset - 1]):
            return False
        end = offset + len(candidate)
        return end >= len(self.text) or not self._binds(self.text[end])

    def _binds(self, neighbour: str) -> bool:
        return bool(self._is_invalid_punctuation_symbol(neighbour) or self._is_latin_letter(neighbour))

    def _accepting(self, candidate: str, offset: int, regions: list[str]) -> list[str]:
        """Which of ``regions`` accept the group; one with a country code reads alike in all and is parsed once."""
        first = _FIRST.search(candidate)
        if first is None or first.group().isdigit() or not _names_country(candidate[first.end() :]):
            return [region for region in regions if self._accepts(candidate, region)]
        key = self.text, candidate, offset
        if key not in self._international:
            self._international[key] = self._accepts(candidate, regions[0])
        return regions if self._international[key] else []

    def _accepts(self, candidate: str, region: str) -> bool:
        self.budget.spend()
        try:
            number = phonenumbers.parse(candidate, region, keep_raw_input=True)
        except NumberParseException:
            return False
        return bool(phonenumbermatcher._verify(self.leniency, number, candidate, self))


class PhoneFinder:
    """Finds what ``recognizer`` (presidio's ``PhoneRecognizer``) finds. Thread-safe after construction."""

    def __init__(self, recognizer: Any, threshold: float) -> None:
        """``threshold``: the score from which a phone number is reported."""
        self._score: float = recognizer.SCORE
        self._leniency: int = recognizer.leniency
        self._regions: tuple[str, ...] = tuple(recognizer.supported_regions)
        self._plans = NumberingPlans(self._regions, self._leniency)
        between = translate(f"[{phonenumberutil._VALID_PUNCTUATION}]", re.IGNORECASE).source
        more = max(self._plans.fewest_digits - 1, 0)
        self.gate_source = f"[0-9](?:{between}{{0,4}}[0-9]){{{more}}}"
        self._bare = re.compile(rf"\d{{{max(self._plans.fewest_digits, 1)}}}")
        self._bare_score = raised(self._score)
        self._usual_score = self._score if self._score >= threshold else self._bare_score
        characters = consumed(_CANDIDATE.pattern, _CANDIDATE.flags)
        # Backtracking would take quadratic time over the first; the second gives runs without a number as well.
        some = f"[{characters}]+" if automata.DEGRADED else f"[{characters}]*{self.gate_source}[{characters}]*"
        self._runs = matcher(some)

    def find(self, view: View, budget: Budget, claims: Claims) -> Iterator[Match]:
        """Every number that some region accepts; regions may give overlapping spans. Raises ``Unfinished``.

        Numbers of runs that lie wholly in a stronger claim are left out: the claim covers each of their characters.
        Claims are taken as they stand at the start: what is found in one run covers nothing of another.
        """
        bare, usual = claims.above(self._bare_score), claims.above(self._usual_score)
        walk = _Walk(self._plans, self._leniency, budget)
        seen: set[Span] = set()
        for count, run in enumerate(each(self._runs, view.projected, budget)):
            if not count & 31:
                budget.check()
            if self._is_claimed(view.canonical, run.span(), bare, usual):
                continue
            for span in self._read_run(view.canonical, run.span(), walk):
                if span not in seen:
                    seen.add(span)
                    yield Match(*span, self._score, self._score, "phone number")

    def _is_claimed(self, text: str, run: Span, bare: Cover, usual: Cover) -> bool:
        """Whether claims that outscore every number of the run cover all of them: context may raise a bare one."""
        core = _CORE.search(text, *run)
        if core is None:
            return True
        cover = bare if self._bare.search(text, *core.span()) else usual
        return cover.holds(*core.span())

    def _read_run(self, text: str, run: Span, walk: _Walk) -> Iterator[Span]:
        """All regions walk the run together; one that found a number inside a candidate goes on from its own place."""
        waiting = {run[0]: list(self._regions)}
        for count in itertools.count():
            if not waiting:
                return
            if not count & 31:
                walk.budget.check()
            index = min(waiting)
            regions = waiting.pop(index)
            match = _CANDIDATE.search(text, index, run[1])
            if match is None:
                continue
            start = match.start()
            if match.end() - start > _LONGEST:
                match = _CANDIDATE.match(text, start, start + _LONGEST) or match
            candidate = match.group()
            second = _SECOND_NUMBER.search(candidate)
            if second:
                candidate = candidate[: second.start()]
            end = start + len(candidate)
            spans = walk.read(candidate, start, text, regions)
            yield from spans.values()
            if not spans:
                waiting.setdefault(end, []).extend(regions)
                continue
            for region in regions:
                waiting.setdefault(spans[region][1] if region in spans else end, []).append(region)
