"""Loading policies: what a rule must say about itself, what data reaches it, and what identifies the whole."""

from __future__ import annotations

import datetime
import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from guard.config import GuardConfig, PolicyConfig, Provider, Route, Tenant
from guard.errors import Diagnostic, PolicyInvalid
from guard.policy.bundle import Bundle, bundle_data, load_bundle, shipped_directory
from guard.types import Location

RULE = """package guard.rules.own

# METADATA
# title: A rule
# custom:
#   id: OWN-001
#   severity: low
#   remediation: Do something.
#   mode: shadow
deny contains {"id": "OWN-001", "message": "no"} if input.stage == "request"
"""


def load(root: Path, files: dict[str, str], **arguments: Any) -> Bundle:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return load_bundle(**({"directories": [root], "shipped": False} | arguments))


def errors(root: Path, files: dict[str, str], **arguments: Any) -> list[Diagnostic]:
    with pytest.raises(PolicyInvalid) as caught:
        load(root, files, **arguments)
    return list(caught.value.diagnostics)


def test_the_shipped_policies_load() -> None:
    """Every shipped rule is annotated; ids, severities and places are as written."""
    bundle = load_bundle()
    topics = {"ACC": 5, "BEH": 3, "BUD": 3, "GUARD": 3, "HRS": 2, "MOD": 4, "PII": 8}
    topics |= {"RES": 3, "SEC": 4, "SIZ": 1, "THR": 4, "TOL": 4, "WEB": 1}
    assert Counter(identifier.split("-")[0] for identifier in bundle.rules) == topics
    card = bundle.rules["PII-002"]
    lines = bundle.modules[card.location.file].splitlines()
    assert lines[card.location.row - 1].startswith('deny contains {"id": "PII-002"')
    assert (card.severity, card.mode) == ("high", "enforce")
    assert bundle.rules["GUARD-010"].mode == "shadow"


def test_modes_are_generated_from_the_annotations(tmp_path: Path) -> None:
    """guard.main reads them from data.guard.modes."""
    assert load(tmp_path, {"own.rego": RULE}).data == {"guard": {"modes": {"OWN-001": "shadow"}}}


def test_a_rule_without_a_mode_is_enforced(tmp_path: Path) -> None:
    """A rule whose author forgot the mode denies: the safe default."""
    bundle = load(tmp_path, {"own.rego": RULE.replace("#   mode: shadow\n", "")})
    assert bundle.rules["OWN-001"].mode == "enforce"
    assert bundle.data["guard"]["modes"] == {"OWN-001": "enforce"}


def test_a_rule_is_known_with_its_place(tmp_path: Path) -> None:
    """File, row and column of the head, as an editor counts."""
    info = load(tmp_path, {"rules/own.rego": RULE}).rules["OWN-001"]
    assert info.location == Location(f"{tmp_path.as_posix()}/rules/own.rego", 10, 1)
    assert (info.title, info.remediation, info.severity) == ("A rule", "Do something.", "low")


@pytest.mark.parametrize(
    ("change", "row", "words"),
    [
        (("# title: A rule\n", ""), 3, "title is missing"),
        (("#   id: OWN-001\n", ""), 3, "custom.id is missing"),
        (("#   remediation: Do something.\n", ""), 3, "custom.remediation is missing"),
        (("severity: low", "severity: mild"), 3, "custom.severity must be one of low, medium, high, critical"),
        (("mode: shadow", "mode: off"), 3, "custom.mode must be one of enforce, shadow"),
        (("#   id: OWN-001", "#   id: OWN-002"), 3, 'custom.id is "OWN-002", but the value says "OWN-001"'),
        (("title: A rule", "title: [A rule"), 4, "yaml"),
        (("# title: A rule", "# titel: A rule"), 3, "unknown METADATA attributes: titel"),
        (("# METADATA", "# metadata"), 10, "no # METADATA comment"),
        (("# METADATA", "# METADATA\n\n# gap"), 3, "found whitespace"),
        (('"id": "OWN-001"', '"id": input.stage'), 10, 'literal "id"'),
        (('{"id": "OWN-001", "message": "no"}', "input.stage"), 10, 'literal "id"'),
        (('contains {"id": "OWN-001", "message": "no"}', ':= {"id": "OWN-001"}'), 10, "must be a set"),
        (('deny contains {"id": "OWN-001", "message": "no"}', "deny"), 10, "must be a set"),
        (('deny contains {"id": "OWN-001", "message": "no"}', "deny.x contains 1"), 10, "must be a set"),
        (("package guard.rules.own", "package guard.rules.own.deeper"), 10, "would never be asked"),
        (("deny contains", "denied contains"), 1, "has neither deny nor obligations"),
        (("if input.stage", "if input..stage"), 10, ""),
    ],
)
def test_a_rule_that_cannot_be_explained_does_not_load(
    tmp_path: Path, change: tuple[str, str], row: int, words: str
) -> None:
    """Each mistake is told with its file and line, before it lets anything in."""
    assert change[0] in RULE
    told = errors(tmp_path, {"own.rego": RULE.replace(*change)})
    assert [(Path(d.file).name, d.row) for d in told[:1]] == [("own.rego", row)]
    assert words in told[0].message
    assert str(told[0]).startswith(f"{tmp_path.as_posix()}/own.rego:{row}:")


def test_two_rules_with_one_id_do_not_load(tmp_path: Path) -> None:
    """A reason must lead to one rule; the other place is told."""
    (told,) = errors(tmp_path, {"a.rego": RULE, "b.rego": RULE.replace("rules.own", "rules.other")})
    assert "b.rego" in told.file
    assert "a.rego:10" in told.message


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    """An author mends a bundle in one round."""
    files = {"a.rego": RULE.replace("# title: A rule\n", ""), "b.rego": "package b\n\nx := ", "data.json": "{"}
    assert {Path(d.file).name for d in errors(tmp_path, files)} == {"a.rego", "b.rego", "data.json"}


def test_a_second_definition_may_share_neither_annotation_nor_id(tmp_path: Path) -> None:
    """Two heads are two rules, each with an annotation of its own."""
    second = RULE + '\ndeny contains {"id": "OWN-002", "message": "no"} if input.stage == "response"\n'
    (told,) = errors(tmp_path, {"own.rego": second})
    assert (told.row, "no # METADATA comment" in told.message) == (12, True)


def test_annotations_above_other_rules_do_not_count(tmp_path: Path) -> None:
    """A METADATA comment belongs to the rule below it."""
    text = RULE.replace("deny contains", "helper := 1\n\ndeny contains")
    (told,) = errors(tmp_path, {"own.rego": text})
    assert "no # METADATA comment" in told.message


def test_a_package_annotation_is_not_the_rules(tmp_path: Path) -> None:
    """The comment above the package describes the package."""
    head = "# METADATA\n# title: Package\n"
    assert load(tmp_path, {"own.rego": head + RULE}).rules["OWN-001"].title == "A rule"


def test_packages_elsewhere_need_no_annotations(tmp_path: Path) -> None:
    """An author with an entrypoint of their own is free."""
    bundle = load(tmp_path, {"own.rego": "package mine\n\ndeny contains 1 if input.x\n"})
    assert bundle.rules == {}


def test_tests_are_kept_apart(tmp_path: Path) -> None:
    """Files named *_test.rego never decide, and are no part of the digest."""
    bundle = load(tmp_path, {"own.rego": RULE})
    tested = load(tmp_path, {"own_test.rego": "package guard.rules.own_test\n\ntest_x if true\n"})
    assert [Path(name).name for name in tested.tests] == ["own_test.rego"]
    assert tested.modules == bundle.modules
    assert tested.digest == bundle.digest


# --- data -----------------------------------------------------------------------------------------------------------


def test_data_stands_under_the_path_of_its_folder(tmp_path: Path) -> None:
    """As in OPA's bundles; other JSON files are no data."""
    bundle = load(
        tmp_path,
        {
            "own.rego": RULE,
            "data.json": '{"top": 1}',
            "a/b/data.yaml": "list: [1, 2]\nwhen: yes\n",
            "a/data.yml": "c: {d: null}\n",
            "a/other.json": '{"not": "read"}',
            ".hidden/data.json": '{"not": "read"}',
        },
    )
    assert {k: v for k, v in bundle.data.items() if k != "guard"} == {
        "top": 1,
        "a": {"b": {"list": [1, 2], "when": True}, "c": {"d": None}},
    }


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"data.json": '{"a": 1}', "data.yaml": "a: 2"}, "data.a is set in two places"),
        ({"data.json": '{"guard": {"providers": {"p": {"pci": true}}}}'}, "data.guard.providers.p.pci is set in two"),
        ({"data.json": '{"guard": {"modes": {"OWN-001": "enforce"}}}'}, "written by the loader"),
        ({"data.json": "[1]"}, "must be an object"),
        ({"data.json": '{"a": NaN}'}, "cannot be read"),
        ({"data.yaml": "a: .nan"}, "cannot be read"),
        ({"data.yaml": "a: [1"}, "cannot be read"),
    ],
)
def test_data_that_two_readers_would_read_differently_does_not_load(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    """One datum, one place, and JSON only."""
    data = {"guard": {"providers": {"p": {"pci": False}}}}
    (told,) = errors(tmp_path, {"own.rego": RULE, **files}, data=data)
    assert words in told.message


def test_the_configuration_becomes_data() -> None:
    """Providers, tenants, settings and names of guard.toml, as rules ask for them."""
    config = GuardConfig(
        providers={"p": Provider(region="eu", pci=True)},
        tenants={"t": Tenant(models=("m",))},
        networks={"office": ("10.0.0.0/8",)},
        routes=(Route(path="/v1/**"), Route(path="/healthz", inspect=False)),
        policy=PolicyConfig(settings={"max_tokens": 5}),
    )
    tenant = {"models": ["m"], "regions": [], "tools": [], "max_tokens": None}
    assert bundle_data(config) == {
        "guard": {
            "networks": ["office"],
            "routes": ["/**", "/v1/**"],
            "providers": {"p": {"region": "eu", "pci": True, "external": True}},
            "tenants": {"t": tenant},
            "settings": {"max_tokens": 5},
        }
    }
    assert load_bundle(data=bundle_data(config)).data["guard"]["tenants"] == {"t": tenant}


def test_a_mode_can_be_set_in_the_configuration() -> None:
    """An operator moves a shipped rule to shadow without touching it."""
    settings = {"modes": {"PII-002": "shadow", "GUARD-010": "enforce"}}
    bundle = load_bundle(data={"guard": {"settings": settings}})
    modes = bundle.data["guard"]["modes"]
    assert (modes["PII-002"], modes["GUARD-010"], modes["SEC-001"]) == ("shadow", "enforce", "enforce")
    assert bundle.rules["PII-002"].mode == "shadow"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modes": {"PII-999": "shadow"}}, 'the rule "PII-999", which does not exist'),
        ({"modes": {"PII-001": "off"}}, "policy.settings.modes.PII-001 must be enforce or shadow"),
        ({"modes": ["PII-001"]}, "policy.settings.modes must be of type object"),
        (
            {"anomaly_treshold": 0.5},
            "no policy reads policy.settings.anomaly_treshold; did you mean anomaly_threshold?",
        ),
        ({"anomaly_threshold": "high"}, "policy.settings.anomaly_threshold must be of type number"),
        ({"anomaly_threshold": 8}, "policy.settings.anomaly_threshold must be at most 1"),
        ({"anomaly_threshold": -0.1}, "policy.settings.anomaly_threshold must be at least 0"),
        ({"max_tokens": True}, "policy.settings.max_tokens must be of type integer"),
        ({"max_tokens": 1.5}, "policy.settings.max_tokens must be of type integer"),
        ({"pii_keep": "URL"}, "policy.settings.pii_keep must be of type array"),
        ({"pii_keep": ["URL", 1]}, "policy.settings.pii_keep must hold values of type string only"),
    ],
)
def test_a_setting_that_would_do_nothing_is_an_error(settings: dict[str, Any], words: str) -> None:
    """A misspelled or mistyped setting is told at load, not by a rule that never fires."""
    with pytest.raises(PolicyInvalid) as caught:
        load_bundle(data={"guard": {"settings": settings}})
    assert [d.message for d in caught.value.diagnostics if words in d.message] != []
    assert len(caught.value.diagnostics) == 1


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 1), math.nan, math.inf], ids=str)
def test_a_setting_that_is_no_json_is_an_error(value: Any) -> None:
    """TOML knows dates and infinities; the engines would not agree on them."""
    with pytest.raises(PolicyInvalid) as caught:
        load_bundle(data={"guard": {"settings": {"max_tokens": value}}})
    assert "JSON" in caught.value.diagnostics[0].message


def test_an_authors_rule_may_read_settings_of_its_own(tmp_path: Path) -> None:
    """A name that some policy mentions is no typing error."""
    text = RULE.replace('input.stage == "request"', "data.guard.settings.own_limit > 3")
    bundle = load(tmp_path, {"own.rego": text}, shipped=True, data={"guard": {"settings": {"own_limit": 5}}})
    assert bundle.data["guard"]["settings"] == {"own_limit": 5}


def test_the_published_defaults_are_those_of_the_rules() -> None:
    """settings.v1.json and the Rego that reads a setting agree on its default."""
    schema = json.loads((shipped_directory() / "schemas" / "settings" / "settings.v1.json").read_text())
    text = "".join(load_bundle().modules.values())
    for name, setting in schema["properties"].items():
        if name != "modes":
            assert f'setting("{name}", ' in text or re.search(rf"data\.guard\.settings\.{name}\b", text), name
        if "default" in setting:
            assert f'setting("{name}", {json.dumps(setting["default"])})' in text


# --- where policies come from, and what identifies them -------------------------------------------------------------


def test_a_file_that_is_reached_twice_is_read_once() -> None:
    """The shipped policies given as a directory, too: no rule is defined twice."""
    root = shipped_directory()
    twice = load_bundle(directories=[root, root / "guard"], shipped=True)
    assert len(twice.modules) == len(load_bundle().modules)


def test_a_single_file_is_a_policy(tmp_path: Path) -> None:
    """As with ``opa -d FILE``."""
    (tmp_path / "own.rego").write_text(RULE)
    bundle = load_bundle(directories=[tmp_path / "own.rego"], shipped=False)
    assert list(bundle.modules) == [(tmp_path / "own.rego").as_posix()]


def test_two_files_of_one_name_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called like the shipped policies cannot replace one of their files."""
    monkeypatch.chdir(tmp_path)
    (told,) = errors(Path("shipped"), {"guard/main/main.rego": "package other\n"}, shipped=True)
    assert (told.file, "same name" in told.message) == ("shipped/guard/main/main.rego", True)


def test_the_files_of_the_author_are_known() -> None:
    """What was added by the guard comes without tests and is told apart."""
    added = load_bundle()
    assert (added.own, added.tests) == (frozenset(), {})
    given = load_bundle(directories=[shipped_directory()])
    assert given.own == set(given.modules) | set(given.tests)
    assert given.tests


def test_the_digest_is_the_same_wherever_the_policies_lie(tmp_path: Path) -> None:
    """Another machine, another folder: the same policies have the same digest."""
    for place in ("one", "two/three"):
        shutil.copytree(shipped_directory(), tmp_path / place)
    bundles = [load_bundle(directories=[tmp_path / p], shipped=False) for p in ("one", "two/three")]
    assert bundles[0].digest == bundles[1].digest
    assert bundles[0].revision == bundles[0].digest[:12]


def test_the_digest_changes_with_everything_that_decides(tmp_path: Path) -> None:
    """A name, a character, a datum, a setting and a mode each change it."""
    digests = {
        load(tmp_path / "a", {"own.rego": RULE}).digest,
        load(tmp_path / "b", {"own2.rego": RULE}).digest,
        load(tmp_path / "c", {"own.rego": RULE + "\n"}).digest,
        load(tmp_path / "d", {"own.rego": RULE, "data.json": '{"x": 1}'}).digest,
        load(tmp_path / "e", {"own.rego": RULE}, data={"guard": {"settings": {"x": 1}}}).digest,
        load(tmp_path / "f", {"own.rego": RULE.replace("shadow", "enforce")}).digest,
    }
    assert len(digests) == 6


@pytest.mark.parametrize(
    ("directories", "words"), [(["missing"], "no such directory"), ([], "there is no policy")], ids=["missing", "empty"]
)
def test_no_policy_is_an_error(tmp_path: Path, directories: list[str], words: str) -> None:
    """A mistyped directory does not mean: no rules."""
    with pytest.raises(PolicyInvalid) as caught:
        load_bundle(directories=[tmp_path / d for d in directories], shipped=False)
    assert words in caught.value.diagnostics[0].message


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """What cannot be read is told, not skipped."""
    (tmp_path / "bad.rego").write_bytes(b"package x\n\xff")
    (told,) = errors(tmp_path, {"own.rego": RULE})
    assert told.file.endswith("bad.rego")
    assert "cannot be read" in told.message
