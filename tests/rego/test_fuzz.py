"""Hostile modules, queries and inputs: the engine answers or raises an error of its own, within its bounds."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from guard import rego
from tests.rego.differential.dice import Dice
from tests.rego.differential.inputs import anything, document
from tests.rego.differential.rules import Generated, module

POLICIES = sorted(Path(__file__).parents[2].joinpath("policies").rglob("*.rego"))
SOURCES = tuple(path.read_text() for path in POLICIES)
PIECES = (
    "package a\n", "import rego.v1\n", "p", "q[x]", "p contains ", " if {", " else := ", "default p := ", " := ", " = ",
    "some x in ", "every k, v in ", "not ", " with input as ", "input", "data", "[", "]", "{", "}", "(", ")", "|",
    ";", "\n", ",", ":", ".", "_", "1", "1e999999999", "0x", "-", '"a"', '"', "`", '$"{', '"\\u12', "\\",
    "# METADATA\n# x: [", "set()", "count(", "==", "!=", "&", "null", "\ufeff", "\u0000", "é", "😀", "\u2028", "\r",
    "and", "or", "in", "walk(",
)  # fmt: skip
BOUNDS: dict[str, Any] = {"max_steps": 20_000}
quick = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def loads(source: str) -> rego.Program | None:
    """The program, or None where it is refused as it should be: with a code and a place."""
    try:
        return rego.compile({"a.rego": source})
    except rego.CompileError as error:
        found = error.errors
    assert found
    assert all(each.code.startswith("rego_") and each.message for each in found)
    return None


def answer(program: rego.Program, ref: str, value: Any, **options: Any) -> Any:
    """The value, or the class of the engine's own error. Anything else goes through."""
    try:
        return program.eval(ref, value, deadline=time.monotonic() + 5, **{**BOUNDS, **options})
    except (rego.EvalError, rego.InputError) as error:
        return type(error).__name__


@quick
@given(st.binary(max_size=400))
@example(b"package a\np := \xff\xfe")
@example(b"\x00" * 50)
def test_random_bytes_are_refused_by_name(data: bytes) -> None:
    """What is no module is a CompileError."""
    loads(data.decode("utf-8", "surrogateescape"))
    loads("package a\n" + data.decode("latin-1"))


@pytest.mark.slow
@quick
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@example('package a\np := "' + "\\u{1}" * 20)
@example("package a\np := 1e" + "9" * 5000)
@example("package a\np := " + "9" * 100_000)
@example('package a\np := $"{' * 30)
@example("package a\np if " + "not " * 3000 + "true")
@example("package a\np if x = y" + " with input as 1" * 2000)
@example("package a\n" + "p := 1 " + "else := 2 if false " * 1000)
@example("package a\np := input" + ".a" * 20_000)
@example("package a\np := input" + "[input" * 3000 + "]" * 3000)
@example("package a\np := " + "{" * 3000 + "}" * 3000)
@example("package a\np := " + "[x | x := " * 300 + "1" + "]" * 300)
@example("package a\n# METADATA\n# a: " + "[" * 5000 + "\np := 1")
@example("package a\n# METADATA\n# a: &a [x, x]\n# b: [*a, *a]\np := 1")
def test_pieces_of_the_language_in_any_order_are_read_or_refused(source: str) -> None:
    """No order of tokens, and no literal however long, is more than a CompileError."""
    loads("package a\n" + source)
    loads(source)


@quick
@given(
    st.sampled_from(SOURCES), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", *PIECES]), st.integers(0, 9)))
)
def test_damaged_policies_are_read_or_refused(source: str, damage: list[tuple[float, str, int]]) -> None:
    """The shipped policies, with pieces cut out and others put in."""
    for place, piece, cut in damage:
        at = int(place * len(source))
        source = source[:at] + piece + source[at + cut :]
    program = loads(source)
    if program is not None:
        answer(program, "data", {"stage": "request"})


@quick
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_any_query_is_answered_or_refused(query: str) -> None:
    """Queries come from a command line."""
    with contextlib.suppress(rego.RegoError):
        rego.compile({"a.rego": "package a\np := 1"}).query(query, {"x": [1]}, **BOUNDS)


def generated(seed: int) -> tuple[Generated, Dice]:
    """A module of the grammar, and the dice for its inputs."""
    dice = Dice(random.Random(seed).randrange)
    return module(dice), dice


@pytest.mark.slow
@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_generated_modules_stay_within_their_bounds(seed: int) -> None:
    """Sound policies on inputs that fit or do not: a value or an error of the engine's; twice the same; traced or in
    another order the same."""
    made, dice = generated(seed)
    program = loads(made.source)
    if program is None:
        return
    refs = [f"data.{ref.replace('/', '.')}" for ref in made.refs]
    for value in (document(dice), anything(dice, 4), None):
        strict = dice.chance(50)
        first = [answer(program, ref, value, strict_builtin_errors=strict) for ref in refs]
        again = [answer(program, ref, value, strict_builtin_errors=strict) for ref in reversed(refs)]
        assert again[::-1] == first
        for ref, want in zip(refs, first, strict=True):
            try:
                found = program.trace(ref, value, strict_builtin_errors=strict, **BOUNDS).value
            except rego.EvalError as error:
                found = type(error).__name__
            # A trace tries every rule, an index does not: under strict errors a rule that cannot hold may fail there.
            assert found == want or (strict and found == "BuiltinError")


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_few_steps_end_in_a_step_limit_or_in_the_answer(seed: int, steps: int) -> None:
    """Whatever the budget, an evaluation gives the answer of a larger one, or says that it was stopped."""
    made, dice = generated(seed)
    program = loads(made.source)
    value = document(dice)
    for ref in made.refs if program is not None else ():
        name = f"data.{ref.replace('/', '.')}"
        assert program is not None
        few = answer(program, name, value, max_steps=steps)
        assert few in (answer(program, name, value), "StepLimitError")


def test_sixteen_threads_share_programs() -> None:
    """Sixteen threads evaluate the same programs at once, each with inputs of its own, and get what one thread gets."""
    work: list[tuple[rego.Program, str, Any, Any]] = []
    for seed in range(80):
        made, dice = generated(seed)
        program = loads(made.source)
        for value in (document(dice), document(dice)) if program is not None else ():
            for ref in made.refs:
                assert program is not None
                name = f"data.{ref.replace('/', '.')}"
                work.append((program, name, value, answer(program, name, value)))
    assert len(work) > 100
    wrong: list[str] = []
    start = threading.Barrier(16)

    def run(offset: int) -> None:
        mine = work[offset * 7 :] + work[: offset * 7]
        start.wait()
        for program, name, value, want in mine:
            if answer(program, name, value) != want:
                wrong.append(name)

    threads = [threading.Thread(target=run, args=(offset,)) for offset in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ("p := count([1 | some a in input; some b in input; a != b])", "DeadlineError"),
        ("p := [x | some x in numbers.range(1, 100000000)]", "StepLimitError"),
        (
            "f(x) := y if y := [z | some z in input]\np := [f(a) | some a in input; some b in input]",
            "",
        ),
        ('p if regex.match(`(a|a)*$`, concat("", ["a" | some _ in input]))', ""),
        ("p := concat(input[0], [x | some x in input; some _ in input])", ""),
    ],
)
def test_a_bomb_ends_within_its_bounds(rules: str, error: str) -> None:
    """Large work ends in an answer or in the named error, soon after the deadline at most."""
    program = rego.compile({"a.rego": f"package a\n{rules}\n"})
    value = ["x" * 50] * 3000
    try:
        program.eval("data.a.p", value, max_steps=10_000_000, deadline=time.monotonic() + 0.5)
        found = ""
    except rego.EvalError as stopped:
        found = type(stopped).__name__
    assert found in ({error} if error else {"", "DeadlineError", "StepLimitError"})
