"""Values that share parts: sixty rules build one larger than any memory, and whoever walks it must stop by name."""

from __future__ import annotations

import time
from typing import Any

import pytest

from guard import rego

LAYERS = 60
SHAPES = {
    "arrays": ("[1]", "[{0}, {0}]"),
    "objects": ('{{"a": 1}}', '{{"a": {0}, "b": {0}}}'),
    "sets": ("{{1}}", "{{{0}, [{0}]}}"),
    "keys": ('{{"k": 1}}', "{{{0}: 1, [{0}]: 2}}"),
}


def doubled(shape: str) -> str:
    """Rules ``z60`` and ``y60``: equal values without a common part, each twice as large as the one below."""
    first, layer = SHAPES[shape]
    rules = []
    for name in "zy":
        rules.append(f"{name}0 := {first.format()}")
        rules += [f"{name}{n + 1} := {layer.format(f'{name}{n}')}" for n in range(LAYERS)]
    return "package a\n" + "\n".join(rules) + "\n"


def stopped(module: str, value: Any = None) -> str:
    """The name of the limit that ends ``data.a.p`` (a step limit, or a deadline close by)."""
    program = rego.compile({"a.rego": module})
    with pytest.raises((rego.StepLimitError, rego.DeadlineError)) as caught:
        program.eval("data.a.p", value, deadline=time.monotonic() + 0.25)
    return type(caught.value).__name__


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("use", ["z60 == y60", "z60 != y60", "z60 < y60", "z60 in [y60]", "z60 = y60"])
def test_comparing_doubled_values_stops(shape: str, use: str) -> None:
    """Equality and order look at half a million parts and no more."""
    assert stopped(doubled(shape) + f"p if {use}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        "p := count({z60})",
        "p := {z60: 1}",
        "p := sort([z60, y60])",
        "p := max([z60, y60])",
        "p := min([z60, y60])",
        "p := [z60, y60] & [y60]",
        "p := z60\np := y60",
        "f(x) := z60\nf(x) := y60\np := f(1)",
        "p := {k: v | some k in [1, 2]; some v in [z60, y60]}",
        'p := count(sprintf("%v", [z60]))',
        'p := count($"{z60}")',
        "p if print(z60)",
        "p := json.marshal(z60)",
        "p := json.marshal_with_options(z60, {`pretty`: true})",
        "p := yaml.marshal(z60)",
        "p := count([1 | walk(z60, _)])",
        "p := z60",
    ],
)
def test_walking_and_writing_doubled_arrays_stops(use: str) -> None:
    """Hashes, sorts, conflicts and texts pay for each part, shared ones each time."""
    use = use.replace("[z60, y60] & [y60]", "{z60, y60} & {y60}")
    assert stopped(doubled("arrays") + use)


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        "object.union(z60, y60)",
        "object.union_n([z60, y60])",
        "object.subset(z60, y60)",
        "json.match_schema(z60, {})",
        "json.verify_schema(z60)",
        "strings.render_template(`{{.x}}`, {`x`: z60})",
        "io.jwt.encode_sign({`alg`: `HS256`}, z60, {`kty`: `oct`, `k`: `AAAA`})",
    ],
)
def test_walking_and_writing_doubled_objects_stops(use: str) -> None:
    """Built-ins that walk their operands are charged before they run."""
    assert stopped(doubled("objects") + f"p := {use}")


def test_one_value_is_equal_to_itself_at_once() -> None:
    """The same value needs no look at its parts, however large it is."""
    program = rego.compile({"a.rego": doubled("arrays") + "p if z60 == z60\nq if [z60] == [z60]\nr if z60 <= z60"})
    assert program.eval("data.a.p") is program.eval("data.a.q") is program.eval("data.a.r") is True


def test_large_values_are_still_compared() -> None:
    """A quarter of a million members in order, deep objects, and sets of arrays are ordinary work."""
    program = rego.compile({"a.rego": "package a\np if input.a == input.b\nq := count({x | some x in input.a})"})
    rows = [{"id": number, "tags": [number, "x"]} for number in range(40_000)]
    again = [{"tags": [number, "x"], "id": number} for number in range(40_000)]
    assert program.eval("data.a.p", {"a": rows, "b": again}) is True
    assert program.eval("data.a.q", {"a": rows}) == 40_000
    assert program.eval("data.a.p", {"a": rows, "b": [*again[:-1], {}]}) is rego.UNDEFINED


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("{[1, {2}], true, null}", "{null, true, [1.0, {2}]}"),
        ("{[1]: {`a`}, true: 2}", "{true: 2.0, [1.0]: {`a`}}"),
        ("[{{1}: [true]}]", "[{{1.0}: [true]}]"),
    ],
)
def test_containers_as_keys_and_members_are_equal_by_value(left: str, right: str) -> None:
    """What is found by hash is then compared by value; a true is no one."""
    text = f"package a\np if {{ x := {left}; y := {right}; x == y }}\nq if {{ x := {left}; {{x}} == {{{right}}} }}"
    program = rego.compile({"a.rego": text})
    assert program.eval("data.a.p") is program.eval("data.a.q") is True
    other = right.replace("true", "1")
    program = rego.compile({"a.rego": f"package a\np if {{ x := {left}; y := {other}; x == y }}"})
    assert program.eval("data.a.p") is rego.UNDEFINED
