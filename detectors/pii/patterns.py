"""Presidio's pattern recognizers, driven by our own loop.

presidio lets ``regex`` run for 60 seconds and then skips the pattern with a log line: the entity is lost. Here RE2
finds the places (in time linear in the text), the recognizer's own expression decides at those places only, and its own
``validate_result`` and ``invalidate_result`` judge. What does not finish in time is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import regex  # type: ignore[import-untyped]
from presidio_analyzer.predefined_recognizers import IbanRecognizer

from detectors.common import automata
from detectors.common.automata import Refused, each, matcher
from detectors.common.budget import Budget, Unfinished
from detectors.pii.claims import Claims
from detectors.pii.projection import View, canonical
from detectors.pii.translate import Untranslatable, translate

EVERYTHING: Final = ""
"""The gate source of a pattern that RE2 cannot hold: it always may match."""


_RETRIED: Final = frozenset({"CREDIT_CARD", "IBAN_CODE"})
"""Entities with a strong checksum whose pattern a neighbour can shift: "1234 4111 1111 1111 1111" hides a card."""


class Match(msgspec.Struct, frozen=True, gc=False):
    """A span that a recognizer accepts, with presidio's score for it.

    ``base`` is the pattern's own score. ``shifted``: presidio misses it, since its pattern took a neighbour along, and
    the whole failed the checksum. ``entity`` names the type where a recognizer finds several.
    """

    start: int
    end: int
    score: float
    base: float
    pattern: str
    shifted: bool = False
    entity: str = ""


def _source(expression: str, flags: int) -> str:
    """The expression in the canonical reading of texts, as far as it is one: a range may lose its order."""
    try:
        regex.compile(canonical(expression), flags)
    except regex.error:
        return expression
    return canonical(expression)


class PatternMatcher:
    """One pattern of one recognizer.

    Three ways, by what RE2 can say: it finds the spans itself (``exact``); it finds where the original can begin, and
    the original is tried there; it cannot hold the pattern at all, and the original runs alone.
    """

    def __init__(self, recognizer: Any, pattern: Any) -> None:
        self.recognizer = recognizer
        self.pattern: Final = pattern
        self.name: Final[str] = pattern.name
        self._base: float = pattern.score
        source = _source(pattern.regex, recognizer.global_regex_flags)
        self._original = regex.compile(source, recognizer.global_regex_flags)
        self._by_group = isinstance(recognizer, IbanRecognizer)
        self._retried = recognizer.supported_entities[0] in _RETRIED
        self._re2: Any | None = None
        self.gate_source = EVERYTHING
        self.exact = False
        try:
            translated = translate(source, recognizer.global_regex_flags)
            compiled = matcher(translated.source)
            # Without google-re2 the original alone takes less time than a wider pattern and the original.
            self._re2 = None if automata.DEGRADED else compiled
            self.gate_source = translated.source
            self.exact = translated.exact and not self._by_group
        except (Untranslatable, Refused):
            self._re2 = None

    @property
    def expression(self) -> str:
        """The pattern, as the recognizer gives it."""
        return str(self._original.pattern)

    def find(self, view: View, budget: Budget, claims: Claims) -> Iterator[Match]:  # noqa: ARG002 - Matcher's
        """All matches that the recognizer accepts, left to right; only shifted ones may overlap others.

        Raises ``Unfinished``.
        """
        if self._re2 is None:
            spans = self._alone(view.canonical, budget)
        elif self.exact:
            spans = ([match.span()] for match in each(self._re2, view.projected, budget))
        else:
            spans = self._tried_spans(self._re2, view, budget)
        for count, ends in enumerate(spans):
            if not count & 31:
                budget.check()
            found = self._judge(view.canonical, ends)
            if found is not None:
                yield found
            elif self._retried:
                yield from self._shifted(view.canonical, ends[0], budget)

    def _shifted(self, text: str, span: tuple[int, int], budget: Budget) -> Iterator[Match]:
        """What the pattern matches from later places within a span that failed its checksum."""
        position = span[0] + 1
        while position < span[1]:
            match = self._try(text, position, budget)
            found = self._judge(text, self._spans(match)) if match is not None else None
            if found is not None:
                yield msgspec.structs.replace(found, shifted=True)
            position = position + 1 if found is None else found.end

    def _try(self, text: str, position: int, budget: Budget) -> Any | None:
        """The original pattern at one place, within the time that is left."""
        try:
            return self._original.match(text, position, timeout=budget.remaining_s())
        except TimeoutError:
            raise Unfinished("deadline") from None

    def _tried_spans(self, places: Any, view: View, budget: Budget) -> Iterator[list[tuple[int, int]]]:
        position = 0
        for place in each(places, view.projected, budget):
            start, end = place.span()
            budget.check()
            position = max(position, start)
            while position < end:
                match = self._try(view.canonical, position, budget)
                if match is None or match.end() == position:
                    position += 1
                    continue
                position = match.end()
                yield self._spans(match)

    def _alone(self, text: str, budget: Budget) -> Iterator[list[tuple[int, int]]]:
        try:
            # Concurrent: what takes long does not hold the interpreter's lock meanwhile.
            for match in self._original.finditer(text, timeout=budget.remaining_s(), concurrent=True):
                yield self._spans(match)
        except TimeoutError:
            raise Unfinished("deadline") from None

    def _spans(self, match: Any) -> list[tuple[int, int]]:
        """The spans to judge, in order: the match, or for IBANs the ends of its groups, longest first."""
        if not self._by_group:
            return [match.span()]
        start = match.start()
        ends = [match.end(group) for group in range(match.re.groups, 0, -1)]
        return [(start, end if end > 0 else match.end()) for end in ends]

    def _judge(self, text: str, spans: list[tuple[int, int]]) -> Match | None:
        for start, end in spans:
            value = text[start:end]
            if not value:
                continue
            score = self._base
            valid = self.recognizer.validate_result(value)
            if valid is not None:
                score = 1.0 if valid else 0.0
            if not self._by_group and self.recognizer.invalidate_result(value):
                score = 0.0
            if score > 0.0:
                return Match(start, end, score, self._base, self.name)
        return None
