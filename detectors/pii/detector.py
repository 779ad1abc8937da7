"""``PiiDetector``: personal data by form, checksum and context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from detectors.common import automata
from detectors.common.budget import Budget, Unfinished, one_call
from detectors.common.gate import Opened
from detectors.common.options import Rebuilt, digest, parse_options
from detectors.common.resolve import Candidate, resolve
from detectors.pii.claims import Claims
from detectors.pii.context import KeyWords, raised, words_beside
from detectors.pii.documentation import is_documentation
from detectors.pii.options import STRICT_THRESHOLDS, PiiOptions
from guard.errors import DetectionIncomplete, DetectorMissing
from guard.types import DetectContext, DetectorInfo, Finding, Segment

if TYPE_CHECKING:
    from detectors.pii.projection import View

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


class _Gates(msgspec.Struct, frozen=True, gc=False):
    """What may find something in some texts: presidio's recognizers, our rules, our rules by object keys. ``whole``:
    there is but one text, so that this is known of each."""

    engine: Opened
    rules: Opened
    keys: bool
    whole: bool

    @property
    def anything(self) -> bool:
        return bool(self.engine or self.rules or self.keys)


class PiiDetector(Rebuilt):
    """Personal data found by presidio-analyzer's pattern recognizers, matched by our own bounded loop, by rules of our
    own for names, addresses, dates of birth, cards and telephones, and by a model for names where one is configured.

    Options: ``detectors.pii.PiiOptions``. Raises ``guard.errors.ConfigError`` for an unknown or invalid option and
    ``guard.errors.DetectorMissing`` without presidio. The first construction imports presidio, which takes seconds;
    the detector itself keeps no text. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._given = options
        self._options = parse_options(PiiOptions, options, NAME)
        try:
            from detectors.pii.engine import Engine
            from detectors.pii.locality import local_types
            from detectors.pii.ner import Ner
            from detectors.pii.projection import View, project
            from detectors.pii.rules import Rules
        except ModuleNotFoundError as error:
            raise DetectorMissing(
                f"the detector {NAME!r} needs {error.name}, which is not installed",
                where="detectors.enabled",
                mend="pip install 'policy-guard[pii]'",
            ) from error
        self._engine = Engine(self._options)
        self._project, self._view = project, View.of
        self._rules = Rules(self._options)
        self._ner = Ner(self._options.ner) if self._options.ner is not None else None
        self._thresholds = {
            **(STRICT_THRESHOLDS if self._options.names == "strict" else {}),
            **self._options.thresholds,
        }
        self._entities = self._engine.entities | self._rules.entities | self._named_entities()
        self._local = local_types(self._engine, self._entities, self._named_entities())
        self._allowed = frozenset(value.casefold() for value in self._options.allow)
        self._info = DetectorInfo(NAME, VERSION, digest(NAME, VERSION, self._options, self._identity()))

    @property
    def info(self) -> DetectorInfo:
        """Name, version, and the digest of options and patterns."""
        return self._info

    @property
    def entities(self) -> frozenset[str]:
        """The types that this configuration can find, by presidio's names."""
        return self._entities

    @property
    def local(self) -> frozenset[str]:
        """The types of which a stream can be sure before its end (``detectors.pii.locality``)."""
        return self._local

    @property
    def degraded(self) -> str:
        """What makes it slower than it could be here; empty if nothing does. ``guard doctor`` says it."""
        return automata.DEGRADED

    @property
    def may_wait(self) -> bool:
        """Whether a small text may take long as well: a model, recognizers of the user's, or no google-re2.

        The guard then looks at small texts in worker threads, too.
        """
        options = self._options
        return bool(options.ner or options.own or options.recognizers or self.degraded)

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Personal data in the segments, by position, without overlap within a segment.

        Raises ``DetectionIncomplete`` (``deadline``, ``limit``, or ``error`` of a recognizer) with what was found.
        """
        budget = Budget(context.deadline, self._options.phone_tries, self._options.max_findings)
        findings: list[Finding] = []
        found: list[Candidate] = []
        index = 0
        try:
            if not segments:
                return findings
            self._measure(segments)
            budget.check()
            gates = self._gates(segments, budget)
            if not gates.anything and self._ner is None:
                return findings
            keys = KeyWords(segments)
            for index, segment in enumerate(segments):
                found = []
                for candidate in self._candidates(segment, keys, gates, budget):
                    budget.found()
                    found.append(candidate)
                findings += self._findings(index, segment, found)
                budget.settled(len(found))
        except Unfinished as stop:
            if found:
                findings += self._findings(index, segments[index], found)
            raise DetectionIncomplete(
                f"personal data: stopped at the {stop}", reason=stop.reason, findings=findings
            ) from None
        return findings

    def detect_text(self, text: str) -> list[Finding]:
        """Personal data in one text. Raises as ``detect`` does; the deadline is ten seconds."""
        return self.detect([Segment.of(text)], one_call())

    def _measure(self, segments: Sequence[Segment]) -> None:
        """Raises ``Unfinished("limit")`` for texts or lines past the bounds."""
        characters = sum([len(segment.folded.text) for segment in segments])
        if characters > self._options.max_characters:
            raise Unfinished("limit", "max_characters")
        if characters > self._options.max_line and any(
            max(map(len, segment.folded.text.split("\n"))) > self._options.max_line for segment in segments
        ):
            raise Unfinished("limit", "max_line")

    def _gates(self, segments: Sequence[Segment], budget: Budget) -> _Gates:
        """One pass over all texts, joined by newlines, that says what may find something at all."""
        joined = self._project("\n".join([segment.folded.text for segment in segments]), budget.check)
        keys = [segment.folded.text for segment in segments if segment.provenance == "key"]
        return _Gates(
            self._engine.open(joined, budget),
            self._rules.open(joined, budget),
            self._rules.any_key(keys),
            whole=len(segments) == 1,
        )

    def _candidates(self, segment: Segment, keys: KeyWords, gates: _Gates, budget: Budget) -> Iterator[Candidate]:
        claims = Claims()
        view = self._view(segment.folded.text, budget.check)
        if gates.rules or gates.keys:
            key = keys.own(segment) if gates.keys else ()
            rules = gates.rules if gates.whole else self._rules.open(view.projected, budget)
            if rules or key:
                yield from self._accepted(self._rules.find(view, key, budget, rules), view, claims)
        if gates.engine:
            engine = gates.engine if gates.whole else self._engine.open(view.projected, budget)
            if engine:
                yield from self._recognized(segment, view, keys, claims, budget, opened=engine)
        # Last: where the model is late, what the others found is told.
        if self._ner is not None and segment.provenance != "key":
            yield from self._accepted(self._ner.find(view.canonical, budget), view, claims)

    def _accepted(self, candidates: Iterator[Candidate], view: View, claims: Claims) -> Iterator[Candidate]:
        """Candidates past their thresholds and the allow-list."""
        for candidate in candidates:
            if candidate.type not in self._entities or candidate.score < self._threshold(candidate.type):
                continue
            if not self._is_allowed(candidate.type, view.canonical[candidate.start : candidate.end]):
                claims.add(candidate.start, candidate.end, candidate.score)
                yield candidate

    def _threshold(self, entity: str) -> float:
        return self._thresholds.get(entity, self._options.threshold)

    def _recognized(
        self, segment: Segment, view: View, keys: KeyWords, claims: Claims, budget: Budget, *, opened: Opened
    ) -> Iterator[Candidate]:
        """What presidio's recognizers find, with context, thresholds and the allow-list."""
        text = view.canonical
        for source, match in self._engine.found(view, budget, claims, opened):
            value = text[match.start : match.end]
            threshold = self._threshold(source.entity)
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

    def _named_entities(self) -> frozenset[str]:
        named = frozenset() if self._ner is None else self._ner.entities
        return named if self._options.entities is None else named & frozenset(self._options.entities)

    def _identity(self) -> list[Any]:
        return [self._engine.identity, self._rules.identity, [] if self._ner is None else self._ner.identity]

    def _is_allowed(self, entity: str, value: str) -> bool:
        if not self._options.documentation_values and is_documentation(entity, value):
            return True
        return bool(self._allowed) and value.casefold() in self._allowed

    def _findings(self, index: int, segment: Segment, found: list[Candidate]) -> list[Finding]:
        """Overlaps are those of the original text: folding may give one place of it two readings."""
        placed = []
        for candidate in found:
            start, end = segment.folded.original_span(candidate.start, candidate.end)
            placed.append(msgspec.structs.replace(candidate, start=start, end=end))
        return [
            Finding(c.type, index, c.start, c.end, c.score, NAME, c.evidence)
            for c in resolve(placed, _PRIORITY, segment.text)
        ]
