"""What a body declares: its variables, how they came up, and the unique names that they get."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from . import errors
from .errors import Location, RegoDiagnostic
from .nodes import (
    Array,
    Body,
    CallExpr,
    Const,
    Every,
    Logical,
    NotBody,
    Object,
    Ref,
    SomeDecl,
    SomeIn,
    Term,
    Var,
    dotted,
)
from .variables import DOCUMENTS, operand_bodies, pattern_vars

_MESSAGES = {
    "seen": "var {} referenced above",
    "assigned": "var {} assigned above",
    "declared": "var {} declared above",
    "arg": "arg {} redeclared",
}


class Names:
    """Fresh variable names; ``original`` gives back what the author wrote."""

    def __init__(self) -> None:
        self.count = 0
        self.original: dict[str, str] = {}

    def fresh(self, name: str = "") -> str:
        """A new name: the compiler's own, or one for a variable of the source."""
        self.count += 1
        made = f"{name}@{self.count}" if name else f"$t{self.count}"
        if name:
            self.original[made] = name
        return made

    def shown(self, name: str) -> str:
        """The name for messages; empty for the compiler's own."""
        if name.startswith("$_"):
            return "_"
        return "" if name.startswith("$") else self.original.get(name, name)


class Scope:
    """The variables of one body: their new names, how they came up, and which were mentioned after that."""

    __slots__ = ("later", "mentioned", "names", "origin")

    def __init__(self, later: set[str]) -> None:
        self.names: dict[str, str] = {}
        self.origin: dict[str, str] = {}
        self.mentioned: set[str] = set()
        self.later = later


class Scopes:
    """The scopes that are open at a place of a module (or a query), innermost last. ``reached`` collects the rules and
    imports that were mentioned."""

    def __init__(
        self, known: Mapping[str, tuple[str, ...]], names: Names, diagnostics: list[RegoDiagnostic], *, strict: bool
    ) -> None:
        self.globals = known
        self.strict = strict
        self.reached: set[str] = set()
        self.names = names
        self.diagnostics = diagnostics
        self.scopes: list[Scope] = []

    def error(self, loc: Location, message: str) -> None:
        """Record a diagnostic."""
        self.diagnostics.append(RegoDiagnostic(errors.COMPILE, message, *loc))

    def declare(self, var: Var, how: str, loc: Location) -> Var:
        """A new variable of the innermost scope."""
        if var.name.startswith("$_"):
            return var
        if var.name in DOCUMENTS:
            self.error(loc, f"variables must not shadow {var.name} (use a different variable name)")
            return var
        scope = self.scopes[-1]
        origin = scope.origin.get(var.name)
        if origin is None and len(self.scopes) == 2 and self.scopes[0].origin.get(var.name) == "arg":
            origin = "arg"
        if origin is not None:
            self.error(loc, _MESSAGES[origin].format(var.name))
            return var
        name = self.names.fresh(var.name)
        scope.names[var.name] = name
        scope.origin[var.name] = how
        return Var(name, var.loc)

    def is_declared(self, name: str) -> bool:
        """Whether a name stands for a variable, a rule or an import here."""
        return name in self.globals or any(name in scope.names or name in scope.later for scope in self.scopes)

    def variable(self, var: Var) -> Term:
        """What a variable stands for here: a declared one, a rule or an import, or itself."""
        name = var.name
        waiting = False
        for scope in reversed(self.scopes):
            made = scope.names.get(name)
            if made is not None:
                scope.mentioned.add(name)
                return Var(made, var.loc)
            waiting = waiting or name in scope.later
        path = None if waiting else self.globals.get(name)
        if path is not None:
            self.reached.add(name)
            return path_ref(path, var.loc)
        self.scopes[-1].origin.setdefault(name, "seen")
        return var

    def check_unused(self, body: Body, used: Collection[str] = ()) -> None:
        """A variable of the innermost scope that ``some`` or ``every`` declares must be mentioned, in strict mode also
        one that ``:=`` assigns. ``used`` are names that are mentioned outside the body."""
        scope = self.scopes[-1]
        for kind in ("assigned", "declared") if self.strict else ("declared",):
            names = {name for name, how in scope.origin.items() if how == kind} - scope.mentioned
            for name in sorted(names.difference(used)):
                where = next((expr.loc for expr in body if name in declared_in((expr,))), body[0].loc)
                self.error(where, f"{kind} var {name} unused")
            if names.difference(used):
                return


def path_ref(path: tuple[str, ...], loc: Location, rest: tuple[Term, ...] = ()) -> Ref:
    """The reference of a path whose first name is a root document."""
    return Ref((Var(path[0], loc), *[Const(part, loc) for part in path[1:]], *rest), loc)


def declared_in(body: Body) -> set[str]:
    """The names that a body and the bodies in it, those of comprehensions left out, declare. None of them is a rule or
    an import anywhere in the body, as in OPA."""
    found: set[str] = set()
    for expr in body:
        node = expr.node
        if isinstance(node, SomeDecl):
            found.update(var.name for var in node.names)
        elif isinstance(node, SomeIn):
            for pattern in (node.key, node.value):
                if pattern is not None:
                    found |= pattern_vars(pattern)
        elif isinstance(node, Every):
            found |= declared_in(node.body)
        elif isinstance(node, NotBody | Logical):
            for operand, _ in operand_bodies(node):
                found |= declared_in(operand)
        elif isinstance(node, CallExpr) and dotted(node.op) == "assign" and len(node.args) == 2:
            found |= _assigned_names(node.args[0])
    return {name for name in found if not name.startswith("$")}


def _assigned_names(term: Term) -> set[str]:
    if isinstance(term, Ref):
        head = term.terms[0]
        return {head.name} if len(term.terms) == 1 and isinstance(head, Var) else set()
    if isinstance(term, Var):
        return {term.name}
    if isinstance(term, Array):
        return set().union(*[_assigned_names(item) for item in term.items])
    if isinstance(term, Object):
        return set().union(*[_assigned_names(value) for _, value in term.pairs])
    return set()
