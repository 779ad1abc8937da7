"""The syntax tree of Rego. The parser builds it, the rewriting passes return new trees, nothing changes a node that
another pass holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .errors import NOWHERE, Location

Wanted = TypeVar("Wanted")


@dataclass(slots=True, eq=False)
class Const:
    """A scalar: null, a boolean, a number or a string."""

    value: Any
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class Var:
    """A variable. Wildcards and variables made by the compiler start with ``$``."""

    name: str
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class Ref:
    """``head.a[b]``: the head and its operands."""

    terms: tuple[Term, ...]
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class Call:
    """A function call as a term."""

    op: Ref
    args: tuple[Term, ...]
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class Array:
    """An array literal."""

    items: tuple[Term, ...]
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class Object:
    """An object literal."""

    pairs: tuple[tuple[Term, Term], ...]
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class SetLit:
    """A set literal."""

    items: tuple[Term, ...]
    loc: Location = NOWHERE


@dataclass(slots=True, eq=False)
class Comprehension:
    """``[head | body]``, ``{head | body}`` or ``{key: head | body}``; ``kind`` is array, set or object. The body of
    a ``closed`` one binds nothing but the compiler's own variables (arguments of ``print``, parts of templates)."""

    kind: str
    key: Term | None
    head: Term
    body: Body
    loc: Location = NOWHERE
    closed: bool = False


@dataclass(slots=True, eq=False)
class Template:
    """``$"text {expression}"``: strings, constants and expressions in turn."""

    parts: tuple[str | Const | Expr, ...]
    loc: Location = NOWHERE


Term = Const | Var | Ref | Call | Array | Object | SetLit | Comprehension | Template


@dataclass(slots=True, eq=False)
class With:
    """``with target as value``; ``function`` where the value is the name of a function."""

    target: Term
    value: Term
    loc: Location = NOWHERE
    function: bool = False


@dataclass(slots=True, eq=False)
class SomeDecl:
    """``some x, y``."""

    names: tuple[Var, ...]


@dataclass(slots=True, eq=False)
class SomeIn:
    """``some key, value in domain``."""

    key: Term | None
    value: Term
    domain: Term


@dataclass(slots=True, eq=False)
class Every:
    """``every key, value in domain { body }``."""

    key: Var | None
    value: Var
    domain: Term
    body: Body


@dataclass(slots=True, eq=False)
class NotBody:
    """``not { body }``, or ``not expression`` under ``import future.keywords.not``."""

    body: Body
    explicit: bool


@dataclass(slots=True, eq=False)
class Logical:
    """``left and right``, ``left or right`` (``future.keywords.and`` and ``or``)."""

    op: str
    left: Body
    right: Body
    explicit_left: bool
    explicit_right: bool


@dataclass(slots=True, eq=False)
class CallExpr:
    """A call as an expression: ``op(args)``, infix operators, ``=`` and ``:=`` included. After expansion the last
    argument may be the output."""

    op: Ref
    args: tuple[Term, ...]


@dataclass(slots=True, eq=False)
class TermExpr:
    """A term as an expression: true unless it is false or undefined."""

    term: Term


ExprNode = SomeDecl | SomeIn | Every | NotBody | Logical | CallExpr | TermExpr


@dataclass(slots=True, eq=False)
class Expr:
    """One expression of a body, with its modifiers. ``text`` is its source; ``generated`` marks the compiler's own."""

    node: ExprNode
    loc: Location = NOWHERE
    negated: bool = False
    withs: tuple[With, ...] = ()
    text: str = ""
    generated: bool = False


Body = tuple[Expr, ...]


@dataclass(slots=True, eq=False)
class Head:
    """The head of a rule: ``ref(args) contains key`` or ``ref(args) := value``; ``assigned`` where it says ``:=``."""

    ref: Ref
    args: tuple[Term, ...] | None
    key: Term | None
    value: Term | None
    loc: Location = NOWHERE
    assigned: bool = False


@dataclass(slots=True, eq=False)
class Rule:
    """One rule. ``package`` is the path of its module, ``end_row`` the last row of its text, ``number`` its place among
    the bodies of a program (``else`` branches have their own), -1 where it is in none."""

    head: Head
    body: Body
    default: bool
    orelse: Rule | None
    loc: Location
    package: tuple[str, ...] = ()
    end_row: int = 0
    annotations: list[Any] = field(default_factory=list)
    number: int = -1

    @property
    def file(self) -> str:
        """The module's file name."""
        return self.loc.file


@dataclass(slots=True, eq=False)
class Import:
    """``import path as alias``."""

    path: Ref
    alias: str | None
    loc: Location

    @property
    def name(self) -> str:
        """The name it brings into the module."""
        if self.alias:
            return self.alias
        last = self.path.terms[-1]
        return last.name if isinstance(last, Var) else str(last.value) if isinstance(last, Const) else ""


@dataclass(slots=True, eq=False)
class Module:
    """One file."""

    file: str
    package: tuple[str, ...]
    package_loc: Location
    imports: tuple[Import, ...]
    rules: tuple[Rule, ...]
    comments: tuple[tuple[int, int, str], ...]
    source: str


def must(kind: type[Wanted], value: object) -> Wanted:
    """The value, which the stages before made one of this kind. Raises TypeError otherwise: a fault of the engine."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def given(term: Term | None) -> Term:
    """A term that its rule cannot lack. Raises TypeError otherwise: a fault of the engine."""
    if term is None:
        raise TypeError("a term is missing")
    return term


def const_ref(name: str, loc: Location = NOWHERE) -> Ref:
    """The reference of a dotted operator name: ``io.jwt.decode``."""
    head, *rest = name.split(".")
    return Ref((Var(head, loc), *[Const(part, loc) for part in rest]), loc)


def dotted(ref: Ref) -> str:
    """The dotted name of a ground reference (``data.a["b.c"].d``, so that no two references share one); empty where it
    has other operands than strings."""
    head = ref.terms[0]
    if not isinstance(head, Var):
        return ""
    name = head.name
    for term in ref.terms[1:]:
        if not (isinstance(term, Const) and type(term.value) is str):
            return ""
        name += f".{term.value}" if term.value.isidentifier() else f"[{json.dumps(term.value)}]"
    return name


def below_data(ref: Ref) -> tuple[Any, ...]:
    """The path of a ground reference past its head."""
    return tuple(must(Const, term).value for term in ref.terms[1:])


def children(term: Term) -> Iterator[Term]:
    """The direct sub-terms, bodies left out."""
    if isinstance(term, Ref):
        yield from term.terms
    elif isinstance(term, Call):
        yield from term.args
    elif isinstance(term, Array | SetLit):
        yield from term.items
    elif isinstance(term, Object):
        for key, value in term.pairs:
            yield key
            yield value
