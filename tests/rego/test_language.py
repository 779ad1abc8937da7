"""The language: each rule's value as OPA gives it. The values were compared with OPA 1.18.1 when they were written."""

from __future__ import annotations

from typing import Any

import pytest

from guard import rego

INPUT: dict[str, Any] = {
    "arr": [1, 2, 3],
    "s": 'a\nb"c\\d',
    "o": {"b": 1, "a": 2, "c": [1, {"x": None}]},
    "f": False,
    "n": None,
    "t": True,
    "nul": "a\0secret",
    "big": 123456789012345678901234567890,
    "fl": 0.1,
    "neg": -7,
    "u": "héllo",
}
U = rego.UNDEFINED

CASES: dict[str, Any] = {
    # strings keep their meaning, not their spelling
    "p := count(input.s)": 7,
    'p if contains(input.s, "\\n")': True,
    'p := "\\u0041" == "A"': True,
    'p := "a\\/b" == "a/b"': True,
    "p := `a\\nb`": "a\\nb",
    "p := count(input.nul)": 8,
    'p := endswith(input.nul, "secret")': True,
    # undefined, false and null
    "p if not input.missing": True,
    "p if not input.f": True,
    "p if not input.n": U,
    'p if not startswith(input.missing, "x")': U,
    "p if not input.missing == 1": True,
    "p if not input.missing != 1": U,
    "p if input.f == false": True,
    "p if null < false": True,
    # values: booleans are no numbers, equal numbers are one
    "p := [1 == 1.0, 1 == true]": [True, False],
    "p := {true, 1, 1.0}": [True, 1],
    'p := {1, "a", null, true, [1], {"x": 1}, {2}}': [None, True, 1, "a", [1], {"x": 1}, [2]],
    'p := {1: "a", true: "b", [1]: "c"}': {"1": "a", "true": "b", "[1]": "c"},
    "p := input.arr[-1]": U,
    "p := input.arr[1.0]": U,
    # numbers
    "p := input.fl + 0.2": 0.3,
    "p := input.neg % 3": -1,
    "p := round(-2.5)": -3,
    "p := 12345678901234567890 * 2": 24691357802469135780,
    "p := input.big + 1": 123456789012345678900000000000,
    "p := 3 - 1 - 1": 1,
    "p := 2 + 3 * 2": 8,
    # iteration is in Rego's order
    "p := [v | some v in input.o]": [2, 1, [1, {"x": None}]],
    "p := [k | some k, _ in input.o]": ["a", "b", "c"],
    'p := [x | some x in {"b", "a"}]': ["a", "b"],
    "p := [i | input.arr[i] == 2]": [1],
    "p := {k: v | some k, v in input.o; v != 1}": {"a": 2, "c": [1, {"x": None}]},
    "p := {x, y} if {\n\tx := 1\n\ty := 2\n}": [1, 2],
    "p if every x in input.arr { x > 0 }": True,
    "p if every x in input.arr { x > 1 }": U,
    "p if every x in [] { x }": True,
    'p if "a", "b" in {"a": "b"}': True,
    # patterns
    "p := y if [_, y, _] = input.arr": 2,
    'p := y if {"a": y, "b": _, "c": _} = input.o': 2,
    "p := [x, y] if [x, 1] = [2, y]": [2, 1],
    "p := z if {\n\tz = y\n\ty = x\n\tx = 1\n}": 1,
    # rules
    "p[k] := v if some k, v in input.arr": {"0": 1, "1": 2, "2": 3},
    "p contains x if some x in input.arr": [1, 2, 3],
    "p.a.b := 1\np.a.c contains 2": {"a": {"b": 1, "c": [2]}},
    'p[x].n := 1 if some x in ["a"]\np.b.n := 2': {"a": {"n": 1}, "b": {"n": 2}},
    'p := 1 if input.f\nelse := 2 if input.missing\nelse := "last"': "last",
    'default p := "def"\np := 1 if input.missing': "def",
    "f(x) := x + 1\np := f(f(1))": 3,
    'f("a") := 1\nf("b") := 2\np := f("b")': 2,
    "f([x, y]) := x + y\np := f([1, 2])": 3,
    "default f(_) := 7\nf(x) := 1 if x > 5\np := [f(1), f(9)]": [7, 1],
    "f(x) := x\np := f(input.missing)": U,
    # with
    'q := input.x\np := v if v := q with input.x as "y"': "y",
    "q := input\np := v if v := q with input.o.b as 9": None,
    "q := data.base.k\np := v if v := q with data.base.k as 2": 2,
    "q := count(input.arr)\np := v if v := q with count as 99": 99,
    "m(_) := 42\nq := count(input.arr)\np := v if v := q with count as m": 42,
    "g := 1\np := v if v := g with data.t.g as 2": 2,
    "f(_) := 1\nm(x) := x * 10\np := v if v := f(3) with data.t.f as m": 30,
    # comprehensions close over variables; template strings
    "p := [y | some x in input.arr; y := [z | some z in input.arr; z < x]]": [[], [1], [1, 2]],
    'p := $"hi {input.u} {input.missing} {1 + 1} \\{x}"': "hi héllo <undefined> 2 {x}",
    "p := [v | walk(input.o, [_, v]); is_number(v)]": [2, 1, 1],
    "import data.base as b\np := b.k": 1,
    "import input.o as obj\np := obj.a": 2,
    'import future.keywords.not\np if not { startswith(input.missing, "x") }': True,
    "p := opa.runtime()": {},
}
CASES["q := input\np := v if v := q with input.o.b as 9"] = {**INPUT, "o": {**INPUT["o"], "b": 9}}


@pytest.mark.parametrize("rules", CASES, ids=lambda rules: rules.replace("\n", "; ")[:60])
def test_a_rule_has_the_value_that_opa_gives_it(rules: str) -> None:
    """One small module per behaviour; ``U`` means undefined."""
    program = rego.compile({"t.rego": f"package t\n{rules}\n"}, {"base": {"k": 1}})
    found = program.eval("data.t.p", INPUT)
    assert found is U if CASES[rules] is U else (found == CASES[rules] and type(found) is type(CASES[rules]))


def test_a_package_is_an_object_of_its_rules_and_of_base_data() -> None:
    """``data.x`` merges virtual and base documents; functions and undefined rules are left out."""
    program = rego.compile({"t.rego": "package t\na := 1\nb if false\nf(x) := x"}, {"t": {"c": 3}, "u": 4})
    assert program.eval("data") == {"t": {"a": 1, "c": 3}, "u": 4}


def test_rules_of_packages_are_collected_by_iterating_over_packages() -> None:
    """The shape of ``guard.main``: each package below ``data.guard.rules`` is evaluated for ``deny`` only."""
    modules = {
        "a.rego": 'package guard.rules.a\n\ndeny contains {"id": "A"} if input.a\n\nboom := 1\nboom := 2\n',
        "b.rego": 'package guard.rules.b\n\ndeny contains {"id": "B"} if input.b\n',
        "main.rego": "package guard\n\nreasons contains r if {\n\tsome pkg\n\tsome r in data.guard.rules[pkg].deny\n}",
    }
    program = rego.compile(modules)
    assert program.eval("data.guard.reasons", {"a": True, "b": True}) == [{"id": "A"}, {"id": "B"}]
    assert program.eval("data.guard.reasons", {"b": True}) == [{"id": "B"}]
    assert program.eval("data.guard.reasons", {}) == []


def test_iterating_over_packages_meets_rules_base_data_and_replacements() -> None:
    """``data.r[_].deny`` has the documents, sub-packages and base data of that name in the order of the keys, no
    functions, and under ``with`` what replaces them."""
    modules = {
        "a.rego": "package r.a\n\ndeny contains input.k\n",
        "b.rego": "package r.b\n\ndeny := 2 if input.k\n",
        "c.rego": "package r.c.deny\n\nz := 9\n",
        "f.rego": "package r.f\n\ndeny(x) := x\n",
    }
    plain = {name: modules[name] for name in ("a.rego", "b.rego")}
    query = "x := [v | v := data.r[_].deny]"
    for chosen, data, expected in (
        (plain, {}, [[7], 2]),
        (modules, {}, [[7], 2, {"z": 9}]),
        (plain, {"r": {"aa": {"deny": 100}, "zz": 3}}, [[7], 100, 2]),
    ):
        program = rego.compile(chosen, data)
        assert program.query(query, {"k": 7})[0]["bindings"] == {"x": expected}
        replaced = program.query(f"{query[:-1]} with data.r.a.deny as [8]]", {"k": 7})
        assert replaced[0]["bindings"] == {"x": [[8], *expected[1:]]}
    assert rego.compile(plain).query(query, {"k": False})[0]["bindings"] == {"x": [[False]]}


def test_a_path_that_is_read_twice_is_read_anew_under_with() -> None:
    """A body looks a path up once for each input; a replaced input has its own, and what follows sees the old one."""
    rules = "p := [before, there, after] if {\n\tbefore := input.o.a\n\tthere := q with input.o.a as 3\n"
    rules += "\tinput.o.a == 3 with input.o.a as 3\n\tafter := input.o.a\n}\n\nq := [input.o.a, input.o.a]\n"
    program = rego.compile({"t.rego": f"package t\n\n{rules}"})
    assert program.eval("data.t.p", {"o": {"a": 2}}) == [2, [3, 3], 2]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("p := 1\np := 2", "complete rules must not produce multiple outputs"),
        ("f(x) := 1\nf(x) := 2\np := f(1)", "functions must not produce multiple outputs for same inputs"),
        ('p["a"] := x if some x in [1, 2]', "complete rules must not produce multiple outputs"),
        ('p[k] := x if { some x in [1, 2]; k := "a" }', "object keys must be unique"),
        ('p := {"a": x | some x in [1, 2]}', "object keys must be unique"),
        ("p := x if some x in [1, 2]", "complete rules must not produce multiple outputs"),
    ],
)
def test_two_values_where_one_is_allowed_are_a_conflict(rules: str, message: str) -> None:
    """A conflict stops the evaluation with its place; no value is picked."""
    program = rego.compile({"t.rego": f"package t\n{rules}\n"})
    with pytest.raises(rego.ConflictError, match=message) as caught:
        program.eval("data.t.p")
    assert caught.value.code == "eval_conflict_error"
    assert caught.value.location.file == "t.rego"
    assert caught.value.location.row >= 2


def test_a_rule_that_stands_where_base_data_has_a_value_is_refused_at_load() -> None:
    """Neither may silently win."""
    with pytest.raises(rego.CompileError, match="conflicting rule for data path t/p found"):
        rego.compile({"t.rego": "package t\np := 1"}, {"t": {"p": 2}})


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("f({x}) := 1\np := f({1})", rego.UNDEFINED),
        ("f({1, x}) := x\np := f({1, 2})", rego.UNDEFINED),
        ("f([{x}, x]) := x\np := f([{1}, 1])", rego.UNDEFINED),
        ('f({k: v}) := v\nf({"a": 2}) := 3\np := f({"a": 2})', 3),
        ('f({k: v}, k) := v\np := f({"a": 1}, "a")', rego.UNDEFINED),
        ('f(k, {k: v}) := v\np := f("a", {"a": 1})', 1),
        ("f(x, {x}) := x\np := f(1, {1})", 1),
        ("f({1}) := 2\np := f({1})", 2),
    ],
)
def test_sets_and_keys_of_arguments_are_compared_and_not_solved_for(rules: str, expected: object) -> None:
    """As in OPA: a variable in a set or a key must have its value from an argument before it, else nothing matches."""
    assert rego.compile({"t.rego": f"package t\n{rules}\n"}).eval("data.t.p") == expected
