"""The three bombs, each by one command: ``pytest tests/rego/test_bombs.py -k regex`` (recursion, comprehension);
``--durations=0`` shows when each was stopped. All end by name within a deadline, however many steps are allowed.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from guard import rego

SECONDS = 0.5
NO_STEP_LIMIT = 10**15


def stopped(rule: str, value: Any, *, max_steps: int = NO_STEP_LIMIT) -> rego.EvalError:
    """What ends ``data.a.p`` within half a second, built-in errors included."""
    program = rego.compile({"a.rego": f"package a\n{rule}\n"})
    with pytest.raises(rego.EvalError) as caught:
        program.eval(
            "data.a.p",
            value,
            max_steps=max_steps,
            deadline=time.monotonic() + SECONDS,
            strict_builtin_errors=True,
        )
    return caught.value


def nested(depth: int) -> list[Any]:
    """An array inside an array, ``depth`` times."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(a+)+$", "(a|aa|a?)*b", "(.*)(.*)(.*)(.*)[^x]z"])
def test_a_regex_bomb_is_stopped_by_the_deadline(pattern: str) -> None:
    """Patterns that take exponential time elsewhere are linear in the text; a million of them end when time is up."""
    rule = "p := [i | some i in numbers.range(1, 1000000); regex.match(input.pattern, input.text)]"
    error = stopped(rule, {"pattern": pattern, "text": "a" * 20_000 + "x" * 20_000})
    assert isinstance(error, rego.DeadlineError)
    assert error.code == "eval_cancel_error"


def test_a_regex_bomb_of_repetitions_is_a_named_failure() -> None:
    """A pattern whose program would have a million states is refused before it runs."""
    error = stopped("p := regex.match(input, `a`)", "(a{1,1000}){1,1000}")
    assert isinstance(error, rego.BuiltinError)
    assert "regex.match: error parsing regexp" in str(error)


@pytest.mark.parametrize(
    ("rule", "value", "named"),
    [
        ("p := input", nested(100_000), rego.DepthError),
        ("p if input == [input]", nested(100_000), rego.DepthError),
        ("p := count([1 | walk(input, _)])", nested(100_000), rego.DeadlineError),
        ("p := json.unmarshal(input)", "[" * 1_000_000 + "]" * 1_000_000, rego.BuiltinError),
        ("p := yaml.unmarshal(input)", "[" * 20_000 + "]" * 20_000, (rego.DeadlineError, rego.BuiltinError)),
        ("p := rego.parse_module(`m`, input)", "package a\np := " + "[" * 100_000 + "]" * 100_000, rego.BuiltinError),
        ("p := graphql.parse_query(input)", "{ a " * 100_000 + "}" * 100_000, rego.DepthError),
        (
            "p := count(graph.reachable_paths({x: input | some x in input}, [`0`]))",
            list("0123456789ab"),
            rego.DeadlineError,
        ),
    ],
    ids=["result", "comparison", "walk", "json", "yaml", "module", "graphql", "graph"],
)
def test_a_deep_recursion_by_data_is_stopped_by_name(
    rule: str, value: Any, named: type[rego.EvalError] | tuple[type[rego.EvalError], ...]
) -> None:
    """Data that nests a hundred thousand levels, and graphs with more paths than atoms: no crash, no hang."""
    assert isinstance(stopped(rule, value), named)


@pytest.mark.parametrize(
    "rule",
    [
        "p := [x | some a in input; some b in input; x := [a, b]]",
        "p := {x | some a in input; some b in input; x := concat(``, [a, b])}",
        "p := {[a, b]: 1 | some a in input; some b in input}",
        "p contains x if { some a in input; some b in input; x := {a: b} }",
    ],
    ids=["array", "set", "object", "rule"],
)
def test_a_comprehension_over_ten_megabytes_is_stopped_by_the_deadline(rule: str) -> None:
    """Ten thousand strings of a kilobyte, each with each."""
    assert isinstance(stopped(rule, [f"{number:01000d}" for number in range(10_000)]), rego.DeadlineError)


def test_a_comprehension_over_ten_megabytes_is_stopped_by_the_steps() -> None:
    """With the default step limit it ends before the deadline."""
    rule = "p := [x | some a in input; some b in input; x := [a, b]]"
    error = stopped(rule, [f"{number:01000d}" for number in range(10_000)], max_steps=100_000)
    assert isinstance(error, rego.StepLimitError)
