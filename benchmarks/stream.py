"""A streamed answer, redacted as it flows: time a piece, time to the first byte, characters held, values that leak.

``python -m benchmarks.stream [--json] [--no-wire] [--streams N]``. Ways, in one run: ``live`` (the guard, or its
parts), ``buffered`` (the whole answer at its end, same detectors), ``presidio per piece`` (presidio's own recognizers
on every piece alone, as gateways do that do not hold back). The text is synthetic prose with a value in every third
sentence, in pieces of a word with its leading space, as tokenizers make them, and in pieces of 1 to 8 characters.

The first table is of one text and ``guard.stream`` with the detectors pii and secrets, in this process. The second is
of the whole guard over a loopback socket (``benchmarks.stream_wire``), beside the same app without it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.harness import emit, quantile, show
from benchmarks.redacting import Redacting, whole
from benchmarks.stream_corpus import SENTENCES, characters, corpus, occurrences, words
from benchmarks.stream_presidio import hidden
from benchmarks.stream_wire import measured
from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector
from guard.obligations.redact import Operator
from guard.types import Detector


def fed(feed: Callable[[str], str], close: Callable[[], str], pieces: Sequence[str]) -> Any:
    """Output, seconds of CPU for each piece, characters held after each, and pieces until the first text left."""
    out: list[str] = []
    costs: list[float] = []
    held: list[int] = []
    first, came, left = len(pieces), 0, 0
    for number, piece in enumerate(pieces, 1):
        started = time.process_time_ns()
        out.append(feed(piece))
        costs.append((time.process_time_ns() - started) / 1e9)
        came += len(piece)
        left += len(out[-1])
        held.append(came - left)
        if out[-1].strip() and first == len(pieces):
            first = number
    started = time.process_time_ns()
    out.append(close())
    costs.append((time.process_time_ns() - started) / 1e9)
    return "".join(out), costs, held, first


def ways(detectors: Sequence[Detector]) -> dict[str, Callable[[Sequence[str]], Any]]:
    """The contestants."""
    operators = {entity: Operator("drop") for detector in detectors for entity in getattr(detector, "local", ())}

    def live(pieces: Sequence[str]) -> Any:
        redacting = Redacting(detectors, operators)
        held: list[int] = []

        def feed(piece: str) -> str:
            text = redacting.feed(piece)
            held.append(redacting.held)
            return text

        text, costs, _, first = fed(feed, redacting.close, pieces)
        return text, costs, held, first

    def buffered(pieces: Sequence[str]) -> Any:
        kept: list[str] = []

        def feed(piece: str) -> str:
            kept.append(piece)
            return ""

        return fed(feed, lambda: whole(detectors, operators, "".join(kept)), pieces)

    def presidio(pieces: Sequence[str]) -> Any:
        text, costs, held, first = fed(hidden, str, pieces)
        return text, costs, [0] * len(held), first  # what is missing was hidden

    return {"live": live, "buffered": buffered, "presidio per piece": presidio}


def measure(seed: int = 1, sentences: int = SENTENCES) -> list[dict[str, Any]]:
    """One row for each way and cut."""
    text = corpus(seed, sentences)
    rows: list[dict[str, Any]] = []
    contestants = ways([PiiDetector(), SecretsDetector()])
    for cut, pieces in (("words", words(text)), ("1-8 characters", characters(text, seed))):
        for name, way in contestants.items():
            way(pieces[:200])  # caches
            out, costs, held, first = way(pieces)
            rows.append(
                {
                    "way": name,
                    "pieces": cut,
                    "us_per_piece_p50": round(quantile(costs, 0.5) * 1e6, 1),
                    "us_per_piece_p95": round(quantile(costs, 0.95) * 1e6, 1),
                    "us_per_piece_mean": round(sum(costs) / len(costs) * 1e6, 1),
                    "first_text_after_pieces": first,
                    "held_p50": quantile(held, 0.5),
                    "held_p95": quantile(held, 0.95),
                    "held_max": max(held),
                    "leaked": occurrences(out),
                    "values": occurrences(text),
                }
            )
    return rows


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--no-wire", action="store_true", help="without servers and sockets")
    parser.add_argument("--streams", type=int, default=3, help="streams of each way over the socket")
    options = parser.parse_args()
    rows = measure()
    wire = [] if options.no_wire else measured(options.streams)
    if options.json:
        emit({"benchmark": "stream", "rows": rows, "wire": wire})
        return
    show("A streamed answer, its text alone", list(rows[0]), [list(row.values()) for row in rows])
    if wire:
        show("The same over a loopback socket", list(wire[0]), [list(row.values()) for row in wire])


if __name__ == "__main__":
    main()
