"""``python -m benchmarks.web FILE``: payloads of web attacks that are found, by kind, and what a value costs.

``FILE``: CSV with the columns ``payload`` and ``attack_type``; ``norm`` are ordinary values (HttpParamsDataset).
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from detectors.web import WebDetector
from guard.types import DetectContext, Segment

ORDINARY: Final = "norm"
ROUNDS: Final = 3


def main(arguments: list[str]) -> int:
    """Print one line for each kind. 2 for a wrong call or a file that cannot be read."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    try:
        with Path(arguments[0]).open(encoding="utf-8", newline="") as file:
            rows = [(row["attack_type"], row["payload"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        print(f"{arguments[0]}: {type(error).__name__}: {error}")
        return 2
    detector = WebDetector()
    for kind, count in Counter(kind for kind, _ in rows).items():
        values = [[Segment.of(text, "query/value")] for of, text in rows if of == kind]
        found = sum(bool(detector.detect(value, _context())) for value in values)
        verb = "flagged" if kind == ORDINARY else "found"
        told = f"{found:6,} {verb} ({found / count:7.2%})"
        print(f"{kind:16} {count:6,} values, {told}, {_microseconds(detector, values):5.1f} us each")
    return 0


def _context() -> DetectContext:
    return DetectContext("request", time.monotonic() + 60)


def _microseconds(detector: WebDetector, values: list[list[Segment]]) -> float:
    """The best of three rounds, for one value."""
    best = float("inf")
    for _ in range(ROUNDS):
        context = _context()
        started = time.perf_counter()
        for value in values:
            detector.detect(value, context)
        best = min(best, time.perf_counter() - started)
    return best / len(values) * 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
