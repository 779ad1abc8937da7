"""Detectors side by side under one deadline: whatever one of them does, the policy hears of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from guard.errors import DetectionIncomplete
from guard.pipeline import INLINE_CHARACTERS, Pipeline
from guard.types import DetectContext, Detector, DetectorInfo, Finding, Incomplete, Segment

pytestmark = pytest.mark.anyio

Detect = Callable[[Sequence[Segment], DetectContext], list[Finding]]


class Scripted:
    """A detector that does what a test says."""

    def __init__(self, name: str, detect: Detect) -> None:
        self.info = DetectorInfo(name, "1", "0" * 64)
        self.entities = frozenset({"X"})
        self._detect = detect

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        return self._detect(segments, context)


def seeing(*findings: Finding) -> Detect:
    return lambda _segments, _context: list(findings)


def failing(error: Exception) -> Detect:
    def detect(_segments: Sequence[Segment], _context: DetectContext) -> list[Finding]:
        raise error

    return detect


def finding(start: int = 0, end: int = 1, *, segment: int = 0, score: float = 0.5, detector: str = "a") -> Finding:
    return Finding("X", segment, start, end, score, detector)


async def detected(*detectors: Detector, text: str = "text", deadline_ms: int = 1000) -> tuple[object, ...]:
    pipeline = Pipeline(detectors, deadline_ms=deadline_ms)
    try:
        result = await pipeline.detect([Segment.of(text, "/a"), Segment.of("more", "/b")], "request")
    finally:
        pipeline.close()
    return result.findings, result.incomplete, tuple(outcome.outcome for outcome in result.outcomes)


async def test_findings_of_all_detectors_come_in_the_order_of_position() -> None:
    """Who saw a value does not matter; where it stands does."""
    first = Scripted("a", seeing(finding(2, 3), finding(0, 1, segment=1)))
    second = Scripted("b", seeing(finding(0, 2, detector="b")))
    findings, incomplete, outcomes = await detected(first, second)
    assert [(f.segment, f.start) for f in findings] == [(0, 0), (0, 2), (1, 0)]  # type: ignore[attr-defined]
    assert (incomplete, outcomes) == ((), ("ok", "ok"))


async def test_a_detector_that_raises_is_incomplete_and_the_others_still_count() -> None:
    """A broken detector must not look like a clean text."""
    findings, incomplete, _ = await detected(
        Scripted("bad", failing(ValueError("x"))), Scripted("a", seeing(finding()))
    )
    assert len(findings) == 1  # type: ignore[arg-type]
    assert incomplete == (Incomplete("bad", "error"),)


async def test_what_an_unfinished_detector_found_is_kept() -> None:
    """Findings so far are findings, and the gap is spoken."""
    error = DetectionIncomplete("too long", reason="limit", findings=[finding()])
    findings, incomplete, outcomes = await detected(Scripted("a", failing(error)))
    assert findings == (finding(),)
    assert incomplete == (Incomplete("a", "limit"),)
    assert outcomes == ("limit",)


@pytest.mark.parametrize(
    "unsound",
    [finding(0, 99), finding(3, 3), finding(-1, 2), finding(segment=7), finding(score=1.5)],
    ids=["past the end", "empty", "negative", "no such segment", "score out of range"],
)
async def test_a_finding_outside_its_text_is_an_error(unsound: Finding) -> None:
    """Such a finding could not be redacted: it is dropped, and the detector counts as failed."""
    findings, incomplete, _ = await detected(Scripted("a", seeing(finding(), unsound)))
    assert findings == (finding(),)
    assert incomplete == (Incomplete("a", "error"),)


async def test_a_detector_that_does_not_stop_is_left_behind() -> None:
    """Past deadline and grace the request goes on without it, and says so."""
    release = threading.Event()

    def stuck(_segments: Sequence[Segment], _context: DetectContext) -> list[Finding]:
        release.wait(20)
        return []

    started = time.monotonic()
    text = "x" * (INLINE_CHARACTERS + 1)
    try:
        findings, incomplete, _ = await detected(
            Scripted("stuck", stuck), Scripted("a", seeing(finding())), text=text, deadline_ms=50
        )
    finally:
        release.set()
    assert findings == (finding(),)
    assert incomplete == (Incomplete("stuck", "deadline"),)
    assert time.monotonic() - started < 10


async def test_a_big_text_leaves_the_event_loop() -> None:
    """Long texts are inspected in a worker thread, short ones where they are."""
    threads: list[int] = []

    def where(_segments: Sequence[Segment], _context: DetectContext) -> list[Finding]:
        threads.append(threading.get_ident())
        return []

    await detected(Scripted("a", where), text="short")
    await detected(Scripted("a", where), text="x" * (INLINE_CHARACTERS + 1))
    assert threads[0] == threading.get_ident() != threads[1]
