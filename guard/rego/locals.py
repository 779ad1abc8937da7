"""Names: what a variable of the source stands for. References to rules and imports become full paths below ``data``;
variables declared by ``:=``, ``some``, ``every`` and arguments get names that are unique in the module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from .errors import RegoDiagnostic
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
    given,
    must,
)
from .patterns import Patterns
from .scopes import Names, Scope, declared_in, path_ref
from .variables import DOCUMENTS, pattern_vars, term_vars


class LocalNames(Patterns):
    """Rewrites the rules of one module (or a query)."""

    def __init__(
        self,
        known: Mapping[str, tuple[str, ...]],
        names: Names,
        diagnostics: list[RegoDiagnostic],
        builtins: Collection[str],
        *,
        strict: bool = False,
    ) -> None:
        super().__init__(known, names, diagnostics, strict=strict)
        self.builtins = builtins
        self.mark = len(diagnostics)
        self.constants: Mapping[str, Term] = {}

    # -- rules ----------------------------------------------------------------------------------------------------

    def rule(self, rule: Rule) -> Rule:
        """A rule and its ``else`` branches, which share the arguments."""
        args = rule.head.args
        arguments = Scope(set())
        self.scopes = [arguments]
        if args is not None:
            args = tuple(self.argument(arg, arguments) for arg in args)
        found = self.branch(rule, args)
        if self.strict:
            names: set[str] = set()
            for arg in rule.head.args or ():
                term_vars(arg, names)
            for name in sorted(names - arguments.mentioned):
                if not name.startswith("$_"):
                    hint = "use _ (wildcard variable) instead"
                    self.error(rule.head.loc, f"unused argument {name}. (hint: {hint})")
        self.scopes = []
        return found

    def branch(self, rule: Rule, args: tuple[Term, ...] | None) -> Rule:
        """One branch of a rule: its body declares, its head uses."""
        scope = Scope(declared_in(rule.body))
        self.scopes.append(scope)
        head = rule.head
        self.mark = len(self.diagnostics)
        body = self.kept(rule.body)
        sound = len(self.diagnostics) == self.mark
        self.mark = len(self.diagnostics)
        operands = tuple(self.term(part) for part in head.ref.terms[1:])
        new = Head(
            Ref((head.ref.terms[0], *operands), head.ref.loc),
            args,
            self.term(head.key) if head.key is not None else None,
            self.term(head.value) if head.value is not None else None,
            head.loc,
        )
        if sound:
            self.check_unused(rule.body)
        self.scopes.pop()
        orelse = self.branch(rule.orelse, args) if rule.orelse is not None else None
        return replace(rule, head=new, body=body or self.truth(rule.body), orelse=orelse)

    # -- bodies ---------------------------------------------------------------------------------------------------

    def body(self, body: Body, used: Iterable[Term] = ()) -> tuple[Body, tuple[Term, ...]]:
        """A nested body in a scope of its own, and the terms that its variables flow into."""
        self.scopes.append(Scope(declared_in(body)))
        flowing: set[str] = set()
        for term in used:
            term_vars(term, flowing)
        found = self.expressions(body, used=flowing)
        terms = tuple(self.term(term) for term in used)
        self.scopes.pop()
        return found, terms

    def expressions(self, body: Body, used: set[str]) -> Body:
        """The expressions of the innermost scope, in order. One error in a body is enough: no more is said of it, nor
        of the bodies around it, but what is wrong with their names."""
        found = self.kept(body)
        if len(self.diagnostics) == self.mark:
            self.check_unused(body, used)
        return found or self.truth(body)

    @staticmethod
    def truth(body: Body) -> Body:
        """What stands for a body that only declares."""
        return (Expr(TermExpr(Const(True)), body[0].loc, generated=True, text=body[0].text),)

    def kept(self, body: Iterable[Expr]) -> Body:
        """The expressions that do more than declare."""
        return tuple(new for expr in body if (new := self.expression(expr)) is not None)

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
        withs = self.modifiers(expr.withs)
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
        return replace(expr, node=new, withs=withs)

    def operand(self, body: Body, explicit: bool) -> Body:
        """Only a body in braces may declare variables."""
        if explicit:
            return self.body(body)[0]
        allowed: list[Expr] = []
        for expr in body:
            if isinstance(expr.node, CallExpr) and dotted(expr.node.op) == "assign":
                self.error(expr.loc, "cannot assign vars inside negated expression")
            else:
                allowed.append(expr)
        return self.kept(allowed)

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

    def target(self, term: Term) -> Term:
        """The target of ``with``: ``input`` is the document even where a variable has that name."""
        if isinstance(term, Ref) and isinstance(term.terms[0], Var) and term.terms[0].name in DOCUMENTS:
            self.reached.add(term.terms[0].name)
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
        if name in self.constants and len(node.args) == 1:
            return CallExpr(const_ref("eq", node.op.loc), (self.term(node.args[0]), self.constants[name]))
        if self.is_hidden(node.op):  # no function has the name of a variable, which a later stage says
            op = Ref((self.term(node.op.terms[0]), *node.op.terms[1:]), node.op.loc)
        else:
            op = self.operator(node.op)
        return CallExpr(op, tuple(self.term(arg) for arg in node.args))

    def some_in(self, expr: Expr, node: SomeIn) -> Expr:
        """``some k, v in xs`` is ``v = xs[k]`` with its unbound variables declared."""
        origin = self.scopes[-1].origin
        seen = set(origin)
        domain = self.term(node.domain)
        key = node.key if node.key is not None else Var(self.names.fresh(), node.domain.loc)
        here: set[str] = set()
        for pattern in (node.key, node.value):
            for name in sorted(pattern_vars(pattern) - here) if pattern is not None else ():
                # ``some x in [x]`` reads a variable that nothing binds, which is not a mention further above.
                if name not in seen:
                    origin.pop(name, None)
                self.declare(Var(name, given(pattern).loc), "declared", expr.loc)
                here.add(name)
        operand = self.term(key)
        value = self.term(node.value)
        terms = (*domain.terms, operand) if isinstance(domain, Ref) else (domain, operand)
        call = CallExpr(const_ref("eq", expr.loc), (value, Ref(terms, domain.loc)))
        return replace(expr, node=call, withs=self.modifiers(expr.withs))

    def every(self, node: Every) -> Every:
        """``every``: key and value belong to its body."""
        domain = self.term(node.domain)
        self.scopes.append(Scope(declared_in(node.body)))
        key = self.declare(node.key, "declared", node.key.loc) if node.key is not None else None
        value = self.declare(node.value, "declared", node.value.loc)
        body = self.expressions(node.body, used=set())
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
            if self.constants and not term.args and dotted(term.op) in self.constants:
                return self.constants[dotted(term.op)]
            if self.is_hidden(term.op):
                self.error(term.loc, f"called function {dotted(term.op)} shadowed")
                return term
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
                self.scopes.append(Scope(set()))
                found = self.expression(part)
                self.scopes.pop()
                parts.append(must(Expr, found))
            else:
                parts.append(part)
        return Template(tuple(parts), term.loc)

    def ref(self, ref: Ref) -> Term:
        """A reference, its head resolved."""
        head = ref.terms[0]
        rest = tuple(self.term(part) for part in ref.terms[1:])
        if isinstance(head, Var):
            if head.name in DOCUMENTS and not any(
                head.name in scope.names or head.name in scope.later for scope in self.scopes
            ):
                self.reached.add(head.name)
                return Ref((head, *rest), ref.loc)
            found = self.variable(head)
            if not rest:
                return found
            return Ref((*found.terms, *rest), ref.loc) if isinstance(found, Ref) else Ref((found, *rest), ref.loc)
        return Ref((self.term(head), *rest), ref.loc)

    def is_hidden(self, op: Ref) -> bool:
        """Whether a variable hides a function."""
        head = op.terms[0]
        return isinstance(head, Var) and any(head.name in each.names or head.name in each.later for each in self.scopes)

    def operator(self, op: Ref) -> Ref:
        """The full path of a function; a built-in keeps its name."""
        head = op.terms[0]
        if isinstance(head, Var) and head.name == "data":
            self.reached.add(head.name)
        if not isinstance(head, Var) or head.name in {"data", "internal"}:
            return Ref((head, *map(self.term, op.terms[1:])), op.loc)
        self.reached.add(head.name)
        path = self.globals.get(head.name)
        return path_ref(path, op.loc, tuple(map(self.term, op.terms[1:]))) if path is not None else op
