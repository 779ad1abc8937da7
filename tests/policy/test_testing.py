"""``guard policy test`` beside ``opa test``: the same outcomes, the same coverage, and for each failure its reason."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from guard.cli.policy import app
from guard.policy.bundle import shipped_directory
from tests.components import require

OUTCOMES = Path(__file__).parent / "outcomes"
SHIPPED_TESTS = sorted(str(p.relative_to(shipped_directory())) for p in shipped_directory().rglob("*_test.rego"))


def guard(*arguments: str | Path) -> Result:
    """The command's outcome."""
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


def opa(*arguments: str | Path) -> Any:
    """What ``opa test`` prints as JSON."""
    command = [require("opa"), "test", "--format", "json", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, check=False, timeout=60).stdout)


def outcome(result: dict[str, Any]) -> str:
    """PASS, FAIL, ERROR or SKIPPED of a result in OPA's shape."""
    kinds = {"skip": "SKIPPED", "error": "ERROR", "fail": "FAIL"}
    return next((name for key, name in kinds.items() if result.get(key)), "PASS")


def verdicts(results: list[dict[str, Any]]) -> dict[str, tuple[str, Any]]:
    """Outcome and cases of each test, by name."""
    return {f"{r['package']}.{r['name']}": (outcome(r), r.get("sub_results")) for r in results}


def copied(tmp_path: Path, test: str) -> Path:
    """A copy of the made-up policies with this one test, so that lines of other tests do not cover."""
    shutil.copy(OUTCOMES / "kinds.rego", tmp_path)
    (tmp_path / "kinds_test.rego").write_text(f"package kinds_test\n\nimport data.kinds\n\n{test}\n")
    return tmp_path


# --- agreement with opa ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The results of the shipped tests: ours in OPA's shape, and OPA's."""
    done = guard(shipped_directory(), "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), opa(shipped_directory())


@pytest.mark.parametrize("file", SHIPPED_TESTS)
def test_both_engines_agree_on_every_shipped_test_file(
    file: str, shipped: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    """The same tests, each passing on both."""
    ours, theirs = (verdicts([r for r in results if r["location"]["file"].endswith(f"/{file}")]) for results in shipped)
    assert ours
    assert ours == theirs
    assert {kind for kind, _ in ours.values()} == {"PASS"}


def test_kinds_of_outcome_are_those_of_opa() -> None:
    """Pass, fail, error and skip, by name, with the cases of each test; but none without a case passes here."""
    ours, theirs = verdicts(json.loads(guard("--no-shipped", "-f", "json", OUTCOMES).stdout)), verdicts(opa(OUTCOMES))
    assert ours.pop("data.kinds_test.test_no_cases") == ("FAIL", None)
    assert theirs.pop("data.kinds_test.test_no_cases") == ("PASS", None)
    assert ours == theirs
    assert {kind for kind, _ in ours.values()} == {"PASS", "FAIL", "ERROR", "SKIPPED"}


def test_errors_and_printed_lines_are_told_as_opa_tells_them() -> None:
    """Code and place of an error; printed lines in base64."""
    found = {r["name"]: r for r in json.loads(guard("--no-shipped", "-f", "json", OUTCOMES).stdout)}
    theirs = {r["name"]: r for r in opa(OUTCOMES)}
    mine, other = (each["test_conflict"]["error"] for each in (found, theirs))
    assert (mine["code"], mine["location"]["row"]) == (other["code"], other["location"]["row"])
    assert found["test_printed"]["output"] == theirs["test_printed"]["output"]
    assert base64.b64decode(found["test_printed"]["output"]) == b"seen by the author\n"


# --- coverage -------------------------------------------------------------------------------------------------------


def test_the_shipped_policies_are_covered_whole_by_their_tests() -> None:
    """Every line of every shipped rule is reached by a test, as either engine counts."""
    done = guard(shipped_directory(), "--threshold", "100", "--json")
    covered = json.loads(done.stdout)["coverage"]
    assert covered["coverage"] == 100, {
        file: found["not_covered"] for file, found in covered["files"].items() if "not_covered" in found
    }
    assert (covered["not_covered_lines"], done.exit_code) == (0, 0)
    theirs = opa("--coverage", shipped_directory())
    assert [file for file, found in theirs["files"].items() if found.get("not_covered")] == []


LEFT = """package p

default allow := false

allow if count(input.list) > 3

else := true if {
	input.b
	not input.c
}

deny contains {"id": "A", "m": m} if {
	m := sprintf("%d %d", [
		1,
		input.n,
	])
	every x in input.list {
		x > 1
		x < 10
	}
}

names := {
	"a": 1,
	"b": 2,
}

twice(x) := x * 2

never(x) := 3 if x > 3
"""


def test_coverage_has_opas_shape_and_opas_lines(tmp_path: Path) -> None:
    """Covered and missed lines of each file, and the percentage, are those of ``opa test --coverage``."""
    (tmp_path / "p.rego").write_text(LEFT)
    (tmp_path / "p_test.rego").write_text(
        "package p_test\n\nimport data.p\n\ntest_a if {\n"
        '\tcount(p.deny) == 1 with input as {"n": 1, "list": [2]}\n\tp.allow with input as {"b": 1, "list": []}\n'
        "\tp.twice(p.names.a) == 2\n\tnot p.never(1)\n}\n"
    )
    ours = json.loads(guard("--no-shipped", "--coverage", "-f", "json", tmp_path).stdout)
    theirs = opa("--coverage", tmp_path)
    assert ours.keys() == theirs.keys()
    (file, mine) = next(iter(ours["files"].items()))
    other = theirs["files"][file]
    assert {k: mine[k] for k in ("covered_lines", "not_covered_lines")} == {
        k: other[k] for k in ("covered_lines", "not_covered_lines")
    }
    assert mine["coverage"] == pytest.approx(other["coverage"])
    for key in ("covered", "not_covered"):
        assert rows(mine[key]) == rows(other[key]), key
        assert {json.dumps(span) for span in mine[key]} & {json.dumps(span) for span in other[key]}


def rows(spans: list[dict[str, dict[str, int]]]) -> set[int]:
    """The lines that spans go over."""
    return {row for span in spans for row in range(span["start"]["row"], span["end"]["row"] + 1)}


def test_a_default_that_was_used_is_covered(tmp_path: Path) -> None:
    """As in OPA; one that was never needed is not."""
    (tmp_path / "p.rego").write_text("package p\n\ndefault allow := false\n\nallow if {\n\tinput.a\n}\n")
    (tmp_path / "p_test.rego").write_text("package p_test\n\ntest_a if not data.p.allow with input as {}\n")
    found = guard("--no-shipped", "--coverage", tmp_path).stdout
    assert "p.rego: 66.7 %, not reached: 5\n" in found
    (tmp_path / "p_test.rego").write_text('package p_test\n\ntest_a if data.p.allow with input as {"a": 1}\n')
    assert "p.rego: 66.7 %, not reached: 3\n" in guard("--no-shipped", "--coverage", tmp_path).stdout


def test_coverage_below_the_threshold_fails(tmp_path: Path) -> None:
    """Exit 1 with the figures; at or above it, 0."""
    (tmp_path / "p.rego").write_text("package p\n\na if {\n\tinput.a\n}\n\nb if {\n\tinput.b\n}\n")
    (tmp_path / "p_test.rego").write_text('package p_test\n\ntest_a if data.p.a with input as {"a": 1}\n')
    done = guard("--no-shipped", "--threshold", "50.5", tmp_path)
    assert done.exit_code == 1
    assert "coverage: 50.0 %" in done.stdout
    assert "p.rego: 50.0 %, not reached: 7-8\n" in done.stdout
    assert done.stderr.startswith("error: coverage is 50.0 %, below the threshold of 50.5 %\n")
    assert guard("--no-shipped", "--threshold", "50", tmp_path).exit_code == 0


# --- reasons --------------------------------------------------------------------------------------------------------


REASONS = [  # a test; what is told of it, below its name
    ("test_x if input.no.such", ["5: undefined: input.no.such", "  input.no.such: undefined"]),
    ("test_x := 7", ["5: the value is 7, not true"]),
    (
        "test_x if {\n\ta := 1\n\tb := 2\n\ta + (b * 2) > 10\n}",
        ["8: not true: a + (b * 2) > 10", "  a: 1", "  b: 2", "  b * 2: 4", "  a + b * 2: 5"],
    ),
    ("test_x if {\n\tx := 1 / 0\n\tx == 1\n}", ["6: undefined: x := 1 / 0", "  1 / 0: undefined"]),
    ("test_x if {\n\tx := 1\n\tnot x == 1\n}", ["7: not true: not x == 1", "  x: 1"]),
    ("test_x if {\n\tsome x in [1, 2, 3]\n\tx > 5\n}", ["7: not true: x > 5  (the last of 3 tries)", "  x: 3"]),
    ("test_x if {\n\tevery x in [1, 5, 1] {\n\t\tx < 3\n\t}\n}", ["7: not true: x < 3", "  x: 5"]),
    (
        'test_x if input.xs[_].kind == "z" with input as {"xs": [{"kind": "a"}, {"kind": "b"}]}',
        [
            '5: not true: input.xs[_].kind == "z" with input as {"xs": [{"kind": "a"}, {"kind": "b"}]}',
            '  input.xs[_].kind: "a", "b"',
        ],
    ),
    (
        'test_x if {\n\tn := 2\n\tkinds.allow with input as {"user": "a", "n": n}\n}',
        [
            '7: undefined: kinds.allow with input as {"user": "a", "n": n}',
            "  n: 2",
            "  data.kinds.allow: undefined",
            "  kinds.rego:5: not true: input.n > 3",
            "    input.n: 2",
        ],
    ),
    (
        'test_x if {\n\tfound := kinds.denied with input as {"xs": [{"kind": "a", "list": [1]}]}\n\tcount(found) == 1}',
        [
            "7: not true: count(found) == 1",
            "  found: []",
            "  count(found): 0",
            "  kinds.rego:11: not true: count(x.list) > 2",
            '    x: {"kind":"a","list":[1]}',
            "    x.list: [1]",
            "    count(x.list): 1",
        ],
    ),
    (
        "test_x if some d in kinds.denied with input as {}",
        [
            "5: undefined: some d in kinds.denied with input as {}",
            "  data.kinds.denied[_]: undefined",
            "  kinds.rego:9: undefined: some x in input.xs",
            "    input.xs[_]: undefined",
        ],
    ),
    (
        "test_x if kinds.above(3) == 3",
        [
            "5: undefined: kinds.above(3) == 3",
            "  data.kinds.above(3): undefined",
            "  kinds.rego:15: not true: x > 10",
            "    x: 3",
        ],
    ),
    (
        'test_x[name] if {\n\tsome name, case in {"one": 1, "two": 2}\n\tcase == 1\n}',
        ["5: 1 of 2 cases failed: two", "two: FAIL", "  7: not true: case == 1", "    case: 2"],
    ),
]


@pytest.mark.parametrize(("test", "told"), REASONS, ids=[told[0] for _, told in REASONS])
def test_a_failure_is_told_with_its_expression_and_values(test: str, told: list[str], tmp_path: Path) -> None:
    """Where the body ended, what its variables, references and calls held, and why rules that it asked are silent."""
    done = guard("--no-shipped", copied(tmp_path, test))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("data.kinds_test.test_x: FAIL"))
    shown = [line.replace(f"{tmp_path}/", "").replace("kinds_test.rego:", "") for line in lines[first + 1 :]]
    assert shown[: len(told)] == [f"  {line}" for line in told]


def test_reasons_are_data_too(tmp_path: Path) -> None:
    """--json has the stops with their operands, for editors and CI."""
    folder = copied(tmp_path, 'test_x if kinds.allow with input as {"user": "a", "n": 2}')
    result = json.loads(guard("--no-shipped", "--json", "--run", "test_x", folder).stdout)["results"][0]
    (stop,) = result["stops"]
    assert stop["operands"] == [{"text": "data.kinds.allow", "values": []}]
    (inner,) = stop["inner"]
    assert (inner["rule"], inner["row"], inner["text"]) == ("data.kinds.allow", 5, "input.n > 3")
    assert inner["operands"] == [{"text": "input.n", "values": [2]}]


def test_long_values_are_shortened(tmp_path: Path) -> None:
    """A line for people stays a line; the whole value is in --json."""
    folder = copied(tmp_path, "test_x if {\n\tx := numbers.range(1, 500)\n\tx == []\n}")
    line = next(each for each in guard("--no-shipped", folder).stdout.splitlines() if each.startswith("    x: "))
    assert line.endswith("…")
    assert len(line) < 220
    result = json.loads(guard("--no-shipped", "--json", "--run", "test_x", folder).stdout)["results"][0]
    assert result["stops"][0]["operands"][0]["values"] == [list(range(1, 501))]


def test_what_a_failing_test_printed_is_shown(tmp_path: Path) -> None:
    """As opa does; of passing tests only with -v."""
    folder = copied(tmp_path, 'test_x if print("one", {"a": 1})\n\ntest_y if {\n\tprint("two")\n\tfalse\n}')
    quiet = guard("--no-shipped", "--run", "kinds_test", folder).stdout
    assert "  printed:\n    two\n" in quiet
    assert "one" not in quiet
    assert '  printed:\n    one {"a": 1}\n' in guard("--no-shipped", "-v", folder).stdout


# --- options --------------------------------------------------------------------------------------------------------


def test_junit_has_every_test_with_its_reason(tmp_path: Path) -> None:
    """Suites by file; failures, errors and skips as CI systems count them; text without characters that XML forbids."""
    file = tmp_path / "results.xml"
    folder = copied(tmp_path, 'test_x if {\n\tprint("\\u0007 <b>")\n\tinput.a == "<"\n}\n\ntodo_test_y if true')
    done = guard("--no-shipped", "--junit", file, folder)
    assert (done.exit_code, done.stdout.splitlines()[-3:]) == (1, ["PASS: 1/4", "FAIL: 2/4", "SKIPPED: 1/4"])
    root = ET.fromstring(file.read_text("utf-8"))
    assert {k: root.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "2", "errors": "0", "skipped": "1",
    }  # fmt: skip
    case = root.find(".//testcase[@name='test_x']")
    assert case is not None
    assert (case.get("classname"), case.get("line")) == ("data.kinds_test", "5")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message", "").endswith('kinds_test.rego:7: undefined: input.a == "<"')
    assert "input.a: undefined" in (failure.text or "")
    assert case.findtext("system-out") == "\\x07 <b>\n"
    assert root.find(".//testcase[@name='todo_test_y']/skipped") is not None


def test_junit_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Not a green run without its report."""
    done = guard("--no-shipped", "--junit", tmp_path / "no" / "such.xml", OUTCOMES)
    assert done.exit_code == 1
    assert "cannot be written" in str(done.exception)


def test_a_test_that_does_not_end_is_an_error(tmp_path: Path) -> None:
    """Bounded in steps and time; the other tests still run."""
    endless = "test_x if count([1 | numbers.range(1, 9000)[_]; numbers.range(1, 9000)[_]]) > 0\n\ntest_y if true"
    found = json.loads(guard("--no-shipped", "--json", "--timeout", "200ms", copied(tmp_path, endless)).stdout)
    told = {r["name"].rpartition(".")[2]: r for r in found["results"]}
    assert told["test_x"]["outcome"] == "ERROR"
    assert "eval_cancel_error" in told["test_x"]["detail"]
    assert told["test_y"]["outcome"] == "PASS"


@pytest.mark.parametrize("text", ["0", "5h", "soon", "-1s", ""])
def test_a_timeout_that_is_none_is_a_usage_error(text: str) -> None:
    """Exit 2 of the runner is 3 of the command; nothing is run."""
    done = guard("--no-shipped", f"--timeout={text}", OUTCOMES)
    assert done.exit_code == 2
    assert "is no duration above zero" in done.stderr


def test_an_empty_run_fails_unless_allowed(tmp_path: Path) -> None:
    """A pattern that nothing matches is not a success, but can be made one."""
    done = guard("--no-shipped", "--run", "nothing", OUTCOMES)
    assert done.exit_code == 1
    assert "none matches nothing" in done.stderr
    allowed = guard("--no-shipped", "--run", "nothing", "--allow-empty", OUTCOMES)
    assert (allowed.exit_code, allowed.stderr.split(":")[0]) == (0, "warning")


# --- built-in errors ------------------------------------------------------------------------------------------------

LEVEL = """package own

deny contains "level" if to_number(input.level) > 3
"""
LEVEL_TEST = """package own_test

import data.own

test_a_word_is_no_level if count(own.deny) == 0 with input as {"level": "high"}

test_two_is_low if count(own.deny) == 0 with input as {"level": "2"}

test_the_test_itself if not to_number("x")
"""


def test_a_built_in_error_that_a_test_swallowed_is_told_and_changes_no_outcome(tmp_path: Path) -> None:
    """``opa test`` takes a failed built-in for undefined, and so do we; a request on which it fails is answered 503.
    What a test does by itself is not told."""
    (tmp_path / "own.rego").write_text(LEVEL)
    (tmp_path / "own_test.rego").write_text(LEVEL_TEST)
    done = guard(tmp_path, "--no-shipped")
    assert done.exit_code == 0
    assert "PASS: 3/3" in done.output
    (line,) = (line for line in done.stderr.splitlines() if "503" in line)
    assert "data.own_test.test_a_word_is_no_level: a request that does this is answered 503" in line
    assert "own.rego:3: to_number: " in line
    results = json.loads(guard(tmp_path, "--no-shipped", "--json").stdout)["results"]
    assert {result["name"].rpartition(".")[2]: len(result["swallowed"]) for result in results} == {
        "test_a_word_is_no_level": 1,
        "test_two_is_low": 0,
        "test_the_test_itself": 0,
    }
    assert {name: verdict for name, (verdict, _) in verdicts(opa(tmp_path)).items()} == {
        result["name"]: result["outcome"] for result in results
    }
