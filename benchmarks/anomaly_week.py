"""Ten kinds of attack in a simulated week: the behaviour model beside scikit-learn's isolation forest alone."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from detectors.anomaly import TailModel
from detectors.anomaly.training.week import ATTACKS_FROM, DAY_S, PLANTED, START_S, Row, week
from guard.types import Anomaly

FALSE_ALARMS: Final = 0.01
THRESHOLD: Final = 0.8
"""What the shipped rule denies from: the model learns what it decided."""

Scores = npt.NDArray[np.float64]


class Found(NamedTuple):
    """How one kind of attack fared. ``auc`` and ``found`` (at 1 % false alarms) count requests, the first ones of an
    attack included; ``episodes`` counts attacks of which a request was found; ``first``: of what was found, where a
    planted feature ranks first. ``forest_*``: the forest alone."""

    auc: float
    found: float
    episodes: float
    first: float
    forest_auc: float
    forest_found: float


class Week(NamedTuple):
    """One seed. ``alarms``: the share of ordinary requests above the threshold; ``denied``: at the shipped one."""

    kinds: dict[str, Found]
    threshold: float
    alarms: float
    denied: float


def judged(seed: int) -> Week:
    """A week through the model as it is deployed: denied requests teach nothing, others do."""
    model = TailModel(second_opinion="off")
    ordinary: list[tuple[Anomaly, list[float]]] = []
    attacks: dict[str, list[tuple[Anomaly, list[float], Row]]] = defaultdict(list)
    train: list[list[float]] = []
    rows = week(seed)
    spans = _spans(rows)
    for row in rows:
        anomaly, values = model.score(row.event), model.row(row.event)
        if row.kind:
            attacks[row.kind].append((anomaly, values, row))
        elif row.event.time_s >= START_S + ATTACKS_FROM * DAY_S:
            first, last = spans.get(row.event.principal, (0.0, 0.0))
            if not first <= row.event.time_s <= last:
                ordinary.append((anomaly, values))
        else:
            train.append(values)
        deny = anomaly.score >= THRESHOLD
        model.learn(row.event, "deny" if deny else "allow")
        if not deny:
            model.settle(row.event, row.outcome)
    forest = IsolationForest(random_state=seed).fit(np.asarray(train))
    scores = np.asarray([anomaly.score for anomaly, _ in ordinary])
    beside = -forest.score_samples(np.asarray([values for _, values in ordinary]))
    limit, beside_limit = _limit(scores), _limit(beside)
    kinds = {}
    for kind in PLANTED:
        made = attacks[kind]
        mine = np.asarray([anomaly.score for anomaly, _, _ in made])
        theirs = -forest.score_samples(np.asarray([values for _, values, _ in made]))
        hits = [(anomaly, row) for anomaly, _, row in made if anomaly.score > limit]
        ranked = [anomaly.features[0].name in PLANTED[kind] for anomaly, _ in hits]
        kinds[kind] = Found(
            _auc(scores, mine),
            len(hits) / len(made),
            len({row.episode for _, row in hits}) / len({row.episode for *_, row in made}),
            statistics.mean(ranked) if ranked else 0.0,
            _auc(beside, theirs),
            float((theirs > beside_limit).mean()),
        )
    return Week(kinds, limit, float((scores > limit).mean()), float((scores >= THRESHOLD).mean()))


def _spans(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """When each principal that attacks slowly does: its ordinary requests in between are part of what creeps up, and
    count neither way."""
    spans: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row.kind == "low_and_slow":
            first, _ = spans.get(row.event.principal, (row.event.time_s, 0.0))
            spans[row.event.principal] = (first, row.event.time_s)
    return spans


def over(seeds: Sequence[int]) -> tuple[dict[str, Found], list[Week]]:
    """The mean over the seeds, kind by kind."""
    weeks = [judged(seed) for seed in seeds]
    means = {
        kind: Found(*[statistics.mean(column) for column in zip(*[one.kinds[kind] for one in weeks], strict=True)])
        for kind in PLANTED
    }
    return means, weeks


def _limit(scores: Scores) -> float:
    """The least threshold with no more than 1 % of the ordinary above it."""
    return float(np.sort(scores)[-int(FALSE_ALARMS * len(scores)) - 1])


def _auc(ordinary: Scores, attacks: Scores) -> float:
    labels = [0] * len(ordinary) + [1] * len(attacks)
    return float(roc_auc_score(labels, [*ordinary, *attacks]))
