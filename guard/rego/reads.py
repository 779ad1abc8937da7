"""What a body reads, found in the program's text: the places of ``input`` and of base data that it names, also by way
of variables, of the rules that it asks and of the functions that it calls; and which bodies those are.

Done once, at load, so that an evaluation pays nothing for it. It tells what a body may read: one that stopped at its
first expression read less. What a built-in made of a value is not followed further; what stands under ``with input``
or ``with data`` reads another document and is left out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .builtins import BUILTINS
from .nodes import (
    Array,
    Body,
    CallExpr,
    Comprehension,
    Const,
    Every,
    Expr,
    Logical,
    NotBody,
    Object,
    Ref,
    Rule,
    SetLit,
    Term,
    TermExpr,
    Var,
    below_data,
    children,
    dotted,
    must,
)
from .symbols import UNKNOWN, Answer, Path, Seen, Step, Symbol, at, built, joined, member, spelled
from .tree import FUNCTION, OBJECT, SET, Node, RuleTree
from .values import key_of
from .variables import term_vars

MAX_PATHS: Final = 32
MAX_CHARACTERS: Final = 200
_MOST_EXPRESSIONS: Final = 20_000
# They look at how many members there are, or of which type a value is, and not at the members.
_SHALLOW: Final = frozenset(
    {"count", "is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name"}
)

Known = dict[str, Symbol]


class Reads(NamedTuple):
    """What one body may read. ``paths`` are at most ``MAX_PATHS`` places, sorted, those of the input first, each of at
    most ``MAX_CHARACTERS``; ``asks`` are the numbers of the bodies that may run for it. ``whole`` is false where
    something was left out."""

    paths: tuple[str, ...]
    asks: frozenset[int]
    whole: bool


class ReadsFinder:
    """Goes through the bodies of a checked program, each document once and each function once for what it is given."""

    def __init__(self, tree: RuleTree) -> None:
        self._tree = tree
        self._documents: dict[int, Answer] = {}
        self._calls: dict[tuple[int, tuple[Symbol, ...]], Answer] = {}
        self._left = _MOST_EXPRESSIONS

    def of(self, number: int) -> Reads:
        """What the body of this number may read."""
        self._left = _MOST_EXPRESSIONS
        seen = Seen()
        seen.use(self._branch(self._tree.bodies[number], {}, seen))
        paths = sorted(map(spelled, seen.places()), key=_input_first)
        kept = tuple(path for path in paths if len(path) <= MAX_CHARACTERS)[:MAX_PATHS]
        return Reads(kept, frozenset(seen.asks), self._left > 0 and len(kept) == len(paths))

    # -- rules ----------------------------------------------------------------------------------------------------

    def _document(self, node: Node) -> Answer:
        found = self._documents.get(node.id)
        if found is None:
            seen = Seen()
            values = [self._value(rule, {}, seen, node.kind) for rule in node.rules]
            values += [built(item=seen.take(self._document(part))) for part in node.parts]
            found = self._documents[node.id] = Answer(joined(values), seen)
        return found

    def _call(self, node: Node, arguments: tuple[Symbol, ...]) -> Answer:
        found = self._calls.get((node.id, arguments))
        if found is None:
            seen = Seen()
            values = []
            for rule in node.rules:
                known: Known = {}
                if self._matches(rule, arguments, known):
                    values.append(self._value(rule, known, seen, FUNCTION))
            found = self._calls[node.id, arguments] = Answer(joined(values), seen)
        return found

    def _matches(self, rule: Rule, arguments: tuple[Symbol, ...], known: Known) -> bool:
        """Bind a head's arguments; false where a constant of the call is not the one that the head wants."""
        for pattern, given in zip(rule.head.args or (), arguments, strict=False):
            if isinstance(pattern, Const) and given.word is not None and pattern.value != given.word:
                return False
            self._bind(pattern, given, known)
        return True

    def _value(self, rule: Rule, known: Known, seen: Seen, kind: str) -> Symbol:
        """What a rule and its branches give their document."""
        values = []
        branch: Rule | None = rule
        while branch is not None:
            if not branch.default:
                seen.asks.add(branch.number)
            values.append(self._branch(branch, dict(known), seen))
            branch = branch.orelse
        value = joined(values)
        return seen.bounded(built(item=value)) if kind in {SET, OBJECT} else value

    def _branch(self, rule: Rule, known: Known, seen: Seen) -> Symbol:
        self._body(rule.body, known, seen)
        head = rule.head
        for term in head.ref.terms[1:]:
            self._term(term, known, seen)
        found = UNKNOWN
        for part in (head.value, head.key):
            found = found if part is None else self._term(part, known, seen)
        return found

    # -- bodies ---------------------------------------------------------------------------------------------------

    def _body(self, body: Body, known: Known, seen: Seen) -> None:
        for expr in body:
            self._left -= 1
            if self._left < 0:
                return
            self._expression(expr, known, seen)

    def _expression(self, expr: Expr, known: Known, seen: Seen) -> None:
        for modifier in expr.withs:
            if not modifier.function:
                self._term(modifier.value, known, seen)
            target = modifier.target.terms[0] if isinstance(modifier.target, Ref) else modifier.target
            if isinstance(target, Var) and target.name in {"input", "data"}:
                seen = Seen()
        node = expr.node
        inner = dict(known) if expr.negated else known
        if isinstance(node, TermExpr):
            self._term(node.term, inner, seen)
        elif isinstance(node, CallExpr):
            self._called(node, inner, seen)
        elif isinstance(node, Every):
            domain = self._term(node.domain, known, seen)
            self._body(node.body, {**known, node.value.name: member(domain, None)}, seen)
        elif isinstance(node, NotBody):
            self._body(node.body, dict(known), seen)
        else:
            logical = must(Logical, node)
            self._body(logical.left, dict(known), seen)
            self._body(logical.right, dict(known), seen)

    def _called(self, node: CallExpr, known: Known, seen: Seen) -> None:
        name = dotted(node.op)
        if name == "eq" and len(node.args) == 2:
            self._equal(*node.args, known, seen)
            return
        function = None if name in BUILTINS else self._tree.function(below_data(node.op))
        arity = BUILTINS[name].arity if function is None else len(function.rules[0].head.args or ())
        given = tuple(self._term(term, known, seen) for term in node.args[:arity])
        if function is not None:
            found = seen.take(self._call(function, given))
        elif name == "object.get" and given[1].word is not None:
            found = joined((member(given[0], given[1].word), given[2]))
            seen.paths |= found.paths
        else:
            found = UNKNOWN
            for symbol in () if name in _SHALLOW else given:
                seen.use(symbol)
        for term in node.args[arity:]:
            self._bind(term, found, known)

    def _equal(self, left: Term, right: Term, known: Known, seen: Seen) -> None:
        for pattern, other in ((left, right), (right, left)):
            if isinstance(pattern, Var | Array | Object) and self._is_free(pattern, known):
                self._bind(pattern, self._term(other, known, seen), known)
                return
        seen.use(self._term(left, known, seen))
        seen.use(self._term(right, known, seen))

    @staticmethod
    def _is_free(term: Term, known: Known) -> bool:
        return not term_vars(term, set(), closures=False) <= known.keys()

    def _bind(self, pattern: Term, symbol: Symbol, known: Known) -> None:
        if isinstance(pattern, Var):
            known.setdefault(pattern.name, symbol)
        elif isinstance(pattern, Array):
            for item in pattern.items:
                self._bind(item, member(symbol, None), known)
        elif isinstance(pattern, Object):
            for key, value in pattern.pairs:
                self._bind(value, member(symbol, _key(key, known)), known)

    # -- terms ----------------------------------------------------------------------------------------------------

    def _term(self, term: Term, known: Known, seen: Seen) -> Symbol:
        if isinstance(term, Const):
            return Symbol(word=term.value) if isinstance(term.value, str) else UNKNOWN
        if isinstance(term, Ref):
            return self._reference(term, known, seen)
        if isinstance(term, Var):
            if term.name not in known and term.name in {"input", "data"}:
                return self._reference(Ref((term,)), known, seen)
            return known.get(term.name, UNKNOWN)
        if isinstance(term, Comprehension):
            inside = dict(known)
            self._body(term.body, inside, seen)
            if term.key is not None:
                self._term(term.key, inside, seen)
            return seen.bounded(built(item=self._term(term.head, inside, seen)))
        if isinstance(term, Array | SetLit):
            return seen.bounded(built(item=joined([self._term(item, known, seen) for item in term.items])))
        if isinstance(term, Object):
            pairs = [(_key(key, known), self._term(value, known, seen)) for key, value in term.pairs]
            fields = tuple((key, value) for key, value in pairs if isinstance(key, str))
            rest = joined([value for key, value in pairs if not isinstance(key, str)])
            return seen.bounded(built(fields, rest))
        for child in children(term):
            self._term(child, known, seen)
        return UNKNOWN

    def _reference(self, ref: Ref, known: Known, seen: Seen) -> Symbol:
        head, *operands = ref.terms
        if not isinstance(head, Var):
            found = self._steps(self._term(head, known, seen), operands, known)
        elif head.name == "data" and head.name not in known:
            found = self._below(self._tree.root, ("data",), operands, known, seen)
        elif head.name == "input" and head.name not in known:
            found = self._steps(at("input"), operands, known)
        else:
            found = self._steps(known.get(head.name, UNKNOWN), operands, known)
        seen.paths |= found.paths
        return found

    def _steps(self, symbol: Symbol, operands: list[Term], known: Known) -> Symbol:
        for operand in operands:
            following = member(symbol, _key(operand, known))
            self._bind(operand, following, known)
            symbol = following
        return symbol

    def _below(self, node: Node, path: Path, operands: list[Term], known: Known, seen: Seen) -> Symbol:
        """A reference below ``data``: rules where the tree has them, base data elsewhere."""
        if node.is_document:
            return self._steps(seen.take(self._document(node)), operands, known)
        if node.kind == FUNCTION:
            return UNKNOWN
        if not operands:
            documents = [each for each in node.walk() if each.is_document]
            values = [seen.take(self._document(each)) for each in documents]
            return joined(values) if documents else at(*path)
        operand, *rest = operands
        key = _key(operand, known)
        if key is None and node.children:
            self._bind(operand, UNKNOWN, known)
            parts = [(name, child) for name, child in node.children.items() if _leads(child, rest, known)]
            return joined([self._below(child, (*path, name), rest, dict(known), seen) for name, child in parts])
        child = None if key is None else node.children.get(key_of(key))
        if child is None:
            self._bind(operand, UNKNOWN, known)
            return self._steps(at(*path, key), rest, known)
        return self._below(child, (*path, key), rest, known, seen)


def _input_first(path: str) -> tuple[bool, str]:
    return not path.startswith("input"), path


def _leads(node: Node, operands: list[Term], known: Known) -> bool:
    """Whether rules stand where a reference goes on from a node that it met while it iterated."""
    key = _key(operands[0], known) if operands else None
    return node.is_document or key is None or key_of(key) in node.children


def _key(term: Term, known: Known) -> Step:
    """The member that an operand asks for; None where that is known only when it runs."""
    if isinstance(term, Const):
        return term.value if type(term.value) in {str, int} else None
    return known[term.name].word if isinstance(term, Var) and term.name in known else None
