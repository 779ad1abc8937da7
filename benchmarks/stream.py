"""A streamed answer, redacted as it flows: time a piece, time to the first text, characters held, values that leak.

``python -m benchmarks.stream [--json]``. Ways, in one run: ``live`` (``guard.stream`` with the detectors pii and
secrets), ``buffered`` (the whole answer at its end, same detectors), ``presidio per piece`` (presidio's own recognizers
on every piece alone, as gateways do that do not hold back). The text is synthetic prose with a value in every third
sentence, in pieces of a word with its leading space, as tokenizers make them, and in pieces of 1 to 8 characters.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.harness import emit, quantile, show
from benchmarks.redacting import Redacting, whole
from detectors.pii import PiiDetector
from detectors.pii.options import PiiOptions
from detectors.pii.recognizers import select
from detectors.secrets import SecretsDetector
from guard.obligations.redact import Operator
from guard.types import Detector

SENTENCES: Final = 120
_PLAIN: Final = (
    "The committee met again in the afternoon to go through what was left of the plan.",
    "Nobody objected, although some of the older members would have liked more time.",
    "It is best to begin with the largest part and to leave the details for later.",
)
_WITH: Final = (
    "Please write to {} before the end of the week.",
    "The number on the card is {} and it is still valid.",
    "You can reach them under {} during office hours.",
    "The transfer goes to {} as agreed in the contract.",
)
_VALUES: Final = ("jane.doe@leak.org", "4111 1111 1111 1111", "+49 30 901820123", "DE89 3704 0044 0532 0130 00")


def corpus(seed: int) -> str:
    """The answer that is streamed."""
    rng = random.Random(seed)
    said = []
    for number in range(SENTENCES):
        kind = rng.randrange(len(_WITH))
        said.append(_WITH[kind].format(_VALUES[kind]) if number % 3 == 0 else rng.choice(_PLAIN))
    return " ".join(said)


def words(text: str) -> list[str]:
    """Pieces of a word with the space before it."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def characters(text: str, seed: int) -> list[str]:
    """Pieces of 1 to 8 characters."""
    rng, pieces = random.Random(seed), []
    while text:
        size = rng.randint(1, 8)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


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

    recognizers, phone = select(PiiOptions(), set())
    entities = [*recognizers, *([phone] if phone is not None else [])]

    def presidio(pieces: Sequence[str]) -> Any:
        def feed(piece: str) -> str:
            found = [r for one in entities for r in one.analyze(piece, one.supported_entities, None) if r.score >= 0.4]
            for result in sorted(found, key=lambda r: -r.start):
                piece = piece[: result.start] + piece[result.end :]
            return piece

        text, costs, held, first = fed(feed, str, pieces)
        return text, costs, [0] * len(held), first  # what is missing was hidden

    return {"live": live, "buffered": buffered, "presidio per piece": presidio}


def measure(seed: int = 1) -> list[dict[str, Any]]:
    """One row for each way and cut."""
    text = corpus(seed)
    values = sum(text.count(value) for value in _VALUES)
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
                    "leaked": sum(out.count(value) for value in _VALUES),
                    "values": values,
                }
            )
    return rows


def main() -> None:
    """Print the table, or one JSON object."""
    rows = measure()
    if "--json" in sys.argv[1:]:
        emit({"benchmark": "stream", "rows": rows})
        return
    show("A streamed answer", list(rows[0]), [list(row.values()) for row in rows])


if __name__ == "__main__":
    main()
