"""Settings of the shipped rules: what is mistyped stops the start, so that no rule is silent where one was wanted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from guard.cli.checking.policies import setting_of
from guard.config import GuardConfig, PolicyConfig
from guard.errors import PolicyInvalid
from guard.policy.bundle import bundle_data, load_bundle, shipped_directory
from guard.policy.fit import check_fit
from guard.policy.settings import check_settings, entities_of
from guard.types import DetectorInfo

NAMES = {"routes": ["/**", "/admin/**"], "networks": ["office"], "providers": ["main"], "tenants": ["acme"]}
HOURS = {"zone": "Europe/Berlin", "days": ["Monday"], "from": "08:00", "to": "18:00"}
BUDGET = {"key": ["tenant"], "budget": {"requests": 1}, "window": "1m"}


def told(settings: dict[str, Any]) -> list[str]:
    """The messages about these settings."""
    return [found.message for found in check_settings(settings, {}, shipped_directory(), NAMES)]


def test_settings_that_are_right_are_told_nothing() -> None:
    """One of each kind."""
    assert (
        told(
            {
                "business_hours": {**HOURS, "holidays": ["2026-12-25"], "routes": ["/admin/**"]},
                "freezes": [{"from": "2026-12-24T00:00:00Z", "to": "2026-12-25T00:00:00+01:00"}],
                "route_roles": {"/admin/**": ["ops"]},
                "role_networks": {"ops": ["office"]},
                "pii_tiers": {"special": ["TERM:diagnosis"]},
                "provider_tiers": {"main": "special"},
                "budgets": [{**BUDGET, "key": ["team:blue", "subject"], "tenants": ["acme"]}],
                "secrets_everywhere": False,
            }
        )
        == []
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"route_roles": {"/admin/*": ["ops"]}},
            (
                'policy.settings.route_roles names "/admin/*", which is none of routes in guard.toml; '
                "did you mean /admin/**?"
            ),
        ),
        (
            {"route_networks": {"/admin/**": ["ofice"]}},
            (
                'policy.settings.route_networks./admin/** names "ofice", which is none of networks in guard.toml; '
                "did you mean office?"
            ),
        ),
        ({"route_roles": {"/admin/**": []}}, "policy.settings.route_roles./admin/** must not be empty"),
        ({"anonymous_routes": ["/public"]}, 'names "/public", which is none of routes in guard.toml'),
        ({"provider_tiers": {"mian": "special"}, "pii_tiers": {}}, 'names "mian", which is none of providers'),
        ({"provider_tiers": {"main": "speical"}, "pii_tiers": {}}, "must be one of public, internal, restricted"),
        ({"provider_tiers": {"main": "special"}}, "does nothing without policy.settings.pii_tiers"),
        ({"pii_tiers": {"restrictd": ["US_SSN"]}}, "pii_tiers has no use for restrictd; did you mean restricted?"),
        ({"authenticated_only": "yes"}, "policy.settings.authenticated_only must be of type boolean"),
        ({"allowed_regions": []}, "policy.settings.allowed_regions must not be empty"),
        ({"business_hours": {}}, "policy.settings.business_hours has no zone"),
        ({"business_hours": {**HOURS, "zone": "Europe/Berln"}}, "it must be a time zone of the IANA database"),
        ({"business_hours": {**HOURS, "zone": "../etc/passwd"}}, "it must be a time zone of the IANA database"),
        ({"business_hours": {**HOURS, "from": "8:00"}}, "it must be a time of day, like 08:00"),
        ({"business_hours": {**HOURS, "to": "24:30"}}, "it must be a time of day, like 08:00"),
        ({"business_hours": {**HOURS, "days": ["Mon"]}}, "it must be one of Monday, Tuesday"),
        ({"business_hours": {**HOURS, "holidays": ["25.12.2026"]}}, "it must be a day, like 2026-12-25"),
        ({"freezes": [{"from": "2026-12-24", "to": "2026-12-25T00:00:00Z"}]}, "policy.settings.freezes[0].from holds"),
        ({"freezes": [{"from": "2026-13-24T00:00:00Z", "to": "x"}]}, "it must be an instant"),
        ({"budgets": [{**BUDGET, "key": ["tennant"]}]}, 'budgets[0].key holds "tennant": it must be subject, tenant'),
        ({"budgets": [{**BUDGET, "budget": {}}]}, "policy.settings.budgets[0].budget must not be empty"),
        ({"budgets": [{**BUDGET, "budget": {"requests": 0}}]}, "budgets[0].budget.requests must be at least 1"),
        ({"budgets": [{**BUDGET, "window": "1w"}]}, "it must be a length of time, like 30s"),
        ({"anomaly_thresholds": {"batch": 95}}, "policy.settings.anomaly_thresholds.batch must be at most 1"),
        ({"tool_roles": {"run_*": "ops"}}, "policy.settings.tool_roles.run_* must be of type array"),
        ({"busines_hours": HOURS}, "no policy reads policy.settings.busines_hours; did you mean business_hours?"),
    ],
)
def test_a_mistake_that_would_let_somebody_in_stops_the_start(settings: dict[str, Any], message: str) -> None:
    """Each is told once or more, with the key and, where one is near, what was meant."""
    found = told(settings)
    assert found
    assert any(message in each for each in found), found


def test_names_are_held_against_what_the_configuration_has() -> None:
    """Through the whole loader: the routes and networks of guard.toml are known to it."""
    config = GuardConfig(policy=PolicyConfig(settings={"route_roles": {"/admin/**": ["ops"]}}))
    with pytest.raises(PolicyInvalid) as caught:
        load_bundle(data=bundle_data(config))
    assert 'names "/admin/**", which is none of routes' in caught.value.diagnostics[0].message


def test_without_a_configuration_names_are_not_judged() -> None:
    """``guard policy check`` without --config cannot know them."""
    load_bundle(data={"guard": {"settings": {"route_roles": {"/admin/**": ["ops"]}}}})


class Eyes:
    """A detector, as far as a policy can know it."""

    info = DetectorInfo("eyes", "1", "")
    entities = frozenset({"EMAIL_ADDRESS", "US_SSN"})

    def detect(self, segments: Any, context: Any) -> list[Any]:
        """Nothing."""
        return []


def test_a_type_that_nobody_finds_is_told(tmp_path: Path) -> None:
    """A misspelled entity in a tier would be treated as if no tier named it. Owners' terms are open."""
    tiers = {"restricted": ["US_SNS", "US_SSN", "TERM:salary"]}
    config = GuardConfig(policy=PolicyConfig(settings={"pii_tiers": tiers}))
    (found,) = check_fit(load_bundle(data=bundle_data(config)), setting_of(config, [Eyes()]))
    assert (found.level, found.where) == ("warning", "policy.settings.pii_tiers.restricted")
    assert (found.message, found.mend) == ('no enabled detector finds "US_SNS"', 'did you mean "US_SSN"?')
    (tmp_path / "own.rego").write_text("package own\n\nrule := data.guard.settings.pii_tiers\n")
    alone = load_bundle(directories=[tmp_path], shipped=False, data=bundle_data(config))
    assert check_fit(alone, setting_of(config, [Eyes()])) == []


def test_types_are_found_wherever_a_setting_names_them() -> None:
    """In lists and in tables of lists; other settings name none."""
    settings = {"secrets_redact": ["JWT"], "pii_tiers": {"public": ["URL"]}, "denied_models": ["x"], "own": ["A"]}
    assert list(entities_of(settings, shipped_directory())) == [
        ("policy.settings.secrets_redact", "JWT"),
        ("policy.settings.pii_tiers.public", "URL"),
    ]


def test_every_setting_is_described_with_its_rules() -> None:
    """Each names the rules that read it, and they exist; what stands in a rule's annotation is a setting."""
    known = json.loads((shipped_directory() / "schemas" / "settings" / "settings.v1.json").read_text())["properties"]
    rules = load_bundle().rules
    for name, schema in known.items():
        if name not in {"modes", "min_score", "min_scores"}:
            named = re.findall(r"[A-Z]+-\d{3}", schema["description"])
            assert named, name
            assert set(named) <= set(rules), name
