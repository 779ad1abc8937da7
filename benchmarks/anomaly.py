"""``python -m benchmarks.anomaly``: how fast behaviour is scored, and what it finds in a simulated week.

Speed is CPU time beside scikit-learn's own ``score_samples`` of one row. What is found is beside scikit-learn's
isolation forest alone, on the same features.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from sklearn.ensemble import IsolationForest

from benchmarks import harness
from benchmarks.anomaly_week import over
from detectors.anomaly import TailModel
from detectors.anomaly.features import NAMES
from detectors.anomaly.training.flatten import flatten
from detectors.anomaly.training.week import week

SEEDS: Final = (1, 2, 3)


def _best_us(call: Callable[[], object], rounds: int, repeats: int) -> float:
    """The least mean CPU time of a call over the rounds, in microseconds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            call()
        best = min(best, (time.process_time() - started) / repeats)
    return round(best * 1e6, 1)


def forest(rounds: int = 5) -> dict[str, float]:
    """One row: scikit-learn's forest, the flat one, the flat one with attribution; and the largest difference."""
    rng = np.random.default_rng(1)
    model = IsolationForest(n_estimators=100, random_state=1).fit(rng.normal(size=(5000, len(NAMES))))
    flat = flatten(model)
    rows = rng.normal(size=(2000, len(NAMES))) * 2.0
    row, one = rows[0].tolist(), rows[:1]
    theirs = -model.score_samples(rows)
    result = {
        "scikit_learn_us": _best_us(lambda: model.score_samples(one), rounds, 20),
        "flat_us": _best_us(lambda: flat.score(row), rounds, 2000),
        "flat_attributed_us": _best_us(lambda: flat.explain(row), rounds, 2000),
        "largest_difference": float(max(abs(flat.score(r) - s) for r, s in zip(rows.tolist(), theirs, strict=True))),
    }
    result["times_faster"] = round(result["scikit_learn_us"] / result["flat_us"], 1)
    return result


def model_us(rounds: int = 5) -> dict[str, float]:
    """The whole model, all features with their shares: an ordinary request, one with a second opinion, a lesson."""
    model = TailModel()
    rows = week(1, principals=20, attacks=0)
    for row in rows:
        model.learn(row.event, "allow")
        model.settle(row.event, row.outcome)
    event = rows[-1].event
    large = type(event)(event.principal, event.time_s, {**event.features, "size_bytes": 1e9}, event.group, event.labels)
    later = iter(range(1, 1_000_000))

    def learn() -> None:
        at = event.time_s + 20.0 * next(later)
        model.learn(type(event)(event.principal, at, event.features, event.group, event.labels), "allow")

    return {
        "score_us": _best_us(lambda: model.score(event), rounds, 2000),
        "score_with_second_opinion_us": _best_us(lambda: model.score(large), rounds, 2000),
        "learn_us": _best_us(learn, rounds, 2000),
    }


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anomaly", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS, metavar="N", help="weeks; none for speed only")
    chosen = parser.parse_args(given)
    result: dict[str, Any] = {"forest": forest(), "model": model_us()}
    if chosen.seeds:
        means, weeks = over(chosen.seeds)
        result["week"] = {
            "seeds": list(chosen.seeds),
            "kinds": {kind: {k: round(v, 3) for k, v in found._asdict().items()} for kind, found in means.items()},
            "thresholds": [round(one.threshold, 3) for one in weeks],
            "denied": [round(one.denied, 5) for one in weeks],
        }
    if chosen.json:
        harness.emit(result)
        return
    for name in ("forest", "model"):
        harness.show(f"{name} (CPU)", ("what", "value"), [(k, f"{v:g}") for k, v in result[name].items()])
    if chosen.seeds:
        _show(result["week"])


def _show(result: dict[str, Any]) -> None:
    kinds: dict[str, dict[str, float]] = result["kinds"]
    columns = list(next(iter(kinds.values())))
    rows: list[list[Any]] = [[kind, *found.values()] for kind, found in kinds.items()]
    rows.append(["mean", *[statistics.mean([found[name] for found in kinds.values()]) for name in columns]])
    harness.show(f"A simulated week, at 1 % false alarms, seeds {result['seeds']}", ["attack", *columns], rows)
    print(f"  thresholds {result['thresholds']}; ordinary requests denied at 0.8: {result['denied']}")


if __name__ == "__main__":
    main()
