"""Nothing that a policy writes becomes Python: names, strings, keys and paths are constants of the generated source."""

from __future__ import annotations

import ast
import json
import keyword
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard import rego
from guard.rego import program as loading
from guard.rego.builtins import BUILTINS
from guard.rego.program import compile_source

HOSTILE = [
    '"', "'", "'''", '"""', "\\", "\\'", '\\"', "\n", "\r", "\r\n", "\t", "\u2028", "\u2029", "\x85", "\x0c", "\x00",
    "{x}", "{{", "%s", "$", "#", ";", ":=", "\n import os", '"); __import__("os").abort(); ("', "'+ctx+'", "ctx", "U",
    "found", "cache", "__import__", "__class__", "0", "-1", "", " ", "a b", "a.b", "é", "\U0001f600", "*", "K1", "v1",
    *keyword.kwlist,
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
REGO_KEYWORDS = {"as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package"}
REGO_KEYWORDS |= {"some", "true", "with", "input", "data", "_"}
VARIABLES = st.one_of(
    st.sampled_from([name for name in keyword.kwlist if name not in REGO_KEYWORDS]),
    st.sampled_from(["ctx", "U", "cache", "found", "out", "K1", "t1", "v1", "b1", "__import__", "__class__", "self"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
    .filter(str.isascii)
    .filter(lambda name: name not in REGO_KEYWORDS),
)

# Names of the writers' own: a letter or a short prefix and a number, and what the runtime offers.
OWN = re.compile(r"[A-Za-z]{1,2}\d+|ctx\d*")
LOCAL = {f"b_{name.replace('.', '_')}" for name in BUILTINS}
LOCAL |= {
    "ctx",
    "loc",
    "cache",
    "found",
    "other",
    "out",
    "res",
    "len",
    "member",
    "type",
    "dict",
    "list",
    "str",
    "range",
}
LOCAL |= {"True", "False", "None", "set", "int", "float", "bool", "enumerate", "budget"}


def literal(text: str) -> str:
    """A Rego string."""
    return json.dumps(text)


class Sources:
    """The generated sources, kept as they are loaded."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, source: str) -> Any:
        self.texts.append(source)
        return compile_source(source)

    def check(self) -> None:
        """Every name is the writers' own, and there is no import, class, lambda of strangers, or dunder."""
        for text in self.texts:
            for node in ast.walk(ast.parse(text)):
                assert not isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Await | ast.Global), text
                name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
                assert "__" not in name, text
                if isinstance(node, ast.Name):
                    assert name in LOCAL or name in loading._NAMES or OWN.fullmatch(name), (name, text)


@pytest.fixture(scope="module")
def sources() -> Any:
    """What is loaded while this module's tests run."""
    found = Sources()
    patch = pytest.MonkeyPatch()
    patch.setattr(loading, "compile_source", found)
    yield found
    patch.undo()


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS)
def test_hostile_strings_are_only_values(sources: Sources, one: str, two: str, three: str) -> None:
    """As constants, keys, paths of packages, rules, input, data and ``with``, arguments and file names."""
    a, b, c = map(literal, (one, two, three))
    module = f"""package t[{a}]

const := {a}
obj := {{{a}: {b}, {literal(one + two + "~")}: [{c}, {{{a}}}]}}
parts[{a}][{b}] := {c}
members contains {a}
members contains x if x := input[{b}]
read := input[{a}][{b}]
f({a}, x) := [x, {c}]
f({literal(one + "~")}, _) := 0
call := f({a}, {b})
mocked := x if x := data.base[{a}] with data.base[{a}] as {c}
same if {{ some k, v in obj; k == {a}; v == {b} }}
text := $"{{const}}"
traced contains $"{{x}}" if some x in [{a}]
compared if {a} == input[{a}][{b}]
pattern if {{ {{{a}: x}} = {{{a}: {b}}}; x == {b} }}
default fallback := {c}
fallback := {b} if input.none
"""
    sources.texts.clear()
    program = rego.compile({three or "f": module}, {"base": {one: two}})
    value = {one: {two: three}, two: three} if one != two else {one: {two: three}}
    found: Any = program.eval(f"data.t[{a}]", value)
    assert found["const"] == found["text"] == one
    assert found["obj"] == {one: two, one + two + "~": [three, [one]]}
    assert found["parts"] == {one: {two: three}}
    assert one in found["members"]
    assert found["call"] == [two, three]
    assert found["mocked"] == three
    assert found["same"] is True
    assert found["pattern"] is True
    assert found["fallback"] == three
    assert found["traced"] == [one]
    if one != two:
        assert found["read"] == three
    assert program.trace(f"data.t[{a}].const", value).value == one
    rows = program.query(f"x := {a}; y := data.t[{a}].const")
    assert rows[0]["bindings"] == {"x": one, "y": one}
    sources.check()


@settings(max_examples=40)
@given(VARIABLES, VARIABLES)
def test_hostile_names_are_only_names(sources: Sources, one: str, two: str) -> None:
    """Variables, arguments, rules and functions called like Python's keywords and the generated code's own names."""
    module = f"""package t

{one}_r := 1
of_{two}({one}) := {two} if {{ {two} := [{one}] }}
rule := {one} if {{ some {one} in [7]; {one} == 7 }}
made := {{{one} | some {one} in input.xs}}
every_one if every {one} in input.xs {{ {one} > 0 }}
call := of_{two}(3)
sum_up := {one}_r + 1
"""
    if one == two:
        module = module.replace(f"of_{two}({one}) := {two} if {{ {two} := [{one}] }}", f"of_{two}({one}) := [{one}]")
    sources.texts.clear()
    program = rego.compile({"t.rego": module})
    found: Any = program.eval("data.t", {"xs": [1, 2]})
    assert found["rule"] == 7
    assert found["made"] == [1, 2]
    assert found["every_one"] is True
    assert found["call"] == [3]
    assert found["sum_up"] == 2
    assert program.query(f"{one} := 5")[0]["bindings"] == {one: 5}
    sources.check()


def test_a_dot_in_a_name_is_no_step_of_a_path() -> None:
    """``data["a.b"].f`` and ``data.a.b.f`` are two functions, and ``with`` replaces the one it names."""
    modules = {
        "one.rego": 'package t["a.b"]\nf(_) := 1\np := f(0)\nq := data.t.a.b.f(0)',
        "two.rego": "package t.a.b\nf(_) := 2\np := f(0)",
        "three.rego": 'package u\nr := x if { x := [data.t.a.b.f(0), data.t["a.b"].f(0)] with data.t.a.b.f as 3 }',
    }
    program = rego.compile(modules)
    assert program.eval('data.t["a.b"]') == {"p": 1, "q": 2}
    assert program.eval("data.t.a.b") == {"p": 2}
    assert program.eval("data.u.r") == [3, 1]
