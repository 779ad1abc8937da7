"""Phone numbers, found as ``phonenumbers.PhoneNumberMatcher`` finds them, once for all regions.

presidio runs that matcher over the whole text once for each region, and the matcher gives up in silence after 65,535
tries. Here RE2 finds the runs of characters in which a candidate can stand, each candidate is searched once, and only
the regions whose numbering plan can hold its digits parse it. Tries are counted and the deadline is looked at: what
does not finish is said.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import phonenumbers
import re2
from phonenumbers import PhoneMetadata, phonenumbermatcher, phonenumberutil

from detectors.common.budget import Budget
from detectors.common.gate import matcher
from detectors.pii.patterns import Match
from detectors.pii.projection import View
from detectors.pii.translate import consumed, translate

_CANDIDATE: Final[re.Pattern[str]] = phonenumbermatcher._PATTERN
_SECOND_NUMBER: Final[re.Pattern[str]] = phonenumberutil._SECOND_NUMBER_START_PATTERN
_NOT_PLAIN: Final = re.compile(r"[^\W\d_]|[+\uff0b#\uff03~\uff5e;,=*]")
_FIRST: Final = re.compile(r"[+\uff0b\d]")
_NOT_DIGIT: Final = re.compile(r"\D")
_UNLIMITED: Final = 1 << 60
_SUFFIX: Final = 8
_LONGEST: Final = 600
"""Characters of a candidate: 21 groups of digits have at most 526. Only space before an extension makes it longer,
and then the number counts without the extension; the library would take quadratic time to refuse it."""


class NumberingPlans:
    """Which regions can read a string of digits as a valid number: an over-approximation of ``phonenumbers.parse``.

    Built from the library's metadata: international prefix and anything, or country code, national prefix and a number
    of one of the regions that share the country code.
    """

    def __init__(self, regions: tuple[str, ...]) -> None:
        self.all: Final = frozenset(regions)
        self._regions = regions
        options = re2.Options()
        options.log_errors = False
        self._set = re2.Set.FullMatchSet(options)
        lengths = []
        for region in regions:
            source, shortest = self._plan(region)
            self._set.Add(source)
            lengths.append(shortest)
        self._set.Add("[0-9]*")
        self._set.Compile()
        self.fewest_digits = min(lengths)

    @staticmethod
    def _plan(region: str) -> tuple[str, int]:
        metadata: Any = PhoneMetadata.metadata_for_region(region, None)
        shared: list[Any] = [
            _general(other) for other in phonenumbers.region_codes_for_country_code(metadata.country_code)
        ]
        national = "|".join(desc.national_number_pattern for desc in shared)
        prefix = metadata.national_prefix_for_parsing or ""
        abroad = f"(?:{metadata.international_prefix})[0-9]*|" if metadata.international_prefix else ""
        source = f"{abroad}(?:{metadata.country_code})?(?:{prefix})?(?:{national})?"
        rule = metadata.national_prefix_transform_rule
        if rule is not None and not re.fullmatch(r"\\\d", rule):
            source = "[0-9]*"
        return source, min(min(desc.possible_length) for desc in shared)

    def of(self, candidate: str) -> frozenset[str]:
        """The regions for which ``candidate`` may be a valid number."""
        digits = _NOT_DIGIT.sub("", candidate)
        if len(digits) < self.fewest_digits:
            return frozenset()
        if _NOT_PLAIN.search(candidate):
            return self.all
        hits = self._set.Match(digits)
        if len(self._regions) not in hits:
            return self.all
        return frozenset(self._regions[hit] for hit in hits if hit < len(self._regions))


def _general(region: str) -> Any:
    metadata: Any = PhoneMetadata.metadata_for_region(region, None)
    return metadata.general_desc


class _Probe(phonenumbers.PhoneNumberMatcher):
    """Walks the groups of a candidate and asks only which regions may hold one of them."""

    def __init__(self, plans: NumberingPlans, budget: Budget) -> None:
        super().__init__("", None, max_tries=_UNLIMITED)
        self._plans = plans
        self._budget = budget
        self.regions: frozenset[str] = frozenset()

    def _parse_and_verify(self, candidate: str, offset: int) -> Any:  # noqa: ARG002 - the library's signature
        self._budget.spend()
        self.regions |= self._plans.of(candidate)
        return True if self.regions == self._plans.all else None

    def possible(self, candidate: str) -> frozenset[str]:
        self.regions = frozenset()
        self._extract_match(candidate, 0)
        return self.regions


class _Reader(phonenumbers.PhoneNumberMatcher):
    """The library's matcher for one region, given one candidate at a time; lives for one call.

    ``international`` is shared between the regions: a number with a plus reads alike in all of them.
    """

    def __init__(
        self,
        region: str,
        leniency: int,
        plans: NumberingPlans,
        budget: Budget,
        international: dict[tuple[str, str, int], Any],
    ) -> None:
        super().__init__("", region, leniency=leniency, max_tries=_UNLIMITED)
        self._plans = plans
        self._budget = budget
        self._international = international
        self._read: dict[tuple[str, int, int], tuple[int, int] | None] = {}

    def _parse_and_verify(self, candidate: str, offset: int) -> Any:
        if self.preferred_region not in self._plans.of(candidate):
            return None
        first = _FIRST.search(candidate)
        if first is None or first.group().isdigit():
            self._budget.spend()
            return super()._parse_and_verify(candidate, offset)
        key = self.text, candidate, offset
        if key not in self._international:
            self._budget.spend()
            self._international[key] = super()._parse_and_verify(candidate, offset)
        return self._international[key]

    def read(self, candidate: str, start: int, text: str) -> tuple[int, int] | None:
        """The span of the first number in ``candidate``, which stands at ``start`` of ``text``."""
        low = max(0, start - 1)
        self.text = text[low : start + len(candidate) + _SUFFIX]
        key = self.text, start - low, len(candidate)
        if key not in self._read:
            found = self._extract_match(candidate, start - low)
            self._read[key] = None if found is None else (found.start, found.end)
        span = self._read[key]
        return None if span is None else (low + span[0], low + span[1])


class PhoneFinder:
    """Finds what ``recognizer`` (presidio's ``PhoneRecognizer``) finds. Thread-safe after construction."""

    def __init__(self, recognizer: Any) -> None:
        self._score: float = recognizer.SCORE
        self._leniency: int = recognizer.leniency
        self._regions: tuple[str, ...] = tuple(recognizer.supported_regions)
        self._plans = NumberingPlans(self._regions)
        between = translate(f"[{phonenumberutil._VALID_PUNCTUATION}]", re.IGNORECASE).source
        more = max(self._plans.fewest_digits - 1, 0)
        self.gate_source = f"[0-9](?:{between}{{0,4}}[0-9]){{{more}}}"
        characters = consumed(_CANDIDATE.pattern, _CANDIDATE.flags)
        self._runs = matcher(f"[{characters}]*{self.gate_source}[{characters}]*")

    def find(self, view: View, budget: Budget) -> Iterator[Match]:
        """Every number that some region accepts; regions may give overlapping spans. Raises ``Unfinished``."""
        shared: dict[tuple[str, str, int], Any] = {}

        @functools.cache
        def reader(region: str) -> _Reader:
            return _Reader(region, self._leniency, self._plans, budget, shared)

        probe = _Probe(self._plans, budget)
        possible: dict[str, frozenset[str]] = {}
        seen: set[tuple[int, int]] = set()
        for run in self._runs.finditer(view.projected):
            for span in self._read_run(view.canonical, run.span(), reader, probe, possible):
                if span not in seen:
                    seen.add(span)
                    yield Match(*span, self._score, self._score, "phone number")

    def _read_run(
        self,
        text: str,
        run: tuple[int, int],
        readers: Callable[[str], _Reader],
        probe: _Probe,
        possible: dict[str, frozenset[str]],
    ) -> Iterator[tuple[int, int]]:
        """All regions walk the run together; one that found a number inside a candidate goes on from its own place."""
        waiting = {run[0]: list(self._regions)}
        while waiting:
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
            if candidate not in possible:
                possible[candidate] = probe.possible(candidate)
            end = start + len(candidate)
            can = possible[candidate]
            waiting.setdefault(end, []).extend(region for region in regions if region not in can)
            for region in [region for region in regions if region in can]:
                span = readers(region).read(candidate, start, text)
                if span is not None:
                    yield span
                waiting.setdefault(end if span is None else span[1], []).append(region)
            if not waiting[end]:
                del waiting[end]
