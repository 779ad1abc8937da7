"""The tests of policies, made ready so that each can be asked alone: what ``opa test`` takes for a test, its name and
its cases.

A test is a rule named ``test_…``. Several rules of one name are several tests: the second is ``test_x#01``, so its head
gets a name of its own. A test with cases by name, ``test_x[name] if { some name, case in cases; … }``, has an entry in
its value for each case that held; one that failed leaves nothing behind, and would pass unseen. So a rule is added
beside it, with the body up to where the names are bound: it gives the names that must be there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from guard.errors import PolicyInvalid
from guard.policy.metadata import diagnostics
from guard.rego import Capabilities, CompileError
from guard.rego.nodes import Rule, SomeDecl, Var
from guard.rego.parser import parse_module

_CASES: Final = "guard_cases_"
_TEST: Final = "test_"
_TODO: Final = "todo_test_"
_AGAIN: Final = "_guard_again_"


class Test(NamedTuple):
    """One test. ``path`` is what is evaluated (``data.…``), ``name`` how the test is called; ``cases`` is the rule that
    gives the names of its cases, empty if it has none, and ``variables`` hold them. ``function`` cannot be asked."""

    path: str
    name: str
    file: str
    row: int
    col: int
    todo: bool = False
    function: bool = False
    cases: str = ""
    variables: tuple[str, ...] = ()


class Prepared(NamedTuple):
    """Modules with names of their own for tests, and rules that name cases; and the tests in the order of files."""

    modules: dict[str, str]
    tests: tuple[Test, ...]


def prepared(modules: Mapping[str, str]) -> Prepared:
    """Makes the tests of these modules (file name to source) ready. Raises ``PolicyInvalid`` for modules that do not
    parse."""
    found: dict[str, str] = {}
    tests: list[Test] = []
    taken: dict[str, int] = {}
    for file, source in sorted(modules.items()):
        try:
            module = parse_module(file, source, Capabilities().future_keywords)
        except CompileError as error:
            raise PolicyInvalid(diagnostics(error)) from error
        heads: list[tuple[int, int, str]] = []
        added: list[str] = []
        for rule in module.rules:
            first = _first(rule)
            if first.startswith((_TEST, _TODO)):
                path = ".".join(("data", *module.package, first))
                test, text = _test(rule, path, taken, f"{_CASES}{len(tests)}")
                tests.append(test)
                added += text
                heads.append((rule.head.loc.row, rule.head.loc.col, test.path.rpartition(".")[2]))
        found[file] = "\n".join([_renamed(source, heads), *added])
    return Prepared(found, tuple(tests))


def _test(rule: Rule, path: str, taken: dict[str, int], cases: str) -> tuple[Test, list[str]]:
    """One test, and the text of the rule ``cases`` that names its cases, if it has any."""
    row, col = rule.loc.row, rule.loc.col
    if path.rpartition(".")[2].startswith(_TODO):
        return Test(path, path, rule.file, row, col, todo=True), []
    number = taken.get(path, 0)
    taken[path] = number + 1
    test = Test(path, path, rule.file, row, col, function=rule.head.args is not None)
    if number:
        test = test._replace(path=f"{path}{_AGAIN}{number:02}", name=f"{path}#{number:02}")
    variables, body = _named(rule)
    if not variables:
        return test, []
    text = f"\n{cases} contains [{', '.join(variables)}] if {{\n{body}\n}}\n"
    return test._replace(cases=f"{path.rpartition('.')[0]}.{cases}", variables=variables), [text]


def _renamed(source: str, heads: list[tuple[int, int, str]]) -> str:
    """The source with the names of tests; the last head first, so that places before it stay."""
    lines = source.split("\n")
    for row, col, name in sorted(heads, reverse=True):
        line = lines[row - 1]
        if _AGAIN in name:
            end = col - 1 + len(name.partition(_AGAIN)[0])
            lines[row - 1] = line[: col - 1] + name + line[end:]
    return "\n".join(lines)


def _first(rule: Rule) -> str:
    head = rule.head.ref.terms[0]
    return head.name if isinstance(head, Var) else ""


def _named(rule: Rule) -> tuple[tuple[str, ...], str]:
    """The variables that name the cases, and the body up to the expression that binds the last of them; nothing without
    cases."""
    keys = rule.head.ref.terms[1:]
    variables = tuple(key.name for key in keys if isinstance(key, Var))
    if not keys or len(variables) != len(keys) or rule.head.key is not None or rule.head.args:
        return (), ""
    missing = set(variables)
    for number, expression in enumerate(rule.body):
        if not isinstance(expression.node, SomeDecl):
            missing -= {name for name in missing if re.search(rf"\b{re.escape(name)}\b", expression.text)}
        if not missing:
            return variables, "\n".join(each.text for each in rule.body[: number + 1])
    return (), ""
