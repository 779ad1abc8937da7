"""The matching loop against plain presidio: its whole engine, and its phone recognizer in families of regions."""

from __future__ import annotations

import random
from functools import cache

import phonenumbers
import pytest
import spacy
from phonenumbers import PhoneNumberFormat
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from detectors.pii.engine import Engine
from detectors.pii.options import PiiOptions
from detectors.pii.projection import View
from guard.folding import fold
from tests.detectors.test_presidio_equality import ALL_TEXTS, engine_of, presidio_spans, samples, spans, texts

REGIONS = [
    ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR"),
    ("US", "CA", "BS", "JM", "DO"),
    ("IT", "VA", "RU", "KZ", "FI", "AX"),
    ("GB", "GG", "JE", "IM"),
    ("NO", "SJ", "AU", "CX", "MA", "EH"),
    ("AR", "MX", "CN", "JP", "NZ", "UY"),
]


@pytest.mark.parametrize("regions", REGIONS, ids="-".join)
def test_phone_numbers_equal_in_regions_that_share_codes(regions: tuple[str, ...]) -> None:
    """Numbers of regions that share country codes, or add digits to local numbers, are found as presidio finds them."""
    engine = Engine(PiiOptions(entities=("PHONE_NUMBER",), phone_regions=regions))
    rng, total = random.Random(len(regions)), 0
    for _ in range(150):
        number = phonenumbers.example_number(rng.choice(regions))
        form = rng.choice([PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL, None])
        written = str(number.national_number) if form is None else phonenumbers.format_number(number, form)
        written = "".join(rng.choice("0123456789") if c.isdigit() and rng.random() < 0.2 else c for c in written)
        text = fold(
            rng.choice(["", "x ", "1", "0", "00", "+", "+00"]) + written + rng.choice(["", " x", " ext 4"])
        ).text
        expected = presidio_spans(engine, text)
        assert spans(engine, text) == expected, text
        total += sum(map(len, expected.values()))
    assert total > 30


class _BlankEngine(SpacyNlpEngine):
    """presidio's own engine with spaCy's blank pipeline: nothing is downloaded."""

    def __init__(self) -> None:
        super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
        self.nlp = {"en": spacy.blank("en")}

    def load(self) -> None:
        """Nothing to load."""


@cache
def analyzer() -> AnalyzerEngine:
    """Plain presidio: its engine, its context, its reduction, with the recognizers of ``engine_of()``."""
    recognizers = {id(source.recognizer): source.recognizer for source in engine_of().sources}
    registry = RecognizerRegistry(recognizers=list(recognizers.values()))
    return AnalyzerEngine(registry=registry, nlp_engine=_BlankEngine(), supported_languages=["en"])


@pytest.mark.parametrize("count", [100, pytest.param(ALL_TEXTS, marks=pytest.mark.slow)])
def test_equal_to_the_analyzer_engine(count: int) -> None:
    """Types and spans of the whole loop are those of plain presidio's ``AnalyzerEngine`` at equal configuration."""
    engine, total = engine_of(), 0
    for text in (*texts(300, count // 2), *samples(engine, 300, count // 2)):
        canonical = View.of(text).canonical
        expected = {(result.entity_type, result.start, result.end) for result in analyzer().analyze(canonical, "en")}
        found = {span[:3] for spans_of in spans(engine, text).values() for span in spans_of}
        assert expected <= found, text
        # presidio drops what lies within a longer finding of the same type, after context has raised either.
        for kind, start, end in found - expected:
            assert any(k == kind and s <= start and end <= e for k, s, e in expected), text
        total += len(expected)
    assert total > count
