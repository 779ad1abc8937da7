"""Nested syntax to flat bodies, in the stages of OPA's compiler: every call becomes an expression with an output
variable, template strings and ``print`` become internal calls, references in operand positions are hoisted. What runs
before an expression, and so may make it undefined, is decided here: ``not f(input.x)`` is false where ``input.x`` is
undefined, ``not input.x == 1`` is true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .errors import Location
from .locals import Names
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
    children,
    const_ref,
    dotted,
    must,
)

_INDIRECT = (Array, Object, SetLit, Comprehension, Call, Template)


def requires_eval(term: Term | None) -> bool:
    """Whether a term holds a reference or a comprehension."""
    if term is None or isinstance(term, Const | Var):
        return False
    if isinstance(term, Ref | Comprehension):
        return True
    return any(requires_eval(child) for child in children(term))


class Flattener:
    """Rewrites rules and queries after names are resolved. In rules ``==`` unifies (``equals``), in queries not."""

    def __init__(self, names: Names, *, equals: bool = True) -> None:
        self.names = names
        self.equals = equals

    def fresh(self, loc: Location) -> Var:
        """A variable of the compiler's."""
        return Var(self.names.fresh(), loc)

    def equation(self, term: Term, withs: tuple[With, ...] = ()) -> Expr:
        """``fresh = term``."""
        call = CallExpr(const_ref("eq", term.loc), (self.fresh(term.loc), term))
        return Expr(call, term.loc, withs=withs, generated=True)

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

    # -- calls become expressions ---------------------------------------------------------------------------------

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

    # -- values of with -------------------------------------------------------------------------------------------

    def with_values(self, body: Body, is_function: Callable[[With], bool]) -> Body:
        """Values of modifiers as variables, except the names of functions."""
        found: list[Expr] = []
        before: tuple[With, ...] = ()
        after: tuple[With, ...] = ()
        for each in body:
            expr = self.nested_with_values(each, is_function)
            if not expr.withs:
                found.append(expr)
                continue
            if expr.withs is not before:
                before, after = expr.withs, self.hoist_withs(expr.withs, is_function, found)
            found.append(replace(expr, withs=after))
        return tuple(found)

    def hoist_withs(
        self, withs: tuple[With, ...], is_function: Callable[[With], bool], found: list[Expr]
    ) -> tuple[With, ...]:
        """Modifiers with variables for values; the equations go to ``found``."""
        new: list[With] = []
        for modifier in withs:
            value, function = modifier.value, is_function(modifier)
            if requires_eval(value) and not function:
                equation = self.equation(value)
                found.append(equation)
                value = output(equation)
            new.append(With(modifier.target, value, modifier.loc, function))
        return tuple(new)

    def nested_with_values(self, expr: Expr, is_function: Callable[[With], bool]) -> Expr:
        """The bodies inside an expression have modifiers too."""
        node = expr.node
        if isinstance(node, Every | NotBody):
            return replace(expr, node=replace(node, body=self.with_values(node.body, is_function)))
        if isinstance(node, Logical):
            left, right = self.with_values(node.left, is_function), self.with_values(node.right, is_function)
            return replace(expr, node=replace(node, left=left, right=right))
        if isinstance(node, TermExpr):
            return replace(expr, node=TermExpr(self.with_values_in(node.term, is_function)))
        call = must(CallExpr, node)
        args = tuple(self.with_values_in(arg, is_function) for arg in call.args)
        return replace(expr, node=CallExpr(call.op, args))

    def with_values_in(self, term: Term, is_function: Callable[[With], bool]) -> Term:
        """The modifiers inside the comprehensions of a term."""
        if isinstance(term, Comprehension):
            return replace(term, body=self.with_values(term.body, is_function))
        if isinstance(term, Ref):
            return Ref(tuple(self.with_values_in(part, is_function) for part in term.terms), term.loc)
        if isinstance(term, Array):
            return Array(tuple(self.with_values_in(item, is_function) for item in term.items), term.loc)
        if isinstance(term, SetLit):
            return SetLit(tuple(self.with_values_in(item, is_function) for item in term.items), term.loc)
        if isinstance(term, Object):
            pairs = [
                (self.with_values_in(key, is_function), self.with_values_in(value, is_function))
                for key, value in term.pairs
            ]
            return Object(tuple(pairs), term.loc)
        return term

    # -- references become variables ------------------------------------------------------------------------------

    def hoist_body(self, body: Body) -> Body:
        """References and comprehensions in operand positions, bound to variables before their expression."""
        found: list[Expr] = []
        for expr in body:
            found.extend(self.hoist(expr))
        return tuple(found)

    def hoist(self, expr: Expr) -> list[Expr]:
        """One expression after safety: ``==`` unifies, operands are variables."""
        found: list[Expr] = []
        node = expr.node
        if isinstance(node, CallExpr):
            name = dotted(node.op)
            if self.equals and name == "equal" and len(node.args) == 2:
                node, name = CallExpr(const_ref("eq", node.op.loc), node.args), "eq"
            one = self.hoist_shallow if name == "eq" and len(node.args) == 2 else self.hoist_deep
            args = tuple(one(arg, expr, found) for arg in node.args)
            return [*found, replace(expr, node=CallExpr(node.op, args))]
        if isinstance(node, TermExpr):
            term = self.hoist_shallow(node.term, expr, found)
            return [*found, replace(expr, node=TermExpr(term))]
        if isinstance(node, Every):
            every = replace(node, domain=self.hoist_deep(node.domain, expr, found), body=self.hoist_body(node.body))
            return [*found, replace(expr, node=every)]
        if isinstance(node, NotBody):
            return [replace(expr, node=replace(node, body=self.hoist_body(node.body)))]
        logical = must(Logical, node)
        left, right = self.hoist_body(logical.left), self.hoist_body(logical.right)
        return [replace(expr, node=replace(logical, left=left, right=right))]

    def hoist_shallow(self, term: Term, expr: Expr, found: list[Expr]) -> Term:
        """An operand of ``=``, or a term that is an expression: it stays a reference, its own operands do not."""
        if isinstance(term, Ref):
            return Ref((term.terms[0], *[self.hoist_deep(part, expr, found) for part in term.terms[1:]]), term.loc)
        if isinstance(term, Comprehension):
            return replace(term, body=self.hoist_body(term.body))
        return self.hoist_deep(term, expr, found)

    def hoist_deep(self, term: Term, expr: Expr, found: list[Expr]) -> Term:
        """An operand as a variable or a constant, bound before the expression."""
        if isinstance(term, Ref | Comprehension):
            term = self.hoist_shallow(term, expr, found)
            equation = self.equation(term, expr.withs)
            found.append(equation)
            return output(equation)
        if isinstance(term, Array):
            return Array(tuple(self.hoist_deep(item, expr, found) for item in term.items), term.loc)
        if isinstance(term, SetLit):
            return SetLit(tuple(self.hoist_deep(item, expr, found) for item in term.items), term.loc)
        if isinstance(term, Object):
            pairs = [
                (self.hoist_deep(key, expr, found), self.hoist_deep(value, expr, found)) for key, value in term.pairs
            ]
            return Object(tuple(pairs), term.loc)
        return term


def output(expr: Expr) -> Var:
    """The variable that an equation made here binds."""
    return must(Var, must(CallExpr, expr.node).args[0])


def append(body: Body, extra: list[Expr]) -> Body:
    """The body with more expressions; a body that only says ``true`` gives way."""
    if not extra:
        return body
    if len(body) == 1 and body[0].generated and isinstance(body[0].node, TermExpr):
        return tuple(extra)
    return (*body, *extra)
