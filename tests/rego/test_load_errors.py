"""What is wrong with a policy is said when it is loaded, with OPA's code, the row and the column."""

from __future__ import annotations

import pytest

from guard import rego

CASES: list[tuple[str, str, int, int]] = [
    # rules, code, row, col (row 1 is the package)
    ("p if not typo", "rego_unsafe_var_error", 2, 6),
    ("p if { x > 1 }", "rego_unsafe_var_error", 2, 8),
    ("p := x", "rego_unsafe_var_error", 2, 6),
    ("p contains x", "rego_unsafe_var_error", 2, 12),
    ("p if not input.arr[_] == 3", "rego_unsafe_var_error", 2, 6),
    ("p if { every x in [1] { x; y } }", "rego_unsafe_var_error", 2, 28),
    ("p if { every x in [1] { true } }", "rego_compile_error", 2, 25),
    ("p := {x | true}", "rego_unsafe_var_error", 2, 6),
    ("p if foo(1)", "rego_type_error", 2, 6),
    ('p if startswith("a")', "rego_type_error", 2, 6),
    ('p if startswith(1, "a")', "rego_type_error", 2, 6),
    ("p := count(5)", "rego_type_error", 2, 6),
    ('p if { x := lower("a"); abs(x) }', "rego_type_error", 2, 25),
    ("p if http.send({})", "rego_type_error", 2, 6),
    ('p := net.lookup_ip_addr("x")', "rego_type_error", 2, 6),
    ("p if any([true])", "rego_type_error", 2, 6),
    ("p := 1\np contains 2", "rego_type_error", 2, 1),
    ("f(x) := 1\nf(x, y) := 2", "rego_type_error", 2, 1),
    ("p.q := 1\np.q.r := 2", "rego_type_error", 2, 1),
    ("f(x) := x\np := data.t.f", "rego_type_error", 3, 6),
    ("p if true with foo as 1", "rego_type_error", 2, 16),
    ("p if q\nq if p", "rego_recursion_error", 2, 1),
    ("p := data.t", "rego_recursion_error", 2, 1),
    ("p if { some x; data.t[x] }", "rego_recursion_error", 2, 1),
    ("p if { x := 1; x := 2 }", "rego_compile_error", 2, 16),
    ("p if { x == 1; x := 1 }", "rego_compile_error", 2, 16),
    ("p if { some x; true }", "rego_compile_error", 2, 8),
    ("p if { input := 1 }", "rego_compile_error", 2, 8),
    ("f(input) := 1", "rego_compile_error", 2, 1),
    ("p if { print(x) }", "rego_compile_error", 2, 14),
    ("import data.x\nimport data.y.x\np := x", "rego_compile_error", 3, 1),
    ("p := 1 {true}", "rego_parse_error", 2, 1),
    ("p[x] { x := 1 }", "rego_parse_error", 2, 1),
    ('deny[msg] { msg := "x" }', "rego_parse_error", 2, 1),
    ('p := "\\x"', "rego_parse_error", 2, 6),
    ('p := "abc', "rego_parse_error", 2, 6),
    ("p := 01", "rego_parse_error", 2, 6),
    ("p if { input.x = }", "rego_parse_error", 2, 18),
    ("default p := input.x", "rego_parse_error", 2, 1),
    ("import foo.bar\np := 1", "rego_parse_error", 2, 8),
    ("import future.keywords.foo\np := 1", "rego_parse_error", 2, 8),
]


@pytest.mark.parametrize(("rules", "code", "row", "col"), CASES, ids=[case[0].replace("\n", "; ") for case in CASES])
def test_an_error_has_opas_code_and_place(rules: str, code: str, row: int, col: int) -> None:
    """Codes, rows and columns as the OPA binary prints them (refused built-ins aside, which OPA has)."""
    with pytest.raises(rego.CompileError) as caught:
        rego.compile({"t.rego": f"package t\n{rules}\n"})
    first = caught.value.errors[0]
    assert (first.code, first.file, first.row, first.col) == (code, "t.rego", row, col)
    assert first.message


def test_every_unsafe_variable_of_every_file_is_reported_at_once() -> None:
    """An author mends a policy in one round, not one error a run."""
    modules = {"a.rego": "package a\np := x\nq := y", "b.rego": "package b\nr if z > 1"}
    with pytest.raises(rego.CompileError) as caught:
        rego.compile(modules)
    assert [(each.file, each.row) for each in caught.value.errors] == [("a.rego", 2), ("a.rego", 3), ("b.rego", 2)]


def test_optional_keywords_need_the_capability_and_the_import() -> None:
    """``and`` is a variable like any other until a policy imports the keyword and the loader allows it."""
    text = "package t\nimport future.keywords.and\np if input.a and input.b"
    with pytest.raises(rego.CompileError, match="unexpected keyword"):
        rego.compile({"t.rego": text})
    allowed = rego.Capabilities(future_keywords=frozenset({"not", "and", "or"}))
    program = rego.compile({"t.rego": text}, capabilities=allowed)
    assert program.eval("data.t.p", {"a": True, "b": True}) is True
    assert program.eval("data.t.p", {"a": True, "b": False}) is rego.UNDEFINED


def test_a_refused_builtin_is_chosen_by_the_capabilities() -> None:
    """A deployment can refuse more than the defaults."""
    strict = rego.Capabilities(refused=frozenset({"http.send", "time.now_ns"}))
    with pytest.raises(rego.CompileError, match=r"time\.now_ns"):
        rego.compile({"t.rego": "package t\np := time.now_ns()"}, capabilities=strict)


def test_metadata_that_is_no_yaml_or_has_unknown_attributes_is_an_error() -> None:
    """A misspelt attribute is not ignored."""
    for block in ("# METADATA\n# titel: x\n", "# METADATA\n# title: [\n", "# METADATA\n# - a\n"):
        with pytest.raises(rego.CompileError) as caught:
            rego.compile({"t.rego": f"package t\n{block}p := 1\n"})
        assert (caught.value.errors[0].code, caught.value.errors[0].row) == ("rego_parse_error", 2)
