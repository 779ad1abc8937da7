"""What every detector has to keep to, ours and yours: ``check_detector`` with a text that it finds something in."""

from __future__ import annotations

import pickle
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from guard.errors import DetectionIncomplete
from guard.types import DetectContext, Detector, Finding, Segment

TEXTS: Final[Sequence[str]] = (
    "",
    " ",
    "plain words and nothing else",
    "\0\x01\x7f",
    "Ünïcödé, 日本語, עברית, 🙂👩‍👩‍👧 \u202e and \ufeff",
    "\u0300" * 100,
    "٠١٢٣٤٥٦٧٨٩" * 5,
    "\ud800 a lone surrogate",
)
HUGE_CHARACTERS: Final = 1_000_000
MOST_GROWTH_BYTES: Final = 2 << 20
"""What a detector may keep after a thousand texts that it has not met before."""
PATIENCE_SECONDS: Final = 5.0
"""How long past its deadline a detector may be found at work, on a machine that is busy with other things."""
_CALLS: Final = 1_000
_DIGEST_BYTES: Final = 32


def context(seconds: float = 60.0) -> DetectContext:
    """A request's context whose deadline lies ``seconds`` ahead."""
    return DetectContext("request", time.monotonic() + seconds)


def check_detector(detector: Detector, positive: str) -> None:
    """Run every check. ``positive`` is a text in which the detector finds something.

    Raises ``AssertionError`` that says what does not hold. Takes some seconds; needs no test framework.
    """
    for check in CHECKS:
        check(detector, positive)


def check_contract(detector: Detector, positive: str) -> None:
    """The protocol holds, the digest is SHA-256 in hex, and the positive text is found at its place."""
    _hold(isinstance(detector, Detector), "it has no info, entities or detect: see guard.types.Detector")
    digest = detector.info.digest
    _hold(len(digest) == 2 * _DIGEST_BYTES and _is_hex(digest), f"info.digest is no SHA-256 in hex: {digest!r}")
    _hold(bool(detector.info.version), "info.version is empty")
    segments = [Segment.of("nothing"), Segment.of(positive), Segment.of("")]
    findings = detector.detect(segments, context())
    found = sorted({finding.segment for finding in findings})
    _hold(found == [1], f"of three texts only the second holds something, findings are in {found}")
    _check_findings(detector, segments, findings)


def check_purity(detector: Detector, positive: str) -> None:
    """The same input gives the same findings, whatever came between."""
    segments = [Segment.of(positive)]
    before = detector.detect(segments, context())
    detector.detect([Segment.of("something else " + positive[::-1])], context())
    _hold(bool(before), "it finds nothing in the positive text")
    _hold(detector.detect(segments, context()) == before, "the same text has other findings the second time")


def check_evidence(detector: Detector, positive: str) -> None:
    """Evidence does not repeat what was found: it stands in the log."""
    for finding in detector.detect([Segment.of(positive)], context()):
        value = positive[finding.start : finding.end]
        _hold(value not in finding.evidence, f"the evidence of a {finding.type} repeats what was found")


def check_texts(detector: Detector, positive: str) -> None:
    """Empty, odd and foreign texts are answered, alone and together."""
    _hold(detector.detect([], context()) == [], "without segments it finds something")
    segments = [Segment.of(text) for text in TEXTS]
    _check_findings(detector, segments, detector.detect(segments, context()))
    for segment in segments:
        detector.detect([segment], context())
    _hold(bool(detector.detect([Segment.of(positive), *segments], context())), "beside odd texts it finds nothing")


def check_folding(detector: Detector, positive: str) -> None:
    """Characters that show nothing hide nothing: what stands in the positive text is found between them, too."""
    segments = [Segment.of("\u200b".join(positive))]
    findings = detector.detect(segments, context())
    _hold(bool(findings), "a zero-width space after each character hides everything: match on segment.folded.text")
    _check_findings(detector, segments, findings)


def check_huge(detector: Detector, positive: str) -> None:
    """A million characters are finished, or their rest is said to be unread; what stands first is found."""
    text = positive + "\n" + "ordinary words " * (HUGE_CHARACTERS // 15)
    try:
        findings: Sequence[object] = detector.detect([Segment.of(text)], context(20.0))
    except DetectionIncomplete as incomplete:
        findings = incomplete.findings
    _hold(bool(findings), "what stands before a million characters is lost")


def check_deadline(detector: Detector, positive: str) -> None:
    """A deadline that has passed is spoken of, never taken for a clean text."""
    try:
        detector.detect([Segment.of(positive * 50)], context(-1.0))
    except DetectionIncomplete as incomplete:
        _hold(incomplete.reason == "deadline", f"past its deadline it gives the reason {incomplete.reason!r}")
    else:
        _hold(False, "past its deadline it answers as if it had looked: raise DetectionIncomplete")


def check_overtime(detector: Detector, positive: str) -> None:
    """A long text does not keep it at work past its deadline: whoever asked has gone on without it, and pays for it."""
    text = (positive + " ordinary words\n") * (HUGE_CHARACTERS // (len(positive) + 16))
    asked = context(0.1)
    with suppress(DetectionIncomplete):
        detector.detect([Segment.of(text)], asked)
    late = time.monotonic() - asked.deadline
    _hold(late <= PATIENCE_SECONDS, f"it was at work {late:.1f} s past its deadline: look at the clock in between")


def check_threads(detector: Detector, positive: str) -> None:
    """Eight threads at once find what one thread finds."""
    texts = [positive, "clean", positive + " " + positive, ""] * 8
    expected = [detector.detect([Segment.of(text)], context()) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: detector.detect([Segment.of(text)], context()), texts))
    _hold(found == expected, "eight threads find something else than one")


def check_pickle(detector: Detector, positive: str) -> None:
    """A copy that went through pickle, as to a worker process, has the same digest and finds the same."""
    copy: Any = pickle.loads(pickle.dumps(detector))  # noqa: S301 - our own bytes of a moment ago
    _hold(copy.info == detector.info, "a pickled copy gives another info")
    segments = [Segment.of(positive)]
    _hold(
        copy.detect(segments, context()) == detector.detect(segments, context()),
        "a pickled copy finds something else",
    )


def check_memory(detector: Detector, positive: str) -> None:
    """A thousand texts that it has not met before leave no more than two megabytes behind."""
    for number in range(50):
        detector.detect([Segment.of(f"{positive} warm {number}")], context())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(_CALLS):
            detector.detect([Segment.of(f"{positive} unmet{number:x} words{number * 7919:x}")], context())
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    _hold(after - before <= MOST_GROWTH_BYTES, f"it keeps {after - before:,} bytes of {_CALLS} texts")


CHECKS: Final[Sequence[Callable[[Detector, str], None]]] = (
    check_contract,
    check_purity,
    check_evidence,
    check_texts,
    check_folding,
    check_huge,
    check_deadline,
    check_overtime,
    check_threads,
    check_pickle,
    check_memory,
)


def _hold(true: bool, what: str) -> None:
    if not true:
        raise AssertionError(what)


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdef" for digit in text)


def _check_findings(detector: Detector, segments: Sequence[Segment], findings: Sequence[Finding]) -> None:
    for finding in findings:
        _hold(finding.type in detector.entities, f"{finding.type} is not among its entities")
        _hold(finding.detector == detector.info.name, f"a finding names {finding.detector!r} as its detector")
        length = len(segments[finding.segment].text)
        span = f"{finding.start}..{finding.end}"
        _hold(0 <= finding.start < finding.end <= length, f"a finding at {span} in a text of {length} characters")
        _hold(0.0 <= finding.score <= 1.0, f"a score of {finding.score}")
