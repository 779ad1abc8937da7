"""What carries whole numbers through Flower's SecAgg+, without Flower: ``benchmarks.federation --gateways`` has it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.federation.flower import bundle, limbs

FLOWER = Path(bundle.__file__).parent


def quantised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """What the protocol makes of a parameter before it masks it: clipped, moved, scaled; a rest would be rounded."""
    scaled = (np.clip(values, -limbs.CLIP, limbs.CLIP) + limbs.CLIP) * (limbs.RANGE / (2 * limbs.CLIP))
    assert np.array_equal(scaled, np.floor(scaled))
    return np.asarray(scaled, np.int64)


@given(
    st.lists(
        st.lists(st.integers(-(1 << 38), 1 << 38), min_size=3, max_size=3),
        min_size=3,
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_limbs_come_through_quantisation_and_the_mean_exactly(gateways: list[list[int]]) -> None:
    """Masked sums modulo 2^32, moved back and divided, give the sum of all counts, below zero, too."""
    cuts = [limbs.cut(np.array(counts, np.int64)) for counts in gateways]
    count = len(gateways)
    means = []
    for at in range(2):
        total = sum(quantised(cut[at]) for cut in cuts) % limbs.MODULUS
        moved = total * (2 * limbs.CLIP / limbs.RANGE) - limbs.CLIP - (count - 1) * limbs.CLIP
        means.append(moved * (limbs.RANGE / (count * limbs.RANGE)))
    assert np.array_equal(limbs.joined(means, count), np.array(gateways, np.int64).sum(axis=0))


def test_the_most_gateways_do_not_wrap_around() -> None:
    """The largest limbs of all of them, and the weights, stay below the modulus."""
    assert limbs.MOST_GATEWAYS * limbs.RANGE < limbs.MODULUS


def test_what_does_not_fit_or_was_rounded_is_refused() -> None:
    """A count of 2^40; a mean that is of no whole numbers."""
    limbs.cut(np.array([(1 << 40) - 1, -(1 << 40)], np.int64))
    with pytest.raises(ValueError, match="two limbs"):
        limbs.cut(np.array([1 << 40], np.int64))
    with pytest.raises(ValueError, match="not whole"):
        limbs.joined([np.array([0.55]), np.array([0.0])], 3)


def test_the_app_directory_names_apps_that_exist(tmp_path: Path) -> None:
    """``flwr run`` is given references; each leads to an ``app`` in a module of ours."""
    bundle.write(tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))
    components = project["tool"]["flwr"]["app"]["components"]
    module = ast.parse((tmp_path / "federation_app.py").read_text("utf-8"))
    imported = {
        alias.asname: node.module for node in module.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {value.partition(":")[2] for value in components.values()} == set(imported) == {"server", "client"}
    for source in imported.values():
        assert source is not None
        body = ast.parse((FLOWER / f"{source.rpartition('.')[2]}.py").read_text("utf-8")).body
        assigned = [node.targets[0] for node in body if isinstance(node, ast.Assign)]
        assert any(isinstance(target, ast.Name) and target.id == "app" for target in assigned)
