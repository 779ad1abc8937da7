"""graph.reachable, graph.reachable_paths and walk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guard.rego.runtime import Context
from guard.rego.values import Set, key_of, sorted_keys, value_of

from .registry import builtin, relation


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
            ctx.budget.charge(1)
            node, path, seen = stack.pop()
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
    stack: list[tuple[list[Any], Any]] = [([], value)]
    while stack:
        path, found = stack.pop()
        ctx.budget.charge(1 + len(path) // 16)
        yield [path, found]
        kind = type(found)
        if kind is dict:
            stack += [([*path, value_of(key)], found[key]) for key in reversed(sorted_keys(found))]
        elif kind is list:
            stack += [([*path, at], found[at]) for at in range(len(found) - 1, -1, -1)]
        elif kind is Set:
            stack += [([*path, item], item) for item in reversed(found.sorted())]


relation("walk", "any -> array", _walk)
