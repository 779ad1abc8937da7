"""Recursion: no rule may depend on itself, whatever the data. A reference with a variable depends on every rule that
it could reach.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import errors
from .errors import RegoDiagnostic
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
    Rule,
    Term,
    Var,
    children,
)
from .tree import Node, RuleTree, all_nodes
from .values import key_of
from .variables import expr_terms


def check_recursion(tree: RuleTree, diagnostics: list[RegoDiagnostic]) -> None:
    """Report each cycle once, at its first rule."""
    nodes = list(all_nodes(tree.root))
    edges = {node.id: sorted({found.id for found in dependencies(tree, node)}) for node in nodes}
    by_id = {node.id: node for node in nodes}
    state: dict[int, int] = {}
    for node in nodes:
        cycle = _search(node.id, edges, state)
        if cycle:
            path = " -> ".join(by_id[each].name() for each in cycle)
            rule = by_id[cycle[0]].rules[0]
            message = f"rule {by_id[cycle[0]].name()} is recursive: {path}"
            diagnostics.append(RegoDiagnostic(errors.RECURSION, message, *rule.loc))
            return


def _search(start: int, edges: dict[int, list[int]], state: dict[int, int]) -> list[int]:
    """Depth first without Python's stack; the cycle found, or nothing. State: 1 on the path, 2 done."""
    if state.get(start):
        return []
    path: list[int] = [start]
    stack = [iter(edges[start])]
    state[start] = 1
    while stack:
        following = next(stack[-1], None)
        if following is None:
            stack.pop()
            state[path.pop()] = 2
        elif state.get(following) == 1:
            return [*path[path.index(following) :], following]
        elif not state.get(following):
            state[following] = 1
            path.append(following)
            stack.append(iter(edges[following]))
    return []


def dependencies(tree: RuleTree, node: Node) -> Iterator[Node]:
    """The rules that the rules of a node can read or call."""
    yield from node.parts
    for rule in node.rules:
        for ref in rule_refs(rule):
            yield from reachable(tree, ref)


def rule_refs(rule: Rule) -> Iterator[Ref]:
    """The references below ``data`` of a rule and its branches."""
    branch: Rule | None = rule
    while branch is not None:
        head = branch.head
        for term in (*head.ref.terms[1:], head.key, head.value, *(head.args or ())):
            if term is not None:
                yield from term_refs(term)
        yield from body_refs(branch.body)
        branch = branch.orelse


def body_refs(body: Body) -> Iterator[Ref]:
    """The references below ``data`` of a body."""
    for expr in body:
        yield from expr_refs(expr)


def expr_refs(expr: Expr) -> Iterator[Ref]:
    """The references below ``data`` of an expression: called functions, and what ``with`` replaces, included."""
    node = expr.node
    if isinstance(node, CallExpr):
        yield from term_refs(node.op)
    for term in expr_terms(expr):
        yield from term_refs(term)
    for modifier in expr.withs:
        yield from term_refs(modifier.target)
        yield from term_refs(modifier.value)
    if isinstance(node, Every | NotBody):
        yield from body_refs(node.body)
    elif isinstance(node, Logical):
        yield from body_refs(node.left)
        yield from body_refs(node.right)


def term_refs(term: Term) -> Iterator[Ref]:
    """The references below ``data`` inside a term."""
    if isinstance(term, Ref):
        head = term.terms[0]
        if isinstance(head, Var) and head.name == "data":
            yield term
    if isinstance(term, Comprehension):
        yield from body_refs(term.body)
        return
    for child in children(term):
        yield from term_refs(child)


def reachable(tree: RuleTree, ref: Ref) -> Iterator[Node]:
    """The nodes with rules that a reference can reach."""
    level = [tree.root]
    for term in ref.terms[1:]:
        following: list[Node] = []
        for node in level:
            if node.rules:
                yield node
            if isinstance(term, Const):
                child = node.children.get(key_of(term.value))
                following += [child] if child is not None else []
            else:
                following += node.children.values()
        level = following
    for node in level:
        yield from (each for each in node.walk() if each.rules)
