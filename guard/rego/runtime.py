"""What generated code calls: documents, iteration, limits, conflicts, and the state of one evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Any

from .documents import each_item, index
from .effort import Effort
from .errors import (
    BuiltinError,
    ConflictError,
    DeadlineError,
    Location,
    StepLimitError,
)
from .tree import FUNCTION, Node
from .values import (
    UNDEFINED,
    Key,
    Set,
    compare,
    equal,
    key_of,
    value_of,
)

MISSING = object()
_COLLECTIONS = (list, dict, Set)
_WEIGHTY = frozenset({*_COLLECTIONS, str})


class BuiltinFailure(Exception):
    """A built-in could not answer. ``code`` is ``eval_type_error`` for a wrong operand."""

    def __init__(self, message: str, code: str = "eval_builtin_error") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Budget:
    """Steps and time of one evaluation, shared by the contexts that ``with`` makes."""

    __slots__ = ("deadline", "left", "limit")

    def __init__(self, max_steps: int, deadline: float | None) -> None:
        self.limit = max_steps
        self.left = max_steps
        self.deadline = deadline

    def charge(self, steps: int) -> None:
        """Pay before the work. Raises StepLimitError, DeadlineError."""
        self.left -= steps
        if self.left < 0:
            raise StepLimitError(f"more than {self.limit} steps")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineError("the deadline passed")

    def pay(self, value: Any) -> None:
        """Charge every part of a value that is about to be walked or written: one step a container, one for eight of
        its parts, one for each 4,096 characters. Raises StepLimitError, DeadlineError."""
        stack = [value]
        while stack:
            found = stack.pop()
            kind = type(found)
            if kind is str:
                self.charge(len(found) >> 12)
            elif kind in _COLLECTIONS:
                self.charge(1 + (len(found) >> 3))
                parts = found.values() if kind is dict else found.sorted() if kind is Set else found
                stack += [part for part in parts if type(part) in _WEIGHTY]
            if kind is dict:
                stack += [key.value for key in found if type(key) is Key]

    def pay_result(self, value: Any) -> None:
        """Charge what a built-in made: a step for each 256 bytes of a string, for each part of a collection."""
        self.charge(getsizeof(value) >> 8 if type(value) is str else len(value))

    def effort(self) -> Effort:
        """For one comparison or sort that looks at the deadline."""
        return Effort(self.deadline)


@dataclass(frozen=True, slots=True)
class Image:
    """Generated code, loaded: its names, the tree of paths, and each document's function by the id of its node.
    ``extents`` keeps what `documents.each_below` found out about a node and a name."""

    names: dict[str, Any]
    root: Node
    documents: dict[int, Callable[[Any], Any]]
    extents: dict[tuple[int, str], list[Callable[[Any], Any]] | None] = field(default_factory=dict)


class Context:
    """The state of one evaluation. ``with`` derives a context with other documents and an empty cache."""

    __slots__ = ("budget", "cache", "data", "fired", "image", "input", "mocks", "replaced", "session", "trace")

    def __init__(self, image: Image, data: Any, input_: Any, budget: Budget, session: Session) -> None:
        self.image = image
        self.data = data
        self.input = input_
        self.budget = budget
        self.session = session
        self.cache: dict[int, Any] = {}
        self.mocks: dict[str, Any] | None = None
        self.replaced: tuple[tuple[Any, ...], ...] = ()
        self.trace: Any = session.trace
        self.fired = session.fired

    def changed(self, changes: Sequence[tuple[str, tuple[Any, ...], Any]]) -> Context:
        """A context under ``with``: each change is (document, path, value); ``function`` changes name the target."""
        self.budget.charge(1)
        new = Context(self.image, self.data, self.input, self.budget, self.session)
        new.mocks = self.mocks
        replaced = self.replaced
        for document, path, value in changes:
            if document == "input":
                new.input = put_path(new.input, path, value)
            elif document == "data":
                new.data = put_path(new.data, path, value)
                replaced = (*replaced, path)
            else:
                new.mocks = {**(new.mocks or {}), path[0]: value}
        new.replaced = replaced
        for path in replaced:
            new.replace_rules(path)
        return new

    def replace_rules(self, path: tuple[Any, ...]) -> None:
        """Rules at or below a replaced path answer from the replacement."""
        node: Node | None = self.image.root
        for part in path:
            node = node.children.get(part) if node is not None else None
        if node is None:
            return
        for each in node.walk():
            if each.is_document:
                value = self.data
                for part in each.path:
                    value = index(value, value_of(part))
                self.cache[each.id] = value

    def call(self, name: str, function: Callable[..., Any], loc: Location, *args: Any) -> Any:
        """A call whose function ``with`` may have replaced."""
        if self.mocks is None or name not in self.mocks:
            return function(self, loc, *args)
        target = self.mocks[name]
        if isinstance(target, FunctionValue):
            inner = Context(self.image, self.data, self.input, self.budget, self.session)
            inner.replaced = self.replaced
            for path in inner.replaced:
                inner.replace_rules(path)
            return target.function(inner, loc, *args)
        return target

    def failed(self, failure: BuiltinFailure, loc: Location) -> Any:
        """A built-in's failure: undefined, or the end under strict errors."""
        error = BuiltinError(failure.message, loc, failure.code)
        if self.session.strict:
            raise error
        if self.session.swallowed is not None:
            self.session.swallowed.append(error)
        return UNDEFINED


class Session:
    """What one evaluation keeps for all its contexts: options, the clock, printed lines, in ``fired`` the numbers of
    the bodies that held, in order of their first success, and in ``swallowed`` the failures of built-ins that became
    undefined, where somebody asks for them."""

    __slots__ = ("fired", "memory", "now_ns", "print_hook", "strict", "swallowed", "trace")

    def __init__(
        self,
        *,
        strict: bool,
        print_hook: Callable[[str], None] | None,
        trace: Any,
        fired: dict[int, bool] | None = None,
        swallowed: list[BuiltinError] | None = None,
    ) -> None:
        self.strict = strict
        self.swallowed = swallowed
        self.print_hook = print_hook
        self.trace = trace
        self.fired: dict[int, bool] = {} if fired is None else fired
        self.now_ns = time.time_ns()
        self.memory: dict[Any, Any] = {}


class FunctionValue:
    """A function as the value of ``with``: called as (context, location, arguments)."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def put_path(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a document with another value at a path of keys in key form; what is no object gives way."""
    if not path:
        return value
    changed = dict(document) if type(document) is dict else {}
    changed[path[0]] = put_path(changed.get(path[0], UNDEFINED), path[1:], value)
    return changed


def every(context: Context, domain: Any, holds: Callable[[Any, Any], Any]) -> bool:
    """Whether a body has a solution for each item; false for what is no collection."""
    if type(domain) not in _COLLECTIONS:
        return False
    return all(holds(key, value) is not UNDEFINED for key, value in each_item(context, domain))


def one(found: Any, value: Any, loc: Location, what: tuple[str, str]) -> Any:
    """The single value of a complete rule or a function; ``what`` is its kind and its path."""
    if equal(found, value):
        return found
    kind, path = what
    raise ConflictError(
        f"functions must not produce multiple outputs for same inputs: "
        f"function {path} produced conflicting values for the same inputs"
        if kind == FUNCTION
        else f"complete rules must not produce multiple outputs: rule {path} produced conflicting values",
        loc,
    )


def put(target: dict[Any, Any], key: Any, value: Any, loc: Location) -> None:
    """Add a pair to an object that rules or a comprehension build."""
    held = key_of(key)
    if target.setdefault(held, value) is not value and not equal(target[held], value):
        raise ConflictError("object keys must be unique", loc)


class Branch(dict[Any, Any]):
    """An object under construction whose values are objects under construction, sets or values."""

    def put(self, path: tuple[Any, ...], value: Any, loc: Location, *, member: bool) -> None:
        """Set the value (or add the ``member``) at a path of values."""
        target: dict[Any, Any] = self
        for part in path[:-1]:
            below = target.setdefault(key_of(part), Branch())
            if type(below) is not Branch:
                raise ConflictError("object keys must be unique", loc)
            target = below
        last = key_of(path[-1])
        if member:
            group = target.setdefault(last, set())
            if type(group) is not set:
                raise ConflictError("object keys must be unique", loc)
            group.add(key_of(value))
            return
        held = target.setdefault(last, value)
        if held is not value and (type(held) in {Branch, set} or not equal(held, value)):
            raise ConflictError("object keys must be unique", loc)

    def finish(self) -> dict[Any, Any]:
        """The plain object."""
        return {
            key: value.finish() if type(value) is Branch else Set(value) if type(value) is set else value
            for key, value in self.items()
        }


_ORDERED = frozenset({int, float, str})


def less(left: Any, right: Any) -> bool:
    """``left < right``."""
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        return bool(left < right)
    return compare(left, right) < 0


def less_equal(left: Any, right: Any) -> bool:
    """``left <= right``."""
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        return bool(left <= right)
    return compare(left, right) <= 0
