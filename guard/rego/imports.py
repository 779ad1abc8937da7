"""What a module brings in by ``import``, and the names that nobody may take: ``input`` and ``data``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from . import errors
from .calls import dotted_path
from .errors import RegoDiagnostic
from .nodes import Array, Import, Module, Object, Ref, Rule, Term, Var, dotted, must
from .variables import DOCUMENTS

_LANGUAGE = frozenset({"rego", "future"})


def imported(module: Module) -> Mapping[str, tuple[str, ...]]:
    """The path of each name that the imports bring in; of two with one name, the later."""
    return {each.name: tuple(dotted_path(each.path)) for each in module.imports if _brings_a_name(each)}


def unused_imports(module: Module, reached: Collection[str]) -> Iterator[RegoDiagnostic]:
    """Imports of names that nothing mentions: an error in strict mode. ``reached`` holds the names that something
    mentions and that no variable hides there."""
    for each in module.imports:
        if _brings_a_name(each) and each.name not in reached:
            yield RegoDiagnostic(errors.COMPILE, f"{_shown(each)} unused", *each.loc)


def duplicate_imports(module: Module) -> Iterator[RegoDiagnostic]:
    """Imports whose name an import above has, those of the language included."""
    first: dict[str, Import] = {}
    for each in module.imports:
        earlier = first.setdefault(each.name, each)
        if earlier is not each:
            yield RegoDiagnostic(errors.COMPILE, f"import must not shadow {_shown(earlier)}", *each.loc)


def shadowing_rules(module: Module) -> Iterator[RegoDiagnostic]:
    """Rules that are called like a root document."""
    for rule in module.rules:
        name = must(Var, rule.head.ref.terms[0]).name
        if name in DOCUMENTS:
            message = f"rules must not shadow {name} (use a different rule name)"
            yield RegoDiagnostic(errors.COMPILE, message, *rule.loc)


def shadowing_arguments(module: Module) -> Iterator[RegoDiagnostic]:
    """Functions with an argument that is called like a root document: the first such argument of each."""
    for rule in module.rules:
        name = _document_in(rule)
        if name is not None:
            message = f"args must not shadow {name} (use a different variable name)"
            yield RegoDiagnostic(errors.COMPILE, message, *rule.loc)


def _document_in(rule: Rule) -> str | None:
    return next((name for arg in rule.head.args or () for name in _bound_by(arg) if name in DOCUMENTS), None)


def _bound_by(term: Term) -> Iterator[str]:
    """The variables of a pattern, from left to right; keys of objects are not matched."""
    if isinstance(term, Var):
        yield term.name
    elif isinstance(term, Ref) and len(term.terms) == 1:
        yield from _bound_by(term.terms[0])
    elif isinstance(term, Array | Object):
        for part in term.items if isinstance(term, Array) else (value for _, value in term.pairs):
            yield from _bound_by(part)


def _brings_a_name(each: Import) -> bool:
    return must(Var, each.path.terms[0]).name not in _LANGUAGE


def _shown(each: Import) -> str:
    return f"import {dotted(each.path)}" + (f" as {each.alias}" if each.alias else "")
