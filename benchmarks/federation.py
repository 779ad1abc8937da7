"""What a federation costs in quality, and whether its sums are exact.

``python -m benchmarks.federation [--json] [--quick]``: seeded sets, cut up among ten gateways at random and by kind,
against scikit-learn's forest over all rows, and the same with noise.
``python -m benchmarks.federation --gateways 10``: a simulated week in ten gateway processes, through Flower and its
secure aggregation on loopback; needs the environment of ``make federated``. Ends with 1 where merged counts are not
the pooled ones, or the mean AUC is more than 0.01 below central.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from benchmarks.federation_sets import GENERATORS, PUBLIC, Labelled, generated, public, split, weeks
from detectors.federation.contribution import counts_of, histograms_of
from detectors.federation.files import Held, read_structure, read_sums
from detectors.federation.forest import MassForest
from detectors.federation.space import Levels
from detectors.federation.structure import Structure, grown
from detectors.federation.sums import merged

GATEWAYS: Final = 10
SEEDS: Final = 5
MARGIN: Final = 0.01
TREES: Final = 100
SAMPLES: Final = 1024
NOISY_TREES: Final = 32
NOISY_SAMPLES: Final = 64
EPSILONS: Final = (1.0, 4.0, 16.0)
"""Of both steps together; half for each."""
WEEK: Final = "simulated week"

Floats = npt.NDArray[np.float64]
Step = Callable[[Levels, str], Held]


class NotExactError(Exception):
    """Merged counts differ from pooled ones."""


def summed(levels: Levels, parts: Sequence[npt.NDArray[np.intp]], step: Step) -> Held:
    """The merged contributions of gateways that hold the rows ``parts``."""
    held = [step(levels[part], f"gateway-{at}") for at, part in enumerate(parts)]
    return held[0]._replace(sums=merged([one.sums for one in held]))


def federated(data: Labelled, seed: int, *, alike: bool) -> Floats:
    """Scores by merged counts of ten gateways. Raises ``NotExactError`` where a sum is not the pooled one."""
    levels = data.space.levels(data.rows)
    parts = data.parts or split(data.rows, GATEWAYS, alike=alike, seed=seed)

    def exact(step: Step) -> Held:
        found = summed(levels, parts, step)
        if not np.array_equal(found.sums.counts, step(levels, "pooled").sums.counts):
            raise NotExactError(f"{data.name}, seed {seed}: merged counts are not the pooled ones")
        return found

    histograms = exact(lambda rows, name: histograms_of(rows, data.space, name))
    structure = grown(data.space, histograms.sums.counts, trees=TREES, samples=SAMPLES, seed=seed)
    counts = exact(lambda rows, name: counts_of(rows, structure, name))
    return MassForest(structure, counts.sums.counts).score(levels)


def noisy(data: Labelled, seed: int, epsilon: float) -> Floats:
    """The same with noise at each of ten gateways, every row a principal of its own (cap 1)."""
    levels = data.space.levels(data.rows)
    parts = data.parts or split(data.rows, GATEWAYS, alike=False, seed=seed)
    half = epsilon / 2
    sums = summed(levels, parts, lambda rows, name: histograms_of(rows, data.space, name, cap=1, epsilon=half)).sums
    structure = grown(data.space, sums.counts, trees=NOISY_TREES, samples=NOISY_SAMPLES, seed=seed)
    held = summed(levels, parts, lambda rows, name: counts_of(rows, structure, name, cap=1, epsilon=half))
    return MassForest(structure, held.sums.counts).score(levels)


def central(data: Labelled, seed: int, samples: int) -> Floats:
    """scikit-learn's forest over all rows."""
    forest = IsolationForest(n_estimators=TREES, max_samples=min(samples, len(data.rows)), random_state=seed)
    return np.asarray(-forest.fit(data.rows).score_samples(data.rows))


def measure(seeds: int) -> list[dict[str, Any]]:
    """A row for each set: mean AUC over seeds, and the worst difference of one seed."""
    sets: dict[str, list[Labelled]] = {name: [generated(name, seed) for seed in range(seeds)] for name in GENERATORS}
    sets |= {name: [public(name, seed) for seed in range(seeds)] for name in PUBLIC}
    sets[WEEK] = [weeks(seed, GATEWAYS) for seed in range(min(seeds, 3))]
    rows = []
    for name, several in sets.items():
        found: dict[str, list[float]] = {}
        for seed, data in enumerate(several):
            ways = {
                "central": central(data, seed, 256),
                "central_1024": central(data, seed, 1024),
                "federated_iid": federated(data, seed, alike=True),
                "federated_non_iid": federated(data, seed, alike=False),
                **{f"epsilon_{epsilon:g}": noisy(data, seed, epsilon) for epsilon in EPSILONS},
            }
            for way, scores in ways.items():
                found.setdefault(way, []).append(float(roc_auc_score(data.planted, scores)))
        worst = min(ours - theirs for ours, theirs in zip(found["federated_non_iid"], found["central"], strict=True))
        rows.append({"set": name, **{way: float(np.mean(values)) for way, values in found.items()}, "worst": worst})
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


def report(rows: list[dict[str, Any]]) -> bool:
    """Print the table; whether the mean is within the margin."""
    ways = [way for way in rows[0] if way not in {"set", "worst"}]
    print("| set | " + " | ".join(ways) + " | worst seed |\n|" + "---|" * (len(ways) + 2))
    mean = {way: float(np.mean([row[way] for row in rows])) for way in ways}
    worst = min(row["worst"] for row in rows)
    for row in [*rows, {"set": "**mean**", **mean, "worst": worst}]:
        print(f"| {row['set']} | " + " | ".join(f"{row[way]:.3f}" for way in ways) + f" | {row['worst']:+.3f} |")
    gap = mean["federated_non_iid"] - mean["central"]
    print(f"\nfederated less central: {gap:+.4f} (at least -{MARGIN}); merged counts equal pooled ones in every run")
    return gap >= -MARGIN


def through_flower(gateways: int, *, as_json: bool) -> None:
    """Ten processes and their sums, held against the pooled ones. Raises ``NotExactError`` where one differs."""
    from benchmarks.federation_flower import run

    data = weeks(0, gateways)
    levels = data.space.levels(data.rows)
    settings = {"trees": TREES, "samples": SAMPLES, "seed": 0, "space": "", "timeout_seconds": 120.0}
    with tempfile.TemporaryDirectory(prefix="federation-") as made:
        work = Path(made)
        events = {}
        for at, part in enumerate(data.parts):
            events[f"gateway-{at}"] = work / f"gateway-{at}.jsonl"
            lines = (
                {
                    "principal": f"row-{row}",
                    "features": dict(zip(data.space.names, data.rows[row].tolist(), strict=True)),
                }
                for row in part.tolist()
            )
            events[f"gateway-{at}"].write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        seconds = run(work, events, settings)
        structure: Structure = read_structure(work / "structure.npz")
        both = read_sums(work / "histograms.npz"), read_sums(work / "merged.npz")
    pooled = histograms_of(levels, data.space, "pooled"), counts_of(levels, structure, "pooled")
    for ours, theirs in zip(both, pooled, strict=True):
        if not np.array_equal(ours.sums.counts, theirs.sums.counts) or len(ours.sums.sources) != gateways:
            raise NotExactError(f"{ours.sums.kind} summed by Flower are not the pooled ones")
    found = {
        "gateways": gateways,
        "events": len(levels),
        "seconds": round(seconds, 1),
        "merged_equals_pooled": True,
        "leaves": structure.leaves,
        "auc": round(float(roc_auc_score(data.planted, MassForest(structure, both[1].sums.counts).score(levels))), 4),
        "auc_central": round(float(roc_auc_score(data.planted, central(data, 0, 256))), 4),
    }
    print(json.dumps(found) if as_json else "\n".join(f"{name:<22}{value}" for name, value in found.items()))


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--gateways", type=int, metavar="N", help="a run of N processes through Flower, 3 to 32")
    asked = parser.parse_args()
    try:
        if asked.gateways is not None:
            if not 3 <= asked.gateways <= 32:
                parser.error("--gateways: 3 to 32")
            if importlib.util.find_spec("flwr") is None:
                print(
                    "error: flwr is not installed here: make federated, and call .venv-federated/bin/python",
                    file=sys.stderr,
                )
                return 1
            through_flower(asked.gateways, as_json=asked.json)
            return 0
        rows = measure(1 if asked.quick else SEEDS)
    except (NotExactError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps({"sets": rows}))
        return int(float(np.mean([row["federated_non_iid"] - row["central"] for row in rows])) < -MARGIN)
    return int(not report(rows))


if __name__ == "__main__":
    sys.exit(main())
