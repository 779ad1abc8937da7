"""``python -m benchmarks.pii``: how well personal data is found, and how fast, beside plain presidio.

By default the texts are generated (``benchmarks.pii_dataset``); ``--dataset`` takes a file in presidio-research's JSON
format, and ``--write`` saves the generated ones as such. A name counts as listed if the graded detector knows it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import pii_speed
from benchmarks.pii_dataset import Sample, as_json, generate, known_half, load
from benchmarks.pii_score import Score, score
from benchmarks.pii_targets import DEFAULT, Target, target


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pii", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument(
        "--dataset", type=Path, metavar="FILE", help="labelled texts in presidio-research's JSON format"
    )
    parser.add_argument(
        "--detector", action="append", metavar="NAME", help="presidio, off, basic, strict or module:attribute"
    )
    parser.add_argument("--texts", type=int, default=1000, help="generated texts (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the generator (default: 1)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="save the texts, and grade nothing")
    parser.add_argument("--no-speed", action="store_true", help="leave out time against size")
    parser.add_argument("--limit-s", type=float, default=90.0, help="for presidio in each cell (default: 90)")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Grade, measure, print."""
    chosen = _arguments(given)
    samples = generate(chosen.texts, chosen.seed) if chosen.dataset is None else load(chosen.dataset)
    if not samples:
        raise SystemExit("no texts")
    if chosen.write is not None:
        chosen.write.write_text(json.dumps(as_json(samples), ensure_ascii=False, indent=1), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as directory:
        # The names of a file of yours are not ours: then the whole gazetteer is graded.
        half = None if chosen.dataset else known_half(Path(directory) / "names.txt")
        targets = [target(name, half) for name in chosen.detector or DEFAULT]
    graded = {each.name: _grade(each, samples) for each in targets}
    cells = [] if chosen.no_speed else pii_speed.table(chosen.limit_s)
    prompt = {} if chosen.no_speed else pii_speed.prompt_us()
    if chosen.json:
        json.dump(_as_json(samples, graded, cells, prompt, chosen.limit_s), sys.stdout, indent=1)
        print()
        return
    _print_quality(samples, graded)
    if cells:
        _print_speed(cells, prompt, chosen.limit_s)


def _grade(each: Target, samples: Sequence[Sample]) -> tuple[Score, float]:
    """The score, and CPU milliseconds for a text."""
    each.read(samples[0].text)
    started = time.process_time()
    found = [each.read(sample.text) for sample in samples]
    spent_ms = (time.process_time() - started) / len(samples) * 1e3
    return score(samples, found), spent_ms


def _as_json(
    samples: Sequence[Sample],
    graded: dict[str, tuple[Score, float]],
    cells: Sequence[pii_speed.Cell],
    prompt: dict[str, float],
    limit_s: float,
) -> dict[str, Any]:
    return {
        "texts": len(samples),
        "spans": sum(len(sample.spans) for sample in samples),
        "detectors": {
            name: {**found.as_json(), "cpu_ms_per_text": round(ms, 3)} for name, (found, ms) in graded.items()
        },
        "speed": [
            {
                "text": cell.kind,
                "characters": cell.characters,
                "ours_cpu_ms": round(cell.ours_ms, 4),
                "presidio_cpu_ms": None if cell.presidio_ms is None else round(cell.presidio_ms, 3),
            }
            for cell in cells
        ],
        "presidio_limit_s": limit_s,
        "clean_512_cpu_us": {name: round(us, 1) for name, us in prompt.items()},
    }


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print_quality(samples: Sequence[Sample], graded: dict[str, tuple[Score, float]]) -> None:
    spans = sum(len(sample.spans) for sample in samples)
    print(f"{len(samples)} texts, {spans} labelled spans. Each cell: precision / recall / F2.\n")
    names = list(graded)
    rows = {row.type: row.labelled for found, _ in graded.values() for row in found.rows}
    lines = [["type", "labelled", *names]]
    for kind in sorted(rows, key=lambda kind: (kind == "any", kind)):
        cells = []
        for found, _ in graded.values():
            row = next((row for row in found.rows if row.type == kind), None)
            cells.append("-" if row is None else f"{_share(row.precision)} / {_share(row.recall)} / {_share(row.f2)}")
        lines.append([kind, str(rows[kind]), *cells])
    scores = [found for found, _ in graded.values()]
    if any(found.unseen_recall is not None for found in scores):
        lines.append(["PERSON, listed: recall", "", *(_share(found.seen_recall) for found in scores)])
        lines.append(["PERSON, unlisted: recall", "", *(_share(found.unseen_recall) for found in scores)])
    lines.append(["leak (characters)", "", *(f"{found.leak:.1%}" for found in scores)])
    lines.append(["over-redaction (characters)", "", *(f"{found.over:.2%}" for found in scores)])
    lines.append(["CPU ms per text", "", *(f"{ms:.2f}" for _, ms in graded.values())])
    _print_table(lines)


def _print_speed(cells: Sequence[pii_speed.Cell], prompt: dict[str, float], limit_s: float) -> None:
    print("\nCPU ms for one text, all defaults.\n")
    lines = [["text", "KiB", "ours", "presidio", "times faster"]]
    for cell in cells:
        slow = cell.presidio_ms
        theirs = f"not finished in {limit_s:g} s" if slow is None else f"{slow:.2f}"
        ratio = "-" if slow is None else f"{slow / cell.ours_ms:.1f}"
        lines.append([cell.kind, f"{cell.characters / 1024:g}", f"{cell.ours_ms:.3f}", theirs, ratio])
    _print_table(lines)
    print("\nA clean text of 512 characters: " + ", ".join(f"{name} {us:.0f} µs" for name, us in prompt.items()) + ".")


def _print_table(lines: Sequence[Sequence[str]]) -> None:
    """A table in Markdown, aligned."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
