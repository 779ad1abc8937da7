"""A hostile policy or input is stopped by name; it never hangs or crashes the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from guard import rego


def program(rules: str) -> rego.Program:
    """One module, package ``a``."""
    return rego.compile({"a.rego": f"package a\n{rules}\n"})


def nested(depth: int) -> list[Any]:
    """An array inside an array, ``depth`` times."""
    outer: list[Any] = []
    inner = outer
    for _ in range(depth):
        inner.append([])
        inner = inner[0]
    return outer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rules", "value"),
    [
        ("p := count(numbers.range(1, 1000000000))", None),
        ('p := count(net.cidr_expand("::/0"))', None),
        ("p := [1 | some a in input; some b in input; some c in input; a + b + c < 0]", list(range(200))),
        ("p := count([1 | walk(input, _)])", nested(20_000)),
        ('p := count(graph.reachable_paths({x: input | some x in input}, ["a"]))', list("abcdefghijkl")),
        ("p := strings.render_template(input, {`l`: numbers.range(1, 100)})", "{{range $.l}}" * 4 + "{{end}}" * 4),
        ("p := graphql.is_valid(input, `type Query { a: Query b: Int }`)", "{" + "a { b } " * 1000 + "}"),
        ("p := graphql.parse_query(input)", "{ a }" * 200_000),
        ("p := rego.parse_module(`x`, input)", "package a\n" + "p := 1\n" * 20_000),
        ("p := yaml.unmarshal(input)", "[" + "a," * 200_000 + "]"),
        ("p := json.patch({`a`: [1]}, [{`op`: `copy`, `from`: `/a`, `path`: `/a/-`} | some _ in input])", [1] * 60),
        ("z0 := [1]\n" + "\n".join(f"z{n + 1} := [z{n}, z{n}]" for n in range(60)) + "\np := z60", None),
    ],
)
def test_work_past_the_steps_is_a_step_limit(rules: str, value: Any) -> None:
    """Loops, ranges, walks and graphs are paid for before they run."""
    with pytest.raises(rego.StepLimitError, match="more than 100000 steps"):
        program(rules).eval("data.a.p", value, max_steps=100_000)


def test_a_long_comprehension_stops_at_the_deadline() -> None:
    """The deadline is looked at while a loop runs, not only between rules."""
    endless = program("p := [x | some x in input; some y in input; x != y]")
    begin = time.monotonic()
    with pytest.raises(rego.DeadlineError):
        endless.eval("data.a.p", ["x"] * 50_000, max_steps=10**15, deadline=begin + 0.2)


@pytest.mark.parametrize(
    "rules",
    [
        "p if input < [input]",
        "p := json.marshal(input)",
        "p := {input}",
        "p := input",
        "p := sort([input, input])",
    ],
)
def test_values_that_nest_too_deeply_are_a_depth_error(rules: str) -> None:
    """Ten thousand brackets end in DepthError, not in a crash of the interpreter."""
    with pytest.raises(rego.DepthError):
        program(rules).eval("data.a.p", nested(10_000))


@pytest.mark.parametrize(
    "text",
    ["p := " + "[" * 5000 + "]" * 5000, "p := " + "(" * 5000 + "1" + ")" * 5000, "p := " + "+".join(["1"] * 5000)],
)
def test_source_that_nests_too_deeply_is_a_load_error(text: str) -> None:
    """The parser's and the compiler's own recursion are bounded."""
    with pytest.raises(rego.CompileError, match="nests too deeply"):
        program(text)


def test_ambiguous_braces_are_read_in_linear_time() -> None:
    """``{`` may open a set, an object or a comprehension; trying each at every level would be exponential."""
    with pytest.raises(rego.CompileError):
        program("p := " + "{1+" * 40 + "x" + "}" * 40)


def test_more_nested_loops_than_python_allows() -> None:
    """Python refuses 20 nested blocks; sixty iterations in a body still work, in searches and in collections."""
    body = "\n".join(f"x{number} = input[_]" for number in range(60))
    assert program(f"p if {{\n{body}\n}}").eval("data.a.p", [1]) is True
    assert program(f"p contains x59 if {{\n{body}\n}}").eval("data.a.p", [1]) == [1]
    assert program(f"p := x59 if {{\n{body}\n}}").eval("data.a.p", [1]) == 1


def test_a_regex_bomb_is_linear() -> None:
    """``(a+)+$`` on 200,000 characters is an answer, on RE2."""
    assert program("p := regex.match(`(a+)+$`, input)").eval("data.a.p", "a" * 200_000 + "b") is False


def test_thirty_kilobytes_of_prompt_under_a_pattern() -> None:
    """The input that crashes engines on std::regex."""
    text = "word " * 6000
    assert program("p := regex.match(`^[a-z ]*$`, input)").eval("data.a.p", text) is True


@pytest.mark.parametrize(
    "call",
    [
        "yaml.unmarshal(input.yaml)",
        'to_number("1e1000000000")',
        "product([y | some _ in numbers.range(1, 20000); y := 99999999999])",
        "concat(input.big, [x | some x in numbers.range(1, 100000); false])",
        "json.unmarshal(input.digits)",
        "units.parse_bytes(input.digits)",
        'io.jwt.verify_rs256("a.b.c", input.pem)',
        "crypto.x509.parse_certificates(input.der)",
        "strings.replace_n({`x`: input.big}, input.many)",
        "strings.render_template(input.deep, {})",
        "strings.render_template(input.pipes, {})",
        "graphql.parse_query(input.quotes)",
        "json.match_schema({`a`: input.words}, {`properties`: {`a`: {`format`: `email`}}})[1][1]",
    ],
)
def test_bombs_inside_builtins_are_undefined_in_bounded_time(call: str) -> None:
    """Aliases in YAML, absurd exponents, products, numbers of a hundred thousand digits."""
    aliases = "a: &a [1,1,1,1,1,1,1,1,1]\n"
    for number in range(8):
        name, before = chr(98 + number), chr(97 + number)
        aliases += f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    value = {"yaml": aliases, "digits": "9" * 100_000, "big": "x" * 1000}
    value |= {"pem": "-----BEGIN X-----\n" * 10_000, "der": "MIID" * 50_000, "many": "x" * 100_000}
    value |= {"deep": "{{if 1}}" * 300, "pipes": "{{1" + "|print" * 10_000 + "}}", "quotes": '"""' * 10_001}
    value |= {"words": '"' + "a b" * 300}
    found = program(f"p := {call}").eval("data.a.p", value)
    assert found in (rego.UNDEFINED, "")


@pytest.mark.parametrize(
    "call",
    ["crypto.sha256(input)", "hex.encode(input)", "regex.match(`a`, input)", "uri.parse(input)",
     "urlquery.encode(input)", "glob.match(`*`, [], input)", "io.jwt.verify_hs256(`a.b.c`, input)",
     "rego.parse_module(`x`, input)"],
)  # fmt: skip
def test_half_a_surrogate_pair_is_a_failure_of_the_builtin(call: str) -> None:
    """JSON can escape what UTF-8 cannot hold; a built-in that needs bytes fails, and nothing else is raised."""
    half = "http://a/\ud800"
    assert program(f"p := {call}").eval("data.a.p", half) is rego.UNDEFINED
    with pytest.raises(rego.BuiltinError):
        program(f"p := {call}").eval("data.a.p", half, strict_builtin_errors=True)


@pytest.mark.parametrize("call", ["semver.compare(input, `1.0.0`)", "time.parse_duration_ns(input)"])
def test_integers_of_too_many_digits_are_a_failure_of_the_builtin(call: str) -> None:
    """Python refuses to read them; the policy sees undefined."""
    digits = "9" * 100_000
    text = f"{digits}.0.0" if "semver" in call else f"{digits}h"
    assert program(f"p := {call}").eval("data.a.p", text) is rego.UNDEFINED


def test_an_input_that_is_not_json_is_an_error_when_it_is_touched() -> None:
    """A tuple or an object of a class is not quietly undefined."""
    with pytest.raises(rego.InputError, match="tuple is not a JSON value"):
        program("p := [x | some x in input.xs]").eval("data.a.p", {"xs": (1, 2)})
    with pytest.raises(rego.InputError, match="object is not a JSON value"):
        program("p if input.x.y").eval("data.a.p", {"x": object()})


def test_threads_share_one_program() -> None:
    """Each of eight threads gets the answers to its own inputs."""
    shared = program("p := {x | some x in input.xs; x > input.min}\nq := count(p)").prepare("data.a.q")
    wrong: list[int] = []

    def work(offset: int) -> Callable[[], None]:
        def run() -> None:
            for turn in range(500):
                least = (offset * 7 + turn) % 20
                if shared({"xs": list(range(20)), "min": least}) != 19 - least:
                    wrong.append(least)

        return run

    threads = [threading.Thread(target=work(offset)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
