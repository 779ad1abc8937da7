"""An author's mistakes, and how ``guard policy check`` and ``guard check`` lead to their mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli import main

RULE = Path("policies/guard/rules/example/example.rego")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """What ``guard init`` writes, as the working directory."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"][0] == "guard.toml"
    return tmp_path


MISTAKES = [  # what is replaced, by what; the error, its row, its mend
    ("sprintf", "sprintff", "undefined function sprintff", 13, "did you mean sprintf?"),
    ("EX-001\n", "EX-002\n", 'custom.id is "EX-002", but the value says "EX-001"', 3, "policies/README.md"),
    ("severity: low", "severity: lowish", "custom.severity must be one of low, medium, high, critical", 3, "README"),
    ("== null", "= = null", "unexpected = token", 12, "correct the syntax"),
    ("[input.action.method,", "[whoo,", "var whoo is unsafe", 13, "give the variable a value"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[1].strip())
@pytest.mark.parametrize("command", [["policy", "check", "policies"], ["check"], ["policy", "test", "policies"]])
def test_each_mistake_leads_to_its_mend(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str], mistake: tuple[str, str, str, int, str]
) -> None:
    """What, file:line:column and mend of each error, whichever command meets it first."""
    old, new, what, row, mend = mistake
    RULE.write_text(RULE.read_text().replace(old, new, 1))
    assert main(command) == 1
    lines = capsys.readouterr().err.splitlines()
    told = next(number for number, line in enumerate(lines) if line.startswith(f"error: {what}"))
    assert f"example.rego:{row}:" in lines[told + 1]
    assert mend in lines[told + 2]


def test_check_lists_the_authors_rules(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The author sees that the rule was taken in, and in which mode."""
    assert main(["policy", "check", "policies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[:2] == ["EX-001", "shadow"]


def test_a_rule_that_nothing_asks_is_warned_of(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A package outside guard.rules compiles, and denies nothing; so does an empty folder."""
    RULE.write_text(RULE.read_text().replace("package guard.rules.example", "package acme"))
    RULE.with_name("example_test.rego").unlink()
    assert main(["policy", "check", "policies"]) == 0
    said = capsys.readouterr().err
    assert "nobody asks deny of package acme: it has no effect" in said
    assert "example.rego:10:1" in said
    (project / "empty").mkdir()
    assert main(["policy", "check", "empty"]) == 0
    assert "only the shipped policies were checked" in capsys.readouterr().err


def test_check_as_json_tells_errors_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object, whether it would start or not."""
    RULE.write_text(RULE.read_text().replace("severity: low", "severity: lowish"))
    assert main(["check", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["errors"][0]["row"]) == (False, 3)
    (project / "guard.toml").write_text("[broken")
    assert main(["check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == "config_invalid"


def test_check_says_what_a_route_leads_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A route without a provider leads out only with calls of a model; the owner reads it before the first request."""
    text = '[[routes]]\npath = "/a"\nprovider = "own"\n[[routes]]\npath = "/**"\n[providers.own]\nexternal = false\n'
    (project / "guard.toml").write_text(text)
    assert main(["check"]) == 0
    routes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("route")]
    assert routes[0].endswith("/a  inspected; provider own, not external")
    assert routes[1].endswith("/**  inspected; no provider: calls of a model are taken for external")


UNUSED = [  # what is added to the policy; the error
    ("import data.acme.lists\n", "import data.acme.lists unused"),
    ("\nhelper if { spare := 1 }\n", "assigned var spare unused"),
    ("\nhelper(spare) := 1\n", "unused argument spare. (hint: use _ (wildcard variable) instead)"),
]


@pytest.mark.parametrize(("addition", "what"), UNUSED, ids=[what for _, what in UNUSED])
@pytest.mark.parametrize("command", [["policy", "check", "policies"], ["check"]])
def test_unused_names_of_policies_are_errors_under_strict_alone(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str], addition: str, what: str
) -> None:
    """As ``opa check`` and ``opa check --strict``; what ``guard init`` writes passes both."""
    assert main([*command, "--strict"]) == 0
    RULE.write_text(RULE.read_text() + addition)
    assert main(command) == 0
    assert what not in capsys.readouterr().err
    assert main([*command, "--strict"]) == 1
    lines = capsys.readouterr().err.splitlines()
    told = lines.index(f"error: {what} (rego_compile_error)" if command[0] == "policy" else f"error: {what}")
    assert "example.rego:" in lines[told + 1]
    assert lines[told + 2] == "mend:  use it, or remove it"
