"""The annotations of rules, held against the rules themselves.

A rule is joined with its title, severity and remedy by its id, and the id must come from the value, because that is the
only thing that every engine hands back. So the loader demands both, and that they are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, get_args

from guard.errors import Diagnostic
from guard.rego import Capabilities, CompileError, RuleHead
from guard.rego.annotations import attach, rule_heads
from guard.rego.nodes import Module
from guard.rego.parser import parse_module
from guard.types import Location, Mode, RuleInfo, Severity

CODE: Final = "guard_metadata_error"
_COLLECTED: Final = ("deny", "obligations")
_ROOT: Final = ("guard", "rules")
_SEVERITIES: Final = get_args(Severity)
_MODES: Final = get_args(Mode)


class Annotations(NamedTuple):
    """The annotated rules by id, and what is wrong with the others."""

    rules: dict[str, RuleInfo]
    diagnostics: list[Diagnostic]


def read_annotations(modules: Mapping[str, str]) -> Annotations:
    """The rules that ``guard.main`` will collect, by id, and every reason why one cannot be."""
    rules: dict[str, RuleInfo] = {}
    found: list[Diagnostic] = []
    silent: dict[str, Module] = {}
    speaking: set[str] = set()
    for file, source in modules.items():
        try:
            module = parse_module(file, source, Capabilities().future_keywords)
            heads = rule_heads([module], attach([module]))
        except CompileError as error:
            found += diagnostics(error)
            continue
        if module.package[: len(_ROOT)] != _ROOT:
            continue
        package = ".".join(("data", *module.package))
        silent.setdefault(package, module)
        for head in heads:
            name, *deeper = head.path.removeprefix(package + ".").split(".")
            if name in _COLLECTED:
                speaking.add(package)
                found += _of_rule(head, rules, name, collected=len(module.package) == 3, simple=not deeper)
    found += [_of_silence(module) for package, module in silent.items() if package not in speaking]
    return Annotations(rules, found)


def diagnostics(error: CompileError) -> list[Diagnostic]:
    """A compiler's errors in our words."""
    return [Diagnostic(e.code, e.message, e.file, e.row, e.col) for e in error.errors]


def _of_rule(
    head: RuleHead, rules: dict[str, RuleInfo], name: str, *, collected: bool, simple: bool
) -> Iterator[Diagnostic]:
    if not collected:
        yield _at(head, "guard.main collects from packages directly under guard.rules; this rule would never be asked")
        return
    if head.kind != "set" or not simple:
        yield _at(head, f"this must be a set of objects: {name} contains {{...}} if {{...}}")
        return
    literal = (head.literal or {}).get("id")
    if not isinstance(literal, str):
        yield _at(head, 'the value must be an object with a literal "id"')
        return
    annotation = head.annotation
    if annotation is None:
        yield _at(head, "the rule has no # METADATA comment with title, custom.id, severity and remediation")
        return
    custom = annotation.custom
    problems = list(_problems(annotation.title, custom))
    identifier = str(custom.get("id"))
    if not problems and identifier != literal:
        problems.append(f'custom.id is "{identifier}", but the value says "{literal}"')
    if not problems and identifier in rules:
        problems.append(f'the id "{identifier}" is taken by {rules[identifier].location}')
    yield from (Diagnostic(CODE, problem, head.file, annotation.row, 1) for problem in problems)
    if not problems:
        rules[identifier] = RuleInfo(
            id=identifier,
            title=annotation.title,
            severity=custom["severity"],
            remediation=custom["remediation"],
            mode=custom.get("mode", "enforce"),
            location=Location(head.file, head.row, head.col),
        )


def _problems(title: str, custom: Mapping[str, Any]) -> Iterator[str]:
    for where, value in (
        ("title", title),
        ("custom.id", custom.get("id")),
        ("custom.remediation", custom.get("remediation")),
    ):
        if not isinstance(value, str) or not value.strip():
            yield f"{where} is missing or no text"
    if custom.get("severity") not in _SEVERITIES:
        yield f"custom.severity must be one of {', '.join(_SEVERITIES)}"
    if custom.get("mode", "enforce") not in _MODES:
        yield f"custom.mode must be one of {', '.join(_MODES)}"


def _of_silence(module: Module) -> Diagnostic:
    """A package of rules without a rule is a typing error: ``denied contains`` would let everything in."""
    name = ".".join(module.package)
    what = f"package {name} has neither deny nor obligations; helpers belong beside the rules or in guard.lib"
    return Diagnostic(CODE, what, module.file, module.package_loc.row, module.package_loc.col)


def _at(head: RuleHead, problem: str) -> Diagnostic:
    return Diagnostic(CODE, problem, head.file, head.row, head.col)
