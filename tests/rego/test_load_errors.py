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
    ("import rego.v1\nimport data.v1\np := v1", "rego_compile_error", 3, 1),
    ("f([input]) := 1", "rego_compile_error", 2, 1),
    ("f(input.x) := 1", "rego_unsafe_var_error", 2, 3),
    ("x := 3\np if { every y in [1] { x := y; x == 1 }; x == 2 }", "rego_unsafe_var_error", 3, 43),
    ("p if { count := 1; count([1]) }", "rego_type_error", 2, 20),
    ("f(x) := x\np if { f := 1; y := f(2); y }", "rego_compile_error", 3, 21),
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
    for refused in (text, text.replace("future.keywords.and", "rego.v2")):
        with pytest.raises(rego.CompileError, match="must be"):
            rego.compile({"t.rego": refused})
    with pytest.raises(rego.CompileError, match="unexpected ident"):
        rego.compile({"t.rego": "package t\np if input.a and input.b"})
    program = rego.compile({"t.rego": text}, capabilities=rego.Capabilities.newest())
    assert program.eval("data.t.p", {"a": True, "b": True}) is True
    assert program.eval("data.t.p", {"a": True, "b": False}) is rego.UNDEFINED


@pytest.mark.parametrize(
    ("rule", "code", "row"),
    [
        ('p if 1 == "a"', "rego_type_error", 2),
        ('p if {\n\tx := count(input.xs)\n\tx == "1"\n}', "rego_type_error", 4),
        ("p if not {} == set()", "rego_type_error", 2),
        ("f(1 + 1) := 7", "rego_compile_error", 2),
    ],
)
def test_what_can_never_hold_is_a_load_error(rule: str, code: str, row: int) -> None:
    """Equality between constants of two types, and calls among the arguments of a head, as ``opa check`` says."""
    with pytest.raises(rego.CompileError) as caught:
        rego.compile({"t.rego": f"package t\n{rule}"})
    assert [(each.code, each.row) for each in caught.value.errors] == [(code, row)]


def test_the_right_side_of_an_assignment_sees_the_outer_variable() -> None:
    """``x := 2 * x`` in a comprehension declares a new ``x`` from the one around it."""
    text = "package t\np := y if {\n\tx := 2\n\ty := [x | x := 2 * x]\n}"
    assert rego.compile({"t.rego": text}).eval("data.t.p") == [4]
    with pytest.raises(rego.CompileError, match="var x referenced above"):
        rego.compile({"t.rego": "package t\np if x := 2 * x"})


@pytest.mark.parametrize(("text", "value"), [(".5", 0.5), ("-.5", -0.5), ("1-.5", 0.5), (".007", 0.007)])
def test_numbers_may_begin_with_their_point(text: str, value: float) -> None:
    """As OPA's parser reads them."""
    assert rego.compile({"t.rego": f"package t\np := {text}"}).eval("data.t.p") == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("input.a and (input.b or input.c)", True),
        ("(input.a and input.b) or (input.b and input.c)", rego.UNDEFINED),
        ("not (input.b or input.a == 2)", True),
        ("(((input.b or input.c)))", True),
        ("(input.b with input.b as true) and input.c", True),
        ("(input.b or input.c with input.c as false)", rego.UNDEFINED),
        ("(input.a == true) and (input.c)", True),
    ],
)
def test_parentheses_group_operands_of_and_and_or(body: str, value: object) -> None:
    """A group is an operand of its own; ``with`` inside it holds for the whole group, and a term stays a term."""
    text = f"package t\nimport rego.v2\np if {{ {body} }}"
    program = rego.compile({"t.rego": text}, capabilities=rego.Capabilities.newest())
    assert program.eval("data.t.p", {"a": True, "b": False, "c": True}) == value


def test_what_opa_has_since_1_18_1_is_opt_in() -> None:
    """A policy that loads with the defaults loads on an OPA server of 1.18.1: later built-ins are undefined functions,
    in policies and in queries."""
    text = 'package t\np := strings.split_n("a.b.c", ".", 2)'
    with pytest.raises(rego.CompileError, match=r"undefined function strings\.split_n"):
        rego.compile({"t.rego": text})
    with pytest.raises(rego.CompileError, match=r"undefined function strings\.split_n"):
        rego.compile({}).query('strings.split_n("a.b.c", ".", 2)')
    program = rego.compile({"t.rego": text}, capabilities=rego.Capabilities.newest())
    assert program.eval("data.t.p") == ["a", "b"]
    assert program.query('strings.split_n("a.b.c", ".", 2)')[0]["expressions"][0]["value"] == ["a", "b"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("deny[msg] { msg := input.m }", "partial set rules: write `deny contains msg if { ... }`"),
        ('deny[{"m": m, "l": [1]}] { m := 1 }', 'write `deny contains {"m": m, "l": [1]} if { ... }`'),
        ("a.b[input.x] { true }", "write `a.b[input.x] if { ... }`"),
        ("p.a { true }", 'write `p contains "a" if { ... }`'),
        ('p["a"]', 'partial set rules: write `p contains "a"`'),
        ("allow { input.a }", "required before rule body: write `allow if { ... }`"),
        ("allow = true { input.a }", "write `allow = true if { ... }`"),
        ("f(x) = y { y := x }", "required before function body: write `f(x) = y if { ... }`"),
        ("p[x] = y { x := 1; y := 2 }", "write `p[x] = y if { ... }`"),
        ("p if { false } else = 2 { true }", "write `else := ... if { ... }`"),
    ],
)
def test_rego_v0_is_an_error_that_says_how_v1_spells_it(rules: str, message: str) -> None:
    """OPA's words, and then the line as it has to be; nothing of v0 is read as something else."""
    with pytest.raises(rego.CompileError) as caught:
        rego.compile({"t.rego": f"package t\n{rules}"})
    (error,) = caught.value.errors
    assert (error.code, error.row) == ("rego_parse_error", 2)
    assert message in error.message


@pytest.mark.parametrize(
    "rule",
    ["p := print(1)", "p if count(print(1)) > 1", "p if print(1, [x | some x in [1]]) - 2 > 1", 'p if $"{print(1)}"'],
)
def test_print_has_no_value(rule: str) -> None:
    """``print`` is a statement: as an operand it is a type error, as in OPA."""
    with pytest.raises(rego.CompileError, match=r"rego_type_error: print\(\.\.\.\) used as value"):
        rego.compile({"t.rego": f"package t\n{rule}"})


def test_what_with_replaces_is_a_dependency() -> None:
    """A rule that replaces itself, or the package around it, is recursive; recursion is reported before types."""
    for body in ("true with data.t.p as 1", "input.x with data.t as {}", "true with data.t.p as 1; count(1)"):
        with pytest.raises(rego.CompileError, match="rego_recursion_error"):
            rego.compile({"t.rego": f"package t\np if {{ {body} }}"})


def test_keys_that_are_one_reference_meet() -> None:
    """Objects on both sides of ``=`` are matched by their keys, references among them."""
    text = 'package t\np := [a, b] if {"a": a, input.s: b, [input.t]: 1} = {[input.t]: 1, input.s: 2, "a": 3}'
    assert rego.compile({"t.rego": text}).eval("data.t.p", {"s": "x", "t": "y"}) == [3, 2]


def test_a_refused_builtin_is_chosen_by_the_capabilities() -> None:
    """A deployment can refuse more than the defaults."""
    strict = rego.Capabilities(refused=frozenset({"http.send", "time.now_ns"}))
    with pytest.raises(rego.CompileError, match=r"time\.now_ns"):
        rego.compile({"t.rego": "package t\np := time.now_ns()"}, capabilities=strict)


def test_metadata_that_is_no_yaml_or_has_unknown_attributes_is_an_error() -> None:
    """A misspelt attribute is not ignored."""
    for block, row in (("# METADATA\n# titel: x\n", 2), ("# METADATA\n# title: [\n", 3), ("# METADATA\n# - a\n", 2)):
        with pytest.raises(rego.CompileError) as caught:
            rego.compile({"t.rego": f"package t\n{block}p := 1\n"})
        assert (caught.value.errors[0].code, caught.value.errors[0].row) == ("rego_parse_error", row)


@pytest.mark.parametrize(
    "body",
    [
        '{"a": v} = w; v; [q, r] = w; w = input.z; q; r',
        'y = input.z; y = 1; y = "a"',
        'some y in input.z; y = {"a": 1}; y = [1]',
        '{"k": a} = input.z; a = 1; count(a)',
        'y := input.z; count(input.q, y); y = "a"',
    ],
)
def test_what_compares_a_variable_does_not_tell_its_type(body: str) -> None:
    """A variable of a document may hold anything: expressions that cannot both hold are undefined, as in OPA, and no
    error at load."""
    program = rego.compile({"t.rego": f"package t\np if {{ {body} }}"})
    assert program.eval("data.t.p", {"z": 1, "q": []}) is rego.UNDEFINED


@pytest.mark.parametrize(
    "body", ["some x in [x]", "some x, y in sort([1]) - x; y", "some xs in xs; xs", "some k, v in (input.a < k)"]
)
def test_a_variable_is_not_bound_by_its_own_collection(body: str) -> None:
    """It is unsafe, whatever else has its name outside of the body."""
    with pytest.raises(rego.CompileError, match="rego_unsafe_var_error"):
        rego.compile({"t.rego": f"package t\nxs := [1]\np if {{ {body} }}"})
