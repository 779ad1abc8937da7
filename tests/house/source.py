"""The source tree as the house tests see it: its modules, their syntax trees, and where a string comes from."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """One Python file of ours. ``name`` is its import name."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    def at(self, node: ast.AST | int) -> str:
        """``path:line``, as an editor opens it."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return f"{self.path.relative_to(ROOT)}:{line}"


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below the folders, in order of their paths."""
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found.append(Module(path, name, text, ast.parse(text, str(path))))
    return tuple(found)


def rego_files() -> list[Path]:
    """The shipped policies, without their tests."""
    return [path for path in sorted((ROOT / "policies").rglob("*.rego")) if not path.name.endswith("_test.rego")]


def functions(tree: ast.AST) -> Iterator[FunctionNode]:
    """Every function and method, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, FunctionNode))


class Untraceable(Exception):
    """A code that is not a literal, a constant, or a parameter whose callers give one of these."""


class CodeTracer:
    """Finds every string that can reach the parameter ``code`` of a constructor, without running anything.

    A literal and a module's constant are followed; so are a local variable, both branches of a conditional, and a
    parameter, through the calls of its function by name. ``error.code`` and ``error.refusal`` are left out: the
    classes and ``REFUSALS`` stand in tables of their own.
    """

    def __init__(self, modules: tuple[Module, ...]) -> None:
        self._modules = modules
        self._following: set[tuple[str, str]] = set()

    def codes(self, constructor: str, *, position: int | None) -> dict[str, set[str]]:
        """Code -> the modules that give it. ``position`` is that of ``code`` among positional arguments, if it may
        be one."""
        found: dict[str, set[str]] = {}
        for module in self._modules:
            for value, scope in _calls(module.tree, constructor, "code", position):
                for code in self._values(module, value, scope):
                    found.setdefault(code, set()).add(module.name)
        return found

    def _values(self, module: Module, node: ast.expr, scope: FunctionNode | None) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.IfExp():
                yield from self._values(module, node.body, scope)
                yield from self._values(module, node.orelse, scope)
            case ast.Attribute(attr="code" | "refusal"):
                return
            case ast.Name() | ast.Attribute():
                yield from self._named(module, node, scope)
            case _:
                raise Untraceable(f"{module.at(node)}: the code {ast.unparse(node)!r} is not a literal or a constant")

    def _named(self, module: Module, node: ast.Name | ast.Attribute, scope: FunctionNode | None) -> Iterator[str]:
        if isinstance(node, ast.Name) and scope is not None:
            parameters = [argument.arg for argument in _arguments(scope)]
            if node.id in parameters:
                yield from self._from_callers(module, scope, node.id, parameters.index(node.id))
                return
            assigned = list(_assigned(scope, node.id))
            if assigned:
                for value in assigned:
                    yield from self._values(module, value, scope)
                return
        value = _constant(importlib.import_module(module.name), ast.unparse(node))
        if not isinstance(value, str):
            raise Untraceable(f"{module.at(node)}: the code {ast.unparse(node)!r} is not a literal or a constant")
        yield value

    def _from_callers(self, home: Module, scope: FunctionNode, parameter: str, position: int) -> Iterator[str]:
        if (scope.name, parameter) in self._following:  # a function that calls itself gives nothing new
            return
        self._following.add((scope.name, parameter))
        bound = bool(_arguments(scope)) and _arguments(scope)[0].arg in {"self", "cls"}
        called = _class_of(home.tree, scope) if scope.name == "__init__" else scope.name
        for module in self._modules:
            if called and _can_call(module, called, home):
                for value, caller in _calls(module.tree, called, parameter, position - bound):
                    yield from self._values(module, value, caller)
        if (default := _default(scope, parameter)) is not None:
            yield from self._values(home, default, None)
        self._following.discard((scope.name, parameter))


def _arguments(scope: FunctionNode) -> list[ast.arg]:
    return [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]


def _assigned(scope: FunctionNode, name: str) -> Iterator[ast.expr]:
    """What a function assigns to a local variable, tuples taken apart."""
    for statement in ast.walk(scope):
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield statement.value
            elif isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                pairs = zip(target.elts, statement.value.elts, strict=False)
                yield from (value for part, value in pairs if isinstance(part, ast.Name) and part.id == name)


def _default(scope: FunctionNode, parameter: str) -> ast.expr | None:
    positional = [*scope.args.posonlyargs, *scope.args.args]
    defaults = dict(zip(reversed([a.arg for a in positional]), reversed(scope.args.defaults), strict=False))
    keywords = dict(zip([a.arg for a in scope.args.kwonlyargs], scope.args.kw_defaults, strict=True))
    return {**defaults, **keywords}.get(parameter)


def _can_call(module: Module, name: str, home: Module) -> bool:
    """Whether a call by this name can be meant for ``home``: in the same room, or where the name is imported."""
    if module.name.split(".")[:2] == home.name.split(".")[:2]:
        return True
    imports = (node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom))
    return any(alias.name == name for node in imports for alias in node.names)


def _class_of(tree: ast.Module, method: FunctionNode) -> str | None:
    return next((c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and method in c.body), None)


def _calls(
    tree: ast.Module, function: str, keyword: str, position: int | None
) -> Iterator[tuple[ast.expr, FunctionNode | None]]:
    """The argument of each call of ``function`` (by its last name), with the innermost function that calls."""
    scopes: dict[ast.AST, FunctionNode] = {}
    for scope in functions(tree):  # outer functions come first, so that the innermost stays
        scopes.update(dict.fromkeys(ast.walk(scope), scope))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called != function:
            continue
        by_keyword = next((argument.value for argument in node.keywords if argument.arg == keyword), None)
        if by_keyword is not None:
            yield by_keyword, scopes.get(node)
        elif position is not None and position < len(node.args):
            yield node.args[position], scopes.get(node)


def _constant(module: ModuleType, dotted: str) -> object:
    value: object = module
    for part in dotted.split("."):
        value = getattr(value, part, None)
    return value
