"""Ad-hoc queries: compiled like the body of a rule, and captured so that each expression shows its value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .builtins import BUILTINS
from .compiler import Checked, Compiler
from .expand import Expander
from .gen_rules import Captured, RuleWriter
from .hoist import Hoister
from .locals import LocalNames
from .nodes import (
    Body,
    CallExpr,
    Comprehension,
    Const,
    Expr,
    Ref,
    SomeDecl,
    SomeIn,
    Term,
    TermExpr,
    Var,
    children,
    const_ref,
    dotted,
)
from .parser import parse_query
from .runtime import Budget
from .scopes import Scope, declared_in
from .show import ordered, to_json
from .variables import body_vars, expr_terms


class QueryPlan:
    """A query checked against a program. ``replaceable`` names functions that its ``with`` replaces."""

    def __init__(self, checked: Checked, text: str) -> None:
        self.source = parse_query(text)
        compiler = Compiler(checked.capabilities, checked.tree)
        compiler.names.count = checked.names.count
        compiler.calls.replaceable = set(checked.replaceable)
        self.values: list[str | None] = []
        captured = self.capture(self.source, compiler)
        local = LocalNames({}, compiler.names, compiler.diagnostics, BUILTINS)
        local.scopes = [Scope(set()), Scope(declared_in(captured))]
        named = local.expressions(captured, used=body_vars(captured, set()))
        compiler.stop_on_errors()
        hoister = Hoister(compiler.names, equals=False)
        expanded = Expander(compiler.names).expand_body(named)
        flat = hoister.with_values(expanded, compiler.calls.is_function_value)
        self.body = compiler.body(flat, set(), hoister)
        compiler.stop_on_errors()
        compiler.stop_on_types()
        self.replaceable = frozenset(compiler.calls.replaceable)
        shown = [(compiler.names.shown(name), name) for name in sorted(body_vars(named, set(), closures=False))]
        self.captured = Captured(self.values, [(label, name) for label, name in shown if label and label != "_"])

    def capture(self, body: Body, compiler: Compiler) -> Body:
        """Each expression that has a value hands it to a variable; where there can be several solutions or several
        expressions, false ones fail."""
        checked = len(body) > 1 or any(map(iterates, body))
        found: list[Expr] = []
        after: list[Expr] = []
        for expr in body:
            node = expr.node
            var = Var(compiler.names.fresh(), expr.loc)
            new = expr
            if not expr.negated and isinstance(node, TermExpr):
                new = replace(expr, node=CallExpr(const_ref("eq", expr.loc), (node.term, var)))
            elif not expr.negated and isinstance(node, CallExpr) and self.has_value(node, compiler):
                new = replace(expr, node=CallExpr(node.op, (*node.args, var)))
            found.append(new)
            self.values.append(var.name if new is not expr else None)
            if new is not expr and checked:
                after.append(Expr(TermExpr(var), expr.loc, generated=True))
        return (*found, *after)

    @staticmethod
    def has_value(node: CallExpr, compiler: Compiler) -> bool:
        """Whether a call answers something that a query shows."""
        name = dotted(node.op)
        return name not in {"eq", "assign", "print", "walk"} and compiler.calls.arity(node.op) == len(node.args)

    def write(self, writer: RuleWriter) -> None:
        """The query as a function named ``q``."""
        writer.query("q", self.body, self.captured)

    def result(self, values: list[Any], bindings: dict[str, Any], budget: Budget, *, exact: bool) -> dict[str, Any]:
        """One solution as OPA's API shows it."""
        expressions = [
            {
                "value": ordered(to_json(value, exact=exact, budget=budget)),
                "text": expr.text,
                "location": {"row": expr.loc.row, "col": expr.loc.col},
            }
            for expr, value in zip(self.source, values, strict=True)
        ]
        found: dict[str, Any] = {"expressions": expressions}
        if bindings:
            found["bindings"] = {
                name: ordered(to_json(bindings[name], exact=exact, budget=budget)) for name in sorted(bindings)
            }
        return found


def iterates(expr: Expr) -> bool:
    """Whether an expression can have several solutions."""
    if isinstance(expr.node, SomeDecl | SomeIn):
        return True
    return any(map(_iterates_in, expr_terms(expr)))


def _iterates_in(term: Term) -> bool:
    if isinstance(term, Comprehension):
        return False
    if isinstance(term, Ref) and any(not isinstance(part, Const) for part in term.terms[1:]):
        return True
    return any(map(_iterates_in, children(term)))
