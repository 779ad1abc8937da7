"""METADATA: the YAML blocks above packages and rules, and what a loader wants to know of rules.

Source: https://www.openpolicyagent.org/docs/policy-language#metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from . import errors
from .errors import CompileError, RegoDiagnostic
from .nodes import Const, Module, Object, Rule
from .trace import rule_path
from .tree import rule_kind

_SCOPES = frozenset({"rule", "document", "package", "subpackages"})
_KNOWN = frozenset(
    {"scope", "title", "description", "related_resources", "authors", "organizations", "schemas", "entrypoint"}
    | {"custom", "labels", "compile"}
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One METADATA block. ``path`` is what it describes (``data.a.b``), ``row`` where the block begins."""

    scope: str
    path: str
    file: str
    row: int
    title: str = ""
    description: str = ""
    entrypoint: bool = False
    custom: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    authors: tuple[Any, ...] = ()
    organizations: tuple[str, ...] = ()
    related_resources: tuple[Any, ...] = ()
    target_row: int = 0
    schemas: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class TestRule:
    """A rule named ``test_*`` or ``todo_test_*`` (``todo``)."""

    path: str
    name: str
    file: str
    row: int
    col: int
    todo: bool


@dataclass(frozen=True, slots=True)
class RuleHead:
    """A rule as a loader sees it. ``kind`` is complete, set, object or function. ``literal`` holds the string keys of
    an object literal in the head's key (``contains``) or value, with their values where those are constants
    (others are left out); None where the head has no such literal."""

    path: str
    file: str
    row: int
    col: int
    kind: str
    default: bool
    annotation: Annotation | None
    literal: dict[str, Any] | None


class RuleBody(NamedTuple):
    """One body of a compiled rule; ``else`` branches are bodies of their own. ``literal`` is that of `RuleHead`, empty
    where there is none."""

    path: str
    file: str
    row: int
    col: int
    end_row: int
    literal: dict[str, Any]


def rule_bodies(modules: Iterable[Module]) -> tuple[RuleBody, ...]:
    """Every body, in the order in which a program numbers them."""
    found: list[RuleBody] = []
    for module in modules:
        for rule in module.rules:
            branch: Rule | None = rule
            while branch is not None:
                found.append(RuleBody(rule_path(branch), *branch.loc, branch.end_row, _literal(branch) or {}))
                branch = branch.orelse
    return tuple(found)


def attach(modules: Iterable[Module]) -> tuple[Annotation, ...]:
    """Every annotation of the modules, in source order. Raises CompileError for a block that is not valid."""
    found: list[Annotation] = []
    for module in modules:
        for row, text in blocks(module):
            found.append(_annotation(module, row, text))
    return tuple(found)


def blocks(module: Module) -> Iterator[tuple[int, str]]:
    """(row, YAML text) of each block: comment lines in a row, the first of which says METADATA."""
    lines = {row: text for row, col, text in module.comments if _alone(module, row, col)}
    row = 0
    for start in sorted(lines):
        if start <= row or lines[start].strip() != "METADATA":
            continue
        row = start + 1
        texts: list[str] = []
        while row in lines and lines[row].strip() != "METADATA":
            texts.append(lines[row])
            row += 1
        row -= 1
        yield start, "\n".join(texts)


def _alone(module: Module, row: int, col: int) -> bool:
    line = module.source.split("\n", row)[row - 1] if row else ""
    return not line[: col - 1].strip()


def _fail(module: Module, row: int, message: str) -> CompileError:
    return CompileError([RegoDiagnostic(errors.PARSE, message, module.file, row, 1)])


def _annotation(module: Module, row: int, text: str) -> Annotation:
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Where the construct begins that is broken, rather than where the reader gave up.
        mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
        at = row if mark is None else min(row + 1 + mark.line, row + 1 + text.count("\n"))
        raise _fail(module, at, f"yaml: {str(error).splitlines()[0]}") from None
    if raw is None:
        raise _fail(module, row, "expected METADATA block, found whitespace")
    if not isinstance(raw, dict):
        raise _fail(module, row, "METADATA must be a YAML object")
    unknown = sorted(str(key) for key in raw if key not in _KNOWN)
    if unknown:
        raise _fail(module, row, f"unknown METADATA attributes: {', '.join(unknown)}")
    rule = _next_rule(module, row + text.count("\n") + 1)
    before_package = module.package_loc.row > row
    default = "package" if before_package else "document" if raw.get("entrypoint") else "rule"
    scope = raw.get("scope", default)
    if scope not in _SCOPES:
        raise _fail(module, row, f"invalid annotation scope {scope!r}")
    if scope in {"rule", "document"} and (rule is None or before_package):
        raise _fail(module, row, f"annotation scope {scope!r} must be applied to a rule")
    path = rule_path(rule) if rule is not None and scope in {"rule", "document"} else _package_path(module)
    target = rule.loc.row if rule is not None and scope in {"rule", "document"} else module.package_loc.row
    return Annotation(
        scope=scope,
        path=path,
        file=module.file,
        row=row,
        title=str(raw.get("title") or ""),
        description=str(raw.get("description") or ""),
        entrypoint=raw.get("entrypoint") is True,
        custom=_mapping(module, row, raw, "custom"),
        labels=_mapping(module, row, raw, "labels"),
        authors=tuple(raw.get("authors") or ()),
        organizations=tuple(raw.get("organizations") or ()),
        related_resources=tuple(raw.get("related_resources") or ()),
        target_row=target,
        schemas=tuple(raw.get("schemas") or ()),
    )


def _mapping(module: Module, row: int, raw: dict[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _fail(module, row, f"METADATA {name} must be an object")
    return dict(found)


def _package_path(module: Module) -> str:
    return ".".join(["data", *module.package])


def _next_rule(module: Module, row: int) -> Rule | None:
    return next((rule for rule in module.rules if rule.loc.row >= row), None)


def tests_of(modules: Iterable[Module]) -> tuple[TestRule, ...]:
    """The test rules, in source order, each name of a package once."""
    found: dict[str, TestRule] = {}
    for module in modules:
        for rule in module.rules:
            path = rule_path(rule)
            name = path.rpartition(".")[2]
            if rule.head.args is None and name.startswith(("test_", "todo_test_")):
                test = TestRule(path, name, *rule.loc, todo=name.startswith("todo_"))
                found.setdefault(path, test)
    return tuple(found.values())


def rule_heads(modules: Iterable[Module], annotations: Iterable[Annotation]) -> tuple[RuleHead, ...]:
    """Every rule of the modules, in source order."""
    by_place = {(each.file, each.target_row): each for each in annotations if each.scope in {"rule", "document"}}
    found: list[RuleHead] = []
    for module in modules:
        for rule in module.rules:
            note = by_place.get((module.file, rule.loc.row))
            literal = _literal(rule)
            head = RuleHead(rule_path(rule), *rule.loc, rule_kind(rule), rule.default, note, literal)
            found.append(head)
    return tuple(found)


def _literal(rule: Rule) -> dict[str, Any] | None:
    term = rule.head.key if rule.head.key is not None else rule.head.value
    if not isinstance(term, Object):
        return None
    return {
        key.value: value.value
        for key, value in term.pairs
        if isinstance(key, Const) and type(key.value) is str and isinstance(value, Const)
    }
