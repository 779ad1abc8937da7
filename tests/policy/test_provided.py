"""A rule on names of persons needs a detector that looks for names: else the guard does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard import GuardConfig
from guard.cli.checking.policies import setting_of
from guard.errors import PolicyInvalid
from guard.generation import load_detectors
from guard.policy.bundle import load_bundle
from guard.policy.fit import check_fit
from guard.policy.provided import check_provided
from guard.runtime import Runtime

HEAD = """package guard.rules.names

# METADATA
# title: No names of persons
# custom:
#   id: NAME-1
#   severity: high
#   remediation: Leave names out.
#   mode: enforce
deny contains {"id": "NAME-1", "message": "a name", "pointers": set()} if {
"""
ASKS = (
    'some finding in input.findings\n\tfinding.type == "PERSON"\n',
    '"PERSON" == input.findings[_].type\n',
    'some finding in input.findings\n\tfinding.type in {"PERSON", "EMAIL_ADDRESS"}\n',
)
ASKS_NOT = (
    'some finding in input.findings\n\tfinding.type != "PERSON"\n',
    'some finding in input.findings\n\tfinding.type == "EMAIL_ADDRESS"\n',
    'input.subject.type == "PERSON"\n',
)


def written(directory: Path, condition: str) -> Path:
    """A directory with a policy of that condition."""
    (directory / "names.rego").write_text(f"{HEAD}\t{condition}}}\n", encoding="utf-8")
    return directory


@pytest.mark.parametrize("condition", ASKS)
def test_a_demand_that_nothing_meets_is_refused(tmp_path: Path, condition: str) -> None:
    """The error names the place, the type and the mend; with the type at hand there is none."""
    bundle = load_bundle(directories=[written(tmp_path, condition)])
    with pytest.raises(PolicyInvalid) as caught:
        check_provided(bundle, frozenset({"EMAIL_ADDRESS"}))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.file.endswith("names.rego")
    assert diagnostic.row > 10
    assert 'no enabled detector finds "PERSON"' in diagnostic.message
    assert 'names = "basic"' in diagnostic.message
    check_provided(bundle, frozenset({"EMAIL_ADDRESS", "PERSON"}))


@pytest.mark.parametrize("condition", ASKS_NOT)
def test_what_demands_nothing_is_let_be(tmp_path: Path, condition: str) -> None:
    """Another type, a comparison that absence satisfies, and another field are no demand for names."""
    check_provided(load_bundle(directories=[written(tmp_path, condition)]), frozenset({"US_SSN"}))


def test_the_shipped_policies_demand_nothing() -> None:
    """They name PERSON in a list of what is personal; that stands without a detector for it."""
    check_provided(load_bundle(), frozenset())


def test_guard_check_says_it_as_an_error(tmp_path: Path) -> None:
    """What stops the start is no mere warning of ``guard check``; another type that lacks is."""
    config = GuardConfig(state_directory=tmp_path, detectors={"enabled": ["secrets"], "behaviour": None})
    levels = []
    for condition in (ASKS[0], ASKS_NOT[1]):
        bundle = load_bundle(directories=[written(tmp_path, condition)])
        levels += [remark.level for remark in check_fit(bundle, setting_of(config, load_detectors(config)))]
    assert levels == ["error", "warning"]


def test_the_guard_does_not_start(tmp_path: Path) -> None:
    """Secrets alone find no names; a detector that the program hands over is its own business."""
    policies = tmp_path / "policies"
    policies.mkdir()
    config = GuardConfig(
        state_directory=tmp_path / "state",
        policy={"directories": [written(policies, ASKS[0])]},
        detectors={"enabled": ["secrets"], "behaviour": None},
    )
    with pytest.raises(PolicyInvalid, match='no enabled detector finds "PERSON"'):
        Runtime(config)
    Runtime(config, detectors=[])
