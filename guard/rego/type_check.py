"""Types where they are cheap: constants, literals and the answers of built-ins, against the operands of built-ins.
OPA infers more (types of rules, of inputs with schemas); what is left here is undefined at run time.
"""

from __future__ import annotations

from . import errors
from .builtins import BUILTINS
from .errors import RegoDiagnostic
from .nodes import (
    Array,
    Body,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Logical,
    Object,
    Ref,
    SetLit,
    Term,
    Var,
    dotted,
)
from .values import type_name
from .variables import expr_terms, expr_vars

_INFERRED = frozenset({"null", "boolean", "number", "string", "array", "object", "set"})


def check_types(body: Body, known: dict[str, str], diagnostics: list[RegoDiagnostic]) -> None:
    """Report operands that no run can accept; bodies of ``not`` are left alone, as in OPA. ``body`` stands in the order
    in which it is evaluated. ``known`` holds the types of variables bound outside, empty where they are not known."""
    types = dict(known)
    for expr in body:
        if not expr.negated and isinstance(expr.node, CallExpr):
            _learn(expr.node, types)
        # Only what binds a variable tells its type: later expressions compare it, and narrow nothing.
        for name in expr_vars(expr, set(), closures=False):
            types.setdefault(name, "")
    for expr in body:
        if isinstance(expr.node, CallExpr):
            _check_call(expr, expr.node, types, diagnostics)
        for term in expr_terms(expr):
            _check_nested(term, types, diagnostics)
        node = expr.node
        if isinstance(node, Every):
            check_types(node.body, types, diagnostics)
        elif isinstance(node, Logical):
            check_types(node.left, types, diagnostics)
            check_types(node.right, types, diagnostics)


def _check_nested(term: Term, types: dict[str, str], diagnostics: list[RegoDiagnostic]) -> None:
    if isinstance(term, Comprehension):
        check_types(term.body, types, diagnostics)
    elif isinstance(term, Ref) and isinstance(term.terms[0], Const):
        # ``some x in -1``
        message = f"match error: {type_name(term.terms[0].value)} has no members"
        diagnostics.append(RegoDiagnostic(errors.TYPE, message, *term.loc))


def _learn(node: CallExpr, types: dict[str, str]) -> None:
    """What an expression says about the variable that it binds."""
    name = dotted(node.op)
    if name == "eq" and len(node.args) == 2:
        for var, other in (node.args, node.args[::-1]):
            found = type_of(other, types)
            if isinstance(var, Var) and found:
                types.setdefault(var.name, found)
        return
    entry = BUILTINS.get(name)
    if entry is not None and len(node.args) == entry.arity + 1 and entry.result in _INFERRED:
        output = node.args[-1]
        if isinstance(output, Var) and not entry.relation:
            types.setdefault(output.name, entry.result)


def type_of(term: Term, types: dict[str, str]) -> str:
    """The type of a term; empty where it is not known."""
    if isinstance(term, Const):
        return type_name(term.value)
    if isinstance(term, Var):
        return types.get(term.name, "")
    if isinstance(term, Comprehension):
        return term.kind
    return {Array: "array", Object: "object", SetLit: "set"}.get(type(term), "")


def _check_call(expr: Expr, node: CallExpr, types: dict[str, str], diagnostics: list[RegoDiagnostic]) -> None:
    name = dotted(node.op)
    if name in {"eq", "equal"} and len(node.args) == 2:
        left, right = (type_of(arg, types) for arg in node.args)
        if left and right and left != right:
            diagnostics.append(RegoDiagnostic(errors.TYPE, f"match error: {left} is never {right}", *expr.loc))
        return
    entry = BUILTINS.get(name)
    if entry is None:
        return
    for arg, operand in zip(node.args, entry.operands, strict=False):
        found = type_of(arg, types)
        if found and operand.names != ("any",) and found not in operand.names:
            wanted = " | ".join(operand.names)
            message = f"{name}: invalid argument(s): {found} where {wanted} is wanted"
            diagnostics.append(RegoDiagnostic(errors.TYPE, message, *expr.loc))
            return
