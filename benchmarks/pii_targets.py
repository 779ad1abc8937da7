"""What can be graded: our detector, plain presidio with the same recognizers, and any detector of yours."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.pii_dataset import Span
from guard.types import DetectContext, Detector, Segment

PRESIDIO: Final = "presidio"
OURS: Final = ("off", "basic", "strict")
DEFAULT: Final = (PRESIDIO, *OURS)
LIMIT_S: Final = 600.0
_FLOOR: Final = 0.4

Reader = Callable[[str], Sequence[Span]]


class Target(msgspec.Struct, frozen=True):
    """A detector under its name on the command line."""

    name: str
    read: Reader


def target(name: str, gazetteer: Path | None) -> Target:
    """``presidio``; ``off``, ``basic``, ``strict`` (our detector, by how it looks for names); or ``module:attribute``,
    which called without arguments gives a ``guard.types.Detector``. ``gazetteer``: the names that ours knows.

    Raises ``SystemExit`` for a name that leads nowhere.
    """
    if name == PRESIDIO:
        return Target(name, plain_presidio())
    if name in OURS:
        from detectors.pii import PiiDetector

        lists = {} if gazetteer is None else {"gazetteer": str(gazetteer)}
        return Target(name, reader_of(PiiDetector(names=name, documentation_values=True, **lists)))
    module, colon, attribute = name.partition(":")
    if not colon:
        raise SystemExit(f"unknown detector {name!r}: use {', '.join(DEFAULT)} or module:attribute")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise SystemExit(f"{name}: {error}") from None
    return Target(name, reader_of(made))


def reader_of(detector: Detector) -> Reader:
    """The detector over one text; it raises what the detector raises."""

    def read(text: str) -> Sequence[Span]:
        context = DetectContext("request", time.monotonic() + LIMIT_S)
        found = detector.detect([Segment.of(text)], context)
        return [Span(finding.type, finding.start, finding.end) for finding in found]

    return read


def plain_presidio() -> Reader:
    """``AnalyzerEngine`` with presidio's recognizers that our defaults run, and a blank English tokenizer."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    from detectors.pii import PiiOptions
    from detectors.pii.recognizers import select

    engine: Any = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    patterns, phone = select(PiiOptions())
    recognizers: list[Any] = [*patterns, phone]
    for recognizer in recognizers:
        recognizer.supported_language = "en"
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])

    def read(text: str) -> Sequence[Span]:
        found = analyzer.analyze(text, "en", score_threshold=_FLOOR)
        return [Span(result.entity_type, result.start, result.end) for result in found]

    return read
