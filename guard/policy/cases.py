"""Tests with cases by name, ``test_x[name] if { some name, case in cases; … }``: all of their cases, not only those
that held.

The value of such a rule has an entry for each case that held; one that failed leaves nothing behind, and would pass
unseen. So a rule is added beside each, with the body up to where the name is bound: it gives the names that must be
there.
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

_PREFIX: Final = "guard_cases_"


class Cases(NamedTuple):
    """Test modules with the added rules, and for each test with cases the rule that names them (``data.…``)."""

    modules: dict[str, str]
    rules: dict[str, str]


def with_cases(tests: Mapping[str, str]) -> Cases:
    """Adds the rules. Raises ``PolicyInvalid`` for modules that do not parse."""
    modules: dict[str, str] = {}
    rules: dict[str, str] = {}
    for file, source in tests.items():
        try:
            module = parse_module(file, source, Capabilities().future_keywords)
        except CompileError as error:
            raise PolicyInvalid(diagnostics(error)) from error
        package = ".".join(("data", *module.package))
        added = []
        for rule in module.rules:
            name, prefix = _names(rule)
            if prefix:
                own = f"{_PREFIX}{len(rules)}"
                added.append(f"{own} contains {name} if {{\n{prefix}\n}}\n")
                rules[f"{package}.{_first(rule)}"] = f"{package}.{own}"
        modules[file] = "\n\n".join([source, *added])
    return Cases(modules, rules)


def _first(rule: Rule) -> str:
    head = rule.head.ref.terms[0]
    return head.name if isinstance(head, Var) else ""


def _names(rule: Rule) -> tuple[str, str]:
    """The variable that names the cases, and the body up to the expression that binds it; empty without cases."""
    terms = rule.head.ref.terms
    if not _first(rule).startswith("test_") or len(terms) != 2 or rule.head.key is not None or rule.head.args:
        return "", ""
    key = terms[1]
    if not isinstance(key, Var):
        return "", ""
    mentions = re.compile(rf"\b{re.escape(key.name)}\b")
    for number, expression in enumerate(rule.body):
        if not isinstance(expression.node, SomeDecl) and mentions.search(expression.text):
            return key.name, "\n".join(each.text for each in rule.body[: number + 1])
    return "", ""
