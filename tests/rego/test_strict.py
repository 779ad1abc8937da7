"""Strict mode refuses what ``opa check --strict`` refuses: unused imports, assigned variables and arguments."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from guard import rego
from tests.components import require

COMPILE = "rego_compile_error"
HINT = "(hint: use _ (wildcard variable) instead)"

Found = tuple[str, int, int]

CASES: list[tuple[str, list[tuple[int, int, str]]]] = [
    # rules (row 1 is the package), and row, column and message of each error
    ("import data.x\np := 1", [(2, 1, "import data.x unused")]),
    ('import data.x["a-b"] as z\np := 1', [(2, 1, 'import data.x["a-b"] as z unused')]),
    ("import input\np := 1", [(2, 1, "import input unused")]),
    ("import data.x\nf(x) := x", [(2, 1, "import data.x unused")]),
    ("import data.x\nx := 1\np := 2", [(2, 1, "import data.x unused")]),
    ("import data.x\nimport data.x\np := 1", [(2, 1, "import data.x unused"), (3, 1, "import data.x unused")]),
    ("import data.x\np if { y := 1 }\nq := z", [(2, 1, "import data.x unused")]),
    ("p if { x := 1 }", [(2, 8, "assigned var x unused")]),
    ("p if { [a, b] := [1, 2]; a }", [(2, 8, "assigned var b unused")]),
    ("p if { x := 1; [1 | x := 2; x] }", [(2, 8, "assigned var x unused")]),
    ("p if { x := 1; y := [1 | z := 2] }", [(2, 26, "assigned var z unused")]),
    ("p := [x | x := 2] if { x := 1 }", [(2, 24, "assigned var x unused")]),
    ("p if { every x in [1] { y := x } }", [(2, 25, "assigned var y unused")]),
    ("p if { some x; true; y := 2 }", [(2, 22, "assigned var y unused")]),
    ("p if { x := 1 } else := 2 if { y := 2 }", [(2, 8, "assigned var x unused"), (2, 32, "assigned var y unused")]),
    ("f(y, x) := 1", [(2, 1, f"unused argument x. {HINT}"), (2, 1, f"unused argument y. {HINT}")]),
    ('f([x, _], {"a": z}) := x', [(2, 1, f"unused argument z. {HINT}")]),
    ("default f(x) := 1", [(2, 9, f"unused argument x. {HINT}")]),
    ("f(k, {k: v}) := v", [(2, 1, f"unused argument k. {HINT}")]),
    ("f(x) := y if { y := [x | x := 1] }", [(2, 1, f"unused argument x. {HINT}")]),
    ("f(x) := 1 if { y := 1 }", [(2, 1, f"unused argument x. {HINT}"), (2, 16, "assigned var y unused")]),
]

ACCEPTED = [
    "import rego.v1\nimport future.keywords.in\np := 1",
    "import data\np := data.q",
    "import input as i\np := i.x",
    "import data.x\np if true with x as 1",
    "import data.x\np := x(1)\nq := 2",
    "import data.x\np[x] := 1",
    'import data.x\np := $"{x}"',
    "p if { _ := 1 }",
    "p if { x = 1 }",
    "p if { some x in [1] }",
    "p if { x := 1; not x }",
    "p if { x := 1; [1 | x] }",
    "p[x] := 1 if { x := 2 }",
    "p if { true } else := y if { y := 1 }",
    "p if { x := 1; print(x) }",
    "p if { y := [[x | x := 2] | x := 1]; y }",
    "f(_) := 1",
    "f(x, x) := 1",
    "f(x) if true else := x",
    "f(x) := 1 if { true with input as x }",
]

# More of what OPA is asked about, beside the tables above: errors of every stage, and what hides one stage's from
# another's.
ASKED = [
    "import rego.v1\nimport rego.v1\np := 1",
    "import rego.v1\nimport data.v1\np := v1",
    "import data.x\nimport data.y.x\np := x",
    "import data.x\np if { every y in [1] { x := y; x == 1 }; x == 2 }",
    "import data.k\nf({k: v}) := v",
    "import data.x\np if { x.y := 1 }",
    "import data.a\ninput := 1",
    "input := 1\nimport rego.v1\nimport rego.v1",
    "f(input) := 1 if true else := 2",
    "f([input], data) := 1",
    "p if { input := 1 }",
    "p if { data := 1 }",
    "p if { x := 1; x := 2 }",
    "p if { not x; x := 1 }",
    "f(x) if { some x in [1]; x }",
    "p if { f := 1; f(2) }\nf(x) := x",
    "p if { f := 1; y := f(2); y }\nf(x) := x",
    "p if { f(1); f := 2 }\nf(x) := x",
    "p if { count := 1; count([1]) }",
    "p if { plus := 1; 1 + plus == 2 }",
    'p if { x := "a"; {x: y} := {"a": 1}; y }',
    "p if { y := [x | x := 1; z := 2; w := 3]; a := [q | q := 1; r := 1]; y; a }",
    'p := {"a": [x | x := 1; y := 2], "b": {z | z := 1; w := 2}}',
    "p contains x if { y := 1; x := 2 }\nq contains y if { y := 3; z := 4 }",
    "p if any([true])",
    "p if { x := y; y = 1 }",
    "f({x}) := 1",
]


def compiled(rules: str, *, strict: bool) -> tuple[rego.RegoDiagnostic, ...]:
    """What the engine says of a module."""
    try:
        rego.compile({"t.rego": f"package t\n{rules}\n"}, strict=strict)
    except rego.CompileError as error:
        return error.errors
    return ()


@pytest.mark.parametrize(("rules", "expected"), CASES, ids=[rules for rules, _ in CASES])
def test_what_nothing_uses_is_an_error_under_strict(rules: str, expected: list[tuple[int, int, str]]) -> None:
    """All of a stage's unused names, by place."""
    errors = compiled(rules, strict=True)
    assert [(each.row, each.col, each.message) for each in errors] == expected
    assert {each.code for each in errors} == {COMPILE}


@pytest.mark.parametrize("rules", ACCEPTED)
def test_what_is_used_in_any_way_is_accepted(rules: str) -> None:
    """A mention in a nested body, a modifier, the head or another branch is a use; a wildcard needs none."""
    assert [each for each in compiled(rules, strict=True) if each.code == COMPILE] == []


@pytest.mark.parametrize(("rules", "expected"), CASES, ids=[rules for rules, _ in CASES])
def test_unused_names_are_accepted_without_strict(rules: str, expected: list[tuple[int, int, str]]) -> None:
    """Strictness is asked for: OPA's server accepts these names, and so does the engine."""
    told = {each.message for each in compiled(rules, strict=False)}
    assert told.isdisjoint(message for _, _, message in expected)


def test_every_module_is_told_of_at_once() -> None:
    """Unused imports of all files come before unused variables of any."""
    modules = {"a.rego": "package a\nimport data.x\np := 1", "b.rego": "package b\nimport data.y\nq if { z := 1 }"}
    with pytest.raises(rego.CompileError) as caught:
        rego.compile(modules, strict=True)
    assert [(each.file, each.message) for each in caught.value.errors] == [
        ("a.rego", "import data.x unused"),
        ("b.rego", "import data.y unused"),
    ]


@pytest.mark.parametrize("rules", [*(rules for rules, _ in CASES), *ACCEPTED, *ASKED])
def test_opa_refuses_the_same_at_the_same_places(rules: str, tmp_path: Path) -> None:
    """Code, row and column of every error of ``opa check --strict``."""
    module = tmp_path / "t.rego"
    module.write_text(f"package t\n{rules}\n", encoding="utf-8")
    command = [require("opa"), "check", "--strict", "--max-errors", "0", "--format", "json", str(module)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    told = json.loads(answer.stderr)["errors"] if answer.returncode else []
    theirs: list[Found] = [(each["code"], each["location"]["row"], each["location"]["col"]) for each in told]
    ours: list[Found] = [(each.code, each.row, each.col) for each in compiled(rules, strict=True)]
    assert sorted(ours) == sorted(theirs)
