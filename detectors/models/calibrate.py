"""Platt scaling with the slope left alone: one number, added to the log-odds of all scores, so that they mean what the
analysts' labels say. J. Platt: Probabilistic Outputs for Support Vector Machines (1999), with a fixed slope.

The order of the scores does not change. Labels are mostly of what was flagged, so the shift corrects how sure the model
is there; of attacks that nobody noticed it learns nothing. Imports no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from guard.types import DecisionRecord

LEAST: Final = 20
"""Labels, and a quarter of it of each kind: fewer say nothing."""
BOUND: Final = 2.0
"""The largest shift, in log-odds: a factor of 7.4 in the odds. Past it the model should be trained anew."""
PRIOR_DEVIATION: Final = 1.0
"""The shift is taken to be small beforehand (normal around 0), so that few labels move it little."""
ABOUT: Final = "PROMPT_INJECTION"
_THOUSANDTH: Final = 0.0005
_STEPS: Final = 60


class Labelled(NamedTuple):
    """A score that a model gave (0..1), and what an analyst says."""

    score: float
    attack: bool


class Collected(NamedTuple):
    """Labels with their scores. ``missed``: attacks in which nothing was found, so that their score is not recorded;
    ``others``: judged by another version of the model; ``lost``: of decisions that are not in the log."""

    labelled: list[Labelled]
    missed: int
    others: int
    lost: int


def collect(labels: Iterable[DecisionRecord], decisions: Iterable[DecisionRecord], version: str) -> Collected:
    """The last label of each decision about injection, with the highest score that the model of this version gave it.

    ``version`` is that of the model. Decisions may come in any order.
    """
    last = {record["decision_ref"]: record["attack"] for record in labels if record["about"] == ABOUT}
    found: list[Labelled] = []
    missed = others = 0
    for record in decisions:
        if record["id"] not in last:
            continue
        attack = last.pop(record["id"])
        runs = [run for run in record["detectors"] if run["name"] == "injection"]
        if not any(run["version"].partition("+")[2] == version for run in runs):
            others += 1
            continue
        document = record.get("policy_input") or {}
        scores = [each["score"] for each in document.get("findings", ()) if each["type"] == ABOUT]
        if scores:
            found.append(Labelled(max(scores) / 1000, attack))
        else:
            missed += attack
    return Collected(found, missed, others, len(last))


def shift_of(labelled: Sequence[Labelled]) -> float:
    """The shift of greatest posterior probability, at most ``BOUND`` to either side. Raises ``ValueError`` for fewer
    labels than ``LEAST``, or too few of one kind."""
    attacks = sum(each.attack for each in labelled)
    if len(labelled) < LEAST or min(attacks, len(labelled) - attacks) < LEAST // 4:
        raise ValueError(
            f"there are {attacks} labels of attacks and {len(labelled) - attacks} of others: "
            f"{LEAST} are needed, {LEAST // 4} of each at least"
        )
    odds = [_log_odds(each.score) for each in labelled]

    def slope(shift: float) -> float:
        """Of the log posterior: falls with the shift, so its root is found by halving."""
        surplus = sum(each.attack - 1 / (1 + math.exp(-z - shift)) for z, each in zip(odds, labelled, strict=True))
        return surplus - shift / PRIOR_DEVIATION**2

    low, high = -BOUND, BOUND
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def log_loss(labelled: Sequence[Labelled], shift: float) -> float:
    """The mean of ``-ln p`` of what the analysts say, under a shift."""
    return sum(
        math.log1p(math.exp((-1 if each.attack else 1) * (_log_odds(each.score) + shift))) for each in labelled
    ) / len(labelled)


def _log_odds(score: float) -> float:
    # Records hold thousandths: what stands there as 0 or 1 lies within half of one.
    bounded = min(max(score, _THOUSANDTH), 1.0 - _THOUSANDTH)
    return math.log(bounded / (1.0 - bounded))
