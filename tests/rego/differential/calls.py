"""Calls of any built-in by its signature, with operands that fit, and others."""

from __future__ import annotations

from .operands import pool
from .signatures import NAMES, SIGNATURES
from .terms import LOOSE, NUM, NUMS, OBJ, SET, STR, STRS, TYPES, Terms

_TYPED = {"STR": STR, "ANY": LOOSE}
# Operands that decide how much OPA has to do, for which it has no bounds.
_PLAIN = frozenset({"bound"})
_LIKE = {
    "small": NUM,
    "bignumber": NUM,
    "numbers": NUMS,
    "nested": OBJ,
    "collection": SET,
    "array": NUMS,
    "needles": STRS,
    "ns": NUM,
}


class Calls(Terms):
    """Writes calls by signature."""

    def builtin_call(self) -> str:
        """A call of one of all built-ins."""
        name = self.dice.pick(NAMES)
        return f"{name}({', '.join(self.operand(kind) for kind in SIGNATURES[name])})"

    def operand(self, kind: str) -> str:
        """An operand: in earnest, from the document or a rule, or of a type that only a run tells."""
        choice = self.dice.below(10) if kind not in _PLAIN else 0
        if choice == 9:
            return self.term(LOOSE, 1)
        if kind in _TYPED:
            return self.term(_TYPED[kind], 1)
        if choice == 8:
            return self.term(_LIKE.get(kind, STR if self.dice.chance(50) else LOOSE), 1)
        return self.dice.pick(pool(kind))

    def any(self, depth: int) -> str:
        """Anything, a call of any built-in included."""
        return self.builtin_call() if depth and self.dice.chance(12) else super().any(depth)

    def calls(self, name: str) -> str:
        """A document of calls, each below a name of its own: one that fails does not hide the others."""
        found = []
        for number in self.dice.some(7, 2):
            self.scope = {}
            guard = f" if {self.term(self.dice.pick(TYPES), 0)} != 0" if self.dice.chance(15) else ""
            found.append(f"{name}.c{number} := {self.builtin_call()}{guard}")
        self.rules.setdefault(OBJ, []).append(name)
        return "\n\n".join(found)
