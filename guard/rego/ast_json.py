"""A module's tree as OPA's JSON, which ``rego.parse_module`` answers. Locations are left out, as in OPA."""

from __future__ import annotations

import base64
from functools import cmp_to_key
from typing import Any

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
    Import,
    Logical,
    Module,
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
    const_ref,
    must,
)
from .values import compare, type_name


def _compare(left: Term, right: Term) -> int:
    """OPA's order of the members of a literal: constants by value, variables by name, the rest behind as it stands."""
    if isinstance(left, Const) and isinstance(right, Const):
        return compare(left.value, right.value)
    if isinstance(left, Var) and isinstance(right, Var):
        return (left.name > right.name) - (left.name < right.name)
    ranks = [0 if isinstance(term, Const) else 1 if isinstance(term, Var) else 2 for term in (left, right)]
    return ranks[0] - ranks[1]


_ORDER = cmp_to_key(_compare)


class _Writer:
    """Writes one module; wildcards are numbered as they are met."""

    def __init__(self) -> None:
        self.wildcards: dict[str, str] = {}

    # -- terms --------------------------------------------------------------------------------------------------------

    def term(self, term: Term) -> dict[str, Any]:
        """A term as ``{"type", "value"}``."""
        if isinstance(term, Const):
            return {"type": type_name(term.value), "value": {} if term.value is None else term.value}
        if isinstance(term, Var):
            return {"type": "var", "value": self.variable(term.name)}
        if isinstance(term, Ref):
            return {"type": "ref", "value": [self.term(part) for part in term.terms]}
        if isinstance(term, Call):
            return {"type": "call", "value": [self.term(term.op), *map(self.term, term.args)]}
        if isinstance(term, Array):
            return {"type": "array", "value": [self.term(item) for item in term.items]}
        if isinstance(term, SetLit):
            return {"type": "set", "value": [self.term(item) for item in sorted(term.items, key=_ORDER)]}
        if isinstance(term, Object):
            pairs = sorted(term.pairs, key=lambda pair: _ORDER(pair[0]))
            return {"type": "object", "value": [[self.term(key), self.term(value)] for key, value in pairs]}
        if isinstance(term, Comprehension):
            return self.comprehension(term)
        return self.template(term)

    def variable(self, name: str) -> str:
        """The name of a variable; wildcards are ``$0``, ``$1``."""
        if not name.startswith("$_"):
            return name
        return self.wildcards.setdefault(name, f"${len(self.wildcards)}")

    def comprehension(self, term: Comprehension) -> dict[str, Any]:
        """A comprehension of any kind."""
        value: dict[str, Any] = {}
        if term.key is not None:
            value = {"key": self.term(term.key), "value": self.term(term.head)}
        else:
            value = {"term": self.term(term.head)}
        value["body"] = self.body(term.body)
        return {"type": f"{term.kind}comprehension", "value": value}

    def template(self, term: Template) -> dict[str, Any]:
        """A template string: texts as terms, the rest as expressions."""
        parts: list[Any] = []
        for part in term.parts:
            if isinstance(part, str):
                parts.append({"type": "string", "value": part})
            else:
                parts.append(self.expr(part, 0) if isinstance(part, Expr) else self.term(part))
        return {
            "type": "templatestring",
            "value": {"multi_line": "\n" in "".join(map(str, term.parts)), "parts": parts},
        }

    # -- expressions --------------------------------------------------------------------------------------------------

    def body(self, body: Body) -> list[dict[str, Any]]:
        """The expressions of a body."""
        return [self.expr(expr, index) for index, expr in enumerate(body)]

    def expr(self, expr: Expr, index: int) -> dict[str, Any]:
        """One expression."""
        found: dict[str, Any] = {"index": index, "terms": self.terms(expr.node)}
        if expr.negated:
            found["negated"] = True
        if expr.withs:
            found["with"] = [
                {"target": _as_ref(self.term(each.target)), "value": self.term(each.value)} for each in expr.withs
            ]
        return found

    def terms(self, node: ExprNode) -> Any:
        """What an expression says."""
        if isinstance(node, TermExpr):
            return self.term(node.term)
        if isinstance(node, CallExpr):
            return [self.term(node.op), *map(self.term, node.args)]
        if isinstance(node, SomeDecl):
            return {"symbols": [self.term(name) for name in node.names]}
        if isinstance(node, SomeIn):
            members = [node.value, node.domain] if node.key is None else [node.key, node.value, node.domain]
            op = const_ref(f"internal.member_{len(members)}")
            return {"symbols": [self.term(Call(op, tuple(members)))]}
        if isinstance(node, Every):
            key = self.term(node.key) if node.key is not None else None
            domain, value = self.term(node.domain), self.term(node.value)
            return {"key": key, "value": value, "domain": domain, "body": self.body(node.body)}
        if isinstance(node, NotBody):
            return {"body": self.body(node.body)}
        logical = must(Logical, node)
        return {logical.op: [self.body(logical.left), self.body(logical.right)]}

    # -- rules --------------------------------------------------------------------------------------------------------

    def rule(self, rule: Rule) -> dict[str, Any]:
        """A rule with its branches."""
        found: dict[str, Any] = {"head": self.head(rule.head), "body": self.body(rule.body)}
        if rule.default:
            found["default"] = True
        if rule.orelse is not None:
            found["else"] = self.rule(rule.orelse)
        return found

    def head(self, head: Head) -> dict[str, Any]:
        """The head of a rule."""
        ref = head.ref.terms
        found: dict[str, Any] = {"ref": [self.term(part) for part in ref]}
        if len(ref) == 1 or (len(ref) == 2 and head.key is None):
            found["name"] = must(Var, ref[0]).name
        if len(ref) == 2 and head.key is None:
            found["key"] = self.term(ref[1])
        if head.args:
            found["args"] = [self.term(arg) for arg in head.args]
        if head.key is not None:
            found["key"] = self.term(head.key)
        if head.value is not None:
            found["value"] = self.term(head.value)
        if head.assigned:
            found["assign"] = True
        return found

    def module(self, module: Module) -> dict[str, Any]:
        """A whole module; what it lacks is left out."""
        path: list[Term] = [Var("data"), *[Const(part) for part in module.package]]
        found: dict[str, Any] = {"package": {"path": [self.term(part) for part in path]}}
        if module.imports:
            found["imports"] = [self.imported(each) for each in module.imports]
        if module.rules:
            found["rules"] = [self.rule(rule) for rule in module.rules]
        if module.comments:
            found["comments"] = [_comment(module.file, *each) for each in module.comments]
        return found

    def imported(self, each: Import) -> dict[str, Any]:
        """One import."""
        found: dict[str, Any] = {"path": self.term(each.path)}
        if each.alias:
            found["alias"] = each.alias
        return found


def _as_ref(term: dict[str, Any]) -> dict[str, Any]:
    return term if term["type"] == "ref" else {"type": "ref", "value": [term]}


def _comment(file: str, row: int, col: int, text: str) -> dict[str, Any]:
    encoded = base64.b64encode(text.encode()).decode()
    return {"Text": encoded, "Location": {"file": file, "row": row, "col": col}}


def module_json(module: Module) -> dict[str, Any]:
    """The tree of a module. Raises TypeError for what no module holds."""
    return _Writer().module(module)
