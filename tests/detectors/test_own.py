"""Recognizers of the user's: presidio's objects, YAML files and tables of guard.toml run beside ours, bounded."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from detectors.pii import PiiDetector
from detectors.pii.patterns import PatternMatcher
from guard.errors import ConfigError, DetectionIncomplete
from guard.types import DetectContext, Segment
from tests.detectors.own_recognizers import Hanging

HERE = "tests.detectors.own_recognizers"
MAIL = "jane.doe@corp-mail.com"


def seen(detector: PiiDetector, text: str) -> list[tuple[str, str, float]]:
    """Types, values and scores found."""
    return [(f.type, text[f.start : f.end], f.score) for f in detector.detect_text(text)]


@pytest.fixture(scope="module")
def everything() -> PiiDetector:
    """Every recognizer of the module, and e-mail addresses."""
    names = [f"{HERE}:{name}" for name in ("Badge", "ALL", "Shouting")]
    return PiiDetector(recognizers=names, entities=["EMAIL_ADDRESS"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the badge B-12339", [("BADGE_NUMBER", "B-12339", 1.0)]),
        ("the badge B-12338", []),
        ("see <cc123> there", [("CONDITIONAL_CODE", "<cc123>", 0.7)]),
        ("see axaxa there", [("REPEATED_CODE", "axaxa", 0.6)]),
        ("about Blue Falcon.", [("PROJECT_NAME", "Blue Falcon", 1.0)]),
        ("very LOUD words", [("SHOUTED_WORD", "LOUD", 0.55), ("WORD_AFTER", "words", 0.55)]),
        (f"to {MAIL}", [("EMAIL_ADDRESS", MAIL, 1.0)]),
    ],
)
def test_own_recognizers_find(everything: PiiDetector, text: str, expected: list[tuple[str, str, float]]) -> None:
    """Patterns with a checksum, patterns that RE2 cannot hold, words and code of the user's find what they describe."""
    assert seen(everything, text) == expected


def test_own_types_are_announced(everything: PiiDetector) -> None:
    """The types of own recognizers are among the detector's, all of them."""
    own = {"BADGE_NUMBER", "CONDITIONAL_CODE", "REPEATED_CODE", "PROJECT_NAME", "SHOUTED_WORD", "WORD_AFTER"}
    assert everything.entities == own | {"EMAIL_ADDRESS"}
    assert PiiDetector(recognizers=[f"{HERE}:Badge"]).info.digest != PiiDetector().info.digest


def test_own_patterns_join_the_gate(everything: PiiDetector) -> None:
    """What RE2 can hold is gated; what it cannot always runs."""
    gated = {
        source.entity: bool(source.matcher.gate_source)
        for source in everything._engine.sources
        if isinstance(source.matcher, PatternMatcher)
    }
    assert gated == {
        "BADGE_NUMBER": True,
        "CONDITIONAL_CODE": False,
        "REPEATED_CODE": True,
        "PROJECT_NAME": True,
        "EMAIL_ADDRESS": True,
    }


TABLES = r"""
[own.EMPLOYEE_ID]
patterns = ['\bE-?\d{6}\b']
context = ["employee", "staff id"]
score = 0.4

[own.PROJECT]
words = ["Blue Falcon", "Ｎimbus", "İzmir"]

[own.TICKET]
patterns = ['\bABC-\d+\b']
case_sensitive = true
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("number E-123456", []),
        ("employee E-123456", [("EMPLOYEE_ID", "E-123456", 0.75)]),
        ("staff id: e123456", [("EMPLOYEE_ID", "e123456", 0.75)]),
        ("blue falcon, nimbus, izmir", [("PROJECT", w, 0.6) for w in ("blue falcon", "nimbus", "izmir")]),
        ("at İzmir", [("PROJECT", "İzmir", 0.6)]),
        ("bluefalcons", []),
        ("ABC-77 abc-77", [("TICKET", "ABC-77", 0.6)]),
    ],
)
def test_tables_of_own_types(text: str, expected: list[tuple[str, str, float]]) -> None:
    """A type of one's own needs a table only: expressions or words, context, a score; case counts only if asked."""
    assert seen(PiiDetector(**tomllib.loads(TABLES), names="off"), text) == expected


def test_yaml_recognizers(tmp_path: Path) -> None:
    """A file of presidio's no-code recognizers is read; what is disabled in it stays out."""
    file = tmp_path / "recognizers.yaml"
    file.write_text(
        "recognizers:\n"
        "- {name: Zip, supported_entity: ZIP_CODE, supported_language: de, context: [zip],"
        " patterns: [{name: zip, regex: '\\bD-\\d{5}\\b', score: 0.5}]}\n"
        "- {name: Titles, type: custom, supported_entities: [TITLE], deny_list: [Mag., Dr.]}\n"
        "- {name: Off, enabled: false, supported_entity: OFF_TYPE, deny_list: [off]}\n"
    )
    detector = PiiDetector(recognizers=[str(file)], entities=["EMAIL_ADDRESS"])
    assert detector.entities == {"EMAIL_ADDRESS", "ZIP_CODE", "TITLE"}
    assert seen(detector, "Dr. X, D-10115, off") == [("TITLE", "Dr.", 1.0), ("ZIP_CODE", "D-10115", 0.5)]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"recognizers": ["nowhere"]}, "names no recognizer"),
        ({"recognizers": ["no.such.module:X"]}, "No module named"),
        ({"recognizers": [f"{HERE}:Missing"]}, "Missing"),
        ({"recognizers": ["builtins:dict"]}, "which is no recognizer"),
        ({"recognizers": [f"{HERE}:spoken"]}, "'employee id', which is no name"),
        ({"recognizers": [f"{HERE}:NeedsArtifacts"]}, "without NLP artifacts"),
        ({"recognizers": ["presidio_analyzer.predefined_recognizers:EmailRecognizer"]}, "presidio's own"),
        ({"recognizers": ["missing.yaml"]}, "cannot be read"),
        ({"own": {"X_ID": {}}}, "neither patterns nor words"),
        ({"own": {"X_ID": {"words": [" "]}}}, "neither patterns nor words"),
        ({"own": {"X_ID": {"patterns": ["("]}}}, "no regular expression"),
        ({"own": {"x id": {"words": ["a"]}}}, "invalid option"),
        ({"own": {"X_ID": {"regex": ["a"]}}}, "regex"),
    ],
)
def test_wrong_descriptions_are_refused(options: dict[str, Any], word: str) -> None:
    """What cannot be a recognizer is a ConfigError that says why, where and how to mend it."""
    with pytest.raises(ConfigError) as caught:
        PiiDetector(**options)
    assert word in str(caught.value)
    assert caught.value.mend
    assert caught.value.where.startswith("detectors.options.pii")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("recognizers: [SpacyRecognizer]", "presidio's own"),
        ("recognizers: [{name: EmailRecognizer, type: predefined}]", "presidio's own"),
        ("recognizers: [{name: X, supported_entity: X_ID}]", "patterns"),
        ("recognizers: [{name: X, supported_entity: X_ID, deny_lst: [a]}]", "deny_lst"),
        ("other: 1", "no list 'recognizers'"),
        ("a: [", "cannot be read"),
    ],
)
def test_wrong_yaml_is_refused(tmp_path: Path, content: str, word: str) -> None:
    """A YAML file that describes no recognizer of the user's is refused with its fault."""
    file = tmp_path / "own.yml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"own\.yml") as caught:
        PiiDetector(recognizers=[str(file)])
    assert word in str(caught.value)


def stopped(detector: PiiDetector, text: str, seconds: float) -> DetectionIncomplete:
    """How a detection ends that must not finish."""
    with pytest.raises(DetectionIncomplete) as caught:
        detector.detect([Segment.of(text)], DetectContext("request", time.monotonic() + seconds))
    return caught.value


def test_an_own_recognizer_that_hangs_ends_at_the_deadline() -> None:
    """Code of the user's that does not return costs its findings, not those of the others, and the reason is said."""
    detector = PiiDetector(recognizers=[f"{HERE}:Hanging"], entities=["EMAIL_ADDRESS"])
    Hanging.released.clear()
    try:
        error = stopped(detector, f"to {MAIL}", 0.3)
        assert error.reason == "deadline"
        assert [finding.type for finding in error.findings] == ["EMAIL_ADDRESS"]
        for _ in range(4):  # more calls than there are threads for it: the last waits for room, and no longer
            assert stopped(detector, "text", 0.05).reason == "deadline"
    finally:
        Hanging.released.set()


@pytest.mark.parametrize("name", ["Failing", "Wrong", "BadValidator"])
def test_an_own_recognizer_that_fails_is_incomplete(name: str) -> None:
    """An exception, or a span outside of the text, is the reason ``error``; nothing of the text is in the message."""
    detector = PiiDetector(recognizers=[f"{HERE}:{name}"], entities=["EMAIL_ADDRESS"])
    error = stopped(detector, f"odd777 to {MAIL}", 5.0)
    assert error.reason == "error"
    assert [finding.type for finding in error.findings] == ["EMAIL_ADDRESS"]
    assert "odd777" not in str(error)
    assert error.__cause__ is None


def test_an_own_expression_that_explodes_ends_at_the_deadline() -> None:
    """An expression that RE2 cannot hold and that backtracks for ever is stopped; the e-mail before it stays."""
    detector = PiiDetector(own={"BOMB": {"patterns": [r"(<)?(?:a+)+(?(1)>|;)"]}}, entities=["EMAIL_ADDRESS"])
    error = stopped(detector, f"{MAIL} {'a' * 5000}", 0.3)
    assert error.reason == "deadline"
    assert [finding.type for finding in error.findings] == ["EMAIL_ADDRESS"]
