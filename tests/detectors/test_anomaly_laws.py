"""Laws of the behaviour model: histograms merge, scores follow z, forests are exact, snapshots and bounds hold."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from detectors.anomaly import TailModel
from detectors.anomaly.features import NAMES, SCALES
from detectors.anomaly.forest import FlatForest
from detectors.anomaly.habits import COMMON_SLOTS, SLOTS, Customs, Habits
from detectors.anomaly.histogram import BINS, Histogram
from detectors.anomaly.rating import MOST_DECADES, among
from detectors.anomaly.state import no_levels
from detectors.anomaly.tails import WIDTH, Tail
from detectors.anomaly.training.flatten import flatten
from detectors.anomaly.training.week import Row, week
from guard.types import BehaviourEvent, BehaviourOutcome

numbers = st.lists(st.floats(-5.0, 40.0), max_size=60)


def counted(values: list[float]) -> Histogram:
    """A histogram of values."""
    histogram = Histogram(0.25)
    for value in values:
        histogram.add(value)
    return histogram


@given(numbers, numbers, numbers)
def test_histograms_merge_to_the_pooled_one(a: list[float], b: list[float], c: list[float]) -> None:
    """Merging is associative and commutative, and equals counting all values in one place, exactly."""
    one, two, three = counted(a), counted(b), counted(c)
    assert one.merged(two).merged(three).above == one.merged(two.merged(three)).above == counted(a + b + c).above
    assert one.merged(two).above == two.merged(one).above
    assert one.merged(two).total == len(a) + len(b)


def test_histograms_of_other_bins_do_not_merge() -> None:
    """Another width, and exceedances that rise or have another length, are refused."""
    with pytest.raises(ValueError, match="do not merge"):
        Histogram(0.25).merged(Histogram(1.0))
    for above in ([1, 2] + [0] * (BINS - 1), [3, 2, 1]):
        with pytest.raises(ValueError, match="exceedances"):
            Histogram(0.25, above)


@given(numbers, st.floats(-4.0, 40.0), st.floats(0.0, 20.0), st.integers(0, 40))
def test_rarer_is_never_more_likely(values: list[float], z: float, more: float, extremes: int) -> None:
    """Tail probabilities fall in z and in the drift, whatever was counted before, and stay in 0..1."""
    tail = Tail(SCALES["size_bytes"], 0, no_levels())
    for value in values + [8.0] * extremes:
        tail.zs.add(value)
        tail.drifts.add(value)
    for p in (tail.p, tail.drift_p):
        assert 0.0 < p(z + more) <= p(z) <= 1.0


@given(st.integers(2, 30), st.floats(0.302, MOST_DECADES), st.floats(0.0, 3.0))
def test_one_of_many_is_less_rare_than_one_alone(features: int, decades: float, more: float) -> None:
    """The correction for many features lowers evidence, keeps its order, and costs at most their number."""
    corrected = among(features, decades)
    assert 0.0 <= corrected <= decades
    assert corrected <= among(features, min(decades + more, MOST_DECADES)) + 1e-12
    assert corrected >= decades - np.log10(features) - 1e-9


@given(st.integers(0, 5), st.floats(1.0, 1e6), st.floats(1.0, 100.0))
@settings(deadline=None, max_examples=40)
def test_a_larger_request_never_scores_less(seed: int, size: float, times: float) -> None:
    """The score is monotone in a value that comes with the request."""
    model, event = settled(seed)
    smaller, larger = ({**event.features, "size_bytes": value} for value in (size, size * times))
    low = model.score(BehaviourEvent(event.principal, event.time_s, smaller, event.group, event.labels))
    high = model.score(BehaviourEvent(event.principal, event.time_s, larger, event.group, event.labels))
    assert high.score >= low.score


@cache
def settled(seed: int, *, attacks: int = 0):  # type: ignore[no-untyped-def]
    """A model after a small week, and its last event."""
    model = TailModel()
    rows = week(seed, principals=6, attacks=attacks)
    for row in rows:
        model.learn(row.event, "allow")
        model.settle(row.event, row.outcome)
    return model, rows[-1].event


# The forest -------------------------------------------------------------------------------------------------------


@cache
def forests(trees: int, columns: float) -> tuple[IsolationForest, FlatForest]:
    """A forest of scikit-learn, and the same one flat."""
    rng = np.random.default_rng(trees)
    model = IsolationForest(n_estimators=trees, max_samples=64, max_features=columns, random_state=trees)
    model.fit(rng.normal(size=(300, 5)) * 3.0)
    return model, flatten(model)


rows_of_five = st.lists(st.floats(-1e6, 1e6, width=32), min_size=5, max_size=5)


@given(rows_of_five, st.sampled_from([(1, 1.0), (30, 1.0), (25, 0.6)]))
@settings(deadline=None, max_examples=60)
def test_the_flat_forest_equals_scikit_learn(row: list[float], shape: tuple[int, float]) -> None:
    """Any row has scikit-learn's score within 1e-9; what the features did sums to the path length, to 1e-9."""
    model, flat = forests(*shape)
    expected = -float(model.score_samples(np.asarray([row]))[0])
    score, moved = flat.explain(row)
    assert flat.score(row) == pytest.approx(expected, abs=1e-9)
    assert score == flat.score(row)
    paths = -np.log2(score) * flat.normal
    assert moved.sum() == pytest.approx(paths - flat.path[flat.roots].mean(), abs=1e-9)


def test_the_flat_forest_is_exact_at_its_thresholds() -> None:
    """A value that equals a threshold, or is the next one of single precision beside it, goes where scikit-learn sends
    it."""
    model, flat = forests(30, 1.0)
    cuts = [float(t) for t, f in zip(flat.threshold, flat.feature, strict=True) if t and f == 0][:40]
    rows = [[value, 0.5, -0.5, 1.0, 0.0] for cut in cuts for value in (cut, np.nextafter(np.float32(cut), 9e9))]
    theirs = -model.score_samples(np.asarray(rows))
    assert [flat.score(row) for row in rows] == pytest.approx(theirs.tolist(), abs=1e-9)


def test_the_feature_that_is_far_out_has_the_largest_part() -> None:
    """Attribution names the planted column."""
    _, flat = forests(30, 1.0)
    for column in range(5):
        row = [0.0] * 5
        row[column] = 40.0
        assert int(flat.explain(row)[1].argmin()) == column


def test_a_forest_serves_threads() -> None:
    """Eight threads at once get the scores of one."""
    _, flat = forests(30, 1.0)
    rng = random.Random(1)
    rows = [[rng.gauss(0, 5) for _ in range(5)] for _ in range(400)]
    alone = [flat.score(row) for row in rows]
    gate = threading.Barrier(8)

    def work(_: int) -> list[float]:
        gate.wait(10)
        return [flat.score(row) for row in rows]

    with ThreadPoolExecutor(8) as pool:
        assert all(scores == alone for scores in pool.map(work, range(8)))


@pytest.mark.parametrize(
    "change",
    [
        {"child": [5, 0, 1, 1, 2, 2]},
        {"feature": [9, 0, 0]},
        {"path": [1.0]},
        {"roots": []},
        {"normal": 0.0},
        {"path": [1.0, 1.0, -1e9]},
        {"path": [1.0, float("nan"), 1.0]},
        {"threshold": [float("nan"), 0.0, 0.0]},
    ],
)
def test_arrays_that_are_no_forest_are_refused(change: dict[str, object]) -> None:
    """An index out of range, arrays of unequal length, no tree: an error, and no wild read."""
    sound: dict[str, object] = {
        "feature": [0, 0, 0], "threshold": [0.5, 0.0, 0.0], "child": [1, 2, 1, 1, 2, 2], "path": [1.0, 1.0, 1.0],
        "roots": [0], "depth": 1, "normal": 1.0, "features": 1,
    }  # fmt: skip
    assert FlatForest(**sound).score([0.2]) == 0.5  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no forest"):
        FlatForest(**sound | change)  # type: ignore[arg-type]


# Snapshots and bounds ---------------------------------------------------------------------------------------------


def test_a_snapshot_gives_the_same_scores_and_the_same_future() -> None:
    """A model that was restored scores, learns and writes as the one that was dumped."""
    rows = week(4, principals=8, attacks=1)
    first, second = TailModel(), TailModel()
    half = len(rows) // 2
    feed(first, rows[:half])
    second.restore(first.dump())
    for row in rows[half:]:
        assert first.score(row.event) == second.score(row.event)
        feed(first, [row])
        feed(second, [row])
    assert first.dump() == second.dump()


def feed(model: TailModel, rows: list[Row]) -> None:
    """Let requests in."""
    for row in rows:
        model.learn(row.event, "allow")
        model.settle(row.event, row.outcome)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_a_damaged_snapshot_is_refused_and_changes_nothing(data: st.DataObject) -> None:
    """A byte changed or cut anywhere is a ``ValueError``; the model scores as before."""
    model, event = settled(1)
    whole, before = bytearray(model.dump()), model.score(event)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"damaged|another version"):
        model.restore(bytes(whole))
    assert model.score(event) == before


def test_a_snapshot_holds_no_text() -> None:
    """Labels are kept as hashes."""
    model, event = settled(1)
    data = model.dump()
    assert event.principal.encode() in data, "the pseudonym"
    for labels in event.labels.values():
        assert not any(len(label) > 3 and label.encode() in data for label in labels)


def test_a_smaller_bound_holds_for_a_restored_snapshot() -> None:
    """Past ``max_principals`` those that were silent longest are forgotten at once."""
    model, _ = settled(1)
    small = TailModel(max_principals=2)
    small.restore(model.dump())
    assert small._memory.members.states.keys() == model._memory.members.states.keys()[-2:]


def test_counters_of_values_are_bounded() -> None:
    """However many values a principal uses: eight of each kind are remembered, and the most used one stays."""
    customs, own = Customs(), Habits()
    for value in range(1, 3 * COMMON_SLOTS):
        for one in (7, 7, value + 1000):
            customs.learn(own, [[one]], 0.0, others=True)
    assert len(own.codes) == SLOTS * 5
    assert len(customs.kinds[0]) <= COMMON_SLOTS
    assert customs.surprise(own, 0, [7]) < 2.0
    assert customs.surprise(own, 0, [999_999]) > 5.0


def test_one_principal_cannot_widen_a_tail() -> None:
    """A thousand extremes of one principal count once in the histogram that all share."""
    model = TailModel()
    rng = random.Random(1)
    now = 1_700_000_000.0
    for index in range(1200):
        now += 60.0
        size = 1e9 if index > 200 and index % 2 else rng.lognormvariate(7.5, 0.4)
        model.learn(BehaviourEvent("p", now, {"size_bytes": size}), "allow")
    tail = model._memory.members.tails[NAMES.index("size_bytes")]
    assert tail.zs.above[round(5.0 / tail.zs.width)] == 1
    assert len(model._memory.members.everybody) == WIDTH * len(NAMES)


def test_an_error_free_past_makes_probing_stand_out() -> None:
    """Refused answers show in the next requests, and pass when nothing is answered for a while."""
    model, event = settled(2)
    probe = BehaviourEvent(event.principal, event.time_s + 60.0, event.features, event.group, event.labels)
    for index in range(12):
        model.settle(probe, BehaviourOutcome(probe.time_s + index, 100.0, error=False, refused=True))
    later = BehaviourEvent(event.principal, probe.time_s + 30.0, event.features, event.group, event.labels)
    assert "refusal_ratio" in [feature.name for feature in model.score(later).features][:2]
    after = BehaviourEvent(event.principal, probe.time_s + 4000.0, event.features, event.group, event.labels)
    assert "refusal_ratio" not in [feature.name for feature in model.score(after).features]
