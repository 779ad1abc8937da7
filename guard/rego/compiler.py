"""Modules to a checked program: names, flattening, safety, functions, conflicts, recursion; then source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import errors
from .builtins import BUILTINS
from .errors import CompileError, Location, RegoDiagnostic
from .locals import LocalNames, Names, path_ref
from .nodes import (
    Body,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Logical,
    Module,
    NotBody,
    Ref,
    Rule,
    Term,
    TermExpr,
    Var,
    With,
    children,
    dotted,
    must,
)
from .parser import parse_module
from .recursion import check_recursion
from .rewrite import Flattener
from .safety import Safety
from .tree import FUNCTION, RuleTree
from .type_check import check_types
from .values import key_of
from .variables import body_vars, expr_terms, place, term_vars

REFUSED = frozenset({"http.send", "net.lookup_ip_addr"})
DEPRECATED = frozenset(
    {"all", "any", "cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string"}
    | {"net.cidr_overlap", "re_match", "set_diff"}
)
_VOID = frozenset({"print", "internal.print"})
_MAX_DIAGNOSTICS = 100


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What policies may use. ``refused`` built-ins are errors at load; ``future_keywords`` are the optional keywords
    that ``import future.keywords.X`` can turn on: ``not`` (OPA's default set), ``and``, ``or`` (experimental)."""

    refused: frozenset[str] = REFUSED
    future_keywords: frozenset[str] = frozenset({"not"})


@dataclass(slots=True)
class Checked:
    """A program that passed every check, ready to be written as source."""

    modules: tuple[Module, ...]
    tree: RuleTree
    names: Names
    replaceable: frozenset[str]
    capabilities: Capabilities
    globals_of: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = field(default_factory=dict)


class Compiler:
    """Runs the stages. Each stage reports every error it finds; the first stage with errors is the last."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.diagnostics: list[RegoDiagnostic] = []
        self.names = Names()
        self.tree = RuleTree()
        self.replaceable: set[str] = set()

    def stop_on_errors(self) -> None:
        """Raise what was found so far."""
        if self.diagnostics:
            unique = list(dict.fromkeys(self.diagnostics))
            unique.sort(key=lambda each: (each.file, each.row, each.col))
            raise CompileError(unique[:_MAX_DIAGNOSTICS])

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

    def program(self, sources: Mapping[str, str], data: Any) -> Checked:
        """All stages for a set of modules over base data."""
        modules = self.parse(sources)
        packages = package_globals(modules)
        flat: list[Rule] = []
        flattener = Flattener(self.names)
        for module in modules:
            local = LocalNames(self.module_globals(module, packages), self.names, self.diagnostics, BUILTINS)
            flat += [flattener.rule(local.rule(rule)) for rule in module.rules]
        self.stop_on_errors()
        for rule in flat:
            self.tree.add(rule)
        self.tree.check(modules, self.diagnostics)
        self.check_data(data)
        self.stop_on_errors()
        for rule in flat:
            self.check_rule(rule, flattener)
        self.stop_on_errors()
        check_recursion(self.tree, self.diagnostics)
        self.stop_on_errors()
        checked = Checked(tuple(modules), self.tree, self.names, frozenset(self.replaceable), self.capabilities)
        checked.globals_of = packages
        return checked

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

    def module_globals(
        self, module: Module, packages: Mapping[tuple[str, ...], dict[str, tuple[str, ...]]]
    ) -> dict[str, tuple[str, ...]]:
        """The names that a module can use: rules of its package, and its imports."""
        known = dict(packages[module.package])
        seen: dict[str, Location] = {}
        for each in module.imports:
            root = must(Var, each.path.terms[0])
            if root.name in {"rego", "future"}:
                continue
            if each.name in seen:
                message = f"import must not shadow import {dotted(each.path)}"
                self.diagnostics.append(RegoDiagnostic(errors.COMPILE, message, *each.loc))
            seen[each.name] = each.loc
            known[each.name] = tuple(dotted_path(each.path))
        for rule in module.rules:
            for term in (rule.head.ref.terms[0], *(rule.head.args or ())):
                name = dotted(term) if isinstance(term, Ref) else term.name if isinstance(term, Var) else ""
                if name in {"data", "input"}:
                    message = f"{'rules' if term is rule.head.ref.terms[0] else 'args'} must not shadow {name}"
                    self.diagnostics.append(RegoDiagnostic(errors.COMPILE, message, *rule.loc))
        return known

    # -- one rule -------------------------------------------------------------------------------------------------

    def check_rule(self, rule: Rule, flattener: Flattener) -> None:
        """Functions, modifiers and safety of a rule; it is changed in place to its final form."""
        branch: Rule | None = rule
        while branch is not None:
            known: set[str] = set()
            for arg in branch.head.args or ():
                term_vars(arg, known)
            before = len(self.diagnostics)
            body = flattener.with_values(branch.body, self.is_function_value)
            self.check_head(branch, body, known)
            branch.body = self.body(body, known, flattener)
            if len(self.diagnostics) > before + _MAX_DIAGNOSTICS:
                return
            branch = branch.orelse

    def body(self, body: Body, known: set[str], flattener: Flattener) -> Body:
        """A body checked, ordered, and flattened to the last."""
        before = len(self.diagnostics)
        self.check_functions(body)
        self.check_withs(body)
        if len(self.diagnostics) > before:
            return body
        ordered = Safety(self.arity, self.names, self.diagnostics).check(body, known)
        check_types(ordered, {}, self.diagnostics)
        self.check_function_values(ordered)
        return flattener.hoist_body(ordered)

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

    # -- functions ------------------------------------------------------------------------------------------------

    def arity(self, op: Ref) -> int:
        """A function's number of arguments, -1 where there is no such function."""
        name = dotted(op)
        if name in BUILTINS:
            return BUILTINS[name].arity
        head = op.terms[0]
        if not name or not isinstance(head, Var) or head.name != "data":
            return -1
        node = self.tree.function(tuple(dotted_path(op)[1:]))
        return len(node.rules[0].head.args or ()) if node is not None else -1

    def check_functions(self, body: Body) -> None:
        """Every call names a function and has its number of arguments."""
        for expr in walk_exprs(body):
            if isinstance(expr.node, CallExpr):
                self.check_call(expr, expr.node)

    def check_call(self, expr: Expr, node: CallExpr) -> None:
        """One call: a function that exists, with its number of arguments."""
        name = dotted(node.op)
        if name == "print":
            return
        if name in self.capabilities.refused:
            message = f"unsafe built-in function calls in expression: {name}"
            self.diagnostics.append(RegoDiagnostic(errors.TYPE, message, *expr.loc))
            return
        if name in DEPRECATED:
            message = f"deprecated built-in function calls in expression: {name}"
            self.diagnostics.append(RegoDiagnostic(errors.TYPE, message, *expr.loc))
            return
        arity = self.arity(node.op)
        if arity < 0:
            shown = name or "(dynamic)"
            self.diagnostics.append(RegoDiagnostic(errors.TYPE, f"undefined function {shown}", *expr.loc))
            return
        given = len(node.args) - (1 if expr.generated and name != "eq" else 0)
        allowed = {arity} if expr.generated or name == "eq" else {arity, arity + 1}
        if given not in allowed:
            plural = "argument" if given == 1 else "arguments"
            message = f"function {name} has arity {arity}, got {given} {plural}"
            self.diagnostics.append(RegoDiagnostic(errors.TYPE, message, *expr.loc))

    def check_function_values(self, body: Body) -> None:
        """A function is called, never read."""
        for expr in walk_exprs(body):
            for term in expr_terms(expr):
                for ref in refs_outside_closures(term):
                    self.check_function_value(ref)

    def check_function_value(self, ref: Ref) -> None:
        """One reference that must not name a function."""
        node = self.tree.root
        for term in ref.terms[1:]:
            child = node.children.get(key_of(term.value)) if isinstance(term, Const) else None
            if child is None:
                return
            node = child
            if node.kind == FUNCTION:
                message = f"function {node.name()} used as reference, not called"
                self.diagnostics.append(RegoDiagnostic(errors.TYPE, message, *ref.loc))
                return

    # -- with -----------------------------------------------------------------------------------------------------

    def is_function_value(self, modifier: With) -> bool:
        """Whether the value of a modifier names a function, for a target that is one."""
        value = modifier.value
        return modifier.function or (isinstance(value, Ref) and self.arity(value) >= 0)

    def check_withs(self, body: Body) -> None:
        """The targets of every modifier of a body."""
        for expr in walk_exprs(body):
            for modifier in expr.withs:
                self.check_with(modifier)

    def check_with(self, modifier: With) -> None:
        """One target: a document, or a function that may be replaced."""
        target = modifier.target
        ref = target if isinstance(target, Ref) else Ref((target,), target.loc)
        head = ref.terms[0]
        name = dotted(ref)
        message, code = "", errors.COMPILE
        if isinstance(head, Var) and head.name == "input":
            return
        if isinstance(head, Var) and head.name == "data":
            message = self.check_data_target(ref)
            if not message and self.tree.function(tuple(dotted_path(ref)[1:])) is not None:
                self.replaceable.add(name)
        elif name in self.capabilities.refused or name in BUILTINS:
            message = self.check_builtin_target(name)
            self.replaceable.add(name)
        else:
            message, code = "with keyword target must reference existing input, data, or a function", errors.TYPE
        if message:
            self.diagnostics.append(RegoDiagnostic(code, message, *ref.loc))

    def check_data_target(self, ref: Ref) -> str:
        """What is wrong with a target below ``data``; empty where nothing is."""
        node = self.tree.root
        for term in ref.terms[1:-1]:
            child = node.children.get(term.value) if isinstance(term, Const) else None
            if child is None:
                return ""
            if child.rules:
                return "with keyword cannot partially replace virtual document(s)"
            node = child
        return ""

    def check_builtin_target(self, name: str) -> str:
        """What is wrong with a built-in as target; empty where nothing is."""
        start = "with keyword replacing built-in function: "
        if name in self.capabilities.refused:
            return f'{start}target must not be unsafe: "{name}"'
        if name in {"eq", "rego.metadata.chain", "rego.metadata.rule"}:
            return f'{start}replacement of "{name}" invalid'
        if name.startswith("internal."):
            return f'{start}replacement of internal function "{name}" invalid'
        if BUILTINS[name].relation:
            return f"{start}target must not be a relation"
        if name in _VOID:
            return f"{start}target must not be a void function"
        return ""


def dotted_path(ref: Ref) -> list[str]:
    """The parts of a reference of strings."""
    head = must(Var, ref.terms[0])
    return [head.name, *[str(term.value) if isinstance(term, Const) else "?" for term in ref.terms[1:]]]


def refs_outside_closures(term: Term) -> Iterator[Ref]:
    """The references below ``data`` in a term, comprehensions left out."""
    if isinstance(term, Ref) and must(Var, term.terms[0]).name == "data":
        yield term
    if not isinstance(term, Comprehension):
        for child in children(term):
            yield from refs_outside_closures(child)


def package_globals(modules: Iterable[Module]) -> dict[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """For each package, its rules' names and their paths."""
    found: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}
    for module in modules:
        known = found.setdefault(module.package, {})
        for rule in module.rules:
            head = must(Var, rule.head.ref.terms[0])
            known[head.name] = ("data", *module.package, head.name)
    return found


def walk_exprs(body: Body) -> Iterable[Expr]:
    """Every expression of a body and of the bodies inside it."""
    for expr in body:
        yield expr
        for term in expr_terms(expr):
            yield from _exprs_in(term)
        node = expr.node
        if isinstance(node, Every | NotBody):
            yield from walk_exprs(node.body)
        elif isinstance(node, Logical):
            yield from walk_exprs(node.left)
            yield from walk_exprs(node.right)


def _exprs_in(term: Term) -> Iterable[Expr]:
    if isinstance(term, Comprehension):
        yield from walk_exprs(term.body)
        return
    for child in children(term):
        yield from _exprs_in(child)


__all__ = ["Capabilities", "Checked", "Compiler", "TermExpr", "path_ref", "replace"]
