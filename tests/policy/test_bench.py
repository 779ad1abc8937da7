"""``guard policy bench`` and ``guard policy check --with-opa``: figures, and comparisons with the real opa."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guard import rego
from guard.cli.policy import app
from guard.errors import GuardError
from tests.components import require

POLICY = "package p\n\nx := count([y | some y in input.list; y > 1])\n\nz := input.z\n"
RULE = """package guard.rules.night

# METADATA
# title: Services rest
# custom:
#   id: NIGHT-001
#   severity: low
#   remediation: Wait.
deny contains {"id": "NIGHT-001", "message": message} if {
	input.stage == "request"
	message := "closed"
}
"""


def guard(*arguments: str | Path, stdin: str | None = None) -> Result:
    """The command's outcome."""
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A small policy, in a file."""
    (tmp_path / "p.rego").write_text(POLICY)
    return tmp_path / "p.rego"


def test_bench_tells_times_and_steps(policy: Path) -> None:
    """Percentiles in order, evaluations a second from the same run, and the exact number of steps."""
    arguments = ["--no-shipped", "-d", str(policy), "-i", "-", "--seconds", "0.05", "--json", "data.p.x"]
    done = guard("bench", *arguments, stdin='{"list": [1, 2, 3]}')
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["results"]["guard"]
    assert 0 <= told["min_us"] <= told["p50_us"] <= told["p90_us"] <= told["p99_us"] <= told["max_us"]
    assert told["evaluations"] > 0
    program = rego.compile({"p.rego": POLICY})
    given = {"list": [1, 2, 3]}
    assert program.eval("data.p.x", given, max_steps=told["steps"]) == 2
    with pytest.raises(rego.StepLimitError):
        program.eval("data.p.x", given, max_steps=told["steps"] - 1)


@pytest.mark.slow
def test_bench_beside_opa(policy: Path) -> None:
    """The same figures of opa's own query timer, under its version."""
    require("opa")
    arguments = ["--no-shipped", "-d", str(policy), "-i", "-", "--seconds", "0.05", "--with-opa", "data.p.x"]
    done = guard("bench", *arguments, stdin='{"list": [1]}')
    assert done.exit_code == 0, done.output
    heads = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert heads[0] == "guard:"
    assert heads[1].startswith("opa 1.")
    assert done.stdout.count("p99_us") == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [("data.p.z", "the query is undefined"), ("1 + 1", "not a plain reference below data"), ("x := ", "parse_error")],
)
def test_bench_of_nothing_is_an_error(policy: Path, query: str, words: str) -> None:
    """An undefined query is fast, and measures nothing."""
    done = guard("bench", "--no-shipped", "-d", policy, "--seconds", "0.05", query)
    assert (done.exit_code, done.stdout) == (1, "")
    assert words in done.stderr + str(done.exception)


def test_check_with_opa_is_quiet_where_both_agree(tmp_path: Path) -> None:
    """The shipped policies and an author's rule: no difference, and mistakes that both find are told once."""
    require("opa")
    (tmp_path / "night.rego").write_text(RULE)
    done = guard("check", "--with-opa", "--strict", tmp_path)
    assert (done.exit_code, done.stderr) == (0, "")
    (tmp_path / "night.rego").write_text(RULE.replace("input.stage", "input.stge"))
    done = guard("check", "--with-opa", "--json", tmp_path)
    told = json.loads(done.stdout)
    assert ([e["message"].split(":")[0] for e in told["errors"]], told["warnings"]) == (
        ["input.stge does not exist"],
        [],
    )


def test_check_with_opa_tells_differences(tmp_path: Path) -> None:
    """What opa's strict check refuses, and what only we refuse, with opa's version, file and line."""
    require("opa")
    (tmp_path / "night.rego").write_text(RULE.replace('"closed"', 'http.send({"url": "http://127.0.0.1"}).raw_body'))
    told = json.loads(guard("check", "--with-opa", "--json", tmp_path).stdout)
    (warning,) = told["warnings"]
    assert warning["message"].startswith("opa 1.")
    assert "accepts what is refused here: unsafe built-in function calls" in warning["message"]
    assert (Path(warning["file"]).name, warning["row"]) == ("night.rego", 11)


def test_check_with_opa_of_what_cannot_be_read(tmp_path: Path) -> None:
    """Nothing was compared, and that is said."""
    require("opa")
    (tmp_path / "night.rego").write_text(RULE.replace("# title: Services rest\n", ""))
    done = guard("check", "--with-opa", tmp_path)
    assert done.exit_code == 1
    assert "nothing was compared with opa" in done.stderr


@pytest.mark.parametrize("word", ["check", "bench"])
def test_without_an_opa_command_the_mend_is_told(word: str, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--with-opa is asked for, so its absence is an error."""
    monkeypatch.setenv("PATH", str(policy.parent))
    done = guard(word, "--with-opa", *(["data.p.x", "-d"] if word == "bench" else []), policy)
    assert isinstance(done.exception, GuardError)
    assert done.exception.what == "there is no opa command on PATH"
    assert "leave --with-opa" in done.exception.mend
