"""Federation: sums of any cut are the pooled counts, the structure is scikit-learn's, scores come from counts alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import load as load_forest
from detectors.federation.contribution import counts_of, histograms_of
from detectors.federation.events import Event, chosen, rows_of
from detectors.federation.exported import BEHAVIOUR, export
from detectors.federation.files import Held, read_structure, read_sums, write_structure, write_sums
from detectors.federation.forest import SAMPLES, MassForest, average_depth
from detectors.federation.noise import noised
from detectors.federation.space import BINS, LEVELS, Axis, Levels, Space, histograms, quantile
from detectors.federation.structure import LEAF, MOST_DEPTH, Structure, grown, synthetic
from detectors.federation.sums import merged
from guard.errors import ConfigError

SPACE = Space((Axis("a", -4.0, 4.0, "linear"), Axis("b", 0.0, 1e4), Axis("c", 0.0, 8.0, "linear")))


def rows(count: int, seed: int = 0) -> Levels:
    """Rows of three features, the last of few values."""
    rng = np.random.default_rng(seed)
    return SPACE.levels(np.stack([rng.normal(size=count), rng.lognormal(4, 1, count), rng.integers(8, size=count)], 1))


ROWS = rows(400)
STRUCTURE = grown(SPACE, histograms(ROWS), trees=12, samples=64, seed=3)


# --- sums -------------------------------------------------------------------------------------------------------------


@given(gateways=st.lists(st.integers(0, 6), min_size=400, max_size=400), order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_merged_counts_are_the_pooled_ones_for_any_cut_in_any_order(gateways: list[int], order: object) -> None:
    """Cut up among gateways in any way, summed in any order: histograms and counts equal those of all rows."""
    owner = np.array(gateways)
    for step in (
        lambda part, name: histograms_of(part, SPACE, name),
        lambda part, name: counts_of(part, STRUCTURE, name),
    ):
        parts = [step(ROWS[owner == gateway], f"g{gateway}").sums for gateway in sorted(set(gateways))]
        order.shuffle(parts)  # type: ignore[attr-defined]
        assert np.array_equal(merged(parts).counts, step(ROWS, "pooled").sums.counts)


def test_grouping_does_not_change_a_merged_file(tmp_path: Path) -> None:
    """(a + b) + c and c + (b + a) are the same bytes."""
    a, b, c = (counts_of(rows(50, seed), STRUCTURE, name).sums for seed, name in enumerate("abc"))
    for name, sums in (("left", merged([merged([a, b]), c])), ("right", merged([c, merged([b, a])]))):
        write_sums(tmp_path / f"{name}.npz", Held(sums, SPACE, STRUCTURE))
    assert (tmp_path / "left.npz").read_bytes() == (tmp_path / "right.npz").read_bytes()
    assert (tmp_path / "left.json").read_bytes() == (tmp_path / "right.json").read_bytes()
    assert [source.gateway for source in read_sums(tmp_path / "left.npz").sums.sources] == ["a", "b", "c"]


def test_a_contribution_or_a_gateway_that_would_count_twice_is_refused() -> None:
    """The same file twice, also inside a merged one; and two files of one gateway."""
    a, b = (counts_of(rows(50, seed), STRUCTURE, name).sums for seed, name in enumerate("ab"))
    with pytest.raises(ConfigError, match="would count twice"):
        merged([merged([a, b]), a])
    later = counts_of(rows(60, 7), STRUCTURE, "a").sums
    with pytest.raises(ConfigError, match="gateway 'a' has contributed twice"):
        merged([a, later])


def test_sums_over_different_things_are_refused() -> None:
    """Histograms with counts, two structures, two spaces."""
    other = grown(SPACE, histograms(ROWS), trees=12, samples=64, seed=4)
    counts = counts_of(ROWS, STRUCTURE, "a").sums
    with pytest.raises(ConfigError, match="different structures"):
        merged([counts, counts_of(ROWS, other, "b").sums])
    with pytest.raises(ConfigError, match="counts and histograms cannot be merged"):
        merged([counts, histograms_of(ROWS, SPACE, "b").sums])
    narrow = Space((*SPACE.axes[:2], Axis("c", 0.0, 9.0, "linear")))
    with pytest.raises(ConfigError, match="different spaces"):
        merged([histograms_of(ROWS, SPACE, "a").sums, histograms_of(ROWS, narrow, "b").sums])


def test_a_name_that_is_no_name_is_refused() -> None:
    """A gateway's name goes into files and messages."""
    with pytest.raises(ConfigError, match="cannot stand for a gateway"):
        histograms_of(ROWS, SPACE, "a b")


# --- space ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=20))
def test_levels_keep_order_and_bounds(values: list[float]) -> None:
    """Larger values have no lower levels; infinities and what lies outside count as the ends."""
    ordered = np.sort(np.array(values))
    for scale in ("linear", "log"):
        levels = Space((Axis("x", -10.0, 1000.0, scale),)).levels(ordered[:, None])[:, 0]  # type: ignore[arg-type]
        assert levels.min() >= 0
        assert levels.max() < LEVELS
        assert np.all(np.diff(levels) >= 0)


def test_a_value_that_is_no_number_is_refused() -> None:
    """NaN has no level."""
    with pytest.raises(ValueError, match="not a number"):
        SPACE.levels(np.array([[0.0, np.nan, 1.0]]))


def test_quantiles_of_a_histogram_are_those_of_the_rows() -> None:
    """Median and quartiles, to the width of a bin; none for an empty histogram."""
    levels = rows(20_000)
    for at, histogram in enumerate(histograms(levels)[:2]):
        for part in (0.25, 0.5, 0.75):
            assert quantile(histogram, part) == pytest.approx(np.quantile(levels[:, at], part), abs=LEVELS / BINS)
    assert quantile(np.zeros(BINS, np.int64), 0.5) == 0.0
    assert SPACE.value(1, SPACE.levels(np.array([[0.0, 250.0, 0.0]]))[0, 1]) == pytest.approx(250.0, rel=1e-4)


# --- structure --------------------------------------------------------------------------------------------------------


def test_the_flat_structure_sends_rows_where_scikit_learn_does() -> None:
    """Whole thresholds change no comparison: every row reaches the leaf that ``apply`` names, in every tree."""
    rng = np.random.default_rng(3)
    drawn = synthetic(histograms(ROWS), 12 * 64, rng)
    forest = IsolationForest(n_estimators=12, max_samples=64, random_state=3).fit(drawn.astype(np.float32))
    expected = [tree.apply(ROWS.astype(np.float32)) for tree in forest.estimators_]
    assert np.array_equal(STRUCTURE.reached(ROWS) - STRUCTURE.roots, np.stack(expected, 1))


def test_synthetic_rows_follow_the_marginals_and_hold_no_row() -> None:
    """Each feature is drawn by its histogram; of continuous rows, none comes back."""
    levels = rows(4000)[:, :2]
    drawn = synthetic(histograms(levels), 4000, np.random.default_rng(0))
    for at in range(2):
        assert np.median(drawn[:, at]) == pytest.approx(np.median(levels[:, at]), rel=0.02)
    assert not set(map(tuple, drawn.tolist())) & set(map(tuple, levels.tolist()))


def test_nodes_that_are_no_trees_are_refused() -> None:
    """A loop, a node with two parents, a way into another tree, a missing feature, a tree too deep."""
    STRUCTURE.check()
    inner = int(np.flatnonzero(STRUCTURE.feature != LEAF)[1])

    def changed(field: str, at: int, value: int) -> Structure:
        nodes = getattr(STRUCTURE, field).copy()
        nodes[at] = value
        return STRUCTURE._replace(**{field: nodes})

    for wrong, said in (
        (changed("left", inner, 0), "leads back"),
        (changed("right", inner, int(STRUCTURE.left[inner])), "no parent, or two"),
        (changed("left", inner, int(STRUCTURE.roots[-1]) + 1), "another tree"),
        (changed("feature", inner, 3), "does not have"),
    ):
        with pytest.raises(ValueError, match=said):
            wrong.check()
    steps = MOST_DEPTH + 1
    feature, here = np.array([0, LEAF] * steps + [LEAF], np.int16), np.arange(2 * steps + 1, dtype=np.int32)
    split = feature != LEAF
    chain = Structure(
        SPACE, feature, here * 0, np.where(split, here + 1, here), np.where(split, here + 2, here), here[:1]
    )
    with pytest.raises(ValueError, match="deeper than 64"):
        chain.check()


# --- scores -----------------------------------------------------------------------------------------------------------


def test_average_depth_is_the_harmonic_formula() -> None:
    """For whole n, ``2 H(n - 1) - 2 (n - 1) / n``; 0 for one row, 1 for two."""
    n = np.arange(1, 400)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / n[:-1])])
    assert average_depth(n.astype(float)) == pytest.approx(2 * harmonic - 2 * (n - 1) / n, abs=1e-8)
    assert average_depth(np.array([1.0, 2.0])) == pytest.approx([0.0, 1.0], abs=1e-8)


def test_scores_depend_on_counts_alone_and_shares_sum_to_the_depth() -> None:
    """A row far out scores highest; one that is far out in one feature owes it to that; shares sum to the depth."""
    far = SPACE.levels(np.array([[0.0, 9000.0, 3.0]]))
    structure = grown(SPACE, histograms(ROWS), trees=100, samples=256, seed=0)
    forest = MassForest(structure, structure.counts(ROWS))
    assert forest.score(SPACE.levels(np.array([[3.9, 9000.0, 7.9]])))[0] > forest.score(ROWS).max()
    shares = forest.shares(np.concatenate([far, ROWS[:20]]))
    assert shares[0].argmax() == 1
    usual = float(average_depth(np.array(float(SAMPLES))))
    depths = -np.log2(forest.score(np.concatenate([far, ROWS[:20]]))) * usual
    assert shares.sum(axis=1) == pytest.approx(forest.depths[structure.roots].mean() - depths, abs=1e-9)


def test_counts_that_hold_no_row_give_no_scores() -> None:
    """Nothing is known of a tree without rows; another number of leaves does not fit."""
    with pytest.raises(ValueError, match="holds no row"):
        MassForest(STRUCTURE, np.zeros(STRUCTURE.leaves, np.int64))
    with pytest.raises(ValueError, match="leaves"):
        MassForest(STRUCTURE, np.ones(STRUCTURE.leaves + 1, np.int64))


def test_an_exported_forest_scores_as_the_merged_one(tmp_path: Path) -> None:
    """The behaviour model loads it, and gives every row the score that the counts give it."""
    rng = np.random.default_rng(1)
    zs = np.clip(rng.normal(size=(300, len(NAMES))), 0.0, 12.0).astype(np.float32).astype(np.float64)
    levels = BEHAVIOUR.levels(zs)
    structure = grown(BEHAVIOUR, histograms(levels), trees=10, samples=64, seed=0)
    forest = MassForest(structure, structure.counts(levels))
    export(tmp_path / "forest.npz", forest, {})
    loaded = load_forest(tmp_path / "forest.npz", NAMES).forest
    assert [loaded.score(row.tolist()) for row in zs] == pytest.approx(forest.score(levels).tolist(), abs=1e-12)
    with pytest.raises(ConfigError, match="not counted over the features"):
        export(tmp_path / "other.npz", MassForest(STRUCTURE, STRUCTURE.counts(ROWS)), {})


# --- cap and noise ----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 8))
def test_a_cap_bounds_every_principal_and_keeps_who_has_less(principals: list[int], cap: int) -> None:
    """Each has its events or the cap, whichever is less, spaced over its own from the first on."""
    owner = np.array(principals, dtype=np.int64)
    kept = chosen(owner, cap)
    for principal in set(principals):
        own = np.flatnonzero(owner == principal)
        assert len(set(kept.tolist()) & set(own.tolist())) == min(len(own), cap)
        assert own[0] in kept
    assert len(kept) == len(set(kept.tolist()))


def test_a_principal_changes_counts_by_no_more_than_the_noise_is_for() -> None:
    """Taking out one principal with more events than the cap moves the sums by cap * features and cap * trees."""
    rng = np.random.default_rng(0)
    others = [Event(f"p{i % 9}", {"a": rng.normal(), "b": 5.0, "c": 1.0}) for i in range(90)]
    one = [Event("x", {"a": rng.normal(), "b": 7.0, "c": 2.0}) for _ in range(40)]
    with_it, without = (rows_of(events, SPACE, cap=6).levels for events in (others + one, others))
    assert len(with_it) - len(without) == 6
    assert np.abs(histograms(with_it) - histograms(without)).sum() <= 6 * len(SPACE.axes)
    assert np.abs(STRUCTURE.counts(with_it) - STRUCTURE.counts(without)).sum() <= 6 * len(STRUCTURE.roots)


def test_noise_is_whole_unbiased_and_as_wide_as_its_epsilon_says() -> None:
    """Discrete Laplace with decay ``d = exp(-epsilon / sensitivity)``: mean 0, variance ``2 d / (1 - d)^2``."""
    noise = noised(np.zeros(200_000, np.int64), epsilon=0.5, sensitivity=5)
    assert noise.dtype == np.int64
    decay = np.exp(-0.1)
    variance = 2 * decay / (1 - decay) ** 2
    assert abs(noise.mean()) < 8 * np.sqrt(variance / len(noise))
    assert noise.var() == pytest.approx(variance, rel=0.1)


def test_noise_that_protects_nobody_is_refused() -> None:
    """Without a cap no noise is enough; an epsilon out of range is a mistake."""
    with pytest.raises(ConfigError, match="without a cap"):
        counts_of(ROWS, STRUCTURE, "a", epsilon=1.0)
    with pytest.raises(ConfigError, match="epsilon is 0"):
        counts_of(ROWS, STRUCTURE, "a", epsilon=0.0, cap=3)


def test_noise_is_said_and_scores_still_come() -> None:
    """The source names cap and epsilon; counts below zero count as none."""
    noisy = counts_of(ROWS, STRUCTURE, "a", epsilon=20.0, cap=1)
    assert (noisy.sums.sources[0].cap, noisy.sums.sources[0].epsilon) == (1, 20.0)
    assert noisy.sums.counts.min() < 0
    scores = MassForest(STRUCTURE, noisy.sums.counts).score(ROWS)
    assert 0.0 < scores.min() <= scores.max() < 1.0


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_give_back_what_was_written(tmp_path: Path) -> None:
    """Structure and counts survive a file, digest for digest."""
    digest = write_structure(tmp_path / "s.npz", STRUCTURE, {})
    assert read_structure(tmp_path / "s.npz").digest == digest == STRUCTURE.digest
    held = counts_of(ROWS, STRUCTURE, "a")
    write_sums(tmp_path / "c.npz", held)
    found = read_sums(tmp_path / "c.npz")
    assert found.sums.sources == held.sums.sources
    assert np.array_equal(found.sums.counts, held.sums.counts)


def test_counts_that_cannot_be_a_gateways_are_refused(tmp_path: Path) -> None:
    """Below zero without noise, trees of different numbers of rows, a source twice: each with a right digest."""
    held = counts_of(ROWS, STRUCTURE, "a")
    source = held.sums.sources[0]
    one_more = held.sums.counts.copy()
    one_more[0] += 1
    below = held.sums.counts.copy()
    below[below.argmin()] -= 1
    for at, (sums, said) in enumerate(
        (
            (held.sums._replace(counts=one_more), "one row as often"),
            (held.sums._replace(counts=below), "below zero"),
            (held.sums._replace(sources=(source, source)), "a gateway twice"),
            (held.sums._replace(counts=held.sums.counts[1:]), "shape"),
            (held.sums._replace(counts=held.sums.counts + (1 << 53)), "too large"),
        )
    ):
        write_sums(tmp_path / f"{at}.npz", held._replace(sums=sums))
        with pytest.raises(ConfigError, match=said):
            read_sums(tmp_path / f"{at}.npz")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"epsilon": 1e-300, "cap": 3}, "names noise of epsilon"),
        ({"epsilon": 5.0, "cap": 0}, "names noise of epsilon"),
        ({"epsilon": 100.0, "cap": 1}, "further below zero than the noise"),
    ],
)
def test_noise_does_not_excuse_any_count(named: dict[str, float], said: str, tmp_path: Path) -> None:
    """A gateway cannot take away what others counted by calling it noise: what it names reaches only so far."""
    held = counts_of(ROWS, STRUCTURE, "a")
    source = msgspec.structs.replace(held.sums.sources[0], **named)
    taken = held.sums._replace(counts=held.sums.counts - 10_000, sources=(source,))
    write_sums(tmp_path / "c.npz", held._replace(sums=taken))
    with pytest.raises(ConfigError, match=said):
        read_sums(tmp_path / "c.npz")


def test_honest_noise_is_always_taken(tmp_path: Path) -> None:
    """Also much noise over few events, and the sum of it."""
    parts = [counts_of(ROWS[:3], STRUCTURE, name, epsilon=0.05, cap=2) for name in "abc"]
    for part in parts:
        write_sums(tmp_path / "c.npz", part)
        read_sums(tmp_path / "c.npz")
    write_sums(tmp_path / "m.npz", parts[0]._replace(sums=merged([part.sums for part in parts])))
    assert read_sums(tmp_path / "m.npz").sums.counts.min() < 0


def test_a_sum_past_what_is_exact_is_refused() -> None:
    """Two large summands: their sum would not be exact in a double."""
    large = np.full(STRUCTURE.leaves, (1 << 53) - 1, np.int64)
    a, b = (counts_of(ROWS, STRUCTURE, name).sums._replace(counts=large) for name in "ab")
    with pytest.raises(ConfigError, match="too large"):
        merged([a, b])


def test_a_card_that_nests_too_deep_is_refused(tmp_path: Path) -> None:
    """As any other damage: what is wrong is said, and no Python error."""
    write_sums(tmp_path / "c.npz", counts_of(ROWS, STRUCTURE, "a"))
    (tmp_path / "c.json").write_text("[" * 200_000, "utf-8")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        read_sums(tmp_path / "c.npz")
