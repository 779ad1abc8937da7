"""Calls become expressions: every call gets an output variable, template strings and ``print`` become internal calls,
heads of rules keep variables and constants only. The first of the two flattening stages of OPA's compiler; it runs
before safety.
"""

from __future__ import annotations

from dataclasses import replace

from .equations import Equations, append, output, requires_eval
from .nodes import (
    Array,
    Body,
    Call,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Head,
    Logical,
    NotBody,
    Object,
    Ref,
    Rule,
    SetLit,
    Template,
    Term,
    TermExpr,
    Var,
    With,
    const_ref,
    dotted,
    must,
)

_INDIRECT = (Array, Object, SetLit, Comprehension, Call, Template)


class Expander(Equations):
    """Flattens the calls of rules and queries whose names are resolved."""

    # -- rules ----------------------------------------------------------------------------------------------------

    def rule(self, rule: Rule) -> Rule:
        """A rule (and its ``else`` branches) with a flat body and a head of variables and constants."""
        head, extra = self.head_ref(rule.head)
        body = append(rule.body, extra)
        args = head.args
        if args is not None:
            pairs = [self.expand_term(arg) for arg in args]
            args = tuple(term for _, term in pairs)
            body = append(body, [expr for support, _ in pairs for expr in support])
        key, body = self.head_term(head.key, body)
        value, body = self.head_term(head.value, body)
        body = self.expand_body(body)
        if key is not None and requires_eval(key):
            key, body = self.hoist_head(key, body)
        if value is not None and requires_eval(value):
            value, body = self.hoist_head(value, body)
        if args is not None and any(map(requires_eval, args)):
            hoisted: list[Term] = []
            for arg in args:
                new, body = self.hoist_head(arg, body) if requires_eval(arg) else (arg, body)
                hoisted.append(new)
            args = tuple(hoisted)
        new_head = Head(head.ref, args, key, value, head.loc)
        orelse = self.rule(rule.orelse) if rule.orelse is not None else None
        return replace(rule, head=new_head, body=body, orelse=orelse)

    def head_ref(self, head: Head) -> tuple[Head, list[Expr]]:
        """The head with variables for operands that are no scalars, and the equations that bind them."""
        extra: list[Expr] = []
        terms: list[Term] = [head.ref.terms[0]]
        for part in head.ref.terms[1:]:
            if isinstance(part, Const | Var):
                terms.append(part)
                continue
            expr = self.equation(part)
            extra.append(expr)
            terms.append(output(expr))
        return replace(head, ref=Ref(tuple(terms), head.ref.loc)), extra

    def head_term(self, term: Term | None, body: Body) -> tuple[Term | None, Body]:
        """A key or value of a head without calls, and the body that computes them."""
        if term is None:
            return None, body
        support, term = self.expand_term(term)
        return term, append(body, support)

    def hoist_head(self, term: Term, body: Body) -> tuple[Term, Body]:
        """A key or value of a head as a variable that the body binds."""
        expr = self.equation(term)
        return output(expr), append(body, [expr])

    # -- bodies ---------------------------------------------------------------------------------------------------

    def expand_body(self, body: Body) -> Body:
        """Every call in the body as an expression of its own."""
        found: list[Expr] = []
        for expr in body:
            found.extend(self.expand(expr))
        return tuple(found)

    def expand(self, expr: Expr) -> list[Expr]:
        """One expression and what must run before it."""
        before: list[Expr] = []
        withs: list[With] = []
        for modifier in expr.withs:
            support, value = ([], modifier.value) if modifier.function else self.expand_term(modifier.value)
            before += support
            withs.append(replace(modifier, value=value))
        expr = replace(expr, withs=tuple(withs))
        node = expr.node
        if isinstance(node, TermExpr):
            if isinstance(node.term, Template):
                node = TermExpr(self.template(node.term))
            support, term = self.expand_term(node.term)
            return [*before, *self.scoped(support, expr), replace(expr, node=TermExpr(term))]
        if isinstance(node, CallExpr):
            return [*before, *self.expand_call(expr, node)]
        if isinstance(node, Every):
            domain = self.fresh(node.domain.loc)
            first = Expr(CallExpr(const_ref("eq"), (domain, node.domain)), node.domain.loc, False, expr.withs)
            first.generated = True
            every = replace(node, domain=domain, body=self.expand_body(node.body))
            return [*before, *self.expand(first), replace(expr, node=every)]
        if isinstance(node, NotBody):
            return [*before, replace(expr, node=replace(node, body=self.expand_body(node.body)))]
        logical = must(Logical, node)
        logical = replace(logical, left=self.expand_body(logical.left), right=self.expand_body(logical.right))
        return [*before, replace(expr, node=logical)]

    @staticmethod
    def scoped(support: list[Expr], expr: Expr) -> list[Expr]:
        """Supporting expressions run under the modifiers of the expression they serve."""
        for each in support:
            if expr.withs:
                each.withs = expr.withs
        return support

    def expand_call(self, expr: Expr, node: CallExpr) -> list[Expr]:
        """A call after the calls in its arguments."""
        if dotted(node.op) == "print":
            node = CallExpr(const_ref("internal.print", node.op.loc), (self.print_args(node),))
        found: list[Expr] = []
        args: list[Term] = []
        for arg in node.args:
            support, term = self.expand_term(arg)
            found += self.scoped(support, expr)
            args.append(term)
        return [*found, replace(expr, node=CallExpr(node.op, tuple(args)))]

    # -- print and template strings -------------------------------------------------------------------------------

    def print_args(self, node: CallExpr) -> Array:
        """Each argument as a set of at most one value, so that an undefined one still prints."""
        return Array(tuple(self.optional(arg, ()) for arg in node.args), node.op.loc)

    def optional(self, term: Term, withs: tuple[With, ...]) -> Term:
        """``{x | x = term}``."""
        expr = self.equation(term, withs)
        return Comprehension("set", None, output(expr), (expr,), term.loc, closed=True)

    def template(self, term: Template) -> Call:
        """``internal.template_string`` of strings, constants and sets of at most one value."""
        items: list[Term] = []
        for part in term.parts:
            if isinstance(part, str):
                items.append(Const(part, term.loc))
            elif isinstance(part, Const):
                items.append(part)
            else:
                node = part.node
                inner: Term = Call(node.op, node.args, part.loc) if isinstance(node, CallExpr) else Const(None)
                if isinstance(node, TermExpr):
                    inner = node.term
                simple = isinstance(inner, Var) and not part.withs
                items.append(SetLit((inner,), inner.loc) if simple else self.optional(inner, part.withs))
        return Call(const_ref("internal.template_string", term.loc), (Array(tuple(items), term.loc),), term.loc)

    # -- terms ----------------------------------------------------------------------------------------------------

    def expand_term(self, term: Term) -> tuple[list[Expr], Term]:
        """What must run before a term, and the term without calls."""
        if isinstance(term, Const | Var):
            return [], term
        if isinstance(term, Template):
            term = self.template(term)
        if isinstance(term, Call):
            support, args = self.expand_terms(term.args)
            out = self.fresh(term.loc)
            call = Expr(CallExpr(term.op, (*args, out)), term.loc, generated=True)
            return [*support, call], out
        if isinstance(term, Ref):
            support, terms = self.expand_terms(term.terms)
            if isinstance(terms[0], _INDIRECT):
                expr = self.equation(terms[0])
                support.append(expr)
                terms = (output(expr), *terms[1:])
            elif isinstance(terms[0], Ref):
                terms = (*terms[0].terms, *terms[1:])
            return support, Ref(terms, term.loc)
        if isinstance(term, Array):
            support, items = self.expand_terms(term.items)
            return support, Array(items, term.loc)
        if isinstance(term, SetLit):
            support, items = self.expand_terms(term.items)
            return support, SetLit(items, term.loc)
        if isinstance(term, Object):
            support, flat = self.expand_terms(tuple(part for pair in term.pairs for part in pair))
            return support, Object(tuple(zip(flat[::2], flat[1::2], strict=True)), term.loc)
        return [], self.comprehension(term)

    def expand_terms(self, terms: tuple[Term, ...]) -> tuple[list[Expr], tuple[Term, ...]]:
        """`expand_term` for several terms."""
        support: list[Expr] = []
        found: list[Term] = []
        for term in terms:
            before, new = self.expand_term(term)
            support += before
            found.append(new)
        return support, tuple(found)

    def comprehension(self, term: Comprehension) -> Comprehension:
        """A comprehension whose body computes what its head needs."""
        body = term.body
        key = term.key
        if key is not None:
            support, key = self.expand_term(key)
            body = append(body, support)
        support, head = self.expand_term(term.head)
        body = self.expand_body(append(body, support))
        if key is not None and requires_eval(key):
            expr = self.equation(key)
            key, body = output(expr), append(body, [expr])
        if requires_eval(head):
            expr = self.equation(head)
            head, body = output(expr), append(body, [expr])
        return replace(term, key=key, head=head, body=body)
