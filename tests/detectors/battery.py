"""Checks that every detector passes, ours and others': ``check_detector`` with one text that it finds something in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from guard.errors import DetectionIncomplete
from guard.types import DetectContext, Detector, Finding, Segment

TEXTS: Sequence[str] = (
    "",
    " ",
    "plain words and nothing else",
    "\0\x01\x7f",
    "Ünïcödé, 日本語, עברית, 🙂👩‍👩‍👧 \u202e and \ufeff",
    "\u0300" * 100,
    "٠١٢٣٤٥٦٧٨٩" * 5,
    "\ud800 a lone surrogate",
)
HUGE_CHARACTERS = 1_000_000


def context(seconds: float = 60.0) -> DetectContext:
    """A request's context whose deadline lies ``seconds`` ahead."""
    return DetectContext("request", time.monotonic() + seconds)


def check_detector(detector: Detector, positive: str) -> None:
    """Runs every check. ``positive`` is a text in which the detector finds something."""
    for check in CHECKS:
        check(detector, positive)


def _valid(detector: Detector, segments: Sequence[Segment], findings: Sequence[Finding]) -> None:
    for finding in findings:
        assert finding.type in detector.entities
        assert finding.detector == detector.info.name
        assert 0 <= finding.start < finding.end <= len(segments[finding.segment].text)
        assert 0.0 <= finding.score <= 1.0


def check_contract(detector: Detector, positive: str) -> None:
    """The protocol holds, the digest is SHA-256 in hex, and the positive text is found at its place."""
    assert isinstance(detector, Detector)
    assert len(bytes.fromhex(detector.info.digest)) == 32
    assert detector.info.version
    segments = [Segment.of("nothing"), Segment.of(positive), Segment.of("")]
    findings = detector.detect(segments, context())
    assert {finding.segment for finding in findings} == {1}
    _valid(detector, segments, findings)


def check_purity(detector: Detector, positive: str) -> None:
    """The same input gives the same findings, whatever came between."""
    segments = [Segment.of(positive)]
    before = detector.detect(segments, context())
    detector.detect([Segment.of("something else " + positive[::-1])], context())
    assert detector.detect(segments, context()) == before != []


def check_evidence(detector: Detector, positive: str) -> None:
    """Evidence does not repeat what was found."""
    for finding in detector.detect([Segment.of(positive)], context()):
        assert positive[finding.start : finding.end] not in finding.evidence


def check_texts(detector: Detector, positive: str) -> None:
    """Empty, odd and foreign texts are answered, alone and together."""
    assert detector.detect([], context()) == []
    segments = [Segment.of(text) for text in TEXTS]
    _valid(detector, segments, detector.detect(segments, context()))
    for segment in segments:
        detector.detect([segment], context())
    assert detector.detect([Segment.of(positive), *segments], context())


def check_huge(detector: Detector, positive: str) -> None:
    """A million characters are finished, or their rest is said to be unread; what stands first is found."""
    text = positive + "\n" + "ordinary words " * (HUGE_CHARACTERS // 15)
    try:
        findings: Sequence[object] = detector.detect([Segment.of(text)], context(20.0))
    except DetectionIncomplete as incomplete:
        findings = incomplete.findings
    assert findings


def check_deadline(detector: Detector, positive: str) -> None:
    """A deadline that has passed is spoken of, never taken for a clean text."""
    with pytest.raises(DetectionIncomplete) as caught:
        detector.detect([Segment.of(positive * 50)], context(-1.0))
    assert caught.value.reason == "deadline"


def check_threads(detector: Detector, positive: str) -> None:
    """Eight threads at once find what one thread finds."""
    texts = [positive, "clean", positive + " " + positive, ""] * 8
    expected = [detector.detect([Segment.of(text)], context()) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: detector.detect([Segment.of(text)], context()), texts)) == expected


CHECKS: Sequence[Callable[[Detector, str], None]] = (
    check_contract,
    check_purity,
    check_evidence,
    check_texts,
    check_huge,
    check_deadline,
    check_threads,
)
