"""``guard policy eval --format``: byte for byte what ``opa eval`` prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guard.cli.policy import app
from guard.errors import GuardError
from tests.components import require

FORMATS = ["json", "pretty", "raw", "values", "bindings", "discard"]
QUERIES = [
    "x := input.a[_]",
    "input.a[i]",
    "input.a[_] = x; x > 1",
    "input.nope",
    'x := 1; y := "s"',
    '1; "a"; [1, {"z": 2}]',
    "1; true",
    "true; true",
    "true; x := 1",
    "x := 5; 1; true",
    "x := 5; [true, 1][_]",
    "x := 5; [1, true][_]",
    "[true, 1][_]",
    "false",
    "null",
    "1.5",
    "{}",
    '"a\\nb"',
    '{"b": 1, "a": [1, 2, "<x> & é"]}',
    'x := ["日本", "é"][_]',
    'x := [{}, []][_]; y := null; z := "long enough to be wider than its name"',
    '"<é>"',
    "{1, 2}",
    "data.p.found[k]",
]


def guard(*arguments: str | Path, stdin: str | None = None) -> Result:
    """The command's outcome."""
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], input=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy and an input."""
    (tmp_path / "p.rego").write_text(
        'package p\n\nfound := {"a": input.a}\n\nnoisy if print("heard", input.a)\n\nbad := x if some x in [1, 2]\n'
    )
    (tmp_path / "input.json").write_text('{"a": [1, 2, {"k": "v"}]}')
    return tmp_path


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_opas(form: str, folder: Path) -> None:
    """Tables, raw values, JSON: the same bytes for the same query."""
    for query in QUERIES:
        arguments = ["-d", str(folder / "p.rego"), "-i", str(folder / "input.json"), "--format", form, query]
        theirs = subprocess.run([require("opa"), "eval", *arguments], capture_output=True, check=True, timeout=60)
        ours = guard("--no-shipped", *arguments)
        assert ours.exit_code == 0, ours.output
        assert ours.stdout == theirs.stdout.decode(), query


@pytest.mark.parametrize(("flag", "query"), [("--fail", "1"), ("--fail", "input.no"), ("--fail-defined", "1")])
def test_fail_flags_are_opas(flag: str, query: str) -> None:
    """Exit 1 for an undefined, or a defined, query; the result is printed all the same."""
    theirs = subprocess.run([require("opa"), "eval", flag, query], capture_output=True, check=False, timeout=60)
    ours = guard("--no-shipped", "-d", Path(__file__).parent / "outcomes", flag, query)
    assert (ours.exit_code, ours.stdout) == (theirs.returncode, theirs.stdout.decode())


def test_what_print_says_goes_to_stderr(folder: Path) -> None:
    """So that stdout stays the result."""
    done = guard("--no-shipped", "-d", folder, "-i", "-", "-f", "raw", "data.p.noisy", stdin='{"a": 3}')
    assert (done.exit_code, done.stdout, done.stderr) == (0, "true\n", "heard 3\n")


def test_data_files_and_bundles_are_read_as_opa_reads_them(folder: Path) -> None:
    """A named JSON or YAML file stands at the root of data; a bundle brings its own, under the paths of its folders."""
    (folder / "more.json").write_text('{"x": {"y": 1}}')
    (folder / "more.yaml").write_text("z: 3\n")
    query = "[data.x, data.z]"
    arguments = ["-d", str(folder / "more.json"), "-d", str(folder / "more.yaml"), "-d", str(folder / "p.rego"), query]
    theirs = subprocess.run([require("opa"), "eval", *arguments], capture_output=True, check=True, timeout=60)
    assert guard("--no-shipped", *arguments).stdout == theirs.stdout.decode()
    (folder / "deep").mkdir()
    (folder / "deep" / "data.json").write_text('{"x": 7}')
    assert guard("--no-shipped", "-b", folder, "-f", "raw", "data.deep.x").stdout == "7\n"
    both = guard("-b", folder, "-d", folder, "1")
    assert (both.exit_code, "not both" in both.stderr) == (2, True)


@pytest.mark.parametrize("flags", [["--partial"], ["-p"], ["--unknowns", "input"], ["-u", "input.x"]])
def test_partial_evaluation_is_refused_with_a_word(flags: list[str]) -> None:
    """Not silently taken for a full evaluation."""
    done = guard(*flags, "input.x == 1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "partial evaluation is not supported; opa eval --partial does it" in done.stderr


def test_errors_leave_stdout_empty(folder: Path) -> None:
    """Whatever the format: what reads stdout must not take an error for a result."""
    for form in FORMATS:
        done = guard("--no-shipped", "-d", folder, "-f", form, "data.p.bad")
        assert isinstance(done.exception, GuardError)
        assert done.stdout == ""
    assert json.loads(guard("--no-shipped", "-d", folder, "data.p.bad_name").stdout) == {}
