"""What generated modules touch: built-ins by name, and the kinds of nodes of the syntax tree."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

from guard import rego
from guard.rego import nodes
from guard.rego.parser import parse_module

from .dice import Dice
from .rules import module


def touched(modules: int, seed: int) -> Counter[str]:
    """How often each built-in, kind of node, and modifier occurs in so many modules; those with a fault left out."""
    found: Counter[str] = Counter()
    for number in range(modules):
        source = module(Dice(random.Random(f"{seed}/{number}").randrange)).source
        try:
            tree = parse_module("g.rego", source)
        except rego.CompileError:
            continue
        _count(tree, found)
    return found


def _count(node: object, found: Counter[str]) -> None:
    if isinstance(node, tuple | list):
        for item in node:
            _count(item, found)
    if not dataclasses.is_dataclass(node) or isinstance(node, type):
        return
    found[type(node).__name__] += 1
    for name in _features(node):
        found[name] += 1
    for each in dataclasses.fields(node):
        _count(getattr(node, each.name), found)


def _features(node: object) -> list[str]:
    """What tells nodes of one kind apart."""
    if isinstance(node, nodes.Call | nodes.CallExpr):
        return [nodes.dotted(node.op)]
    if isinstance(node, nodes.Comprehension):
        return [f"{node.kind} comprehension"]
    if isinstance(node, nodes.Every | nodes.SomeIn):
        return [f"{type(node).__name__} with a key"] if node.key is not None else []
    if isinstance(node, nodes.Expr):
        return ["not"] * node.negated + ["several with"] * (len(node.withs) > 1)
    if isinstance(node, nodes.With) and isinstance(node.target, nodes.Ref):
        return [f"with {nodes.dotted(node.target).partition('.')[0]}"]
    if isinstance(node, nodes.Rule):
        branches = ["else", "else of an else"] if node.orelse and node.orelse.orelse else ["else"] * bool(node.orelse)
        return branches + ["default"] * node.default
    return []
