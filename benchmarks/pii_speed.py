"""Time against size: our detector beside plain presidio, clean and dense texts, each bounded in time."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from benchmarks.pii_dataset import dense
from benchmarks.pii_targets import plain_presidio, reader_of
from guard.types import Segment

KIB: Final = 1024
SIZES: Final = (512, 4 * KIB, 32 * KIB, 256 * KIB)
CLEAN: Final = (
    "Please summarize the notes of the product meeting below. They cover the migration plan, the rollout of the new "
    "search index, and several open questions about caching. Keep the tone friendly, list what is to be done as "
    "bullets, and do not go beyond two hundred words. Mention that the results improved after tuning, and that the "
    "documentation is to be brought up to date before the release goes out to customers in Europe.\n"
)
_ROUND_S: Final = 0.3
_ROUNDS: Final = 5


class Cell(msgspec.Struct, frozen=True):
    """CPU milliseconds for one text; presidio's are ``None`` where it did not finish within the limit."""

    kind: str
    characters: int
    ours_ms: float
    presidio_ms: float | None


def text_of(kind: str, characters: int) -> str:
    """A clean or dense text of that many characters."""
    return dense(characters, seed=7) if kind == "dense" else (CLEAN * (characters // len(CLEAN) + 1))[:characters]


def median_ms(read: Callable[[str], Any], text: str) -> float:
    """CPU time of one call: the median over rounds, after a call that warms up; a call of seconds is not repeated."""
    times: list[float] = []
    for number in range(_ROUNDS + 1):
        calls, started = 0, time.process_time()
        while not calls or time.process_time() - started < _ROUND_S:
            read(text)
            calls += 1
        spent = (time.process_time() - started) / calls * 1e3
        if spent > 1e3:
            return spent
        if number:
            times.append(spent)
    return sorted(times)[len(times) // 2]


def _measure_presidio(text: str, answer: Any) -> None:
    answer.send(median_ms(plain_presidio(), text))


def bounded_presidio_ms(text: str, limit_s: float) -> float | None:
    """Plain presidio in a process of its own, ended after ``limit_s`` seconds: then ``None``."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_presidio, args=(text, sender), daemon=True)
    process.start()
    sender.close()
    try:
        return float(receiver.recv()) if receiver.poll(limit_s) else None
    except EOFError:
        raise SystemExit("presidio's process ended without an answer") from None
    finally:
        process.terminate()
        process.join()


def table(limit_s: float) -> list[Cell]:
    """Every size, clean and dense. Presidio is given ``limit_s`` for each cell; its start takes some of them."""
    from detectors.pii import PiiDetector

    ours = reader_of(PiiDetector())
    return [
        Cell(kind, size, median_ms(ours, text_of(kind, size)), bounded_presidio_ms(text_of(kind, size), limit_s))
        for kind in ("clean", "dense")
        for size in SIZES
    ]


def prompt_us() -> dict[str, float]:
    """CPU microseconds of our detectors for a clean text of 512 characters, as the guard calls them."""
    from detectors.pii import PiiDetector
    from detectors.secrets import SecretsDetector
    from guard.types import DetectContext

    segments = [Segment.of(text_of("clean", 512))]
    _ = segments[0].folded
    found = {}
    for name, detector in (
        ("pii", PiiDetector()),
        ("pii, names off", PiiDetector(names="off")),
        ("secrets", SecretsDetector()),
    ):
        call = lambda _, d=detector: d.detect(segments, DetectContext("request", time.monotonic() + 10))  # noqa: E731
        found[name] = median_ms(call, "") * 1e3
    return found
