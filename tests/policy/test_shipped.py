"""The shipped rules as a library: what is active from the first start, and what waits for its setting."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from guard.config.model import Tenant
from guard.policy.bundle import load_bundle, shipped_directory
from guard.policy.embedded import EmbeddedEngine
from tests.policy.documents import CONFIG_DATA, varied

pytestmark = pytest.mark.anyio
_DEPENDENT = {"pii_tiers": ("provider_tiers", "tier_roles"), "tool_roles": ("threat_score_tools",)}
_DOCUMENTS = varied(200)
_README = (shipped_directory() / "README.md").read_text("utf-8")
_ROW = re.compile(r"^\| ([A-Z]+-\d{3}) \| (\w+) \|(?: `([\w.]+)` \|)? ", re.MULTILINE)
_FIRST, _SECOND = _README.split("Rules that are silent")
ACTIVE = {row[1] for row in _ROW.finditer(_FIRST)}
WAITING = {row[1]: row[3] for row in _ROW.finditer(_SECOND)}


async def spoken(data: dict[str, Any] | None) -> set[str]:
    """The rules that have something to say of these documents."""
    engine = EmbeddedEngine(load_bundle(data=data), "data.guard.decision")
    heard: set[str] = set()
    for document in _DOCUMENTS:
        answer = (await engine.evaluate(document, deadline=time.monotonic() + 30)).value
        heard |= {item["id"] for part in ("reasons", "obligations", "would_deny") for item in answer[part]}
    return heard


def test_the_readme_sorts_every_rule_into_one_of_two_tables() -> None:
    """Active from the first start, or silent until its setting is given."""
    assert ACTIVE | WAITING.keys() == set(load_bundle().rules)
    assert not ACTIVE & WAITING.keys()


def test_every_setting_that_a_rule_waits_for_exists() -> None:
    """In the published schema of settings, or as a fact about a tenant."""
    settings = json.loads((shipped_directory() / "schemas" / "settings" / "settings.v1.json").read_text())["properties"]
    for rule, setting in WAITING.items():
        if setting.startswith("tenants.NAME."):
            assert setting.removeprefix("tenants.NAME.") in Tenant.model_fields, rule
        else:
            named = re.findall(r"[A-Z]+-\d{3}", settings[setting]["description"].split(":")[0])
            assert named[0] <= rule <= named[-1], rule


async def test_an_owner_who_configured_nothing_hears_no_other_rule() -> None:
    """A guard that ships more rules changes nothing for whoever did not ask for them."""
    assert await spoken(None) <= ACTIVE


@pytest.mark.slow
@pytest.mark.parametrize("rule", sorted(WAITING))
async def test_a_rule_waits_for_its_setting_alone(rule: str) -> None:
    """With everything else configured it is silent."""
    everything = json.loads(json.dumps(CONFIG_DATA))["guard"]
    setting = WAITING[rule]
    if setting.startswith("tenants.NAME."):
        for tenant in everything["tenants"].values():
            tenant.pop(setting.removeprefix("tenants.NAME."), None)
    else:
        del everything["settings"][setting]
        for dependent in _DEPENDENT.get(setting, ()):
            del everything["settings"][dependent]
    assert rule not in await spoken({"guard": everything})
