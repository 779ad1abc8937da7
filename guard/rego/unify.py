"""What an equation binds: the variables that ``left = right`` makes known, given those that are known."""

from __future__ import annotations

from .nodes import Array, Call, Comprehension, Const, Object, Ref, SetLit, Term, Var
from .variables import term_vars


def ref_is_safe(ref: Ref, safe: set[str]) -> bool:
    """Whether the head of a reference is bound."""
    return not term_vars(ref.terms[0], set(), closures=False) - safe


def ref_outputs(term: Term, safe: set[str], found: set[str]) -> set[str]:
    """The operands of references that iteration binds."""
    if isinstance(term, Ref):
        if not ref_is_safe(term, safe):
            return found
        for part in term.terms[1:]:
            term_vars(part, found, heads=False)
            ref_outputs(part, safe, found)
    elif isinstance(term, Array | SetLit):
        for item in term.items:
            ref_outputs(item, safe, found)
    elif isinstance(term, Object):
        for key, value in term.pairs:
            ref_outputs(key, safe, found)
            ref_outputs(value, safe, found)
    elif isinstance(term, Call):
        for arg in term.args:
            ref_outputs(arg, safe, found)
    return found


class Unifier:
    """What ``left = right`` binds, given the variables that are bound."""

    def __init__(self, safe: set[str]) -> None:
        self.safe = safe
        self.bound: set[str] = set()
        self.waiting: dict[str, set[str]] = {}

    def run(self, left: Term, right: Term) -> set[str]:
        """The variables that the equation binds."""
        self.unify(left, right)
        return self.bound

    def unify(self, left: Term, right: Term) -> None:
        """Note what equating two terms binds."""
        if isinstance(left, Var) and left.name not in {"data", "input"}:
            self.unify_var(left.name, right)
        elif isinstance(right, Var):
            self.unify_var(right.name, left)
        elif isinstance(left, Array) and isinstance(right, Array):
            if len(left.items) == len(right.items):
                for one, two in zip(left.items, right.items, strict=True):
                    self.unify(one, two)
        elif isinstance(left, Object) and isinstance(right, Object):
            self.unify_objects(left, right)
        elif isinstance(left, Array | Object) and self.is_bound(right):
            self.bind_all(left)
        elif isinstance(right, Array | Object) and self.is_bound(left):
            self.bind_all(right)

    def unify_objects(self, left: Object, right: Object) -> None:
        """Objects of one size, value by value."""
        others = {_key_text(key): value for key, value in right.pairs}
        if len(left.pairs) == len(right.pairs):
            for key, value in left.pairs:
                other = others.get(_key_text(key))
                if other is not None:
                    self.unify(value, other)

    def is_bound(self, term: Term) -> bool:
        """Whether a term that is computed has all it needs."""
        if isinstance(term, Ref):
            return ref_is_safe(term, self.safe)
        if isinstance(term, Call):
            return not term_vars(term, set(), closures=False) - self.safe
        return isinstance(term, Comprehension)

    def unify_var(self, name: str, other: Term) -> None:
        """A variable against a term."""
        if isinstance(other, Var):
            if self.known(other.name):
                self.bind(name)
            elif self.known(name):
                self.bind(other.name)
            else:
                self.waiting.setdefault(name, set()).add(other.name)
                self.waiting.setdefault(other.name, set()).add(name)
        elif isinstance(other, Array | Object):
            if self.known(name):
                self.bind_all(other)
                return
            needed = term_vars(other, set(), closures=False, keys=False, heads=False) - self.safe - self.bound
            if needed:
                self.waiting.setdefault(name, set()).update(needed)
            else:
                self.bind(name)
        elif not isinstance(other, Ref | Call) or self.is_bound(other):
            self.bind(name)

    def known(self, name: str) -> bool:
        """Whether a variable has a value by now."""
        return name in self.safe or name in self.bound

    def bind_all(self, term: Term) -> None:
        """Bind every variable of a pattern."""
        for name in term_vars(term, set(), closures=False, keys=False, heads=False):
            self.bind(name)

    def bind(self, name: str) -> None:
        """Bind a variable, and those that waited for it."""
        self.bound.add(name)
        for other in self.waiting.pop(name, set()):
            if other not in self.bound:
                self.bind(other)
        for other, needed in list(self.waiting.items()):
            if name in needed:
                needed.discard(name)
                if not needed and other in self.waiting:
                    del self.waiting[other]
                    self.bind(other)


def _key_text(term: Term) -> object:
    """What makes two keys of object patterns the same."""
    if isinstance(term, Const):
        return type(term.value).__name__, term.value
    if isinstance(term, Var):
        return "var", term.name
    if isinstance(term, Ref):
        return "ref", tuple(map(_key_text, term.terms))
    return ("array", tuple(map(_key_text, term.items))) if isinstance(term, Array) else id(term)
