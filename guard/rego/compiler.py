"""Modules to a checked program: names, flattening, safety, functions, conflicts, recursion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import errors
from .ahead import Ahead
from .builtins import BUILTINS
from .calls import CallChecks
from .capabilities import Capabilities
from .errors import CompileError, RegoDiagnostic
from .expand import Expander
from .hoist import Hoister
from .imports import duplicate_imports, imported, shadowing_arguments, shadowing_rules, unused_imports
from .locals import LocalNames
from .metadata import Metadata
from .nodes import (
    Body,
    Module,
    Rule,
    Var,
    must,
)
from .parser import parse_module
from .recursion import check_recursion
from .safety import Safety
from .scopes import Names
from .tree import RuleTree
from .type_check import check_types
from .variables import body_vars, place, term_vars

_MAX_DIAGNOSTICS = 100


@dataclass(slots=True)
class Checked:
    """A program that passed every check, ready to be written as source."""

    modules: tuple[Module, ...]
    tree: RuleTree
    names: Names
    replaceable: frozenset[str]
    capabilities: Capabilities


class Compiler:
    """Runs the stages. Each stage reports every error it finds; the first stage with errors is the last. ``strict``
    adds the errors of ``opa check --strict``."""

    def __init__(self, capabilities: Capabilities, tree: RuleTree | None = None, *, strict: bool = False) -> None:
        self.capabilities = capabilities
        self.strict = strict
        self.diagnostics: list[RegoDiagnostic] = []
        self.mistyped: list[RegoDiagnostic] = []
        self.names = Names()
        self.tree = tree or RuleTree()
        self.calls = CallChecks(self.tree, self.names, capabilities, self.diagnostics)
        self.ahead = Ahead(self.names, self.tree.is_base)

    def stop_on_errors(self) -> None:
        """Raise what was found so far."""
        if self.diagnostics:
            unique = list(dict.fromkeys(self.diagnostics))
            unique.sort(key=lambda each: (each.file, each.row, each.col, each.message))
            raise CompileError(unique[:_MAX_DIAGNOSTICS])

    def stop_on_types(self) -> None:
        """Raise what was found about types, which waits for the stages after it: they report first."""
        self.diagnostics.extend(self.mistyped)
        self.stop_on_errors()

    def program(self, sources: Mapping[str, str], data: Any) -> Checked:
        """All stages for a set of modules over base data."""
        modules = self.parse(sources)
        packages = package_globals(modules)
        flat: list[Rule] = []
        unused: list[RegoDiagnostic] = []
        expander = Expander(self.names)
        metadata = Metadata(modules)
        for module in modules:
            known = {**packages[module.package], **imported(module)}
            local = LocalNames(known, self.names, self.diagnostics, BUILTINS, strict=self.strict)
            for rule in module.rules:
                local.constants = metadata.constants(module, rule)
                flat.append(expander.rule(local.rule(rule)))
            unused += unused_imports(module, local.reached) if self.strict else ()
        self.check_imports(modules, unused)
        self.stop_on_errors()
        for rule in flat:
            self.tree.add(rule)
        self.tree.check(modules, self.diagnostics)
        self.check_data(data)
        self.stop_on_errors()
        hoister = Hoister(self.names, equals=True)
        for rule in flat:
            self.check_rule(rule, hoister)
        self.stop_on_errors()
        check_recursion(self.tree, self.diagnostics)
        self.stop_on_errors()
        self.stop_on_types()
        return Checked(tuple(modules), self.tree, self.names, frozenset(self.calls.replaceable), self.capabilities)

    def parse(self, sources: Mapping[str, str]) -> list[Module]:
        """The trees of all files, by name."""
        modules: list[Module] = []
        for file in sorted(sources):
            try:
                modules.append(parse_module(file, sources[file], self.capabilities.future_keywords))
            except CompileError as error:
                self.diagnostics.extend(error.errors)
        self.stop_on_errors()
        return modules

    def check_imports(self, modules: list[Module], unused: list[RegoDiagnostic]) -> None:
        """What is wrong with imports and the names of rules; it comes before what is wrong inside rules."""
        reserved = [*unused, *(each for module in modules for each in shadowing_arguments(module))]
        for check in (shadowing_rules, duplicate_imports):
            reserved = reserved or [each for module in modules for each in check(module)]
        if reserved:
            self.diagnostics[:] = reserved

    def check_data(self, data: Any) -> None:
        """No rule may stand where base data has a value."""
        for node in self.tree.root.walk():
            base: Any = data
            for part in node.path if node.is_document else ():
                base = base.get(part) if type(base) is dict else None
            if node.is_document and base is not None:
                path = "/".join(map(str, node.path))
                message = f"conflicting rule for data path {path} found"
                self.diagnostics.append(RegoDiagnostic(errors.COMPILE, message, *node.rules[0].loc))

    # -- one rule -------------------------------------------------------------------------------------------------

    def check_rule(self, rule: Rule, hoister: Hoister) -> None:
        """Functions, modifiers and safety of a rule; it is changed in place to its final form."""
        branch: Rule | None = rule
        while branch is not None:
            known: set[str] = set()
            for arg in branch.head.args or ():
                term_vars(arg, known)
            before = len(self.diagnostics)
            body = hoister.with_values(branch.body, self.calls.is_function_value)
            self.check_head(branch, body, known)
            branch.body = self.ahead.body(self.body(body, known, hoister))
            if len(self.diagnostics) > before + _MAX_DIAGNOSTICS:
                return
            branch = branch.orelse

    def body(self, body: Body, known: set[str], hoister: Hoister) -> Body:
        """A body checked, ordered, and flattened to the last."""
        before = len(self.diagnostics)
        self.calls.check_functions(body)
        self.calls.check_withs(body)
        if len(self.diagnostics) > before:
            return body
        ordered = Safety(self.calls.arity, self.names, self.diagnostics).check(body, known)
        check_types(ordered, {}, self.mistyped)
        self.calls.check_function_values(ordered)
        return hoister.hoist_body(ordered)

    def check_head(self, rule: Rule, body: Body, known: set[str]) -> None:
        """Variables of the head must occur in the body."""
        have = body_vars(body, set(known), closures=False)
        head = rule.head
        for term in (*head.ref.terms[1:], head.key, head.value):
            if term is None:
                continue
            for name in sorted(term_vars(term, set()) - have):
                shown = self.names.shown(name)
                if shown:
                    loc = place(term, name) or rule.loc
                    self.diagnostics.append(RegoDiagnostic(errors.UNSAFE_VAR, f"var {shown} is unsafe", *loc))


def package_globals(modules: Iterable[Module]) -> dict[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """For each package, its rules' names and their paths."""
    found: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}
    for module in modules:
        known = found.setdefault(module.package, {})
        for rule in module.rules:
            head = must(Var, rule.head.ref.terms[0])
            known[head.name] = ("data", *module.package, head.name)
    return found
