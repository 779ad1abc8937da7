"""Documents: base data, virtual documents that are evaluated key by key, and iteration over values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .tree import Node
from .values import UNDEFINED, Set, key_of, rank, sorted_keys, value_of

if TYPE_CHECKING:
    from .runtime import Context

_BATCH = 64
_SLOW_BATCH = 0.005
_Evaluator = Callable[[Any], Any]
_EMPTY: dict[Any, Any] = {}


class Virtual:
    """A document that is partly virtual: a node of the rule tree over base data, evaluated key by key."""

    __slots__ = ("base", "context", "node")

    def __init__(self, context: Context, node: Node, base: Any) -> None:
        self.context = context
        self.node = node
        self.base: dict[Any, Any] = base if type(base) is dict else _EMPTY

    @classmethod
    def at(cls, context: Context, node: Node) -> Virtual:
        """The document at a node, over the base data at its path."""
        base = context.data
        for part in node.path:
            base = base.get(part, UNDEFINED) if type(base) is dict else UNDEFINED
        return cls(context, node, base)

    def get(self, key: Any) -> Any:
        """The value at a key (in key form): a value, `UNDEFINED`, or a virtual document."""
        child = self.node.children.get(key)
        if child is None:
            return self.base.get(key, UNDEFINED)
        context = self.context
        evaluate = context.image.documents.get(child.id)
        if evaluate is not None:
            return evaluate(context)
        base = self.base.get(key, UNDEFINED)
        return base if child.rules else Virtual(context, child, base)

    def keys(self) -> list[Any]:
        """The keys that may have a value, in key form and order."""
        found = dict.fromkeys(self.base)
        found.update(dict.fromkeys(self.node.children))
        return sorted_keys(found)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The pairs that have a value."""
        for key in self.keys():
            value = self.get(key)
            if value is not UNDEFINED:
                yield value_of(key), value

    def materialize(self) -> Any:
        """The whole document as a value."""
        found: dict[Any, Any] = {}
        for key in self.keys():
            value = self.get(key)
            if type(value) is Virtual:
                value = value.materialize()
            if value is not UNDEFINED:
                found[key] = value
        return found


def whole(value: Any) -> Any:
    """A value; a virtual document is evaluated."""
    return value.materialize() if type(value) is Virtual else value


def base_index(container: Any, key: Any) -> Any:
    """`index` into base data, whose keys are strings: ``data.ports[80]`` finds ``"80"``."""
    if type(container) is dict and type(key) is str:
        return container.get(key, UNDEFINED)
    found = index(container, key)
    if found is UNDEFINED and type(container) is dict and type(key) is int:
        return container.get(str(key), UNDEFINED)
    return found


def index(container: Any, key: Any) -> Any:
    """``container[key]``, or `UNDEFINED`."""
    kind = type(container)
    if kind is dict:
        return container.get(key if type(key) is str else key_of(key), UNDEFINED)
    if kind is list:
        if type(key) is int:
            return container[key] if 0 <= key < len(container) else UNDEFINED
        return UNDEFINED
    if kind is Set:
        return key if key_of(key) in container.keys else UNDEFINED
    if kind is Virtual:
        return container.get(key if type(key) is str else key_of(key))
    if container is not UNDEFINED:
        rank(container)
    return UNDEFINED


def _metered(context: Context, sequence: Sequence[Any]) -> Iterable[Any]:
    """The sequence, paid for; a long one checks the deadline as it goes."""
    size = len(sequence)
    budget = context.budget
    if budget.deadline is None and budget.left > size:
        budget.left -= size + 1
        return sequence
    budget.charge(size + 1)
    if size <= _BATCH or budget.deadline is None:
        return sequence
    return _batches(context, sequence)


def _batches(context: Context, sequence: Sequence[Any]) -> Iterator[Any]:
    """The parts, with a look at the clock after each batch; slow turns make the batches smaller."""
    start, size = 0, _BATCH
    while start < len(sequence):
        context.budget.charge(0)
        begin = time.monotonic()
        yield from sequence[start : start + size]
        start += size
        size = max(size // 8, 1) if time.monotonic() - begin > _SLOW_BATCH else min(size * 2, _BATCH)


def each_value(context: Context, container: Any) -> Iterable[Any]:
    """The values of a collection, in Rego's order."""
    kind = type(container)
    if kind is list:
        return _metered(context, container)
    if kind is dict:
        return [container[key] for key in _metered(context, sorted_keys(container))]
    if kind is Set:
        return _metered(context, container.sorted()) if container.keys else ()
    if kind is Virtual:
        return (value for _, value in container.items())
    if container is not UNDEFINED:
        rank(container)
    return ()


def each_below(context: Context, node: Node, name: str) -> Iterable[Any]:
    """The values of ``data.path[_].name`` for the path of a node, in the order of ``_``."""
    virtual = Virtual.at(context, node)
    if not virtual.base:
        extents = context.image.extents
        key = (node.id, name)
        if key not in extents:
            extents[key] = _documents_below(node, name, context.image.documents)
        evaluators = extents[key]
        if evaluators is not None:
            return (value for evaluate in evaluators if (value := evaluate(context)) is not UNDEFINED)
    return (value for _, child in virtual.items() if (value := index(child, name)) is not UNDEFINED)


def _documents_below(node: Node, name: str, documents: Mapping[int, _Evaluator]) -> list[_Evaluator] | None:
    """The documents of that name in the packages below a node, in order; None where something else is in the way."""
    found: list[_Evaluator] = []
    for key in sorted_keys(node.children):
        package = node.children[key]
        child = package.children.get(name)
        if package.rules or (child is not None and child.id not in documents):
            return None
        if child is not None:
            found.append(documents[child.id])
    return found


def each_item(context: Context, container: Any) -> Iterable[tuple[Any, Any]]:
    """The (key, value) pairs of a collection, in Rego's order."""
    kind = type(container)
    if kind is list:
        return enumerate(_metered(context, container))
    if kind is dict:
        return [(value_of(key), container[key]) for key in _metered(context, sorted_keys(container))]
    if kind is Set:
        return [(value, value) for value in _metered(context, container.sorted())]
    if isinstance(container, Virtual):
        return container.items()
    if container is not UNDEFINED:
        rank(container)
    return ()


def lookup(context: Context, path: tuple[Any, ...]) -> Any:
    """The value of a path below ``data``, in key form."""
    value: Any
    node = context.image.root
    for depth, part in enumerate(path):
        child = node.children.get(part)
        if child is None:
            break
        evaluate = context.image.documents.get(child.id)
        if evaluate is not None:
            value = evaluate(context)
            for rest in path[depth + 1 :]:
                value = index(value, value_of(rest))
            return value
        node = child
    else:
        return UNDEFINED if node.rules else Virtual.at(context, node).materialize()
    value = Virtual.at(context, node)
    for rest in path[len(node.path) :]:
        value = index(value, value_of(rest))
    return whole(value)
