"""The tree of virtual documents: which rules stand at which path below ``data``, and whether they can live together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import errors
from .errors import RegoDiagnostic
from .nodes import Const, Module, Ref, Rule, Var, must
from .values import key_of, value_of

COMPLETE, SET, OBJECT, FUNCTION = "complete", "set", "object", "function"


class Node:
    """A path. ``rules`` define a document (or function) here; ``children`` are longer paths, by key form.

    ``id`` names the generated functions. A document whose heads have variables takes in what is defined below it:
    ``parts`` are the complete rules of longer paths, other rules below are among its own.
    """

    __slots__ = ("children", "id", "kind", "parts", "path", "rules")

    def __init__(self, path: tuple[Any, ...], number: int) -> None:
        self.path = path
        self.id = number
        self.children: dict[Any, Node] = {}
        self.rules: list[Rule] = []
        self.kind = ""
        self.parts: list[Node] = []

    @property
    def is_document(self) -> bool:
        """Whether rules give this path a value."""
        return bool(self.rules) and self.kind != FUNCTION

    def walk(self) -> Iterator[Node]:
        """The node itself and all below, parents first."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def name(self) -> str:
        """``data.a.b`` for messages."""
        return "data" + "".join(f".{part}" if isinstance(part, str) else f"[{value_of(part)!r}]" for part in self.path)


def rule_kind(rule: Rule) -> str:
    """How a rule defines its path."""
    if rule.head.args is not None:
        return FUNCTION
    if any(isinstance(term, Var) for term in rule.head.ref.terms[1:]):
        return OBJECT
    return SET if rule.head.key is not None else COMPLETE


def ground_path(rule: Rule) -> tuple[Any, ...]:
    """The path of a rule up to its first variable, in key form, without ``data``."""
    head = must(Var, rule.head.ref.terms[0])
    path: list[Any] = [*rule.package, head.name]
    for term in rule.head.ref.terms[1:]:
        if not isinstance(term, Const):
            break
        path.append(key_of(term.value))
    return tuple(path)


def _take_in(node: Node) -> None:
    """Make a document with variable heads the only one of its extent."""
    below = [each for each in node.walk() if each is not node and each.rules]
    node.children = {}
    for each in below:
        if each.kind == COMPLETE:
            node.parts.append(each)
        else:
            node.rules.extend(each.rules)


def all_nodes(root: Node) -> Iterator[Node]:
    """Every node with rules, the parts of documents before the documents."""
    for node in root.walk():
        yield from node.parts
        if node.rules:
            yield node


class RuleTree:
    """All rules of a program by path; ``bodies`` are they and their ``else`` branches by number."""

    def __init__(self) -> None:
        self.count = 0
        self.bodies: list[Rule] = []
        self.root = self.make(())

    def make(self, path: tuple[Any, ...]) -> Node:
        """A node with an id of its own."""
        self.count += 1
        return Node(path, self.count)

    def add(self, rule: Rule) -> None:
        """Put a rule at its path, and number its bodies."""
        branch: Rule | None = rule
        while branch is not None:
            branch.number = len(self.bodies)
            self.bodies.append(branch)
            branch = branch.orelse
        self._path(ground_path(rule)).rules.append(rule)

    def _path(self, path: tuple[Any, ...]) -> Node:
        """The node of a path, made where it is missing."""
        node = self.root
        for part in path:
            child = node.children.get(part)
            if child is None:
                child = node.children[part] = self.make((*node.path, part))
            node = child
        return node

    def find(self, path: Iterable[Any]) -> Node | None:
        """The node of a path, or None."""
        node: Node | None = self.root
        for part in path:
            node = node.children.get(part) if node is not None else None
        return node

    def is_base(self, ref: Ref) -> bool:
        """Whether a reference without variables below ``data`` meets no rule and no package."""
        node: Node = self.root
        for part in ref.terms[1:]:
            child = node.children.get(key_of(must(Const, part).value))
            if child is None:
                return not node.rules
            node = child
        return False

    def function(self, path: tuple[str, ...]) -> Node | None:
        """The function at a path, or None."""
        node = self.find(path)
        return node if node is not None and node.kind == FUNCTION else None

    def check(self, modules: list[Module], diagnostics: list[RegoDiagnostic]) -> None:
        """Decide every node's kind; report rules that cannot share a path."""
        for module in modules:
            self._path(module.package)
        for node in list(self.root.walk()):
            if node.rules:
                self._check_node(node, diagnostics)
        if not diagnostics:
            for node in self.root.walk():
                if node.kind == OBJECT:
                    _take_in(node)
        self._check_packages(modules, diagnostics)

    def _check_node(self, node: Node, diagnostics: list[RegoDiagnostic]) -> None:
        kinds = {rule_kind(rule) for rule in node.rules}
        first = node.rules[0]
        node.kind = OBJECT if OBJECT in kinds else rule_kind(first)
        arities = {len(rule.head.args or ()) for rule in node.rules}
        name = node.name()
        below = [child.name() for child in node.walk() if child.rules and child is not node]
        if (below and kinds != {OBJECT}) or (
            below and any(child.rules and rule_kind(child.rules[0]) == FUNCTION for child in node.walk())
        ):
            found = f"rule {name} conflicts with [{' '.join(below)}]"
            diagnostics.append(RegoDiagnostic(errors.TYPE, found, *first.loc))
        elif len(kinds) > 1 or len(arities) > 1 or (kinds == {OBJECT} and self._mixed(node)):
            diagnostics.append(RegoDiagnostic(errors.TYPE, f"conflicting rules {name} found", *first.loc))
        defaults = [rule for rule in node.rules if rule.default]
        if len(defaults) > 1:
            found = f"multiple default rules {name} found"
            diagnostics.append(RegoDiagnostic(errors.TYPE, found, *defaults[1].loc))

    @staticmethod
    def _mixed(node: Node) -> bool:
        return len({rule.head.key is not None for rule in node.rules}) > 1

    def _check_packages(self, modules: list[Module], diagnostics: list[RegoDiagnostic]) -> None:
        for module in modules:
            node: Node = self.root
            for part in module.package:
                child = node.children.get(part)
                if child is None:
                    break
                node = child
                if node.rules and any(len(ground_path(rule)) == len(node.path) for rule in node.rules):
                    rule = node.rules[0]
                    if rule_kind(rule) != OBJECT and rule.package != module.package:
                        text = f"package {'.'.join(module.package)} conflicts with rule {node.name()}"
                        diagnostics.append(RegoDiagnostic(errors.TYPE, text, *module.package_loc))
                        break
