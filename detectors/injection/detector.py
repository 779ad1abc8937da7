"""``InjectionDetector``: texts that try to make a model work for somebody else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from detectors.common import automata
from detectors.common.budget import Budget, Unfinished, one_call
from detectors.common.options import Rebuilt, digest, parse_options
from detectors.injection.features import Features
from detectors.injection.lexicon import Lexicon
from detectors.injection.model import LinearModel, Weighed
from detectors.injection.signatures import Signatures
from detectors.injection.sources import models_of, watch_of
from detectors.injection.tokens import MOST_WORDS, lowered, spans_of, words_of
from detectors.injection.views import LEAST_GLUED, opened, views
from detectors.injection.watch import log_odds
from guard.errors import DetectionIncomplete
from guard.types import DetectContext, DetectorInfo, Distribution, Finding, Provenance, Segment

NAME: Final = "injection"
VERSION: Final = "1"
ENTITY: Final = "PROMPT_INJECTION"
_PARTED: Final = "\0"
_OVERLAP: Final = 200
_TOLD: Final = 3
_WORTH_A_LOOK: Final = 2
SHIFTS: Final[dict[Provenance, float]] = {"system": -4.0, "definition": -2.0, "key": -2.0, "tool": 1.0}
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Shift = Annotated[float, msgspec.Meta(ge=-20.0, le=20.0)]


class InjectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.injection]``. Everything has a default."""

    threshold: _Share = 0.5
    """Below this score nothing is reported."""
    model: str | None = None
    """A file that ``guard model train`` made, or a directory of versions: its current one. The shipped one if left
    out."""
    model_key: str | None = None
    """A public key in PEM: ``model`` and ``shadow`` must be signed by it."""
    shadow: str | None = None
    """A candidate, as ``model``: it judges beside the live one, is counted, and changes no finding."""
    lexicon: str | None = None
    """A lexicon of your own: the one with which ``model`` was trained."""
    shifts: dict[Provenance, _Shift] = msgspec.field(default_factory=lambda: dict(SHIFTS))
    """What a text's provenance adds to its log-odds: the operator's own words are full of orders to the model, a tool's
    result should hold none. Named provenances replace the table."""
    max_characters: Annotated[int, msgspec.Meta(ge=1_000)] = 2_000_000
    """Characters of all texts of one call."""


class Explained(NamedTuple):
    """A part of a text and its share (0..1) of the evidence. ``concept`` is empty for words outside the lexicon."""

    start: int
    end: int
    share: float
    concept: str


class _Judged(NamedTuple):
    score: float
    words: list[str]
    weighed: Weighed
    view: str


class InjectionDetector(Rebuilt):
    """Prompt injection and jailbreaks, by a linear model over words and concepts, and by signatures.

    Options: ``InjectionOptions``. Raises ``guard.errors.ConfigError`` for an unknown or invalid option or model. Time
    is linear in the text. No text is remembered. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._given = options
        chosen = parse_options(InjectionOptions, options, NAME)
        self._threshold = chosen.threshold
        self._most = chosen.max_characters
        self._shifts = chosen.shifts
        self._lexicon = Lexicon.read(Path(chosen.lexicon)) if chosen.lexicon else Lexicon.shipped()
        stored, candidate = models_of(chosen, self._lexicon)
        self._model: LinearModel = stored.model
        self._candidate = None if candidate is None else candidate.model
        self._watch = watch_of(stored, candidate, chosen.threshold)
        self._signatures = Signatures()
        self._info = DetectorInfo(
            NAME,
            f"{VERSION}+{stored.version}",
            digest(NAME, VERSION, stored.digest, self._lexicon.digest, chosen.shifts),
        )

    @property
    def info(self) -> DetectorInfo:
        """Name, version (with the model's after a plus sign), and the digest of model, lexicon and shifts."""
        return self._info

    def counters(self) -> dict[str, int]:
        """What the model judged since the start, in bins, and beside its candidate: ``docs/models.md``."""
        return self._watch.counters()

    def measures(self) -> dict[str, float]:
        """Drift against the model's card, and the share in which the candidate disagrees."""
        return self._watch.measures()

    def distribution(self) -> Distribution:
        """The scores since the start, in bins."""
        return self._watch.distribution()

    @property
    def entities(self) -> frozenset[str]:
        """``PROMPT_INJECTION``."""
        return frozenset({ENTITY})

    @property
    def degraded(self) -> str:
        """What makes it slower than it could be here; empty if nothing does."""
        return automata.DEGRADED

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """At most one finding of the model for each segment and reading of it, and those of the signatures.

        Raises ``DetectionIncomplete`` (``deadline``, ``limit``) with what was found so far.
        """
        budget = Budget(context.deadline)
        findings: list[Finding] = []
        try:
            if sum([len(segment.folded.text) for segment in segments]) > self._most:
                raise Unfinished("limit", "max_characters")
            for index, segment in enumerate(segments):
                budget.check()
                findings += self._findings(index, segment, budget)
        except Unfinished as stop:
            raise _incomplete(stop, findings) from None
        return findings

    def detect_text(self, text: str) -> list[Finding]:
        """Findings in one text of a user. Raises as ``detect`` does; the deadline is ten seconds."""
        return self.detect([Segment.of(text, provenance="user")], one_call())

    def score(self, text: str) -> float:
        """How likely one text of a user is an attack: the highest score of its parts, readings and signatures, 0..1.

        Raises ``DetectionIncomplete`` past ten seconds.
        """
        segment, budget = Segment.of(text, provenance="user"), Budget(one_call().deadline)
        try:
            scores = [judged.score for _, _, judged in self._parts(segment, budget)]
            scores += [signature.score for _, _, signature in self._signatures.found(segment.folded.text, budget)]
        except Unfinished as stop:
            raise _incomplete(stop) from None
        return max(scores, default=0.0)

    def explain(self, text: str) -> list[Explained]:
        """Which parts of a text make it an attack, heaviest first: words with their concept and share.

        Nothing of a text that is an attack in a disguise only (``views``). Raises ``DetectionIncomplete`` past ten
        seconds.
        """
        segment, budget = Segment.of(text, provenance="user"), Budget(one_call().deadline)
        try:
            parts = [part for part in self._parts(segment, budget) if not part[2].view]
        except Unfinished as stop:
            raise _incomplete(stop) from None
        if not parts:
            return []
        start, part, judged = max(parts, key=lambda item: item[2].score)
        places = [segment.folded.original_span(start + a, start + b) for a, b in spans_of(lowered(part))]
        weights = judged.weighed.at_words.clip(0.0)
        total = float(weights.sum()) or 1.0
        names = self._named(judged.words)
        rows = [Explained(*place, float(weights[at]) / total, names.get(at, "")) for at, place in enumerate(places)]
        return sorted((row for row in rows if row.share > 0), key=lambda row: -row.share)

    def _findings(self, index: int, segment: Segment, budget: Budget) -> Iterator[Finding]:
        for start, end, signature in self._signatures.found(segment.folded.text, budget):
            if signature.score >= self._threshold:
                span = segment.folded.original_span(start, end)
                yield Finding(ENTITY, index, *span, signature.score, NAME, signature.name)
        for start, part, judged in self._parts(segment, budget):
            if judged.score >= self._threshold:
                begin, stop = (0, len(part)) if judged.view else self._heaviest(part, judged)
                span = segment.folded.original_span(start + begin, start + stop)
                yield Finding(ENTITY, index, *span, judged.score, NAME, self._evidence(judged))

    def _parts(self, segment: Segment, budget: Budget) -> Iterator[tuple[int, str, _Judged]]:
        """The text and its readings, in pieces that are not too long, each with its best judgement."""
        start = 0
        for part in segment.folded.text.split(_PARTED):
            budget.check()  # a text may have thousands of readings
            low = lowered(part)
            words = words_of(low)
            if len(words) >= _WORTH_A_LOOK or len(part) >= LEAST_GLUED:
                if len(words) <= MOST_WORDS:
                    yield start, part, self._best(low, words, segment, start)
                else:
                    yield from self._pieces(start, part, low, segment, budget)
            start += len(part) + 1

    def _pieces(
        self, start: int, part: str, low: str, segment: Segment, budget: Budget
    ) -> Iterator[tuple[int, str, _Judged]]:
        spans = list(spans_of(low))
        for first in range(0, len(spans) - _OVERLAP, MOST_WORDS - _OVERLAP):
            budget.check()
            piece = spans[first : first + MOST_WORDS]
            begin, end = piece[0][0], piece[-1][1]
            words = [low[a:b] for a, b in piece]
            best = self._best(low[begin:end], words, segment, start + begin)
            yield start + begin, part[begin:end], best

    def _best(self, low: str, words: list[str], segment: Segment, start: int) -> _Judged:
        """The best judgement of a text that begins at ``start`` of the segment, and of its readings."""
        shift = self._shifts.get(segment.provenance, 0.0)
        features = self._model.features(words)
        weighed = self._model.weigh(words, features)
        best = _Judged(self._model.probability(weighed, shift), words, weighed, "")
        candidate = self._beside(words, features, shift)
        for view, other in self._readings(low, words, segment, start):
            features = self._model.features(other)
            seen = self._model.weigh(other, features)
            score = self._model.probability(seen, shift)
            candidate = max(candidate, self._beside(other, features, shift))
            if score > best.score:
                best = _Judged(score, other, seen, view)
        self._watch.observe((log_odds(best.score), *weighed.stage_two.tolist()), best.score)
        if self._candidate is not None:
            self._watch.compare(live=best.score >= self._threshold, candidate=candidate >= self._threshold)
        return best

    def _readings(self, low: str, words: list[str], segment: Segment, start: int) -> Iterator[tuple[str, list[str]]]:
        folded = segment.folded
        if folded.offsets is not None:
            stop = start + len(low)
            yield from opened(low, folded.offsets[start:stop], folded.ends and folded.ends[start:stop])
        yield from views(low, words, self._lexicon)

    def _beside(self, words: list[str], features: Features, shift: float) -> float:
        """How the candidate judges; 0 without one. Its lexicon is the same, so the features are its too."""
        if self._candidate is None:
            return 0.0
        return self._candidate.probability(self._candidate.weigh(words, features), shift)

    def _heaviest(self, part: str, judged: _Judged) -> tuple[int, int]:
        """The span of the window that weighs most, from its first to its last word that speaks for an attack."""
        first, last = judged.weighed.heaviest()
        spans = list(spans_of(lowered(part)))
        return spans[first][0], spans[last][1]

    def _named(self, words: list[str]) -> dict[int, str]:
        concepts, at = self._lexicon.concepts(words)
        return {int(place): self._lexicon.names[int(concept)] for concept, place in zip(concepts, at, strict=True)}

    def _evidence(self, judged: _Judged) -> str:
        """The concepts that weigh most, with their shares; never a word of the text."""
        weights = judged.weighed.at_words.clip(0.0)
        total = float(weights.sum()) or 1.0
        shares: dict[str, float] = {}
        for at, name in self._named(judged.words).items():
            shares[name] = shares.get(name, 0.0) + float(weights[at]) / total
        told = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:_TOLD]
        parts = [f"{name} {share:.0%}" for name, share in told if share >= 0.01] or ["wording"]
        return ", ".join([judged.view, *parts] if judged.view else parts)


def _incomplete(stop: Unfinished, findings: Sequence[Finding] = ()) -> DetectionIncomplete:
    return DetectionIncomplete(f"injection: stopped at the {stop}", reason=stop.reason, findings=findings)
