"""The index over rules, and the order of conditions: what they leave out could not have held."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard import rego
from guard.rego.rule_index import conditions, plan_rules

KEYS: tuple[Any, ...] = ("a", "b", "1", "true", 0, 1, 2.5, True, False, None, 10**25)
TERMS = ('"a"', '"b"', '"1"', '"true"', "0", "1", "2.5", "true", "false", "null", "10000000000000000000000000")


def many(head: str, condition: str) -> rego.Program:
    """One rule for each term: ``N`` stands for its number, ``T`` for the term."""
    rules = [
        f"{head.replace('N', str(number))} if {{ {condition.replace('T', term)} }}" for number, term in enumerate(TERMS)
    ]
    return rego.compile({"a.rego": "package a\n" + "\n".join(rules)})


@pytest.mark.parametrize(
    "condition",
    ["input.k.x == T", "T = input.k.x", "v := input.k.x; v == T", "input.k.x in {T}", 'input.k.x in [T, "other"]'],
)
@pytest.mark.parametrize("head", ["p contains N", "p[N] := true", "p := N"])
def test_each_value_finds_its_rule(head: str, condition: str) -> None:
    """Types stay apart: 1 is neither true nor "1"; 1.0 is 1."""
    program = many(head, condition)
    for number, key in (*enumerate(KEYS), (5, 1.0)):
        found = program.eval("data.a.p", {"k": {"x": key}})
        assert found == {"p contains N": [number], "p[N] := true": {str(number): True}, "p := N": number}[head]


@pytest.mark.parametrize("value", [rego.UNDEFINED, None, {}, {"k": 1}, {"k": {"x": [1]}}, {"k": {"x": {}}}, {"k": []}])
def test_an_input_without_the_field_finds_none(value: Any) -> None:
    """No key, no object, or a collection in its place."""
    assert many("p contains N", "input.k.x == T").eval("data.a.p", value) == []
    assert many("p := N", "input.k.x == T").eval("data.a.p", value) is rego.UNDEFINED


def test_an_input_that_is_not_json_is_an_error_in_the_index_too() -> None:
    """A tuple in the place of the field is not quietly another value."""
    with pytest.raises(rego.InputError):
        many("p contains N", "input.k.x == T").eval("data.a.p", {"k": {"x": (1,)}})


def test_an_index_sees_the_input_of_with() -> None:
    """Under ``with`` the replaced input is looked up."""
    program = many("p contains N", "input.k.x == T")
    assert program.query('data.a.p with input.k.x as "b"', {"k": {"x": "a"}})[0]["expressions"][0]["value"] == [1]


def test_rules_in_conflict_are_found() -> None:
    """Two rules of one key disagree, whatever the index."""
    rules = "\n".join(f'p := {number} if input.k == "{"abcdefgh"[number % 8]}"' for number in range(9))
    program = rego.compile({"a.rego": f"package a\n{rules}"})
    assert program.eval("data.a.p", {"k": "b"}) == 1
    with pytest.raises(rego.ConflictError, match="complete rules must not produce multiple outputs"):
        program.eval("data.a.p", {"k": "a"})


def test_conditions_that_do_not_bind_every_solution_do_not_count() -> None:
    """Negation, ``with``, iteration and other documents are left to the body."""
    source = """package a
p if { not input.a == 1; input.b == 1 with input as {}; input.c[_] == 1; some x in input.d; x == 1; input.e == input.f }
q if { input.a.b == 1; input.c in {1, 2}; input.c in {2, 3}; v := input.d; v = "x" }
"""
    nodes = rego.compile({"a.rego": source})._checked.tree.root.children["a"].children
    assert conditions(nodes["p"].rules[0].body) == {}
    assert conditions(nodes["q"].rules[0].body) == {
        ("a", "b"): frozenset({1}),
        ("c",): frozenset({2}),
        ("d",): frozenset({"x"}),
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(TERMS)), max_size=3), min_size=8, max_size=40),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from(KEYS)),
)
def test_an_index_changes_no_answer(rules: list[list[tuple[str, str]]], value: dict[str, Any]) -> None:
    """A traced evaluation tries every rule; its answer is that of the index."""
    lines = [
        f"p contains {number} if {{ {'; '.join(f'input.{field} == {term}' for field, term in tests) or 'true'} }}"
        for number, tests in enumerate(rules)
    ]
    program = rego.compile({"a.rego": "package a\n" + "\n".join(lines)})
    assert program.eval("data.a.p", value) == program.trace("data.a.p", value).value


def test_five_hundred_rules_are_not_all_tried() -> None:
    """A key leads to its own rules and to those without a condition on the field."""
    rules = [f'p contains {number} if input.k == "k{number}"' for number in range(500)]
    program = rego.compile({"a.rego": "package a\n" + "\n".join([*rules, "p contains -1 if input.other"])})
    node = program._checked.tree.root.children["a"].children["p"]
    plan = plan_rules(node.rules)
    assert plan is not None
    assert plan.path == ("k",)
    assert (plan.table["k7"], plan.rest) == ((7,), (500,))
    assert program.eval("data.a.p", {"k": "k7", "other": 1}) == [-1, 7]


BAD = 'regex.match("(", "x")'


@pytest.mark.parametrize(
    ("body", "fails"),
    [
        (f"{BAD}", True),
        (f"{BAD}; input.kind == 2", False),
        (f"{BAD}; input.kind in {{2, 3}}", False),
        (f"{BAD}; count(input.nope) == 1", False),
        (f"{BAD}; input.nope", False),
        (f"{BAD}; y := input.kind; y == 2", False),
        (f"{BAD}; every y in input.nope {{ y }}", False),
        (f"{BAD}; data.nope == 1", False),
        (f"{BAD}; not input.nope", True),
        (f"{BAD}; input.kind != 1", True),
        (f"{BAD}; input.kind == 2 with input.z as 1", True),
        (f"{BAD}; input.list[0] == 2", False),
        (f"{BAD}; input.list[0] == 1", True),
        (f'{BAD}; startswith(input.text, "x")', True),
        (f"{BAD}; {{x | x := input.nope}}", True),
    ],
)
def test_a_rule_that_cannot_hold_calls_no_builtin(body: str, fails: bool) -> None:
    """Under strict errors these are OPA's answers: its index leaves out rules by conditions anywhere in the body."""
    program = rego.compile({"a.rego": f"package a\np contains 1 if {{ {body} }}"})
    value = {"kind": 1, "list": [1], "text": "abc"}
    if fails:
        with pytest.raises(rego.BuiltinError):
            program.eval("data.a.p", value, strict_builtin_errors=True)
    else:
        assert program.eval("data.a.p", value, strict_builtin_errors=True) == []
