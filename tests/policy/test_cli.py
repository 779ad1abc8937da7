"""``guard policy``: what an author who knows opa expects, with errors as what, where and mend."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from guard.cli.policy import app
from guard.errors import GuardError
from guard.policy.bundle import load_bundle, shipped_directory
from tests.components import require
from tests.policy.documents import document
from tests.policy.servers import free_url, opa_server

ROOT = Path(__file__).parents[2]
RULE = """package guard.rules.night

# METADATA
# title: Services rest
# custom:
#   id: NIGHT-001
#   severity: low
#   remediation: Wait.
deny contains {"id": "NIGHT-001", "message": "closed"} if {
	input.stage == "request"
	input.subject.type == "service"
}
"""
TESTS = """package guard.rules.night_test

import data.guard.rules.night

test_people_pass if count(night.deny) == 0 with input as {"stage": "request", "subject": {"type": "user"}}

test_services_wait if {
	found := night.deny with input as {"stage": "request", "subject": {"type": "service"}}
	count(found) == 1
}
"""


def guard(*arguments: str | Path, stdin: str | None = None) -> Result:
    """The command's outcome, with our errors told as ``guard`` itself tells them."""
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An author's folder: a rule and its tests."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "night.rego").write_text(RULE)
    (folder / "night_test.rego").write_text(TESTS)
    return folder


# --- check ----------------------------------------------------------------------------------------------------------


def test_check_accepts_a_rule_beside_the_shipped_ones(own: Path) -> None:
    """Exit 0, with the number of rules and what is in shadow mode."""
    done = guard("check", own)
    assert done.exit_code == 0, done.output
    shipped = load_bundle()
    watching = sum(rule.mode == "shadow" for rule in shipped.rules.values())
    modules, rules = len(shipped.modules) + 1, len(shipped.rules) + 1
    said = f"ok: {modules} modules, {rules} rules ({watching} in shadow mode), revision "
    assert done.stdout.startswith(said)


def test_check_accepts_the_shipped_policies_themselves() -> None:
    """The folder of the checkout, whose files are those that are added."""
    done = guard("check", shipped_directory())
    assert (done.exit_code, done.stderr) == (0, "")


def test_check_tells_where_and_how_to_mend(own: Path) -> None:
    """Exit 1; what, where with line and column, and mend, on stderr."""
    (own / "night.rego").write_text(RULE.replace("# title: Services rest\n", ""))
    done = guard("check", own)
    assert (done.exit_code, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "error: title is missing or no text (guard_metadata_error)"
    assert lines[1].endswith("night.rego:3:1")
    assert lines[-1].startswith("mend:")


@pytest.mark.parametrize(
    ("text", "row", "code"),
    [
        ('input.stage == "request"\n\ttypo == 1', 11, "rego_unsafe_var_error"),
        ('no_such_function("x")', 10, "rego_type_error"),
        ("input.stage = = 1", 10, "rego_parse_error"),
        ('http.send({"url": "http://127.0.0.1"}).status_code == 200', 10, ""),
    ],
)
def test_check_finds_what_the_compiler_finds(own: Path, text: str, row: int, code: str) -> None:
    """Unsafe variables, unknown functions, syntax and functions that reach the network, with OPA's codes."""
    (own / "night.rego").write_text(RULE.replace('input.stage == "request"', text))
    done = guard("check", own, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)["errors"][0]
    assert (Path(told["file"]).name, told["row"]) == ("night.rego", row)
    assert code in told["code"]


def test_check_compiles_tests_too(own: Path) -> None:
    """A broken test is an error of the folder."""
    (own / "night_test.rego").write_text(TESTS + "\ntest_x if nothing.here\n")
    done = guard("check", own)
    assert done.exit_code == 1
    assert "night_test.rego:12" in done.stderr


def test_check_as_json(own: Path) -> None:
    """For programs: rules with their modes, and the digest that records will name."""
    told = json.loads(guard("check", own, "--json", "--no-shipped").stdout)
    assert told["ok"] is True
    assert told["rules"] == {"NIGHT-001": "enforce"}
    assert told["digest"] == load_bundle(directories=[own], shipped=False).digest


def test_the_configurations_data_reaches_the_policies(own: Path, tmp_path: Path) -> None:
    """--config gives providers, tenants and settings."""
    (tmp_path / "guard.toml").write_text('[tenants.acme]\nmodels = ["small"]\n\n[policy.settings]\nmax_tokens = 5\n')
    done = guard("eval", "-c", tmp_path / "guard.toml", "[data.guard.tenants, data.guard.settings]")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    assert (value[0]["acme"]["models"], value[1]) == (["small"], {"max_tokens": 5})


# --- test -----------------------------------------------------------------------------------------------------------


def test_passing_tests_are_counted(own: Path) -> None:
    """Exit 0 and the count, as opa test says it; the shipped tests are not the author's concern."""
    done = guard("test", own)
    assert done.exit_code == 0, done.output
    assert done.stdout == "-" * 80 + "\nPASS: 2/2\n"


def test_verbose_tells_every_test(own: Path) -> None:
    """As opa test -v."""
    lines = guard("test", own, "-v").stdout.splitlines()
    assert lines[0].endswith("night_test.rego:")
    assert lines[1].startswith("data.guard.rules.night_test.test_people_pass: PASS (")
    assert lines[2].startswith("data.guard.rules.night_test.test_services_wait: PASS (")


def test_a_failing_test_is_told_with_the_line_that_failed(own: Path) -> None:
    """Exit 1; the test, and the expression that was not true."""
    (own / "night_test.rego").write_text(TESTS.replace("count(found) == 1", "count(found) == 7"))
    done = guard("test", own)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[1].startswith("data.guard.rules.night_test.test_services_wait: FAIL (")
    assert lines[2].endswith("night_test.rego:9: not true: count(found) == 7")
    assert lines[-2:] == ["PASS: 1/2", "FAIL: 1/2"]


def test_tests_can_be_picked(own: Path) -> None:
    """By a pattern over the full name; one that is no pattern is wrong usage, not nothing."""
    assert "PASS: 1/1" in guard("test", own, "--run", "services").stdout
    broken = guard("test", own, "--run", "(")
    assert broken.exit_code == 2  # click's own, which the command line turns into 3
    assert "the pattern is no regular expression: missing ): (" in broken.stderr


def test_no_test_is_no_success(own: Path) -> None:
    """A mistyped name must not look like a green run."""
    (own / "night_test.rego").write_text("package guard.rules.night_test\n\ntset_x if true\n")
    done = guard("test", own)
    assert done.exit_code == 1
    assert "no test was run" in done.stderr


def test_the_shipped_policies_are_clean_by_opas_own_tools() -> None:
    """Strict check against the input's schema, and the standard format."""
    folder, opa = shipped_directory(), require("opa")
    schema = folder / "schemas" / "input.v1.json"
    for command in (
        [opa, "check", "--strict", "-s", str(schema), str(folder)],
        [opa, "fmt", "-l", "--fail", str(folder)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_rule_of_the_readme_works_as_written(tmp_path: Path) -> None:
    """policies/README.md, "A rule in ten minutes": its rule and its test, on both engines."""
    blocks = (ROOT / "policies" / "README.md").read_text("utf-8").split("```rego\n")[1:]
    rule, tests = (block.split("```")[0] for block in blocks)
    (tmp_path / "night.rego").write_text(rule)
    (tmp_path / "night_test.rego").write_text(tests)
    done = guard("test", tmp_path)
    assert done.exit_code == 0, done.output
    assert "PASS: 2/2" in done.stdout
    command = [require("opa"), "test", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "PASS: 2/2\n"


def test_the_readme_names_every_shipped_rule() -> None:
    """The table of rules and modes is that of the annotations."""
    text = (ROOT / "policies" / "README.md").read_text("utf-8")
    rows = {tuple(c.strip() for c in line.split("|")[1:3]) for line in text.splitlines() if line.startswith("| ")}
    assert {(rule.id, rule.mode) for rule in load_bundle().rules.values()} <= rows


# --- eval -----------------------------------------------------------------------------------------------------------


QUERIES = [
    "data.guard.decision",
    "data.guard.main.reasons",
    "data.guard.no_such_rule",
    "input.subject.tenant",
    "x := input.findings[_].type",
    "p := input.coverage.inspected[i]",
    "count(data.guard.rules.size.measures) > 2; true",
    "false",
    '"<html> & \\u2028 ü"',
    "[0.1, 7, -2.5, 12345678901234567890]",
    "{2, 1, 3}",
    '{"b": 1, "a": [true, null]}',
]


@pytest.mark.parametrize("query", QUERIES)
def test_eval_prints_what_opa_prints(query: str, tmp_path: Path) -> None:
    """Byte for byte, over the shipped policies and an input."""
    (tmp_path / "input.json").write_text(json.dumps(document(stage="response")))
    folder = tmp_path / "policies"
    shutil.copytree(shipped_directory() / "guard", folder / "guard")
    arguments = ["eval", "-d", str(folder), "-i", str(tmp_path / "input.json")]
    ours = guard(*arguments, "--no-shipped", query)
    command = [require("opa"), *arguments, "--format", "json", query]
    theirs = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert ours.exit_code == 0, ours.output
    assert ours.stdout == theirs.stdout.decode()


def test_eval_reads_the_input_from_stdin() -> None:
    """``-i -``, for pipes."""
    done = guard("eval", "-i", "-", "input.a", stdin='{"a": 5}')
    assert json.loads(done.stdout)["result"][0]["expressions"][0]["value"] == 5


def test_eval_without_an_input_leaves_it_undefined() -> None:
    """As opa: no value, no result."""
    done = guard("eval", "input.a")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x := "], "rego_parse_error"),
        (["no_such(1)"], "rego_type_error"),
        (["-d", "/no/such/place", "1"], "no such directory"),
    ],
)
def test_eval_tells_errors_on_stderr(arguments: list[str], words: str) -> None:
    """Exit 1, and nothing on stdout that a program could take for an answer."""
    done = guard("eval", *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert words in done.stderr


def test_eval_of_a_policy_that_fails_is_an_error(tmp_path: Path) -> None:
    """A conflict is told as what, where and mend."""
    (tmp_path / "t.rego").write_text("package t\n\nx := y if some y in [1, 2]\n")
    done = guard("eval", "-d", tmp_path, "data.t.x")
    assert isinstance(done.exception, GuardError)
    assert "eval_conflict_error" in done.exception.what
    assert done.exception.mend


@pytest.mark.parametrize("text", ["{", "", None])
def test_eval_of_an_input_that_is_no_json_is_an_error(tmp_path: Path, text: str | None) -> None:
    """A broken or missing file is not an undefined input."""
    path = tmp_path / "input.json"
    if text is not None:
        path.write_text(text)
    done = guard("eval", "-i", path, "1")
    assert isinstance(done.exception, GuardError)
    assert done.exception.where == str(path)


# --- push -----------------------------------------------------------------------------------------------------------


def test_push_hands_the_policies_to_a_server(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards the server itself decides with the author's rule."""
    monkeypatch.chdir(tmp_path)
    with opa_server() as url:
        done = guard("push", own, "--url", url)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith(f"pushed {len(load_bundle().modules) + 1} modules, revision ")
        answer = _ask(url, document(principal=_service()))
    assert [r["id"] for r in answer["reasons"]] == ["NIGHT-001"]


def _service() -> Any:
    from guard.types import Principal

    return Principal(type="service", id="job", tenant="acme")


def _ask(url: str, found: dict[str, Any]) -> Any:
    import urllib.request

    request = urllib.request.Request(f"{url}/v1/data/guard/decision", json.dumps({"input": found}).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())["result"]


def test_push_to_nobody_is_an_error(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with the address and the mend."""
    monkeypatch.chdir(tmp_path)
    url = free_url()
    done = guard("push", own, "--url", url)
    assert isinstance(done.exception, GuardError)
    assert done.exception.where.rstrip("/") == url
    assert done.exception.mend
