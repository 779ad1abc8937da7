"""Detectors side by side under one deadline: segments in, findings and what did not finish out.

Small bodies run on the event loop, where a hand-over would cost more than the work; bigger ones run in worker threads,
so that the loop is never held for longer than a few hundred microseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from guard.errors import DetectionIncomplete, GuardStopped, Overloaded, place_of
from guard.telemetry import get_logger
from guard.types import DetectContext, Detector, DetectorOutcome, Finding, Incomplete, Segment, Stage
from guard.workers import THREADS, Workers

INLINE_CHARACTERS: Final = 2048
INLINE_SEGMENTS: Final = 256
# A detector looks at its deadline between steps; past this grace its thread is given up.
_GRACE_SECONDS: Final = 0.25

_log = get_logger("guard.pipeline")


class Detection(msgspec.Struct, frozen=True):
    """What the detectors saw, and which of them did not finish."""

    findings: tuple[Finding, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()
    outcomes: tuple[DetectorOutcome, ...] = ()


_NOTHING: Final = Detection()


class Pipeline:
    """Runs a fixed set of detectors. ``deadline_ms`` bounds all of them together."""

    def __init__(self, detectors: Sequence[Detector], *, deadline_ms: int, threads: int = THREADS) -> None:
        self.detectors = tuple(detectors)
        self._deadline_s = deadline_ms / 1000
        # A detector that says so may take long over small texts as well: a model, or code that is not ours.
        self._may_wait = any(getattr(detector, "may_wait", False) for detector in self.detectors)
        # Apart from those that read bodies: detectors that hang must not keep anything from being read.
        self._workers = Workers("guard-detect", threads=threads)

    async def detect(self, segments: Sequence[Segment], stage: Stage, media_type: str = "") -> Detection:
        """All findings of all detectors, in the order of position. A failure is an ``Incomplete``, not an exception.

        ``media_type`` is that of the body, for detectors that tell a form from other bodies.
        """
        if not segments or not self.detectors:
            return _NOTHING
        context = DetectContext(stage, time.monotonic() + self._deadline_s, media_type)
        small = len(segments) <= INLINE_SEGMENTS and sum(len(s.text) for s in segments) <= INLINE_CHARACTERS
        if small and not self._may_wait:
            results = [_run(detector, segments, context) for detector in self.detectors]
        else:
            results = await asyncio.gather(*(self._run_apart(d, segments, context) for d in self.detectors))
        return Detection(
            _united([finding for found, _ in results for finding in found]),
            tuple([Incomplete(o.info.name, o.outcome) for _, o in results if o.outcome != "ok"]),
            tuple([outcome for _, outcome in results]),
        )

    async def _run_apart(
        self, detector: Detector, segments: Sequence[Segment], context: DetectContext
    ) -> tuple[list[Finding], DetectorOutcome]:
        started = time.monotonic()
        seconds = context.deadline + _GRACE_SECONDS - started
        try:
            return await self._workers.run(_run, detector, segments, context, seconds=seconds)
        except TimeoutError:
            # The thread cannot be stopped; the pool is bounded, so a stuck detector costs one worker, not the process.
            outcome = "deadline"
        except (Overloaded, GuardStopped) as error:
            outcome = error.code
        return [], DetectorOutcome(detector.info, outcome, round((time.monotonic() - started) * 1e6))

    def close(self) -> None:
        """Let go of the worker threads without waiting for a stuck detector."""
        self._workers.close()


def _run(
    detector: Detector, segments: Sequence[Segment], context: DetectContext
) -> tuple[list[Finding], DetectorOutcome]:
    started = time.monotonic()
    found: list[Finding] = []
    if started >= context.deadline:
        outcome = "deadline"
    else:
        try:
            found = [f for f in detector.detect(segments, context) if not _is_elsewhere(f, segments)]
            outcome = "ok"
        except DetectionIncomplete as error:
            found = [f for f in error.findings if isinstance(f, Finding)]
            outcome = error.reason
        except Exception as error:  # noqa: BLE001 - whatever a detector raises, the policy must hear of it
            _log.error(
                "detector failed", detector=detector.info.name, exception=type(error).__name__, where=place_of(error)
            )
            outcome = "error"
    if found and not all(_is_sound(finding, segments) for finding in found):
        _log.error("detector returned a finding outside its text", detector=detector.info.name)
        found = [finding for finding in found if _is_sound(finding, segments)]
        outcome = "error"
    return found, DetectorOutcome(detector.info, outcome, round((time.monotonic() - started) * 1e6))


def _united(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings by position. A value that stands in a text and in a reading of it (``guard.readings``) is one, of
    the best score."""
    if not findings:
        return ()
    findings.sort(key=lambda f: f.score)
    unique = {(f.segment, f.start, f.end, f.type, f.detector): f for f in findings}
    return tuple(sorted(unique.values(), key=lambda f: (f.segment, f.start, f.end, f.type)))


def _is_elsewhere(finding: Finding, segments: Sequence[Segment]) -> bool:
    """Whether a finding lies in a reading alone that shows a neighbour's characters: the neighbour has it, too."""
    if finding.start != finding.end or not 0 <= finding.segment < len(segments):
        return False
    return segments[finding.segment].folded.ends is not None


def _is_sound(finding: Finding, segments: Sequence[Segment]) -> bool:
    return (
        0 <= finding.segment < len(segments)
        and 0 <= finding.start < finding.end <= len(segments[finding.segment].text)
        and 0.0 <= finding.score <= 1.0
    )
