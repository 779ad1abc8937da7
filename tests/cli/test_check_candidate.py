"""``guard check`` and ``guard doctor`` on policies in shadow: held to what the policies that decide are held to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main

CONFIG = '[detectors]\nenabled = []\nbehaviour = ""\n[policy]\ndirectories = ["live"]\n[policy.candidate]\n'
RULE = """package guard.rules.mine

# METADATA
# title: A rule
# custom:
#   id: MINE-1
#   severity: low
#   remediation: none
deny contains {"id": "MINE-1", "message": "no", "pointers": set()} if input.context.size_bytes > 9
"""


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with live policies and a candidate, and no GUARD_* of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)
    for directory in ("live", "next"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "mine.rego").write_text(RULE)


def checked(capsys: pytest.CaptureFixture[str], more: str, rule: str = RULE) -> tuple[int, dict[str, Any]]:
    """Exit code and report under this ``[policy.candidate]``, with this rule in ``next``."""
    Path("guard.toml").write_text(CONFIG + more)
    Path("next/mine.rego").write_text(rule)
    code = main(["check", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_report_names_the_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    """Revision, digest, entrypoint and share; null without one."""
    code, report = checked(capsys, 'directories = ["next"]\nshare = 0.25\n', RULE.replace("> 9", "> 8"))
    assert (code, report["warnings"], report["errors"]) == (0, [], [])
    told = report["candidate"]
    assert (told["entrypoint"], told["share_permille"]) == ("data.guard.decision", 250)
    assert told["digest"].startswith(told["revision"])
    assert told["digest"] != report["digest"]
    Path("guard.toml").write_text(CONFIG.replace("[policy.candidate]\n", ""))
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["candidate"] is None


def test_one_that_is_what_decides_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Promoted, and not yet taken out."""
    code, report = checked(capsys, 'directories = ["next"]\n')
    assert code == 0
    assert [note["message"] for note in report["notes"]] == [
        "the candidate is what decides already: nothing would change"
    ]
    assert report["candidate"]["digest"] == report["digest"]


@pytest.mark.parametrize(
    ("rule", "place", "said"),
    [
        (RULE.replace("input.context.size_bytes", "size"), "next/mine.rego:9", "candidate: var size is unsafe"),
        (
            RULE.replace("severity: low", "severity: odd"),
            "next/mine.rego:3",
            "candidate: custom.severity must be one of",
        ),
        (
            RULE.replace("size_bytes", "size_byte"),
            "next/mine.rego:9",
            "candidate: input.context.size_byte does not exist",
        ),
    ],
)
def test_what_is_wrong_with_it_has_its_place(
    capsys: pytest.CaptureFixture[str], rule: str, place: str, said: str
) -> None:
    """An error, as it would be if it decided; and it says whose."""
    code, report = checked(capsys, 'directories = ["next"]\n', rule)
    assert code == 1
    (error,) = report["errors"]
    assert error["where"].startswith(place)
    assert error["message"].startswith(said)
    assert report["digest"], "the policies that decide are sound"


def test_the_doctor_says_what_is_in_shadow(capsys: pytest.CaptureFixture[str]) -> None:
    """Fine with its revision; a problem with file and line."""
    Path("guard.toml").write_text(CONFIG + 'directories = ["next"]\nshare = 0.5\n')
    main(["doctor", "--json"])
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["candidate"]["verdict"] == "ok"
    assert checks["candidate"]["what"].endswith("is in shadow, on 50 % of the exchanges")
    Path("next/mine.rego").write_text("package guard.rules.mine\nnonsense")
    assert main(["doctor", "--json"]) == 1
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert (checks["candidate"]["verdict"], checks["candidate"]["where"]) == ("problem", "next/mine.rego:2")
    assert checks["policies"]["verdict"] == "ok"
