"""``benchmarks.federation``: its sets are what they say, and a federation is as good as central on one of each kind."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import federation
from benchmarks.federation_sets import GENERATORS, PLANTED, PUBLIC, generated, public, split


@pytest.mark.parametrize("name", GENERATORS)
def test_sets_are_seeded_and_have_the_anomalies_that_they_name(name: str) -> None:
    """The same seed gives the same rows, another one others; two in a hundred are planted."""
    data = generated(name, 1, rows=500)
    assert data.planted.sum() == round(500 * PLANTED)
    assert np.array_equal(data.rows, generated(name, 1, rows=500).rows)
    assert not np.array_equal(data.rows, generated(name, 2, rows=500).rows)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_sets_keep_few_of_the_rare_class(name: str) -> None:
    """As many anomalies as the page says, and bounds that hold every row."""
    data = public(name, 0)
    assert data.planted.sum() == PUBLIC[name][3]
    assert all(column.max() <= axis.high for column, axis in zip(data.rows.T, data.space.axes, strict=True))


@pytest.mark.parametrize("alike", [True, False])
def test_a_split_gives_each_row_to_one_gateway(alike: bool) -> None:
    """At random or by kind: no row is lost, none is given twice, no gateway has none."""
    rows = generated("gateway", 0, rows=300).rows
    parts = split(rows, 10, alike=alike, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    assert min(map(len, parts)) > 0


def test_a_federation_is_as_good_as_central_and_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """On correlated features, cut up by kind: merged counts are checked on the way, the AUC is within the margin."""
    data = generated("correlated", 0, rows=1500)
    ours = roc_auc_score(data.planted, federation.federated(data, 0, alike=False))
    assert ours >= roc_auc_score(data.planted, federation.central(data, 0, 256)) - federation.MARGIN
    whole = federation.summed
    monkeypatch.setattr(federation, "summed", lambda levels, parts, step: whole(levels, parts[1:], step))
    with pytest.raises(federation.NotExactError, match="not the pooled ones"):
        federation.federated(data, 0, alike=False)


def test_without_flower_the_run_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few gateways are wrong usage, a lost library is named."""
    monkeypatch.setattr(sys, "argv", ["federation", "--gateways", "2"])
    with pytest.raises(SystemExit):
        federation.main()
    monkeypatch.setattr(sys, "argv", ["federation", "--gateways", "3"])
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert federation.main() == 1
    assert "flwr is not installed here: make federated" in capsys.readouterr().err
