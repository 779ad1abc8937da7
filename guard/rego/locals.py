"""Names: what a variable of the source stands for. References to rules and imports become full paths below ``data``;
variables declared by ``:=``, ``some``, ``every`` and arguments get names that are unique in the module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from . import errors
from .errors import Location, RegoDiagnostic
from .nodes import (
    Array,
    Body,
    Call,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    ExprNode,
    Head,
    Logical,
    NotBody,
    Object,
    Ref,
    Rule,
    SetLit,
    SomeDecl,
    SomeIn,
    Template,
    Term,
    TermExpr,
    Var,
    With,
    const_ref,
    dotted,
    must,
)
from .variables import DOCUMENTS, body_vars, pattern_vars, term_vars

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


class _Scope:
    """The variables of one body: their new names and how they came up."""

    __slots__ = ("later", "names", "origin")

    def __init__(self, later: set[str]) -> None:
        self.names: dict[str, str] = {}
        self.origin: dict[str, str] = {}
        self.later = later


class LocalNames:
    """Rewrites the rules of one module (or a query)."""

    def __init__(
        self,
        known: Mapping[str, tuple[str, ...]],
        names: Names,
        diagnostics: list[RegoDiagnostic],
        builtins: Collection[str],
    ) -> None:
        self.globals = known
        self.builtins = builtins
        self.names = names
        self.diagnostics = diagnostics
        self.scopes: list[_Scope] = []

    def error(self, loc: Location, message: str, code: str = errors.COMPILE) -> None:
        """Record a diagnostic."""
        self.diagnostics.append(RegoDiagnostic(code, message, *loc))

    # -- rules ----------------------------------------------------------------------------------------------------

    def rule(self, rule: Rule) -> Rule:
        """A rule and its ``else`` branches, which share the arguments."""
        args = rule.head.args
        arguments = _Scope(set())
        self.scopes = [arguments]
        if args is not None:
            args = tuple(self.argument(arg, arguments) for arg in args)
        found = self.branch(rule, args)
        self.scopes = []
        return found

    def branch(self, rule: Rule, args: tuple[Term, ...] | None) -> Rule:
        """One branch of a rule: its body declares, its head uses."""
        scope = _Scope(declared_in(rule.body))
        self.scopes.append(scope)
        head = rule.head
        body = self.expressions(rule.body, used=self.head_vars(head))
        operands = tuple(self.term(part) for part in head.ref.terms[1:])
        new = Head(
            Ref((head.ref.terms[0], *operands), head.ref.loc),
            args,
            self.term(head.key) if head.key is not None else None,
            self.term(head.value) if head.value is not None else None,
            head.loc,
        )
        self.scopes.pop()
        orelse = self.branch(rule.orelse, args) if rule.orelse is not None else None
        return replace(rule, head=new, body=body, orelse=orelse)

    @staticmethod
    def head_vars(head: Head) -> set[str]:
        """The variables that a head mentions."""
        found: set[str] = set()
        for term in (*head.ref.terms[1:], head.key, head.value):
            if term is not None:
                term_vars(term, found)
        return found

    def argument(self, term: Term, scope: _Scope) -> Term:
        """An argument's pattern; its variables become the rule's."""
        if isinstance(term, Var):
            if term.name.startswith("$_"):
                return term
            name = scope.names.get(term.name)
            if name is None:
                name = scope.names[term.name] = self.names.fresh(term.name)
                scope.origin[term.name] = "arg"
            return Var(name, term.loc)
        if isinstance(term, Ref) and len(term.terms) == 1 and isinstance(term.terms[0], Var):
            return self.argument(Var(term.terms[0].name, term.loc), scope)
        if isinstance(term, Array):
            return Array(tuple(self.argument(item, scope) for item in term.items), term.loc)
        if isinstance(term, Object):
            return Object(tuple((self.term(key), self.argument(value, scope)) for key, value in term.pairs), term.loc)
        return self.term(term)

    # -- bodies ---------------------------------------------------------------------------------------------------

    def body(self, body: Body, used: Iterable[Term] = ()) -> tuple[Body, tuple[Term, ...]]:
        """A nested body in a scope of its own, and the terms that its variables flow into."""
        self.scopes.append(_Scope(declared_in(body)))
        flowing: set[str] = set()
        for term in used:
            term_vars(term, flowing)
        found = self.expressions(body, used=flowing)
        terms = tuple(self.term(term) for term in used)
        self.scopes.pop()
        return found, terms

    def expressions(self, body: Body, used: set[str]) -> Body:
        """The expressions of the innermost scope, in order."""
        before = len(self.diagnostics)
        found: list[Expr] = []
        for expr in body:
            new = self.expression(expr)
            if new is not None:
                found.append(new)
        if len(self.diagnostics) == before:
            self.check_unused(body, tuple(found), used)
        return tuple(found) or (Expr(TermExpr(Const(True)), body[0].loc, generated=True, text=body[0].text),)

    def check_unused(self, body: Body, found: Body, used: set[str]) -> None:
        """A variable declared by ``some`` must be used."""
        scope = self.scopes[-1]
        declared = {name for name, how in scope.origin.items() if how == "declared"}
        if not declared:
            return
        mentioned = body_vars(found, set())
        for name in sorted(declared):
            made = scope.names[name]
            if made not in mentioned and name not in used and not name.startswith("$"):
                where = next((expr.loc for expr in body if name in declared_in((expr,))), body[0].loc)
                self.error(where, f"declared var {name} unused")

    def expression(self, expr: Expr) -> Expr | None:
        """One expression; None where it only declares."""
        node = expr.node
        new: ExprNode
        if isinstance(node, SomeDecl):
            for name in node.names:
                self.declare(name, "declared", expr.loc)
            return None
        if isinstance(node, SomeIn):
            return self.some_in(expr, node)
        if isinstance(node, CallExpr):
            new = self.call(expr, node)
        elif isinstance(node, TermExpr):
            new = TermExpr(self.term(node.term))
        elif isinstance(node, Every):
            new = self.every(node)
        elif isinstance(node, NotBody):
            new = NotBody(self.operand(node.body, node.explicit), node.explicit)
        else:
            logical = must(Logical, node)
            left = self.operand(logical.left, logical.explicit_left)
            right = self.operand(logical.right, logical.explicit_right)
            new = replace(logical, left=left, right=right)
        return replace(expr, node=new, withs=self.modifiers(expr.withs))

    def operand(self, body: Body, explicit: bool) -> Body:
        """Only a body in braces may declare variables."""
        if explicit:
            return self.body(body)[0]
        found: list[Expr] = []
        for expr in body:
            if isinstance(expr.node, CallExpr) and dotted(expr.node.op) == "assign":
                self.error(expr.loc, "cannot assign vars inside negated expression")
                continue
            new = self.expression(expr)
            if new is not None:
                found.append(new)
        return tuple(found)

    def modifiers(self, withs: tuple[With, ...]) -> tuple[With, ...]:
        """The modifiers of an expression; names of functions stay names."""
        found: list[With] = []
        for each in withs:
            value = each.value
            name = dotted(value if isinstance(value, Ref) else Ref((value,)))
            if name in self.builtins and not self.is_declared(name.partition(".")[0]):
                ref = value if isinstance(value, Ref) else Ref((value,), each.loc)
                found.append(With(self.target(each.target), ref, each.loc, function=True))
            else:
                found.append(With(self.target(each.target), self.term(value), each.loc))
        return tuple(found)

    def is_declared(self, name: str) -> bool:
        """Whether a name stands for a variable, a rule or an import here."""
        return name in self.globals or any(name in scope.names or name in scope.later for scope in self.scopes)

    def target(self, term: Term) -> Term:
        """The target of ``with``: ``input`` is the document even where a variable has that name."""
        if isinstance(term, Ref) and isinstance(term.terms[0], Var) and term.terms[0].name in DOCUMENTS:
            return Ref((term.terms[0], *map(self.term, term.terms[1:])), term.loc)
        return self.term(term)

    def call(self, expr: Expr, node: CallExpr) -> CallExpr:
        """A call; ``:=`` becomes ``=`` with new variables on its left."""
        name = dotted(node.op)
        if name == "assign" and len(node.args) == 2:
            if expr.negated:
                self.error(expr.loc, "cannot assign vars inside negated expression")
                return node
            right = self.term(node.args[1])
            return CallExpr(const_ref("eq", node.op.loc), (self.assigned(node.args[0]), right))
        return CallExpr(self.operator(node.op), tuple(self.term(arg) for arg in node.args))

    def assigned(self, term: Term) -> Term:
        """The left side of ``:=``."""
        if isinstance(term, Ref) and len(term.terms) == 1 and isinstance(term.terms[0], Var):
            return self.declare(term.terms[0], "assigned", term.loc)
        if isinstance(term, Var):
            return self.declare(term, "assigned", term.loc)
        if isinstance(term, Array):
            return Array(tuple(self.assigned(item) for item in term.items), term.loc)
        if isinstance(term, Object):
            return Object(tuple((self.term(key), self.assigned(value)) for key, value in term.pairs), term.loc)
        kind = {"SetLit": "set", "Const": "scalar"}.get(type(term).__name__, type(term).__name__.lower())
        self.error(term.loc, f"cannot assign to {kind}")
        return term

    def declare(self, var: Var, how: str, loc: Location) -> Var:
        """A new variable of the innermost scope."""
        if var.name.startswith("$_"):
            return var
        if var.name in DOCUMENTS:
            message = f"variables must not shadow {var.name} (use a different variable name)"
            self.error(loc, message)
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

    def some_in(self, expr: Expr, node: SomeIn) -> Expr:
        """``some k, v in xs`` is ``v = xs[k]`` with its unbound variables declared."""
        domain = self.term(node.domain)
        key = node.key if node.key is not None else Var(self.names.fresh(), node.domain.loc)
        for pattern in (node.key, node.value):
            if pattern is not None:
                for name in sorted(pattern_vars(pattern)):
                    self.declare(Var(name, pattern.loc), "declared", expr.loc)
        operand = self.term(key)
        value = self.term(node.value)
        terms = (*domain.terms, operand) if isinstance(domain, Ref) else (domain, operand)
        call = CallExpr(const_ref("eq", expr.loc), (value, Ref(terms, domain.loc)))
        return replace(expr, node=call, withs=self.modifiers(expr.withs))

    def every(self, node: Every) -> Every:
        """``every``: key and value belong to its body."""
        domain = self.term(node.domain)
        self.scopes.append(_Scope(declared_in(node.body)))
        key = self.declare(node.key, "declared", node.key.loc) if node.key is not None else None
        value = self.declare(node.value, "declared", node.value.loc)
        found: list[Expr] = []
        before = len(self.diagnostics)
        for expr in node.body:
            new = self.expression(expr)
            if new is not None:
                found.append(new)
        body = tuple(found) or (Expr(TermExpr(Const(True)), node.value.loc, generated=True),)
        if len(self.diagnostics) == before:
            self.check_unused(node.body, (*body, Expr(TermExpr(domain))), set())
        self.scopes.pop()
        return Every(key, value, domain, body)

    # -- terms ----------------------------------------------------------------------------------------------------

    def term(self, term: Term) -> Term:
        """A term with its variables named."""
        if isinstance(term, Const):
            return term
        if isinstance(term, Var):
            return self.variable(term)
        if isinstance(term, Ref):
            return self.ref(term)
        if isinstance(term, Call):
            return Call(self.operator(term.op), tuple(self.term(arg) for arg in term.args), term.loc)
        if isinstance(term, Array):
            return Array(tuple(self.term(item) for item in term.items), term.loc)
        if isinstance(term, SetLit):
            return SetLit(tuple(self.term(item) for item in term.items), term.loc)
        if isinstance(term, Object):
            return Object(tuple((self.term(key), self.term(value)) for key, value in term.pairs), term.loc)
        if isinstance(term, Comprehension):
            heads = (term.head,) if term.key is None else (term.key, term.head)
            body, flowing = self.body(term.body, heads)
            key = flowing[0] if term.key is not None else None
            return Comprehension(term.kind, key, flowing[-1], body, term.loc)
        return self.template(term)

    def template(self, term: Template) -> Template:
        """A template string; each part in a scope of its own."""
        parts: list[str | Const | Expr] = []
        for part in term.parts:
            if isinstance(part, Expr):
                self.scopes.append(_Scope(set()))
                found = self.expression(part)
                self.scopes.pop()
                parts.append(must(Expr, found))
            else:
                parts.append(part)
        return Template(tuple(parts), term.loc)

    def variable(self, var: Var) -> Term:
        """What a variable stands for here: a declared one, a rule or an import, or itself."""
        name = var.name
        for scope in reversed(self.scopes):
            made = scope.names.get(name)
            if made is not None:
                return Var(made, var.loc)
            if name in scope.later:
                self.scopes[-1].origin.setdefault(name, "seen")
                return var
        path = self.globals.get(name)
        if path is not None:
            return path_ref(path, var.loc)
        self.scopes[-1].origin.setdefault(name, "seen")
        return var

    def ref(self, ref: Ref) -> Term:
        """A reference, its head resolved."""
        head = ref.terms[0]
        rest = tuple(self.term(part) for part in ref.terms[1:])
        if isinstance(head, Var):
            if head.name in DOCUMENTS and not any(
                head.name in scope.names or head.name in scope.later for scope in self.scopes
            ):
                return Ref((head, *rest), ref.loc)
            found = self.variable(head)
            if not rest:
                return found
            return Ref((*found.terms, *rest), ref.loc) if isinstance(found, Ref) else Ref((found, *rest), ref.loc)
        return Ref((self.term(head), *rest), ref.loc)

    def operator(self, op: Ref) -> Ref:
        """The full path of a function; a built-in keeps its name."""
        head = op.terms[0]
        if not isinstance(head, Var) or head.name in {"data", "internal"}:
            return Ref((head, *map(self.term, op.terms[1:])), op.loc)
        for scope in reversed(self.scopes):
            if head.name in scope.names or head.name in scope.later:
                self.error(op.loc, f"called function {dotted(op) or head.name} shadowed")
                return op
        path = self.globals.get(head.name)
        return path_ref(path, op.loc, tuple(map(self.term, op.terms[1:]))) if path is not None else op


def path_ref(path: tuple[str, ...], loc: Location, rest: tuple[Term, ...] = ()) -> Ref:
    """The reference of a path whose first name is a root document."""
    return Ref((Var(path[0], loc), *[Const(part, loc) for part in path[1:]], *rest), loc)


def declared_in(body: Body) -> set[str]:
    """The names that a body declares for itself."""
    found: set[str] = set()
    for expr in body:
        node = expr.node
        if isinstance(node, SomeDecl):
            found.update(var.name for var in node.names)
        elif isinstance(node, SomeIn):
            for pattern in (node.key, node.value):
                if pattern is not None:
                    found |= pattern_vars(pattern)
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
