"""Built-ins over huge texts and collections, and policies that grow them: stopped by name, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from guard import rego

PROCESS_SECONDS = 120
ADDRESS_SPACE = 2 << 30


def outcome(rules: str, value: Any) -> str:
    """What ``data.a.p`` ends in within a step limit of a million and a deadline two seconds away."""
    program = rego.compile({"a.rego": f"package a\n{rules}\n"}, capabilities=rego.Capabilities.newest())
    try:
        found = program.eval("data.a.p", value, deadline=time.monotonic() + 2)
    except rego.EvalError as error:
        return type(error).__name__
    return "undefined" if found is rego.UNDEFINED else "value"


LONG = "a" * 4_000_000
STOPPED = {"StepLimitError", "DeadlineError"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rules", "value"),
    [
        ("p := count(split(input, ``))", LONG),
        ("p := count(split(input, `a`))", LONG),
        ("p := count(strings.split_n(input, `a`, 2))", LONG),
        ("p := count(indexof_n(input, `a`))", LONG),
        ("p := count(regex.find_n(`a`, input, -1))", LONG),
        ("p := count(regex.find_n(``, input, -1))", LONG),
        ("p := count(regex.find_all_string_submatch_n(`(a)`, input, -1))", LONG),
        ("p := count(regex.split(`a`, input))", LONG),
        ("p := count(regex.replace(input, `a`, `b`))", LONG),
        ("p := count(strings.replace_n({`a`: `b`}, input))", LONG),
        ("p := count(sprintf(input, [1]))", "%[1]d" * 1_500_000),
        ("p := count(json.unmarshal(input))", "[" + "[]," * 3_000_000 + "[]]"),
        ("p := json.is_valid(input)", "[" + "[]," * 3_000_000 + "[]]"),
        ("p := count(yaml.marshal(input))", [[]] * 400_000),
        ("p := count(urlquery.decode_object(input))", "a=b&" * 1_000_000),
        ("p := count(net.cidr_merge(input))", ["10.0.0.0/32"] * 100_000),
        ("p := count([1 | walk(input, _)])", [1] * 1_500_000),
        ("p := count([x | some _ in numbers.range(1, 100000); x := lower(input)])", "A" * 1_000_000),
        ("p := count({[input, x] | some x in numbers.range(1, 100000)})", list(range(100_000))),
        ("p := sum(input)", [0.1] * 1_500_000),
        ("p := count(graph.reachable(input, [`0`]))", {str(n): [str(m) for m in range(1200)] for n in range(1200)}),
    ],
)
def test_work_over_huge_operands_is_stopped(rules: str, value: Any) -> None:
    """Parts, matches, bytes that are made and elements that are read are steps."""
    assert outcome(rules, value) in STOPPED


@pytest.mark.parametrize(
    ("rules", "value"),
    [
        ("p := count(sprintf(input, [1]))", "%[1]1000000d" * 2_000),
        ("p := regex.replace(input, `a`, `aaaaaaaaaaaaaaaaaaaa`)", "a" * 900_000),
        ("p := glob.match(input, [], input)", "*a" * 20_000),
        ("p := regex.match(input, `aaaa`)", "(a{1,1000}){1,1000}"),
        ("p if print(input.s, input.s)", {"s": 1}),
        ("p := semver.compare(input, `1.0.0`)", "1.0.0-" + "a." * 1_000_000 + "a"),
    ],
)
def test_results_past_the_bounds_are_undefined_or_stopped(rules: str, value: Any) -> None:
    """Texts of more than 16 Mi characters, programs and patterns that are too large."""
    assert outcome(rules, value) in STOPPED | {"undefined", "value"} - ({"value"} if "print" not in rules else set())


@pytest.mark.parametrize(
    "rule",
    [
        "p := bits.lsh(1, 20000)",
        "p := to_number(input.digits)",
        "p := json.unmarshal(input.digits)",
        "p := yaml.unmarshal(input.digits)",
        "p := product([x | some _ in numbers.range(1, 5000); x := 10])",
    ],
)
def test_integers_that_no_json_encoder_of_python_writes_are_failures(rule: str) -> None:
    """Python refuses to print more than 4,300 digits, so no result has them."""
    assert outcome(rule, {"digits": "9" * 4400}) == "undefined"


GROWTH = {
    "strings that double": ('"\U0001f600"', 'concat("", [{0}, {0}])'),
    "arrays that double": ("[1]", "array.concat({0}, {0})"),
    "arrays flattened": ("[1]", "array.flatten([{0}, {0}])"),
    "texts that double": ('"ab"', 'sprintf("%s%s", [{0}, {0}])'),
    "replaced texts": ('"ab"', 'replace({0}, "a", {0})'),
    "encoded texts": ('"ab"', "base64.encode({0})"),
}

CHILD = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
from guard import rego
program = rego.compile({{"a.rego": sys.stdin.read()}})
for rule in ("p", "q"):
    try:
        program.eval("data.a." + rule, deadline=time.monotonic() + 10)
    except rego.EvalError as error:
        print(type(error).__name__)
    else:
        print("answered")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", GROWTH)
def test_growth_by_rules_stays_in_two_gigabytes(name: str) -> None:
    """Sixty rules that each double a value, and a comprehension that keeps many of the largest ones."""
    first, layer = GROWTH[name]
    rules = [f"z0 := {first}", *[f"z{n + 1} := {layer.format(f'z{n}')}" for n in range(60)]]
    keep = "q := count([x | some i in numbers.range(1, 1000); some z in data.a; x := {z: i}])"
    module = "\n".join(
        ["package a", *rules, "p := z60", keep.replace("data.a", f"[{', '.join(f'z{n}' for n in range(60))}]")]
    )
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(limit=ADDRESS_SPACE)],
        input=module, capture_output=True, text=True, timeout=PROCESS_SECONDS, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert set(child.stdout.split()) <= {"answered", "StepLimitError", "DeadlineError"}
    assert len(child.stdout.split()) == 2
