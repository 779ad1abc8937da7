"""The checks of the house can fail: what they look for is found in small trees that have it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house import pages
from tests.house.config_tables import sections
from tests.house.source import ROOT, CodeTracer, Module, Untraceable
from tests.house.table import MISSING, Table, cells
from tests.test_house import imported, lines_of


def module(name: str, text: str) -> Module:
    """A module that stands nowhere but here."""
    path = ROOT / Path(*name.split(".")).with_suffix(".py")
    return Module(path, name, text, ast.parse(text))


def traced(*found: Module) -> dict[str, set[str]]:
    """The codes of ``Reason`` in these modules."""
    return CodeTracer(found).codes("Reason", position=None)


def test_a_literal_code_is_found_with_its_module() -> None:
    """A code that is given as a literal is documented with the module that gives it."""
    assert traced(module("room.a", "Reason(code='late', title='x')")) == {"late": {"room.a"}}


def test_a_code_is_followed_through_parameters_of_other_modules() -> None:
    """A code that arrives as a parameter is found where the function is called, by position, keyword or default."""
    home = module("room.a", "def deny(stage, code='usual', *, other=1):\n    return Reason(code=code)")
    caller = module("other.b", "from room.a import deny\ndeny(1, 'first')\ndeny(1, code='second')")
    assert set(traced(home, caller)) == {"usual", "first", "second"}


def test_a_call_of_a_namesake_is_not_followed() -> None:
    """A function of another room that has the same name says nothing about this room's codes."""
    home = module("room.a", "def deny(code):\n    return Reason(code=code)\ndeny('mine')")
    namesake = module("other.b", "def deny(code): ...\ndeny('not mine')")
    assert set(traced(home, namesake)) == {"mine"}


def test_a_code_is_followed_through_variables_and_branches() -> None:
    """Both branches of a conditional are codes, also when a local variable carries them."""
    text = "def f(x):\n    code = 'yes' if x else 'no'\n    return Reason(code=code)"
    assert set(traced(module("room.a", text))) == {"yes", "no"}


def test_a_code_is_followed_through_a_tuple() -> None:
    """Message and code that are assigned together are taken apart."""
    text = "def f(x):\n    message, code = x, 'late'\n    return Reason(code=code)"
    assert set(traced(module("room.a", text))) == {"late"}


def test_codes_of_errors_are_left_to_their_classes() -> None:
    """``error.code`` and ``error.refusal`` are documented with the classes."""
    assert traced(module("room.a", "def f(error):\n    return Reason(code=error.code)")) == {}


@pytest.mark.parametrize("code", ["f'{x}_failed'", "table[x]", "make()"])
def test_a_computed_code_is_an_error_at_its_line(code: str) -> None:
    """A code that nobody can look up in the page must not be made up at run time."""
    with pytest.raises(Untraceable, match=r"room/a\.py:3: "):
        traced(module("room.a", f"def f(x):\n    return Reason(\n        code={code})"))


def test_a_refreshed_table_keeps_prose_and_marks_what_is_missing() -> None:
    """A new key arrives marked; the meaning of a key that was there stays, and a key that is gone goes."""
    table = Table("p", "t", ("Key", "Default", "Meaning"), (("`a`", "1"), ("`b`", "x|y")))
    text = pages.render(table, [["`a`", "0", "what a is"], ["`gone`", "0", "what gone was"]])
    rows = [cells(line) for line in text.splitlines()[3:-1]]
    assert rows == [["`a`", "1", "what a is"], ["`b`", "x|y", MISSING]]


def test_sections_cover_lists_and_tables_of_the_configuration() -> None:
    """Every kind of section is walked: single, repeated, and named by the owner."""
    paths = {path for path, _ in sections()}
    assert {"top level", "limits", "routes[]", "identity.jwt", "identity.api_keys[]", "providers.NAME"} <= paths


def test_a_function_is_measured_without_its_docstring() -> None:
    """A long explanation is no long function."""
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n').body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of(function) == 2


@pytest.mark.parametrize(
    "text",
    [
        "import guard.policy",
        "from guard import policy",
        "from guard.policy import engine",
        "def f():\n    import guard.policy as p",
        "importlib.import_module('guard.policy')",
        "__import__('guard.policy')",
    ],
)
def test_an_import_is_seen_however_it_is_written(text: str) -> None:
    """An import inside a function, or by name at run time, is an import."""
    found = [name for node in ast.walk(ast.parse(text)) for name in imported(node)]
    assert any(f"{name}.".startswith("guard.policy.") for name in found)
