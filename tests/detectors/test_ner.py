"""A configured model replaces the rules for names: loaded offline or refused, late or long is said."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import spacy

from detectors.common.budget import Budget, Unfinished
from detectors.pii import PiiDetector
from detectors.pii.ner import Ner, _without_long_signs
from detectors.pii.options import NerOptions
from guard.errors import ConfigError, DetectionIncomplete
from guard.types import DetectContext, Finding, Segment


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A saved spaCy pipeline that knows two entities, in the place of a trained model."""
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Zorblax Quux"},
            {"label": "GPE", "pattern": "Quuxville"},
            {"label": "ORG", "pattern": "Quux Ltd"},
        ]
    )
    path = tmp_path_factory.mktemp("models") / "tiny"
    nlp.to_disk(path)
    return str(path)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection and every look-up of a name fails the test."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("spacy.cli.download", refuse)


@pytest.fixture
def detector(model: str, offline: None) -> PiiDetector:
    """Our detector with the model, built and used without a network."""
    return PiiDetector(ner={"engine": "spacy", "model": model})


def test_the_model_replaces_the_rules(detector: PiiDetector) -> None:
    """What the model knows is found, by presidio's names; the lists of names are silent, other rules go on."""
    text = "My name is Mary Johnson, born on 12 March 1985. Zorblax Quux of Quux Ltd lives in Quuxville."
    found = [(f.type, text[f.start : f.end], f.score, f.evidence) for f in detector.detect_text(text)]
    assert found == [
        ("DATE_OF_BIRTH", "12 March 1985", 0.85, "date; cue before it"),
        ("PERSON", "Zorblax Quux", 0.85, "spacy model"),
        ("LOCATION", "Quuxville", 0.85, "spacy model"),
    ]
    assert {"PERSON", "LOCATION", "NRP"} <= detector.entities


def test_entities_narrow_the_model(model: str, offline: None) -> None:
    """A configuration that names PERSON alone gets no LOCATION from the model."""
    narrow = PiiDetector(entities=["PERSON"], ner={"engine": "spacy", "model": model})
    assert narrow.entities == {"PERSON"}
    assert [f.type for f in narrow.detect_text("Zorblax Quux in Quuxville")] == ["PERSON"]


@pytest.mark.parametrize(
    ("options", "what", "mend"),
    [
        ({"engine": "spacy", "model": "en_core_web_lg"}, "is not installed", "python -m spacy download en_core_web_lg"),
        ({"engine": "spacy", "model": "/no/such/directory"}, "is not installed", "directory of a saved model"),
        ({"engine": "stanza", "model": "en"}, "stanza", "pip install stanza|stanza.download"),
        (
            {"engine": "transformers", "model": "dslim/bert-base-NER"},
            "transformers|dslim",
            "pip install|download the model beforehand",
        ),
        (
            {"engine": "gliner", "model": "urchade/gliner_multi_pii-v1"},
            "gliner",
            "pip install|download the model beforehand",
        ),
    ],
)
def test_what_is_not_installed_is_refused(offline: None, options: dict[str, str], what: str, mend: str) -> None:
    """Nothing is downloaded: the error names the model or the package, and the command that installs it."""
    with pytest.raises(ConfigError, match=what) as caught:
        PiiDetector(ner=options)
    assert caught.value.where == "detectors.options.pii.ner"
    assert any(part in (caught.value.mend or "") for part in mend.split("|"))


@pytest.mark.parametrize(
    "options", [{"engine": "spacy"}, {"engine": "bert", "model": "x"}, {"engine": "spacy", "model": "x", "modle": "y"}]
)
def test_a_misspelt_option_is_refused(options: dict[str, str]) -> None:
    """A missing model, an unknown engine, an unknown key."""
    with pytest.raises(ConfigError, match="invalid option"):
        PiiDetector(ner=options)


def test_a_broken_model_is_refused(tmp_path: Path) -> None:
    """A directory that looks like a model and is none."""
    (tmp_path / "config.cfg").write_text("[nlp]\nlang = en\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        PiiDetector(ner={"engine": "spacy", "model": str(tmp_path)})


def test_a_late_model_is_said(detector: PiiDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the deadline the call ends as incomplete; the next one finds again."""
    release, ner = threading.Event(), detector._ner
    assert ner is not None
    read = ner._read

    def slow(text: str) -> Any:
        release.wait(60)
        return read(text)

    monkeypatch.setattr(ner, "_read", slow)
    segments = [Segment.of("Zorblax Quux, born on 12 March 1985")]
    with pytest.raises(DetectionIncomplete) as caught:
        detector.detect(segments, DetectContext("request", time.monotonic() + 0.5))
    assert caught.value.reason == "deadline"
    (told,) = caught.value.findings
    assert isinstance(told, Finding)
    assert told.type == "DATE_OF_BIRTH"
    release.set()
    assert [f.type for f in detector.detect_text("Zorblax Quux")] == ["PERSON"]


def test_a_long_text_is_said(model: str) -> None:
    """Past the number of characters the model is not asked, and the detection is incomplete."""
    short = Ner(NerOptions(engine="spacy", model=model, characters=10))
    with pytest.raises(Unfinished) as caught:
        list(short.find("Zorblax Quux lives", Budget(time.monotonic() + 10)))
    assert caught.value.reason == "limit"


def test_hostile_punctuation_does_not_hold_the_model(detector: PiiDetector) -> None:
    """16 KB of "!" before a name: a tokenizer that strips it sign by sign would take more than a minute."""
    for filler in ("!" * 16_000 + "@", "::" * 8_000, "a-" * 8_000, "www." * 4_000):
        text = f"{filler} Zorblax Quux"
        found = detector.detect([Segment.of(text)], DetectContext("request", time.monotonic() + 20))
        assert [text[f.start : f.end] for f in found if f.type == "PERSON"] == ["Zorblax Quux"]


def test_signs_are_blanked_in_very_long_words_only() -> None:
    """The text keeps its length, so that offsets hold."""
    assert _without_long_signs("a-b!!!") == "a-b!!!"
    assert _without_long_signs("x " + "a," * 100 + " y-z") == "x " + "a " * 100 + " y-z"
