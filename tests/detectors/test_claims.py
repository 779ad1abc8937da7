"""Passing over claimed phone numbers changes no result: ``detect`` with claims and without them agrees."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.common.resolve import Candidate, resolve
from detectors.pii import PiiDetector
from detectors.pii.claims import Claims, Cover
from detectors.pii.phone import PhoneFinder
from guard.types import Finding
from tests.detectors.test_presidio_equality import PIECES, Make

DENSE: Sequence[Make] = (
    *PIECES,
    lambda r: r.choice(["DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"]),
    lambda r: f"{r.randint(1, 255)}.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(0, 255)}",
    lambda r: f"u{r.randint(10**6, 10**11)}@corp-mail.com",
    lambda r: f"{r.randint(10**9, 10**11)}@corp-mail.com",
    lambda r: f"4111 1111 1111 1111{r.choice(['', ' ', '-', ' / '])}{r.randint(0, 10**8)}",
    lambda r: r.choice(["phone", "tel", "call", "ssn", "card", "mobile"]),
    lambda r: "0" + "".join(r.choice("0123456789 -/.") for _ in range(12)),
    lambda r: str(r.randint(1900, 2100)),
)
OPTIONS: Sequence[dict[str, object]] = (
    {},
    {"thresholds": {"PHONE_NUMBER": 0.6}},
    {"threshold": 0.0, "thresholds": {}, "documentation_values": True},
    {"threshold": 0.0, "thresholds": {"PHONE_NUMBER": 0.7, "IP_ADDRESS": 0.6}, "allow": ["10.20.30.40"]},
)


class _NoClaims(Claims):
    """Covers nothing: every phone number is read."""

    def above(self, score: float) -> Cover:
        return Cover([], [])


def _text(seed: int) -> str:
    rng = random.Random(seed)
    separator = rng.choice([" ", " ", ", ", "\n", "", "-", " / "])
    return separator.join(rng.choice(DENSE)(rng) for _ in range(rng.randint(2, 20)))


@pytest.fixture(scope="module", params=range(len(OPTIONS)))
def detector(request: pytest.FixtureRequest) -> PiiDetector:
    """Detectors whose thresholds put phone numbers below, beside and above their neighbours."""
    return PiiDetector(**OPTIONS[request.param])


def _unclaimed(detector: PiiDetector, text: str) -> list[Finding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detectors.pii.detector.Claims", _NoClaims)
        return detector.detect_text(text)


@settings(max_examples=60, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=3))
def test_claims_change_no_result(detector: PiiDetector, seeds: list[int]) -> None:
    """On dense texts the findings are those of reading every phone number: types, spans, scores and evidence."""
    text = "\n".join(map(_text, seeds))
    assert detector.detect_text(text) == _unclaimed(detector, text)


def test_claimed_runs_are_not_read(pii: PiiDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits of an IBAN, an address and an e-mail are passed over; a number beside them is read."""
    read: list[str] = []
    original = PhoneFinder._read_run

    def spy(self: PhoneFinder, text: str, run: tuple[int, int], walk: object) -> object:
        read.append(text[run[0] : run[1]].strip(" "))
        return original(self, text, run, walk)  # type: ignore[arg-type]

    monkeypatch.setattr(PhoneFinder, "_read_run", spy)
    text = "DE89 3704 0044 0532 0130 00 | 10.20.30.40 | 4155552671@corp-mail.com | (415) 555-2671"
    found = [finding.type for finding in pii.detect_text(text)]
    assert found == ["IBAN_CODE", "IP_ADDRESS", "EMAIL_ADDRESS", "PHONE_NUMBER"]
    assert read == ["(415) 555-2671"]


def test_context_raises_a_bare_number_above_its_claim(pii: PiiDetector) -> None:
    """A bare number with context outscores the bank account number over the same digits: it is read, and wins."""
    text = "bank account, phone 2125552671"
    assert [finding.type for finding in pii.detect_text(text)] == ["PHONE_NUMBER"]
    assert pii.detect_text(text) == _unclaimed(pii, text)


def test_a_claim_must_score_more() -> None:
    """A claim of the same score covers nothing: length and priority decide between equals."""
    claims = Claims()
    claims.add(0, 20, 0.6)
    assert claims.above(0.4).holds(2, 18)
    assert not claims.above(0.6).holds(2, 18)
    assert not claims.above(0.75).holds(2, 18)


def test_claims_are_sorted_once_for_a_text(pii: PiiDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each phone number: on a text full of both that would be quadratic, and out of any deadline."""
    asked: list[float] = []
    original = Claims.above

    def spy(self: Claims, score: float) -> Cover:
        asked.append(score)
        return original(self, score)

    monkeypatch.setattr(Claims, "above", spy)
    found = pii.detect_text("10.20.30.40, (415) 555-2671, 4155552671@corp-mail.com, " * 50)
    assert sum(finding.type == "PHONE_NUMBER" for finding in found) == 50
    assert len(asked) == 2


SPANS = st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from([0.4, 0.5, 0.6, 1.0]))


@given(spans=st.lists(SPANS, max_size=8), start=st.integers(0, 30), length=st.integers(1, 10))
def test_covered_candidates_leave_no_trace(spans: list[tuple[int, int, float]], start: int, length: int) -> None:
    """A candidate that claims of higher scores cover has no part in the resolution of overlaps."""
    text = "12 34-(56) 78.9 / 01 23.45 67 89 01 23 45 67 89"
    claims = Claims()
    others = []
    for at, size, score in spans:
        claims.add(at, at + size, score)
        others.append(Candidate("OTHER", at, at + size, score, "other"))
    phone = Candidate("PHONE_NUMBER", start, start + length, 0.4, "phone number")
    letters = any(character.isalnum() for character in text[start : start + length])
    if letters and claims.above(0.4).holds(start, start + length):
        assert resolve([*others, phone], {}, text) == resolve(others, {}, text)
    covered = {index for at, size, score in spans if score > 0.4 for index in range(at, at + size)}
    assert claims.above(0.4).holds(start, start + length) == (set(range(start, start + length)) <= covered)
