"""Source for calls: built-ins, functions of the policy, comparisons written in place, and ``walk``."""

from __future__ import annotations

from collections.abc import Sequence

from .builtins import BUILTINS
from .gen_terms import TermWriter
from .nodes import (
    CallExpr,
    Const,
    Expr,
    Ref,
    Term,
    below_data,
    dotted,
    must,
)
from .tree import Node, RuleTree

_INLINE = {
    "neq": "not equal({}, {})",
    "equal": "equal({}, {})",
    "lt": "less({}, {})",
    "lte": "less_equal({}, {})",
    "gt": "less({1}, {0})",
    "gte": "less_equal({1}, {0})",
}

# What needs no call where the operands are of these types; elsewhere the built-in itself decides.
_SHORT = {
    "count": "len({0}) if type({0}) in COUNTED else {call}",
    "internal.member_2": "{0} in {1} if type({0}) is str and type({1}) is list else {call}",
}
_SAME = {"neq": ("is not", "!="), "equal": ("is", "==")}


class CallWriter(TermWriter):
    """Writes calls. ``replaceable`` names the functions that some ``with`` replaces."""

    def __init__(self, tree: RuleTree, replaceable: frozenset[str]) -> None:
        super().__init__(tree)
        self.replaceable = replaceable

    def arity(self, op: Ref) -> int:
        """The number of arguments of a function."""
        name = dotted(op)
        if name in BUILTINS:
            return BUILTINS[name].arity
        node = must(Node, self.tree.function(below_data(op)))
        return len(node.rules[0].head.args or ())

    def callee(self, op: Ref) -> tuple[str, str]:
        """The Python name of a function and its Rego name."""
        name = dotted(op)
        if name in BUILTINS:
            python = "b_" + name.replace(".", "_")
            self.constants[python] = BUILTINS[name].call
            return python, name
        node = must(Node, self.tree.function(below_data(op)))
        return f"f{node.id}", name

    def is_single(self, node: CallExpr) -> bool:
        """A call without an output argument that has at most one answer."""
        return dotted(node.op) != "walk" and len(node.args) == self.arity(node.op)

    def call(self, node: CallExpr, expr: Expr) -> None:
        """A call as a condition, or with an output to match."""
        name = dotted(node.op)
        arity = self.arity(node.op)
        if name == "walk":
            self.walk(node)
            return
        inputs, outputs = node.args[:arity], node.args[arity:]
        if not outputs and name in _INLINE and name not in self.replaceable:
            self.fail_if(f"not ({self.inline(name, inputs)})")
            return
        found = self.result(CallExpr(node.op, inputs), expr)
        if not outputs:
            self.fail_if(f"{found} is False or {found} is U")
            return
        self.fail_if(f"{found} is U")
        self.match(outputs[0], found)

    def result(self, node: CallExpr, expr: Expr) -> str:
        """The answer of a call, possibly ``U``."""
        name = dotted(node.op)
        found = self.name()
        if name in _INLINE and name not in self.replaceable:
            self.line(f"{found} = {self.inline(name, node.args)}")
            return found
        args = [self.value(arg) for arg in node.args]
        if name in self.replaceable:
            python, _ = self.callee(node.op)
            where = self.location(expr.loc)
            self.line(f"{found} = {self.context}.call({name!r}, {python}, {where}{''.join(', ' + a for a in args)})")
            return found
        python, _ = self.callee(node.op)
        call = f"{python}({', '.join([self.context, self.location(expr.loc), *args])})"
        if all(map(str.isidentifier, args)):
            call = _SHORT.get(name, "{call}").format(*args, call=call)
        self.line(f"{found} = {call}")
        return found

    def inline(self, name: str, args: Sequence[Term]) -> str:
        """A comparison in place; with null, a boolean or a string it needs no call."""
        left, right = map(self.value, args)
        if name in _SAME:
            for value, other in ((left, args[1]), (right, args[0])):
                if not (value.isidentifier() and isinstance(other, Const)):
                    continue
                if other.value is None or type(other.value) is bool:
                    return f"{value} {_SAME[name][0]} {other.value!r}"
                if type(other.value) is str:
                    return f"{value} {_SAME[name][1]} {other.value!r}"
        return _INLINE[name].format(left, right)

    def walk(self, node: CallExpr) -> None:
        """``walk(x, [path, value])`` has an answer for each value inside ``x``."""
        found = self.name()
        python, _ = self.callee(node.op)
        self.loop(f"for {found} in {python}({self.context}, {self.value(node.args[0])}):")
        if len(node.args) > 1:
            self.match(node.args[1], found)
