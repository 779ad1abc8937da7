"""Source for bodies: each kind of expression, nested bodies as inner functions."""

from __future__ import annotations

from collections.abc import Callable

from .gen_calls import CallWriter
from .gen_terms import is_lookup
from .nodes import (
    Array,
    Body,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Logical,
    NotBody,
    Object,
    Ref,
    Term,
    TermExpr,
    Var,
    With,
    dotted,
    given,
    must,
)
from .tree import RuleTree
from .variables import term_vars


class BodyWriter(CallWriter):
    """Writes flat bodies. ``traced`` asks for coverage."""

    def __init__(self, tree: RuleTree, replaceable: frozenset[str], *, traced: bool) -> None:
        super().__init__(tree, replaceable)
        self.traced = traced
        self.shared: tuple[tuple[With, ...], str] | None = None

    def body(self, body: Body, success: Callable[[], None]) -> None:
        """The expressions in order, then what a solution does."""
        for expr in body:
            self.expression(expr)
        success()

    def inner(self, header: str, body: Body, success: Callable[[], None], *, searching: bool) -> None:
        """A nested body as a function of its own; what it binds stays inside."""
        bound, self.bound = self.bound, dict(self.bound)
        known, self.known = self.known, dict(self.known)
        shared, self.shared = self.shared, None
        with self.function(header, "return U" if searching else "return", searching=searching):
            self.body(body, success)
        self.bound, self.known, self.shared = bound, known, shared

    def search(self, body: Body, arguments: str = "") -> str:
        """A function that answers ``True`` where a body has a solution and ``U`` where not. Returns its name."""
        name = self.name("s")
        self.inner(f"{name}({arguments})", body, lambda: self.line("return True"), searching=True)
        return name

    # -- expressions ----------------------------------------------------------------------------------------------

    def expression(self, expr: Expr) -> None:
        """One expression under its modifiers."""
        if self.traced and expr.loc.row and not expr.generated:
            self.line(f"ctx.trace.cover({self.location(expr.loc)})")
        if not expr.withs:
            self.plain(expr)
            return
        outer = self.context
        self.context = self.under(expr.withs)
        self.plain(expr)
        self.context = outer

    def under(self, withs: tuple[With, ...]) -> str:
        """A context with replaced documents or functions; expressions expanded from one share it."""
        if self.shared is not None and self.shared[0] is withs:
            return self.shared[1]
        changes = [self.change(each) for each in withs]
        name = self.name("c")
        self.line(f"{name} = {self.context}.changed(({', '.join(changes)},))")
        self.shared = (withs, name)
        return name

    def change(self, each: With) -> str:
        """One modifier as an argument of `Context.changed`."""
        target = each.target
        head = must(Var, target.terms[0] if isinstance(target, Ref) else target)
        name = dotted(target) if isinstance(target, Ref) else head.name
        if name in self.replaceable:
            return f"('function', ({name!r},), {self.function_value(each.value)})"
        path = ", ".join(map(self.key, must(Ref, target).terms[1:]))
        return f"({head.name!r}, ({path}{',' if path else ''}), {self.value(each.value)})"

    def function_value(self, value: Term) -> str:
        """A mock: the name of a function, or a value that every call answers."""
        return f"FunctionValue({self.callee(value)[0]})" if isinstance(value, Ref) else self.value(value)

    def plain(self, expr: Expr) -> None:
        """An expression, its modifiers applied."""
        node = expr.node
        if expr.negated:
            self.negated(expr)
        elif isinstance(node, TermExpr):
            self.truth(node.term)
        elif isinstance(node, CallExpr):
            if dotted(node.op) == "eq" and len(node.args) == 2:
                self.unify(node.args[0], node.args[1])
            else:
                self.call(node, expr)
        elif isinstance(node, Every):
            self.every(node)
        elif isinstance(node, NotBody):
            name = self.search(node.body)
            self.fail_if(f"{name}() is not U")
        else:
            logical = must(Logical, node)
            left, right = self.search(logical.left), self.search(logical.right)
            both = "or" if logical.op == "and" else "and"
            self.fail_if(f"{left}() is U {both} {right}() is U")

    def truth(self, term: Term) -> None:
        """A term as a condition: defined and not false."""
        if isinstance(term, Const):
            if term.value is False:
                self.line(f"if True: {self.miss()}")
            return
        found, maybe = self.compute(term) if is_lookup(term) else (self.value(term), False)
        self.fail_if(f"{found} is False or {found} is U" if maybe else f"{found} is False")

    def negated(self, expr: Expr) -> None:
        """``not``: all variables are bound, so a search that finds nothing is the answer."""
        node = expr.node
        if isinstance(node, TermExpr) and isinstance(node.term, Ref) and self.is_bound(node.term):
            found, _ = self.ref(node.term)
            self.fail_if(f"{found} is not U and {found} is not False")
            return
        if isinstance(node, CallExpr) and dotted(node.op) != "eq" and self.is_single(node):
            found = self.result(node, expr)
            self.fail_if(f"{found} is not U and {found} is not False")
            return
        positive = Expr(node, expr.loc, generated=True)
        context = self.context
        name = self.search((positive,))
        self.context = context
        self.fail_if(f"{name}() is not U")

    # -- equations ------------------------------------------------------------------------------------------------

    def compute(self, term: Term) -> tuple[str, bool]:
        """The value of a reference or a comprehension, and whether it can be ``U``."""
        if isinstance(term, Ref):
            return self.ref(term)
        return self.comprehension(must(Comprehension, term)), False

    def defined(self, term: Term) -> str:
        """The value of a reference or a comprehension; fails where it is undefined."""
        found, maybe = self.compute(term)
        if maybe:
            self.fail_if(f"{found} is U")
        return found

    def unify(self, left: Term, right: Term) -> None:
        """``left = right``."""
        if is_lookup(right) and not is_lookup(left):
            left, right = right, left
        if is_lookup(left):
            if isinstance(right, Const) and (type(right.value) in {str, bool} or right.value is None):
                self.match_constant(right.value, self.compute(left)[0])
                return
            found = self.defined(left)
            if is_lookup(right):
                self.fail_if(f"not equal({found}, {self.defined(right)})")
            else:
                self.match(right, found)
            return
        pairs = [(left, right)]
        while pairs:
            position = next((at for at, pair in enumerate(pairs) if any(map(self.is_bound, pair))), None)
            if position is None:
                one, two = pairs.pop(0)
                pairs = [*self.split_pair(one, two), *pairs]
                continue
            one, two = pairs.pop(position)
            if not self.is_bound(one):
                one, two = two, one
            self.match_value(one, two)

    def match_value(self, known: Term, pattern: Term) -> None:
        """A term whose variables are bound against a pattern."""
        if isinstance(known, Const) and isinstance(pattern, Var) and pattern.name in self.bound:
            self.match_constant(known.value, self.bound[pattern.name])
            return
        if isinstance(known, Var):
            self.match(pattern, self.bound[known.name])
            return
        found = self.name()
        self.line(f"{found} = {self.value(known)}")
        self.match(pattern, found)

    def split_pair(self, left: Term, right: Term) -> list[tuple[Term, Term]]:
        """Two patterns of one shape, part by part."""
        if isinstance(left, Array) and isinstance(right, Array) and len(left.items) == len(right.items):
            return list(zip(left.items, right.items, strict=True))
        if isinstance(left, Object) and isinstance(right, Object) and len(left.pairs) == len(right.pairs):
            others = {key.value: value for key, value in right.pairs if isinstance(key, Const)}
            keys = [key.value for key, _ in left.pairs if isinstance(key, Const)]
            if len(keys) == len(left.pairs) and all(key in others for key in keys):
                return [(value, others[key.value]) for key, value in left.pairs if isinstance(key, Const)]
        self.line(f"if True: {self.miss()}")
        for term in (left, right):
            for name in self.free(term):
                self.bound[name] = "None"
        return []

    def free(self, term: Term) -> list[str]:
        """The variables of a term that have no value yet."""
        return [name for name in term_vars(term, set(), closures=False) if name not in self.bound]

    # -- nested bodies --------------------------------------------------------------------------------------------

    def every(self, node: Every) -> None:
        """``every``: the body as a function that must hold for each item."""
        key, value = self.name(), self.name()
        bound = dict(self.bound)
        if node.key is not None:
            self.bound[node.key.name] = key
        self.bound[node.value.name] = value
        holds = self.search(node.body, f"{key}, {value}")
        self.bound = bound
        self.fail_if(f"not every({self.context}, {self.value(node.domain)}, {holds})")

    def comprehension(self, term: Comprehension) -> str:
        """The collection, as a name."""
        found, name = self.name(), self.name("m")
        start = {"array": "[]", "set": "set()", "object": "{}"}[term.kind]
        self.line(f"{found} = {start}")

        def success() -> None:
            if term.kind == "array":
                self.line(f"{found}.append({self.value(term.head)})")
            elif term.kind == "set":
                self.line(f"{found}.add({self.key(term.head)})")
            else:
                where = self.location(term.loc)
                self.line(f"put({found}, {self.value(given(term.key))}, {self.value(term.head)}, {where})")

        self.inner(f"{name}()", term.body, success, searching=False)
        self.line(f"{name}()")
        if term.kind == "set":
            self.line(f"{found} = Set({found})")
        return found
