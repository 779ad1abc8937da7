"""What binds variables by its form: the arguments of functions, and the left side of ``:=``."""

from __future__ import annotations

from abc import ABC, abstractmethod

from . import errors
from .errors import RegoDiagnostic
from .nodes import Array, Call, Object, Ref, Term, Var
from .scopes import Scope, Scopes
from .variables import DOCUMENTS


class Patterns(Scopes, ABC):
    """Gives the variables that a pattern binds their names. ``term`` names the rest."""

    @abstractmethod
    def term(self, term: Term) -> Term:
        """A term with its variables named."""

    # -- arguments ------------------------------------------------------------------------------------------------

    def argument(self, term: Term, scope: Scope) -> Term:
        """An argument's pattern; its variables become the rule's."""
        if isinstance(term, Var):
            if term.name.startswith("$_"):
                return term
            name = scope.names.get(term.name)
            if name is not None:
                scope.mentioned.add(term.name)
            else:
                name = scope.names[term.name] = self.names.fresh(term.name)
                scope.origin[term.name] = "arg"
            return Var(name, term.loc)
        if isinstance(term, Ref) and len(term.terms) == 1 and isinstance(term.terms[0], Var):
            return self.argument(Var(term.terms[0].name, term.loc), scope)
        if isinstance(term, Array):
            return Array(tuple(self.argument(item, scope) for item in term.items), term.loc)
        if isinstance(term, Object):
            pairs = tuple((self.argument_key(key, scope), self.argument(value, scope)) for key, value in term.pairs)
            return Object(pairs, term.loc)
        if isinstance(term, Call):
            self.error(term.loc, "rule arguments cannot contain calls")
        if isinstance(term, Ref) and isinstance(term.terms[0], Var) and term.terms[0].name in DOCUMENTS:
            message = f"var {term.terms[0].name} is unsafe"
            self.diagnostics.append(RegoDiagnostic(errors.UNSAFE_VAR, message, *term.loc))
        return self.term(term)

    def argument_key(self, key: Term, scope: Scope) -> Term:
        """The key of an object in an argument: arguments before it have their names, rules and imports do not. Such a
        mention of an argument is no use of it."""
        known, mentioned = self.globals, set(scope.mentioned)
        self.globals = {}
        found = self.term(key)
        self.globals, scope.mentioned = known, mentioned
        return found

    # -- := -------------------------------------------------------------------------------------------------------

    def assigned(self, term: Term) -> Term:
        """The left side of ``:=``."""
        if isinstance(term, Ref) and len(term.terms) == 1 and isinstance(term.terms[0], Var):
            return self.declare(term.terms[0], "assigned", term.loc)
        if isinstance(term, Var):
            return self.declare(term, "assigned", term.loc)
        if isinstance(term, Array):
            return Array(tuple(self.assigned(item) for item in term.items), term.loc)
        if isinstance(term, Object):
            return Object(tuple((self.unsolved(key), self.assigned(value)) for key, value in term.pairs), term.loc)
        kind = {"SetLit": "set", "Const": "scalar"}.get(type(term).__name__, type(term).__name__.lower())
        self.error(term.loc, f"cannot assign to {kind}")
        return term

    def unsolved(self, term: Term) -> Term:
        """The key of a pattern on the left of ``:=``: rules and imports have their paths, variables of the body do not
        get their names, so that they are unsafe there."""
        scopes = self.scopes
        self.scopes = [Scope({name for scope in scopes for name in (*scope.names, *scope.later)})]
        found = self.term(term)
        self.scopes = scopes
        return found
