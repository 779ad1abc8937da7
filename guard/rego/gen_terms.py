"""Source for terms: values, references and the matching of patterns against values."""

from __future__ import annotations

from typing import Any

from .emit import Emitter
from .nodes import Array, Comprehension, Const, Object, Ref, SetLit, Term, Var, must
from .tree import FUNCTION, Node, RuleTree
from .values import Set, key_of, make_object
from .variables import term_vars

_SIMPLE_CONSTANTS = (str, int, bool, type(None))


class TermWriter(Emitter):
    """Writes terms of flat bodies. ``bound`` maps variables to Python names, ``known`` what was looked up already;
    ``uses`` counts the mentions of variables."""

    def __init__(self, tree: RuleTree) -> None:
        super().__init__()
        self.tree = tree
        self.bound: dict[str, str] = {}
        self.known: dict[tuple[str, str], str] = {}
        self.uses: dict[str, int] = {}
        self.context = "ctx"

    # -- values ---------------------------------------------------------------------------------------------------

    def is_bound(self, term: Term) -> bool:
        """Whether every variable of a term has a value."""
        return all(name in self.bound for name in term_vars(term, set(), closures=False))

    def value(self, term: Term) -> str:
        """A Python expression for a term of constants and bound variables."""
        if isinstance(term, Const):
            return self.literal(term.value)
        if isinstance(term, Var):
            return self.bound[term.name]
        ground = constant_value(term)
        if ground is not None:
            return self.constant(ground[0])
        if isinstance(term, Array):
            return "[" + ", ".join(map(self.value, term.items)) + "]"
        if isinstance(term, SetLit):
            return "Set({" + ", ".join(map(self.key, term.items)) + "})"
        # Of two entries with one key the last stands, and OPA sorts the constant keys to the front.
        pairs = sorted(must(Object, term).pairs, key=lambda pair: not isinstance(pair[0], Const))
        return "{" + ", ".join(f"{self.key(key)}: {self.value(value)}" for key, value in pairs) + "}"

    def literal(self, value: Any) -> str:
        """A scalar in Python's notation."""
        if type(value) is int and value.bit_length() > 64:
            return self.constant(value)
        return repr(value) if type(value) in _SIMPLE_CONSTANTS else self.constant(value)

    def key(self, term: Term) -> str:
        """A Python expression for a term in key form."""
        if isinstance(term, Const):
            held = key_of(term.value)
            return self.literal(held) if held is term.value else self.constant(held)
        return f"key_of({self.value(term)})"

    # -- references -----------------------------------------------------------------------------------------------

    def ref(self, ref: Ref) -> tuple[str, bool]:
        """Statements that look a reference up, iterating over operands that are not bound. Returns the name of the
        value and whether that can still be ``U``."""
        head = must(Var, ref.terms[0])
        if head.name == "data" and "data" not in self.bound:
            return self.data_ref(ref)
        if head.name == "input" and "input" not in self.bound:
            return self.operands(self.root("input"), ref.terms[1:], maybe=True)
        return self.operands(self.bound[head.name], ref.terms[1:], maybe=False)

    def root(self, name: str) -> str:
        """The input, or base data, of the current context."""
        found = self.known.get((self.context, name))
        if found is None:
            found = self.known[self.context, name] = self.name()
            self.line(f"{found} = {self.context}.{name}")
        return found

    def operands(
        self, current: str, terms: tuple[Term, ...], *, maybe: bool, virtual: bool = False, index: str = "index"
    ) -> tuple[str, bool]:
        """Walk down from a value."""
        for term in terms:
            if isinstance(term, Const) and type(term.value) is str and not virtual:
                current, maybe = self.member(current, term.value), True
            elif self.is_bound(term):
                found = self.name()
                self.line(f"{found} = {index}({current}, {self.value(term)})")
                current, maybe = found, True
            else:
                if maybe:  # Nothing to iterate over, and cheaper said here than by a call.
                    self.fail_if(f"{current} is U")
                current, maybe = self.iterate(current, term), False
        if virtual:
            found = self.name()
            self.line(f"{found} = whole({current})")
            return found, True
        return current, maybe

    def member(self, current: str, key: str) -> str:
        """The value at a key of a value, looked up once in a body."""
        found = self.known.get((current, key))
        if found is None:
            found = self.known[current, key] = self.name()
            self.line(f"{found} = {current}.get({key!r}, U) if type({current}) is dict else index({current}, {key!r})")
        return found

    def is_ignored(self, term: Term) -> bool:
        """Whether an operand is a free variable that nothing else mentions: its key need not be computed."""
        return isinstance(term, Var) and term.name not in self.bound and self.uses.get(term.name, 0) <= 1

    def iterate(self, current: str, term: Term) -> str:
        """A loop over a collection that binds an operand."""
        found = self.name()
        if self.is_ignored(term):
            self.loop(f"for {found} in each_value({self.context}, {current}):")
            self.bound[must(Var, term).name] = found
            return found
        key = self.name()
        self.loop(f"for {key}, {found} in each_item({self.context}, {current}):")
        self.match(term, key)
        return found

    def data_ref(self, ref: Ref) -> tuple[str, bool]:
        """A reference below ``data``: rules where the tree has them, base data elsewhere."""
        node: Node = self.tree.root
        depth = 1
        while depth < len(ref.terms):
            part = ref.terms[depth]
            child = node.children.get(key_of(part.value)) if isinstance(part, Const) else None
            if child is None:
                break
            node = child
            depth += 1
        rest = ref.terms[depth:]
        current = self.name()
        if node.is_document:
            self.line(f"{current} = v{node.id}({self.context})")
            return self.operands(current, rest, maybe=True)
        if node.kind == FUNCTION:
            self.line(f"{current} = U")
            return current, True
        if rest and isinstance(rest[0], Const) and not node.rules and key_of(rest[0].value) not in node.children:
            return self.operands(self.root("data"), ref.terms[1:], maybe=True, index="base_index")
        if len(rest) > 1 and self.is_ignored(rest[0]) and isinstance(rest[1], Const) and type(rest[1].value) is str:
            self.loop(f"for {current} in each_below({self.context}, {self.constant(node)}, {rest[1].value!r}):")
            self.bound[must(Var, rest[0]).name] = current
            return self.operands(current, rest[2:], maybe=False, virtual=True)
        self.line(f"{current} = Virtual.at({self.context}, {self.constant(node)})")
        return self.operands(current, rest, maybe=False, virtual=True)

    # -- matching -------------------------------------------------------------------------------------------------

    def match(self, pattern: Term, value: str) -> None:
        """Fail unless a value (never ``U``) matches a pattern; binds the pattern's free variables."""
        if isinstance(pattern, Const):
            self.match_constant(pattern.value, value)
        elif isinstance(pattern, Var):
            known = self.bound.get(pattern.name)
            if known is None:
                self.bound[pattern.name] = value
            elif known != value:
                self.fail_if(f"not equal({known}, {value})")
        elif self.is_bound(pattern):
            self.fail_if(f"not equal({self.value(pattern)}, {value})")
        elif isinstance(pattern, Array):
            self.fail_if(f"type({value}) is not list or len({value}) != {len(pattern.items)}")
            for position, item in enumerate(pattern.items):
                found = self.name()
                self.line(f"{found} = {value}[{position}]")
                self.match(item, found)
        elif isinstance(pattern, Object):
            self.match_object(pattern, value)
        elif isinstance(pattern, SetLit):
            self.match_nothing(pattern, value)
        else:
            raise AssertionError(f"no pattern: {pattern}")

    def match_object(self, pattern: Object, value: str) -> None:
        """An object pattern: the same keys, each value matched."""
        self.fail_if(f"type({value}) is not dict or len({value}) != {len(pattern.pairs)}")
        for key, item in pattern.pairs:
            if not self.is_bound(key):
                self.match_nothing(key, value)
            found = self.name()
            self.line(f"{found} = {value}.get({self.key(key)}, U)")
            self.fail_if(f"{found} is U")
            self.match(item, found)

    def match_nothing(self, pattern: Term, value: str) -> None:
        """A set or a key with a variable that has no value yet: it is not solved for, so an argument never matches.
        The variable gets some value, because what follows is still written."""
        self.fail_if("True")
        for name in sorted(term_vars(pattern, set())):
            self.bound.setdefault(name, value)

    def match_constant(self, constant: Any, value: str) -> None:
        """A scalar pattern; undefined never matches."""
        if constant is None or type(constant) is bool:
            self.fail_if(f"{value} is not {constant!r}")
        elif type(constant) is str:
            self.fail_if(f"{value} != {constant!r}")
        else:
            self.fail_if(f"not equal({value}, {self.literal(constant)})")


def constant_value(term: Term) -> tuple[Any] | None:
    """The value of a term without variables, in a tuple; None where it has any."""
    if isinstance(term, Const):
        return (term.value,)
    if isinstance(term, Array | SetLit):
        items = [constant_value(item) for item in term.items]
        if any(item is None for item in items):
            return None
        values = [item[0] for item in items if item is not None]
        return (values,) if isinstance(term, Array) else (Set.of(values),)
    if isinstance(term, Object):
        pairs = [(constant_value(key), constant_value(value)) for key, value in term.pairs]
        if any(key is None or value is None for key, value in pairs):
            return None
        return (make_object((key[0], value[0]) for key, value in pairs if key is not None and value is not None),)
    return None


def is_lookup(term: Term) -> bool:
    """Whether a term must be computed rather than matched."""
    return isinstance(term, Ref | Comprehension)
