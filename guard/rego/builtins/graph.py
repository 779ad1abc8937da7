"""graph.reachable, graph.reachable_paths and walk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guard.rego.runtime import Context
from guard.rego.values import Set, key_of, sorted_keys, value_of

from .registry import builtin, relation

_COLLECTIONS = frozenset({dict, list, Set})


def _vertices(value: Any) -> list[Any]:
    return value if type(value) is list else value.sorted() if type(value) is Set else []


@builtin("graph.reachable", "object, array | set -> set", context=True)
def _reachable(ctx: Context, graph: dict[Any, Any], initial: Any) -> Set:
    queue = [key_of(node) for node in _vertices(initial)]
    reached: set[Any] = set()
    while queue:
        ctx.budget.charge(1)
        node = queue.pop()
        if node in reached or node not in graph:
            continue
        reached.add(node)
        ctx.budget.charge(len(graph[node]) if type(graph[node]) in _COLLECTIONS else 0)
        queue.extend(key_of(neighbour) for neighbour in _vertices(graph[node]))
    return Set(reached)


@builtin("graph.reachable_paths", "object, array | set -> set", context=True)
def _reachable_paths(ctx: Context, graph: dict[Any, Any], initial: Any) -> Set:
    found: set[Any] = set()
    for start in _vertices(initial):
        if key_of(start) not in graph:
            continue
        edges = _vertices(graph[key_of(start)])
        if not edges:
            found.add(key_of([start]))
        stack = [(neighbour, [start], frozenset({key_of(start)})) for neighbour in edges]
        while stack:
            node, path, seen = stack.pop()
            ctx.budget.charge(1 + len(path) // 8)
            if key_of(node) not in graph:
                found.add(key_of(path))
                continue
            path = [*path, node]
            edges = _vertices(graph[key_of(node)])
            if not edges:
                found.add(key_of(path))
                continue
            seen |= {key_of(node)}
            for neighbour in edges:
                if key_of(neighbour) in seen:
                    found.add(key_of(path))
                else:
                    stack.append((neighbour, path, seen))
    return Set(found)


def _walk(ctx: Context, value: Any) -> Iterator[list[Any]]:
    """[path, value] of a value and of everything inside it, parents first."""
    yield [[], value]
    stack: list[tuple[list[Any], Iterator[tuple[Any, Any]]]] = [([], _items(value))]
    while stack:
        above, items = stack[-1]
        part = next(items, None)
        if part is None:
            stack.pop()
            continue
        path = [*above, part[0]]
        ctx.budget.charge(1 + len(path) // 16)
        yield [path, part[1]]
        if type(part[1]) in _COLLECTIONS:
            stack.append((path, _items(part[1])))


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """The keys and values of a collection in Rego's order; nothing for what is none."""
    kind = type(value)
    if kind is dict:
        return ((value_of(key), value[key]) for key in sorted_keys(value))
    if kind is list:
        return enumerate(value)
    return ((item, item) for item in value.sorted()) if kind is Set else iter(())


relation("walk", "any -> array", _walk)
