"""The Python face: evaluation, queries, traces, annotations, and what loading costs."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cmp_to_key

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard import rego
from guard.rego.numbers import add, format_number, multiply
from guard.rego.values import Set, compare, equal, key_of, sort_values
from tests.components import require

POLICY = """package guard.rules.pii

# METADATA
# title: Card numbers
# description: Stay home
# labels:
#   team: privacy
# custom:
#   id: PII-002
#   severity: high
deny contains {"id": "PII-002", "message": message} if {
	input.stage == "request"
	some finding in input.findings
	finding.type == "CREDIT_CARD"
	message := sprintf("%s at %s", [finding.type, finding.pointer])
}

test_deny if count(deny) == 1 with input as {
	"stage": "request",
	"findings": [{"type": "CREDIT_CARD", "pointer": "/a"}],
}

todo_test_later if false
"""
INPUT = {"stage": "request", "findings": [{"type": "CREDIT_CARD", "pointer": "/a"}]}


@pytest.fixture(name="program")
def compiled() -> rego.Program:
    """The policy of this page."""
    return rego.compile({"pii.rego": POLICY})


def test_undefined_is_not_null_and_not_false(program: rego.Program) -> None:
    """A caller can tell them apart."""
    assert program.eval("data.guard.rules.pii.nothing", INPUT) is rego.UNDEFINED
    assert not rego.UNDEFINED
    assert repr(rego.UNDEFINED) == "UNDEFINED"


def test_a_prepared_reference_answers_like_eval(program: rego.Program) -> None:
    """``prepare`` resolves once what ``eval`` resolves each time."""
    run = program.prepare("data.guard.rules.pii.deny")
    want = [{"id": "PII-002", "message": "CREDIT_CARD at /a"}]
    assert run(INPUT) == program.eval("data.guard.rules.pii.deny", INPUT) == want


def test_what_is_no_plain_reference_is_refused(program: rego.Program) -> None:
    """``eval`` takes references; ``query`` takes queries."""
    for ref in ("input.x", "data.x[y]", "1 + 1", "data.a; data.b"):
        with pytest.raises(rego.CompileError, match="not a plain reference"):
            program.eval(ref)


def test_plain_input_is_not_copied() -> None:
    """A value that the policy hands through is the caller's own object."""
    found = rego.compile({"a.rego": "package a\np := input.x"}).eval("data.a.p", value := {"x": {"y": [1]}})
    assert found is value["x"]


def test_a_query_has_opas_result_set(program: rego.Program) -> None:
    """Expressions with value, text and place, and the bindings; false alone is a result, among others it is not."""
    found = program.query("x := 1; y = [x, 2][_]; y > 1", INPUT)
    assert found == [
        {
            "expressions": [
                {"value": True, "text": "x := 1", "location": {"row": 1, "col": 1}},
                {"value": True, "text": "y = [x, 2][_]", "location": {"row": 1, "col": 9}},
                {"value": True, "text": "y > 1", "location": {"row": 1, "col": 24}},
            ],
            "bindings": {"x": 1, "y": 2},
        }
    ]
    assert program.query("1 == 2")[0]["expressions"][0]["value"] is False
    assert program.query("1 == 2; true") == []
    assert program.query("input.missing", INPUT) == []
    assert program.query("count(data.guard.rules.pii.deny) with input as {}")[0]["expressions"][0]["value"] == 0


def test_a_query_may_replace_functions_that_no_rule_replaces() -> None:
    """``with`` in a query reaches into rules that were compiled without it."""
    program = rego.compile({"a.rego": "package a\np := count(input)"})
    assert program.query("data.a.p with count as 7", [1])[0]["expressions"][0]["value"] == 7
    assert program.eval("data.a.p", [1]) == 1


def test_exact_numbers_are_rendered_as_opa_prints_them() -> None:
    """A third at 64 bits has more digits than a float."""
    program = rego.compile({"a.rego": "package a\np := 1 / 3"})
    assert program.eval("data.a.p") == 1 / 3
    assert rego.render(program.query("data.a.p", exact=True)[0]["expressions"][0]["value"]) == "0.33333333333333333334"


def test_a_result_set_prints_as_opa_eval_prints_it() -> None:
    """Two spaces, sorted keys, and the characters that Go escapes."""
    found = rego.compile({"a.rego": 'package a\np := {"z": "<é>", "b": [1, {2}], "e": {}}'}).query("data.a.p")
    assert rego.render(found[0]["expressions"][0]["value"]) == (
        '{\n  "b": [\n    1,\n    [\n      2\n    ]\n  ],\n  "e": {},\n  "z": "\\u003cé\\u003e"\n}'
    )


def test_a_trace_names_the_rules_that_fired_and_the_lines_reached(program: rego.Program) -> None:
    """What coverage and explanations are made of."""
    trace = program.trace("data.guard.rules.pii.deny", INPUT)
    assert trace.value == program.eval("data.guard.rules.pii.deny", INPUT)
    assert trace.fired == (rego.Fired("data.guard.rules.pii.deny", "pii.rego", 11, 1),)
    assert trace.lines == frozenset(("pii.rego", row) for row in (11, 12, 13, 14, 15))
    missed = program.trace("data.guard.rules.pii.deny", {"stage": "response"})
    assert missed.fired == ()
    assert missed.lines == frozenset({("pii.rego", 12)})


def test_annotations_tests_and_heads_are_there_for_a_loader(program: rego.Program) -> None:
    """The loader holds the id in the head against the id of the annotation."""
    (note,) = program.annotations
    assert (note.scope, note.path, note.file, note.row) == ("rule", "data.guard.rules.pii.deny", "pii.rego", 3)
    assert (note.title, note.description, note.labels) == ("Card numbers", "Stay home", {"team": "privacy"})
    assert note.custom == {"id": "PII-002", "severity": "high"}
    assert [(test.name, test.row, test.todo) for test in program.tests] == [
        ("test_deny", 18, False),
        ("todo_test_later", 23, True),
    ]
    assert program.eval("data.guard.rules.pii.test_deny") is True
    head = program.rule_heads()[0]
    assert (head.path, head.row, head.kind, head.annotation) == ("data.guard.rules.pii.deny", 11, "set", note)
    assert head.literal == {"id": "PII-002"}


def test_loading_the_engine_loads_nothing_heavy() -> None:
    """No web framework, no model library, and no regular expressions before the first use."""
    code = (
        "import sys, guard.rego; "
        "heavy = {'starlette', 'pydantic', 'presidio_analyzer', 'sklearn', 're2', 'numpy'} & set(sys.modules); "
        "ours = {name for name in sys.modules if name.startswith('guard.') and not name.startswith('guard.rego')}; "
        "print(sorted(heavy | ours))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON)
@settings(max_examples=200, deadline=None)
def test_equality_order_and_keys_agree(left: object, right: object) -> None:
    """Equal values compare as 0 and have one key; order is antisymmetric."""
    same = equal(left, right)
    assert same == (compare(left, right) == 0)
    assert compare(left, right) == -compare(right, left)
    assert (key_of(left) == key_of(right)) == same
    assert not same or hash(key_of(left)) == hash(key_of(right))


@given(st.lists(JSON, max_size=6))
@settings(max_examples=100, deadline=None)
def test_sorting_is_stable_under_shuffles(values: list[object]) -> None:
    """The order is total, so any arrangement sorts to equal lists."""
    assert equal(sort_values(values), sort_values(values[::-1]))


@given(st.lists(JSON | st.lists(JSON, max_size=3).map(Set.of), max_size=6))
@settings(max_examples=200, deadline=None)
def test_sorting_follows_the_total_order(values: list[object]) -> None:
    """Sorting by precomputed keys puts the very same objects in the order in which ``compare`` puts them, sets too."""
    expected = sorted(values, key=cmp_to_key(compare))
    assert list(map(id, sort_values(values))) == list(map(id, expected))


@given(st.integers(-(2**60), 2**60), st.integers(-(2**60), 2**60))
def test_integers_below_64_bits_are_exact(left: int, right: int) -> None:
    """Sums are exact; products are while they fit."""
    assert add(left, right) == left + right
    if abs(left * right) < 2**64:
        assert multiply(left, right) == left * right


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_prints_as_json_that_reads_back(value: float) -> None:
    """No digit is lost on the way out."""
    assert float(json.loads(format_number(value))) == value


@given(JSON)
@settings(max_examples=50, deadline=None)
def test_any_json_input_passes_through_unchanged(value: object) -> None:
    """What comes in is what ``input`` is."""
    assert rego.compile({"a.rego": "package a\np := input"}).eval("data.a.p", value) == value


def test_the_opa_binary_gives_the_same_decisions(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A small differential run: the same module, the same inputs, the same output of ``opa eval``."""
    opa = require("opa")
    folder = tmp_path_factory.mktemp("opa")
    (folder / "pii.rego").write_text(POLICY)
    program = rego.compile({"pii.rego": POLICY})
    for value in (INPUT, {}, {"stage": "request", "findings": []}, {"stage": "request", "findings": "x"}, [1]):
        (folder / "input.json").write_text(json.dumps(value))
        command = [opa, "eval", "--format", "json", "-d", "pii.rego", "-i", "input.json", "x = data.guard.rules.pii"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout).get("result", []) == program.query("x = data.guard.rules.pii", value)
