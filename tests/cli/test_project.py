"""``guard init``, ``guard check`` and the command itself: what a newcomer types first, and types wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli import main


def test_what_init_writes_passes_check_and_its_own_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first three commands of a newcomer work one after the other."""
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    written = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert written == {"guard.toml", "guard.schema.json", "example.rego", "example_test.rego", "input.json"}
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "EX-001" in said
    assert "/healthz  NOT inspected" in said
    assert said.rstrip().endswith("ok")
    assert main(["policy", "test", "policies"]) == 0


def test_init_overwrites_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An owner's configuration survives a second init; --force says otherwise."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text("# mine\n")
    assert main(["init"]) == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "guard.toml").read_text() == "# mine\n"
    assert main(["init", "--force"]) == 0
    assert "policies" in (tmp_path / "guard.toml").read_text()


def test_init_into_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where a directory should be: an error with what, where and mend, no traceback."""
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the file cannot be written")
    assert "\nwhere: " in error
    assert "\nmend:  " in error


def test_check_names_the_line_of_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt key is an error before it is an incident."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text('[policy]\nengin = "opa"\n')
    assert main(["check"]) == 1
    said = capsys.readouterr().err
    assert said == "error: unknown key 'policy.engin'\nwhere: guard.toml:2\nmend:  did you mean 'engine'?\n"


def test_check_names_the_line_of_a_bad_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy that does not compile does not start a server."""
    monkeypatch.chdir(tmp_path)
    main(["init"])
    rule = tmp_path / "policies/guard/rules/example/example.rego"
    rule.write_text(rule.read_text().replace("input.stage ==", "input.stage =="[:-1] + "~"))
    assert main(["check"]) == 1
    assert "example.rego:" in capsys.readouterr().err


def test_check_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One object for programs, with every rule's id and place."""
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"GUARD-001", "PII-002", "SEC-001"} <= {rule["id"] for rule in report["rules"]}
    assert report["detectors"] == ["pii", "secrets"]


@pytest.mark.parametrize("arguments", [["nonsense"], ["demo", "--nonsense"], ["log", "verify", "--nonsense"]])
def test_a_wrong_flag_or_command_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the usage on stderr."""
    assert main(arguments) == 3
    assert "sage" in capsys.readouterr().err


def test_model_show_lists_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """The command comes from another package through ``guard.commands``."""
    assert main(["model", "show", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["detectors"]
    assert {"pii", "secrets", "behaviour"} <= {row["name"] for row in rows}
    assert all(row["kind"] in {"detector", "behaviour model", "intent model"} for row in rows)
