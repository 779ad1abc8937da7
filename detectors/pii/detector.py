"""``PiiDetector``: personal data by form, checksum and context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from detectors.common.budget import Budget, Unfinished, one_call
from detectors.common.options import digest, parse_options
from detectors.common.resolve import Candidate, resolve
from detectors.pii.claims import Claims
from detectors.pii.context import KeyWords, raised, words_beside
from detectors.pii.documentation import is_documentation
from detectors.pii.options import PiiOptions
from guard.errors import DetectionIncomplete, DetectorMissing
from guard.types import DetectContext, DetectorInfo, Finding, Segment

NAME: Final = "pii"
VERSION: Final = "1"

_PRIORITY: Final = {
    entity: rank
    for rank, entity in enumerate(
        ("CREDIT_CARD", "IBAN_CODE", "US_SSN", "CRYPTO", "EMAIL_ADDRESS", "IP_ADDRESS", "MAC_ADDRESS", "PHONE_NUMBER")
    )
}
"""Between equal scores and lengths the earlier wins; types not named come after these, by name."""

_STRONG: Final = 0.5
"""The pattern score from which a national id stands without context, unless it is nothing but digits."""


_CONTEXT_ONLY: Final = frozenset({"UK_NHS"})
"""Ids that stand only with context, however they are written: one phone number in eleven passes as one."""


class PiiDetector:
    """Personal data found by presidio-analyzer's pattern recognizers, matched by our own bounded loop.

    Options: ``detectors.pii.PiiOptions``. Raises ``guard.errors.ConfigError`` for an unknown or invalid option and
    ``guard.errors.DetectorMissing`` without presidio. The first construction imports presidio, which takes seconds;
    the detector itself keeps no text. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(PiiOptions, options, NAME)
        try:
            from detectors.pii.engine import Engine
        except ModuleNotFoundError as error:
            raise DetectorMissing(
                f"the detector {NAME!r} needs {error.name}, which is not installed",
                where="detectors.enabled",
                mend="pip install 'policy-guard[pii]'",
            ) from error
        self._engine = Engine(self._options)
        self._allowed = frozenset(value.casefold() for value in self._options.allow)
        self._info = DetectorInfo(NAME, VERSION, digest(NAME, VERSION, self._options, self._engine.identity))

    @property
    def info(self) -> DetectorInfo:
        """Name, version, and the digest of options and patterns."""
        return self._info

    @property
    def entities(self) -> frozenset[str]:
        """The types that this configuration can find, by presidio's names."""
        return self._engine.entities

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Personal data in the segments, by position, without overlap within a segment.

        Raises ``DetectionIncomplete`` (``deadline`` or ``limit``) with what was found so far.
        """
        budget = Budget(context.deadline, self._options.phone_tries)
        findings: list[Finding] = []
        found: list[Candidate] = []
        index = 0
        try:
            if not segments or not self._engine.any([segment.folded.text for segment in segments], budget):
                return findings
            keys = KeyWords(segments)
            for index, segment in enumerate(segments):
                found = []
                for candidate in self._candidates(segment, keys, budget):
                    found.append(candidate)
                findings += self._findings(index, segment, found)
        except Unfinished as stop:
            if found:
                findings += self._findings(index, segments[index], found)
            raise DetectionIncomplete(
                f"personal data: stopped at the {stop.reason}", reason=stop.reason, findings=findings
            ) from None
        return findings

    def detect_text(self, text: str) -> list[Finding]:
        """Personal data in one text. Raises as ``detect`` does; the deadline is ten seconds."""
        return self.detect([Segment.of(text)], one_call())

    def _candidates(self, segment: Segment, keys: KeyWords, budget: Budget) -> Iterator[Candidate]:
        claims = Claims()
        text, matches = self._engine.matches(segment.folded.text, budget, claims)
        for source, match in matches:
            value = text[match.start : match.end]
            threshold = self._options.thresholds.get(source.entity, self._options.threshold)
            weak = source.entity in _CONTEXT_ONLY or (source.national and match.base < _STRONG)
            weak = weak or (source.numeric and value.isdecimal())
            score, evidence = match.score, match.pattern
            if weak or score < threshold:
                words = words_beside(text, match.start, match.end) + keys.of(segment)
                word = source.context.find(words)
                if word is None and weak:
                    continue
                if word is not None:
                    score = raised(score)
                    evidence = f"{evidence}; context {word!r}"
            if score >= threshold and not self._is_allowed(source.entity, value):
                claims.add(match.start, match.end, score)
                yield Candidate(source.entity, match.start, match.end, score, evidence)

    def _is_allowed(self, entity: str, value: str) -> bool:
        if not self._options.documentation_values and is_documentation(entity, value):
            return True
        return bool(self._allowed) and value.casefold() in self._allowed

    def _findings(self, index: int, segment: Segment, found: list[Candidate]) -> list[Finding]:
        folded = segment.folded
        return [
            Finding(c.type, index, *folded.original_span(c.start, c.end), c.score, NAME, c.evidence)
            for c in resolve(found, _PRIORITY, folded.text)
        ]
