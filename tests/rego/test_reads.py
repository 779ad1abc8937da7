"""What a body reads, found in its text: enough to decide, and nothing that it does not name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard import rego
from guard.policy.bundle import load_bundle
from guard.rego.reads import MAX_PATHS
from guard.rego.symbols import Path, parsed, spelled
from tests.policy.documents import CONFIG_DATA, varied

LIB = """package lib

setting(name, fallback) := value if {
	value := data.settings[name]
} else := fallback

sure contains f if {
	some f in input.findings
	f.score >= setting("min", 0.4)
}

pair(x) := {"left": x.a, "right": input.other}
"""


def reads(body: str, *, head: str = "r", before: str = "") -> tuple[str, ...]:
    """The places that a rule of that body reads, beside the helpers of this page."""
    program = rego.compile({"lib.rego": LIB, "a.rego": f"package a\n\nimport data.lib\n\n{before}\n{head} if {body}\n"})
    number = next(
        number for number, each in enumerate(program.bodies) if each.path == "data.a." + head.split(" ", 1)[0]
    )
    return program.reads([number])[number].paths


FOUND = "input.findings[]"
CASES = [
    ("a field", '{ input.stage == "request" }', ["input.stage"]),
    ("through a variable", "{ x := input.a; y := x.b; y.c > 1 }", ["input.a.b.c"]),
    ("members of a list", "{ some f in input.fs; f.t == 1; f.s > 2 }", ["input.fs[].s", "input.fs[].t"]),
    ("a number of members", "{ count(input.fs) > 0 }", ["input.fs"]),
    ("a value beside its member", "{ input.a.b == 1; json.marshal(input.a) != 2 }", ["input.a", "input.a.b"]),
    ("a fixed member", "{ input.xs[0].y; input.xs[1] }", ["input.xs[0].y", "input.xs[1]"]),
    ("a chosen member", "{ input.m[input.k].v }", ["input.k", "input.m[].v"]),
    ("a key that is no name", '{ input["a b"].c }', ['input["a b"].c']),
    ("a comprehension", "{ xs := {f.p | some f in input.fs; f.t}; count(xs) > 0 }", ["input.fs[].p", "input.fs[].t"]),
    ("every", "{ every f in input.fs { f.ok } }", ["input.fs[].ok"]),
    ("negation", "{ not input.a.b }", ["input.a.b"]),
    ("object.get", '{ object.get(input.a, "k", 0) > 1 }', ["input.a.k"]),
    ("a destructured list", "{ [x, y] := input.pair; x.a > y.b }", ["input.pair[].a", "input.pair[].b"]),
    ("base data", "{ data.providers[input.p].pci }", ["input.p", "data.providers[].pci"]),
    ("a function, with its argument", '{ lib.setting("n", 1) > 2 }', ["data.settings.n"]),
    ("two calls", '{ lib.setting("n", lib.setting("m", 1)) > 2 }', ["data.settings.m", "data.settings.n"]),
    ("a set of another package", "{ some f in lib.sure; f.s }", [f"{FOUND}.s", f"{FOUND}.score", "data.settings.min"]),
    ("the fields of what a function made", "{ lib.pair(input.q).left.z }", ["input.other", "input.q.a.z"]),
    ("a replaced input is another document", '{ lib.sure with input as {"findings": input.mine} }', ["input.mine"]),
    ("nothing", "{ 1 < 2 }", []),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "body", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_body_reads_what_it_names(_name: str, body: str, expected: list[str]) -> None:
    """Directly, through variables, rules and functions; without the places that only lead to a longer one."""
    assert list(reads(body)) == expected


def test_a_head_reads_too() -> None:
    """What a rule answers, it has read."""
    assert reads("{ true }", head='r contains {"id": "X", "who": input.subject.id}') == ("input.subject.id",)


def test_constants_choose_the_body_of_a_function() -> None:
    """A body that wants another word is not asked, and what it reads is not read."""
    facts = 'f("a") if input.x\n\nf("b") if input.y\n'
    assert reads('{ f("a") }', before=facts) == ("input.x",)
    assert reads("{ f(input.which) }", before=facts) == ("input.which", "input.x", "input.y")


def test_bodies_are_numbered_as_they_stand() -> None:
    """Rules by file, then by row, ``else`` branches as bodies of their own; each under its own literal, even where the
    compiler moves the head's value into the body."""
    source = 'package a\n\nr contains {"id": "X", "at": input.f.at} if input.f\n\nc := 1 if input.x\nelse := 2\n'
    program = rego.compile({"lib.rego": LIB, "a.rego": source})
    bodies = [(body.path, body.file, body.row, body.literal) for body in program.bodies]
    assert bodies[:3] == [
        ("data.a.r", "a.rego", 3, {"id": "X"}),
        ("data.a.c", "a.rego", 5, {}),
        ("data.a.c", "a.rego", 6, {}),
    ]
    fired: dict[int, bool] = {}
    program.prepare("data.a")({"f": {"at": 1}}, fired=fired)
    assert sorted(fired) == [0, 2]


def test_the_number_of_places_is_bounded_and_the_cut_is_told() -> None:
    """A rule of two hundred fields names the first ones, and says that it read more."""
    body = "; ".join(f"input.f{number:03}" for number in range(200))
    program = rego.compile({"a.rego": f"package a\n\nr if {{ {body} }}\n"})
    found = program.reads([0])[0]
    assert found.paths == tuple(f"input.f{number:03}" for number in range(MAX_PATHS))
    assert not found.whole


def test_functions_that_call_each_other_twice_do_not_multiply() -> None:
    """Thirty functions, each of which calls the next with two arguments: 2^30 ways through, gone through within a
    bound."""
    chain = "\n".join(f"f{n}(x) if {{ f{n + 1}(x.a{n}); f{n + 1}(x.b{n}) }}" for n in range(30))
    program = rego.compile({"a.rego": f"package a\n\nr if f0(input)\n\n{chain}\n\nf30(x) if x.end\n"})
    found = program.reads([0])[0]
    assert len(found.paths) <= MAX_PATHS
    assert not found.whole


def test_values_that_hold_others_twice_do_not_multiply() -> None:
    """Sixty steps, each an object of the one before, twice: followed as far as it goes, then read as a whole."""
    steps = "; ".join(f'x{n + 1} := {{"a": x{n}, "b": x{n}}}' for n in range(60))
    assert reads(f"{{ x0 := input.deep; {steps}; x60.a.b.a == 1 }}") == ("input.deep",)


def test_the_bodies_that_may_run_are_named() -> None:
    """Those of rules and functions, their branches and what these ask; not the body itself."""
    program = rego.compile({"lib.rego": LIB, "a.rego": "package a\n\nr if count(data.lib.sure) > 0\n"})
    bodies = program.bodies
    number = next(number for number, body in enumerate(bodies) if body.path == "data.a.r")
    asked = sorted((bodies[each].path, bodies[each].row) for each in program.reads([number])[number].asks)
    assert asked == [("data.lib.setting", 3), ("data.lib.setting", 5), ("data.lib.sure", 7)]


# --- laws -----------------------------------------------------------------------------------------------------------


def projected(value: Any, paths: Iterable[Path]) -> Any:
    """A document without everything that is at none of the places. Lists keep their length."""
    paths = list(paths)
    if any(not path for path in paths):
        return value
    if isinstance(value, dict):
        below = {key: [path[1:] for path in paths if path[0] in (key, None)] for key in value}
        return {key: projected(value[key], rest) for key, rest in below.items() if rest}
    if isinstance(value, list):
        return [projected(item, [p[1:] for p in paths if p[0] in (n, None)]) for n, item in enumerate(value)]
    return value


def test_what_a_shipped_rule_reads_is_enough_to_decide() -> None:
    """Without all other places of the document, each set of rules gives the same values, for documents of both
    stages."""
    bundle = load_bundle(data=CONFIG_DATA)
    program = rego.compile(bundle.modules, bundle.data)
    numbers: dict[str, list[int]] = {}
    for number, body in enumerate(program.bodies):
        if "id" in body.literal:
            numbers.setdefault(body.path, []).append(number)
    spoke = 0
    for path, group in numbers.items():
        found = program.reads(group)
        places = [parsed(place)[1:] for each in found.values() for place in each.paths if place.startswith("input")]
        assert all(each.whole for each in found.values()), path
        for document in varied(40):
            value = program.eval(path, document)
            spoke += value != []
            assert program.eval(path, projected(document, places)) == value, path
    assert spoke > 50


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "t"]), inner, max_size=3),
    max_leaves=12,
)
BODIES = [
    "{ x := input.a; some y in x; y.t > 1 }",
    "{ input.a[input.b].t == input.t }",
    "{ {y.t | some y in input.a} == {y.t | some y in input.b} }",
    "{ count(input.a) > 1; some k; input.a[k].b }",
    "{ not input.a.b; not lib.pair(input.t).left }",
    "{ walk(input.a, [p, v]); v == input.t; count(p) > 0 }",
    '{ object.get(input.a, "t", input.b) == 1 }',
    "{ every k, v in input.a { v.t; k != input.b } }",
    "{ [x, {\"a\": y}] = input.a; x == y }",
    "{ y := [input.a, input.b][_]; y.t > 0 }",
    '{ z := {"u": input.a, "w": input.b}; z[_].t == z.u.a }',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
@given(document=JSON)
@settings(max_examples=60, deadline=None)
def test_no_other_place_changes_what_holds(body: str, document: Any) -> None:
    """The law of the analysis, for bodies of every construct and any input: what is not named is not read."""
    program = _compiled(body)
    number = next(number for number, each in enumerate(program.bodies) if each.path == "data.a.r")
    found = program.reads([number])[number]
    places = [parsed(place)[1:] for place in found.paths if place.startswith("input")]
    assert program.eval("data.a.r", projected(document, places)) == program.eval("data.a.r", document)


@pytest.mark.parametrize("body", BODIES)
@given(document=JSON)
@settings(max_examples=15, deadline=None)
def test_a_witnessed_evaluation_answers_the_same(body: str, document: Any) -> None:
    """The program that tells its variables gives the value of the one that decides, from the same bodies."""
    program = _compiled(body)
    fired: dict[int, bool] = {}
    value = program.prepare("data.a.r")(document, fired=fired)
    seen = program.witness("data.a.r", document)
    assert seen.value == value
    assert list(seen.held) == list(fired)
    assert all(found.total >= len(found.solutions) > 0 for found in seen.held.values())


_PROGRAMS: dict[str, rego.Program] = {}


def _compiled(body: str) -> rego.Program:
    if body not in _PROGRAMS:
        source = f"package a\n\nimport data.lib\n\nr := true if {body}\n"
        _PROGRAMS[body] = rego.compile({"lib.rego": LIB, "a.rego": source})
    return _PROGRAMS[body]


STEPS = st.none() | st.integers(0, 99) | st.text(min_size=1, max_size=8)


@given(st.sampled_from(["input", "data"]), st.lists(STEPS, max_size=6))
def test_a_place_is_read_back_as_it_was_spelled(head: str, steps: list[Any]) -> None:
    """Names, quoted keys with any character, numbers and "any member"."""
    path: Path = (head, *steps)
    assert parsed(spelled(path)) == path


@pytest.mark.parametrize("text", ["", "…", ".a", "input.", "input[", "input[x]", 'input["a]', "input a"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """A record that somebody else wrote does not lead a reader astray."""
    with pytest.raises(ValueError, match="not a place"):
        parsed(text)
