"""Calls and modifiers: every call names a function and gives its arguments; ``with`` replaces what may be replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import errors
from .builtins import BUILTINS
from .capabilities import DEPRECATED, LATER_BUILTINS, Capabilities
from .errors import Location, RegoDiagnostic
from .nodes import (
    Body,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Logical,
    NotBody,
    Ref,
    Term,
    Var,
    With,
    children,
    dotted,
    must,
)
from .scopes import Names
from .tree import FUNCTION, RuleTree
from .values import key_of
from .variables import expr_terms

_VOID = frozenset({"print", "internal.print"})


class CallChecks:
    """Checks bodies against the functions of a program. ``replaceable`` collects those that some ``with`` replaces."""

    def __init__(
        self, tree: RuleTree, names: Names, capabilities: Capabilities, diagnostics: list[RegoDiagnostic]
    ) -> None:
        self.tree = tree
        self.names = names
        self.capabilities = capabilities
        self.diagnostics = diagnostics
        self.replaceable: set[str] = set()

    def error(self, loc: Location, message: str, code: str = errors.TYPE) -> None:
        """Record a diagnostic."""
        self.diagnostics.append(RegoDiagnostic(code, message, *loc))

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

    def is_later(self, name: str) -> bool:
        """Whether a built-in is newer than the capabilities."""
        return name in LATER_BUILTINS and name not in self.capabilities.later_builtins

    def check_functions(self, body: Body) -> None:
        """Every call names a function and has its number of arguments."""
        for expr in walk_exprs(body):
            if isinstance(expr.node, CallExpr):
                self.check_call(expr, expr.node)

    def check_call(self, expr: Expr, node: CallExpr) -> None:
        """One call: a function that exists, with its number of arguments."""
        name = dotted(node.op)
        if name in _VOID and expr.generated:
            self.error(expr.loc, "print(...) used as value")
            return
        if name in self.capabilities.refused:
            message = f"unsafe built-in function calls in expression: {name}"
            self.error(expr.loc, message)
            return
        if name in DEPRECATED:
            message = f"deprecated built-in function calls in expression: {name}"
            self.error(expr.loc, message)
            return
        arity = self.arity(node.op)
        if arity < 0 or self.is_later(name):
            head = node.op.terms[0]
            if isinstance(head, Var) and name:
                name = self.names.shown(head.name) + name.removeprefix(head.name)
            shown = name or "(dynamic)"
            self.error(expr.loc, f"undefined function {shown}")
            return
        given = len(node.args) - (1 if expr.generated and name != "eq" else 0)
        allowed = {arity} if expr.generated or name == "eq" else {arity, arity + 1}
        if given not in allowed:
            plural = "argument" if given == 1 else "arguments"
            message = f"function {name} has arity {arity}, got {given} {plural}"
            self.error(expr.loc, message)

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
                self.error(ref.loc, message)
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
            self.error(ref.loc, message, code)

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
    head = term.terms[0] if isinstance(term, Ref) else None
    if isinstance(term, Ref) and isinstance(head, Var) and head.name == "data":
        yield term
    if not isinstance(term, Comprehension):
        for child in children(term):
            yield from refs_outside_closures(child)


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
