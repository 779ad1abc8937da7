"""Terms of flattened bodies, back in the words of the source: ``$t5 = input.n; gt($t5, 3)`` was ``input.n > 3``."""

from __future__ import annotations

from typing import Final

from .builtins import BUILTINS
from .nodes import Array, CallExpr, Comprehension, Const, Object, Ref, Rule, SetLit, Term, Var, dotted
from .scopes import Names
from .show import compact
from .variables import term_vars

_INFIX: Final = {
    "plus": "+", "minus": "-", "mul": "*", "div": "/", "rem": "%", "and": "&", "or": "|",
    "equal": "==", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "internal.member_2": "in",
}  # fmt: skip


class Wording:
    """The words of one rule. Variables that the compiler made are told as what they stand for."""

    def __init__(self, rule: Rule, names: Names) -> None:
        self.names = names
        self.meanings: dict[str, Term | CallExpr] = {}
        for expr in rule.body:
            node = expr.node
            if not isinstance(node, CallExpr) or not node.args:
                continue
            first, last = node.args[0], node.args[-1]
            if dotted(node.op) == "eq" and isinstance(first, Var) and expr.generated:
                self.meanings.setdefault(first.name, node.args[1])
            elif isinstance(last, Var) and last.name.startswith("$"):
                self.meanings.setdefault(last.name, CallExpr(node.op, node.args[:-1]))

    def of(self, term: Term | CallExpr) -> str:
        """The text of a term; ``…`` for what has no short one."""
        if isinstance(term, Const):
            return compact(term.value)
        if isinstance(term, Var):
            shown = self.names.shown(term.name)
            meaning = None if shown else self.meanings.get(term.name)
            return shown or ("_" if meaning is None else self.of(meaning))
        if isinstance(term, Ref):
            return self.of(term.terms[0]) + "".join(map(self._operand, term.terms[1:]))
        if isinstance(term, CallExpr):
            return self._call(term)
        if isinstance(term, Array):
            return f"[{', '.join(map(self.of, term.items))}]"
        if isinstance(term, SetLit):
            return f"{{{', '.join(map(self.of, term.items))}}}"
        if isinstance(term, Object):
            return "{" + ", ".join(f"{self.of(key)}: {self.of(value)}" for key, value in term.pairs) + "}"
        if isinstance(term, Comprehension):
            return "[… | …]" if term.kind == "array" else "{… | …}"
        return "…"

    def variables(self, term: Term | CallExpr) -> set[str]:
        """The variables of a term, and of what the compiler's own variables in it stand for."""
        found: set[str] = set()
        waiting: list[Term | CallExpr] = [term]
        while waiting:
            each = waiting.pop()
            parts = each.args if isinstance(each, CallExpr) else (each,)
            new = set().union(*[term_vars(part, set(), closures=False) for part in parts]) - found
            found |= new
            waiting += [self.meanings[name] for name in new if name in self.meanings]
        return found

    def _operand(self, term: Term) -> str:
        plain = isinstance(term, Const) and type(term.value) is str and term.value.isidentifier()
        return f".{term.value}" if plain and isinstance(term, Const) else f"[{self.of(term)}]"

    def _call(self, call: CallExpr) -> str:
        name = dotted(call.op)
        if name in _INFIX and len(call.args) == BUILTINS[name].arity:
            return f"{self.of(call.args[0])} {_INFIX[name]} {self.of(call.args[1])}"
        return f"{name}({', '.join(map(self.of, call.args))})"
