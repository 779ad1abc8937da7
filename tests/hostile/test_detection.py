"""Every text of ``detection/`` against the detectors alone: what it hides is found, or the detection says that it did
not finish; nothing is lost in silence, and an unrelated text is looked at meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from guard.errors import DetectionIncomplete
from guard.pipeline import Pipeline
from guard.types import DetectContext, Detector, Finding, Segment
from tests.components import require_package
from tests.hostile.case import Material
from tests.hostile.material import make

DIRECTORY = Path(__file__).parent / "detection"
DEADLINE_S = 5.0
BOMB_DEADLINE_S = 0.5
BOMBS = ("own_backtracking",)
"""Cases that end at their deadline by design, and are given a short one."""


class Hostile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text and what it hides: type and value, which stand once in it.

    ``ends`` are the right ends: empty for a whole detection, else the reason of an incomplete one.
    """

    what: str
    text: Material
    hides: tuple[tuple[str, str], ...]
    detector: Literal["pii", "secrets", "own"] = "pii"
    ends: tuple[str, ...] = ("", "deadline")


def load(name: str) -> Hostile:
    """The case of that name. Raises ``msgspec.ValidationError`` for a file that is none."""
    return msgspec.toml.decode((DIRECTORY / f"{name}.toml").read_bytes(), type=Hostile)


CASES = {path.stem: load(path.stem) for path in sorted(DIRECTORY.glob("*.toml"))}


@pytest.fixture(scope="module")
def detectors() -> Mapping[str, Detector]:
    """The detectors with their defaults, and one with a dangerous expression of a user's."""
    require_package("presidio-analyzer")
    from detectors.pii import PiiDetector
    from detectors.secrets import SecretsDetector

    bomb = PiiDetector(own={"BOMB": {"patterns": [r"(<)?(?:a+)+(?(1)>|;)"]}}, entities=["EMAIL_ADDRESS"])
    return {"pii": PiiDetector(), "secrets": SecretsDetector(), "own": bomb}


def look(detector: Detector, text: str, seconds: float) -> tuple[Sequence[Any], str]:
    """Findings, and why the detector stopped early (empty if it did not)."""
    try:
        return detector.detect([Segment.of(text)], DetectContext("request", time.monotonic() + seconds)), ""
    except DetectionIncomplete as incomplete:
        return incomplete.findings, incomplete.reason


def text_of(case: Hostile) -> str:
    """The text of a case."""
    return make(case.text).decode()


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_in_silence(name: str, detectors: Mapping[str, Detector]) -> None:
    """What the text hides is found at its place; if it is not, the detection is incomplete and says why."""
    case = CASES[name]
    text = text_of(case)
    seconds = BOMB_DEADLINE_S if name in BOMBS else DEADLINE_S
    findings, reason = look(detectors[case.detector], text, seconds)
    assert reason in case.ends
    spans = {(f.type, text[f.start : f.end]) for f in findings if isinstance(f, Finding)}
    for kind, value in case.hides:
        assert text.count(value) == 1
        assert (kind, value) in spans or reason, "lost in silence"


def test_most_cases_are_read_to_the_end(detectors: Mapping[str, Detector]) -> None:
    """Incomplete is no way out: texts of 16 KiB that are made against one recognizer are read whole."""
    unread = {
        name
        for name, case in CASES.items()
        if "" in case.ends and len(text_of(case)) < 20_000 and look(detectors[case.detector], text_of(case), 60.0)[1]
    }
    assert unread == set()


def test_there_are_enough_cases() -> None:
    """At least thirty named files, of which ten are not ASCII."""
    assert len(CASES) >= 30
    assert sum(not text_of(case).isascii() for case in CASES.values()) >= 10


@pytest.mark.slow
@pytest.mark.anyio
async def test_an_unrelated_text_is_looked_at_meanwhile(detectors: Mapping[str, Detector]) -> None:
    """While an expression backtracks to its deadline in a worker thread, another text's personal data are found."""
    began = threading.Event()

    class Watched:
        """The detector with the bomb, which says when it begins."""

        info = detectors["own"].info
        entities = detectors["own"].entities

        def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
            began.set()
            return list(detectors["own"].detect(segments, context))

    bombed = Pipeline([Watched()], deadline_ms=3000)
    usual = Pipeline([detectors["pii"]], deadline_ms=60_000)
    try:
        hostile = asyncio.create_task(bombed.detect([Segment.of(text_of(CASES["own_backtracking"]))], "request"))
        await asyncio.to_thread(began.wait, 30)
        unrelated = await usual.detect([Segment.of("to jane@corp-mail.com " + "and so on " * 400)], "request")
        assert not hostile.done()
        assert [finding.type for finding in unrelated.findings] == ["EMAIL_ADDRESS"]
        assert [gap.reason for gap in (await hostile).incomplete] == ["deadline"]
    finally:
        bombed.close()
        usual.close()


@pytest.mark.anyio
async def test_a_recognizer_that_hangs_on_a_small_text_does_not_hold_the_event_loop(
    detectors: Mapping[str, Detector],
) -> None:
    """Code of the user's waits in a worker thread, however small the text: the loop turns meanwhile."""
    from detectors.pii import PiiDetector
    from tests.detectors.own_recognizers import Hanging

    hanging = PiiDetector(recognizers=["tests.detectors.own_recognizers:Hanging"])
    assert (hanging.may_wait, detectors["pii"].may_wait) == (True, False)  # type: ignore[attr-defined]
    pipeline = Pipeline([hanging], deadline_ms=60_000)
    Hanging.released.clear()
    try:
        waiting = asyncio.create_task(pipeline.detect([Segment.of("small")], "request"))
        await asyncio.to_thread(Hanging.begun.wait, 30)
        assert not waiting.done()
        Hanging.released.set()
        assert (await waiting).incomplete == ()
    finally:
        Hanging.released.set()
        pipeline.close()
