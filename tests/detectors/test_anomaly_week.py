"""What is found in the simulated week, and that the shipped forest is the one that its training gives."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
import sklearn

from benchmarks.anomaly_week import judged
from detectors.anomaly.second import SHIPPED
from detectors.anomaly.training.__main__ import train
from detectors.anomaly.training.week import PLANTED, week

pytestmark = pytest.mark.slow


def test_the_week_is_repeatable() -> None:
    """A seed gives the same rows; another one others."""
    small = week(7, principals=5, attacks=1)
    assert small == week(7, principals=5, attacks=1) != week(8, principals=5, attacks=1)
    assert {row.kind for row in small} == {"", *PLANTED}


def test_planted_attacks_are_found_for_what_they_are() -> None:
    """At 1 % false alarms: far more than the forest alone finds, the planted feature first, nobody ordinary denied."""
    found = judged(11)
    kinds = found.kinds.values()
    assert found.alarms <= 0.01
    assert found.denied == 0.0
    beside = statistics.mean(kind.forest_found for kind in kinds)
    assert statistics.mean(kind.found for kind in kinds) > 1.4 * beside
    assert statistics.mean(kind.found for kind in kinds) > 0.45
    assert statistics.mean(kind.first for kind in kinds) >= 0.9


def test_training_gives_the_shipped_forest(tmp_path: Path) -> None:
    """The same seeds and the same scikit-learn give the same bytes."""
    card = json.loads(SHIPPED.with_suffix(".json").read_text("utf-8"))
    if card["trainer"]["scikit-learn"] != sklearn.__version__:
        pytest.skip(f"the shipped forest was trained with scikit-learn {card['trainer']['scikit-learn']}")
    assert train(tmp_path / "forest.npz") == card["sha256"]
