"""``guard policy eval --explain``: the tree that an author reads, its JSON, and wrong usage."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from guard.cli import main
from guard.cli.tree import Twig, print_tree, spelled

QUERY = "data.guard.decision"
RULE = """package guard.rules.own

# METADATA
# title: Nobody stays anonymous
# custom:
#   id: OWN-1
#   severity: critical
#   remediation: Sign in.
deny contains {"id": "OWN-1", "message": message, "pointers": ["/a"]} if {
	kind := input.subject.type
	kind == "anonymous"
	message := sprintf("%s callers", [kind])
}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one rule, and two inputs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.rego").write_text(RULE)
    for name, kind in (("bad", "anonymous"), ("good", "user")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"stage": "request", "subject": {"type": kind}}))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, and what was printed."""
    code = main(["policy", "eval", "-d", "mine", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.usefixtures("project")
def test_a_rule_that_fired_is_told_as_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    """Rule, severity, line with its source, message, variables, values read and remedy, in this order."""
    code, out, err = run(capsys, "-i", "bad.json", QUERY, "--explain")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "data.guard.decision denies",
        "└─ denied by",
        "   └─ OWN-1 (critical) Nobody stays anonymous",
        '      ├─ at mine/own.rego:9  deny contains {"id": "OWN-1", "message": message, "pointers": ["/a"]} if {',
        "      ├─ says anonymous callers; at /a",
        "      ├─ with",
        '      │  ├─ kind = "anonymous"',
        '      │  └─ message = "anonymous callers"',
        "      ├─ may have read",
        '      │  └─ input.subject.type = "anonymous"',
        "      └─ remedy Sign in.",
    ]


@pytest.mark.usefixtures("project")
def test_a_rule_that_did_not_fire_tells_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    """``--rule`` asks for one, and includes ``--explain``."""
    code, out, _ = run(capsys, "-i", "good.json", QUERY, "--rule", "OWN-1")
    assert code == 0
    assert out.splitlines()[:2] == ["data.guard.decision allows", "├─ no rule fired"]
    assert out.splitlines()[-2:] == [
        '      └─ stopped at mine/own.rego:11  kind == "anonymous"',
        '         └─ kind = "user"',
    ]


@pytest.mark.usefixtures("project")
def test_full_tells_of_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """Each id once, fired or silent."""
    _, out, _ = run(capsys, "-i", "bad.json", QUERY, "--full", "--json")
    told: dict[str, Any] = json.loads(out)
    assert [each["id"] for each in told["fired"]] == ["OWN-1"]
    silent = [each["id"] for each in told["silent"]]
    assert "OWN-1" not in silent
    assert {"GUARD-001", "PII-002", "SEC-001"} <= set(silent)
    assert len(silent) == len(set(silent))


@pytest.mark.usefixtures("project")
def test_explaining_does_not_change_what_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """The value of the explanation is that of the plain evaluation."""
    _, plain, _ = run(capsys, "-i", "bad.json", QUERY)
    _, told, _ = run(capsys, "-i", "bad.json", QUERY, "--explain", "--json")
    assert json.loads(told)["value"] == json.loads(plain)["result"][0]["expressions"][0]["value"]


WRONG = [
    ([QUERY, "--rule", "OWN-2"], 3, "no rule has the id 'OWN-2'; did you mean OWN-1?"),
    (["x := 1", "--explain"], 3, "only a reference below data can be explained, such as data.guard.decision"),
    ([QUERY, "--explain", "-i", "none.json"], 1, "the input cannot be read"),
]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("arguments", "code", "said"), WRONG, ids=["id", "query", "input"])
def test_wrong_usage_leads_to_its_mend(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped id, a query that is no reference, a missing file."""
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert said in err


@pytest.mark.usefixtures("project")
def test_a_missing_input_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing fires without one, and an author should not take that for an answer."""
    code, out, err = run(capsys, QUERY, "--explain")
    assert (code, out.splitlines()) == (0, ["data.guard.decision allows", "└─ no rule fired"])
    assert err.startswith("warning: no input was given")


@pytest.mark.usefixtures("project")
def test_the_exit_code_can_depend_on_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    """``--fail`` and ``--fail-defined`` count for an explained query as they do for a plain one."""
    assert run(capsys, QUERY, "-i", "bad.json", "--explain", "--fail")[0] == 0
    assert run(capsys, "data.nothing", "-i", "bad.json", "--explain", "--fail")[0] == 1
    assert run(capsys, QUERY, "-i", "bad.json", "--explain", "--fail-defined")[0] == 1


def test_a_failed_evaluation_is_told_and_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What held before it is shown; the exit code is 1."""
    (project / "mine" / "own.rego").write_text("package mine\n\nx := 1 if input.stage\n\nx := 2 if input.subject\n")
    code, out, _ = run(capsys, "-i", "good.json", "data.mine.x", "--explain", "--no-shipped")
    assert code == 1
    assert out.startswith("data.mine.x failed: ")
    assert "mine/own.rego:3" in out


# --- the tree -------------------------------------------------------------------------------------------------------

TREE = Twig(
    "root", below=[Twig("one", "a long sentence of many words here", below=[Twig("leaf")]), Twig("two\x1b[2J", "text")]
)


def printed(*, encoding: str = "utf-8", width: int | None = None) -> str:
    """The tree as it is printed to a pipe, or to a terminal of that width."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    out = Console(file=file, force_terminal=width is not None, width=width, no_color=True, soft_wrap=True)
    print_tree(out, TREE)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_a_pipe_gets_whole_lines() -> None:
    """They can be searched and cut; control characters are shown, not obeyed."""
    assert printed().splitlines() == [
        "root",
        "├─ one a long sentence of many words here",
        "│  └─ leaf",
        "└─ two\\x1b[2J text",
    ]


def test_an_output_that_is_not_unicode_gets_ascii() -> None:
    """No encoding error in the middle of an explanation."""
    assert printed(encoding="ascii").splitlines()[1:3] == ["|- one a long sentence of many words here", "|  `- leaf"]


def test_a_terminal_gets_lines_that_fit() -> None:
    """The guides go on beside the wrapped text."""
    text = re.sub("\x1b\\[\\d+m", "", printed(width=34))
    assert text.splitlines()[1:4] == ["├─ one a long sentence of many", "│  │   words here", "│  └─ leaf"]


def test_long_values_are_cut_and_the_cut_is_told() -> None:
    """A prompt of thousands of characters does not hide the rest of the tree."""
    assert spelled({"a": [1, None, "x"]}) == '{"a":[1,null,"x"]}'
    assert spelled("x" * 500).endswith("… (502 characters)")
