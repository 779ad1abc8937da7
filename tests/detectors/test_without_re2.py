"""Without google-re2 the detectors find the same, slower, say so, and end at the deadline all the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detectors.common import automata
from detectors.common.automata import full_match_set, matcher, search_set
from detectors.common.budget import Unfinished
from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector
from guard.errors import DetectorMissing
from tests.detectors.test_presidio_equality import engine_of, samples, texts
from tests.detectors.without_re2 import found

ROOT = Path(__file__).resolve().parents[2]
SECRETS = [
    "AKIAQ3EGR5TZLVW7KD2M",
    "xoxb-123456789012-abcdefABCDEF123456789012",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlMTIzNDU2Nzg5MDEyMzQ1Njc4OTAx",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----",
]


@pytest.fixture(scope="module")
def material() -> list[str]:
    """Texts with personal data and secrets."""
    rng = random.Random(8)
    generated = [*texts(7, 60), *samples(engine_of(), 7, 60)]
    return [f"{text} {rng.choice(SECRETS)}" if rng.random() < 0.3 else text for text in generated]


@pytest.fixture(scope="module")
def without(material: list[str]) -> dict[str, Any]:
    """What a process finds in which ``re2`` cannot be imported."""
    job = {"texts": material, "hostile": "a-" * 50_000 + "@"}
    command = [sys.executable, "-m", "tests.detectors.without_re2"]
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, check=True, timeout=120, cwd=ROOT
    )
    return dict(json.loads(done.stdout))


def test_the_same_is_found(
    material: list[str], without: dict[str, Any], pii: PiiDetector, secrets: SecretsDetector
) -> None:
    """Types, spans and scores are those with google-re2."""
    for name, detector in (("pii", pii), ("secrets", secrets)):
        expected = [json.loads(json.dumps(found(detector, text))) for text in material]
        assert sum(map(len, expected)) > 20
        for text, mine, theirs in zip(material, expected, without[name], strict=True):
            assert theirs == mine, (name, text)


def test_it_is_said(without: dict[str, Any], pii: PiiDetector) -> None:
    """Each detector says that it is slower here; with google-re2 there is nothing to say."""
    assert all("google-re2 is not installed" in words for words in without["degraded"])
    assert pii.degraded == ""


def test_backtracking_ends_at_the_deadline(without: dict[str, Any]) -> None:
    """What RE2 reads in linear time is incomplete at the deadline: never "nothing found"."""
    assert without["hostile"] == ["deadline"]


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fallback in this process."""
    monkeypatch.setattr(automata, "re2", None)


@pytest.mark.usefixtures("hidden")
def test_fallback_sets_and_matchers() -> None:
    """A search set opens for everything, a full-match set answers as RE2's, a matcher stops in time."""
    assert search_set(["a", "b"], 1 << 20).Match(b"x") == [0, 1]
    assert full_match_set(["[0-9]*", "12", "1"]).Match("12") == [0, 1]
    assert [match.span() for match in matcher("a+").finditer(b"xaaxa")] == [(1, 3), (4, 5)]
    with pytest.raises(Unfinished, match="deadline"):
        list(matcher("(?:a|a)+!").finditer(b"a" * 500, 0.05))
    with pytest.raises(automata.Refused):
        matcher("(")


@pytest.mark.usefixtures("hidden")
def test_neither_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without google-re2 and without ``regex`` the detector says what to install."""
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(DetectorMissing, match="pip install google-re2"):
        SecretsDetector()
