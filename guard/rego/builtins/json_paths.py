"""json.filter, json.remove and json.patch (RFC 6902 over RFC 6901 pointers; OPA also lets paths go into sets)."""

from __future__ import annotations

from typing import Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import UNDEFINED, Set, equal, key_of, type_name, value_of

from .collections import step
from .registry import builtin, operand_error

_COLLECTIONS = frozenset({dict, list, Set})


def parse_path(path: Any) -> list[Any]:
    """The segments of a pointer or an array of segments."""
    if type(path) is list:
        return path
    if type(path) is str:
        if not path:
            return []
        return [part.replace("~1", "/").replace("~0", "~") for part in path.lstrip("/").split("/")]
    wanted = "{set, array} containing string paths or array of path segments"
    raise BuiltinFailure(f"operand 2 must be one of {wanted} but got {type_name(path)}", "eval_type_error")


def _paths(value: Any) -> dict[Any, Any]:
    """The paths as a tree whose leaves are None."""
    if type(value) not in {list, Set}:
        raise operand_error(2, ("set", "array"), value)
    root: dict[Any, Any] = {}
    for path in value if type(value) is list else value.sorted():
        segments = [key_of(part) for part in parse_path(path)]
        node: Any = root
        for part in segments[:-1]:
            node = node.setdefault(part, {})
            if node is None:
                break
        if node is not None and segments:
            node[segments[-1]] = None
    return root


@builtin("json.remove", "object, any -> any")
def _json_remove(obj: dict[Any, Any], paths: Any) -> Any:
    return _without(obj, _paths(paths))


def _without(value: Any, paths: Any) -> Any:
    """The value without what the tree of paths names; UNDEFINED where it names the value itself."""
    if paths is UNDEFINED:
        return value
    if paths is None:
        return UNDEFINED
    kind = type(value)
    if kind is dict:
        pairs = [(key, _without(item, paths.get(key, UNDEFINED))) for key, item in value.items()]
        return {key: item for key, item in pairs if item is not UNDEFINED}
    if kind is list:
        items = [_without(item, paths.get(str(position), UNDEFINED)) for position, item in enumerate(value)]
        return [item for item in items if item is not UNDEFINED]
    if kind is Set:
        items = [_without(value_of(key), paths.get(key, UNDEFINED)) for key in value.keys]
        return Set.of(item for item in items if item is not UNDEFINED)
    return value


@builtin("json.filter", "object, any -> any")
def _json_filter(obj: dict[Any, Any], paths: Any) -> Any:
    found = _only(obj, _paths(paths))
    return {} if found is UNDEFINED else found


def _only(value: Any, paths: Any) -> Any:
    """What the tree of paths keeps of a value."""
    if paths is None:
        return value
    kind = type(value)
    if kind is dict:
        pairs = [(key, _only(value[key], below)) for key, below in paths.items() if key in value]
        return {key: item for key, item in pairs if item is not UNDEFINED}
    if kind is list:
        kept = [_only(item, paths[str(at)]) for at, item in enumerate(value) if str(at) in paths]
        return [item for item in kept if item is not UNDEFINED]
    if kind is Set:
        kept = [_only(value_of(key), paths[key]) for key in value.keys if key in paths]
        return Set.of(item for item in kept if item is not UNDEFINED)
    return value


# -- patch ------------------------------------------------------------------------------------------------------------


@builtin("json.patch", "any, array -> any", context=True)
def _json_patch(ctx: Context, document: Any, operations: list[Any]) -> Any:
    for operation in operations:
        ctx.budget.charge(1)
        if type(operation) is not dict:
            message = "must be an array of JSON-Patch objects, but at least one element is not an object"
            raise BuiltinFailure(message)
        ctx.budget.charge(len(document) >> 4 if type(document) in _COLLECTIONS else 0)
        document = _apply(document, operation)
    return document


def _attribute(operation: dict[Any, Any], name: str) -> Any:
    if name not in operation:
        raise BuiltinFailure(f"missing required attribute '{name}'")
    return operation[name]


def _apply(document: Any, operation: dict[Any, Any]) -> Any:
    path = parse_path(_attribute(operation, "path"))
    name = _attribute(operation, "op")
    if type(name) is not str:
        raise BuiltinFailure(f"attribute 'op' must be a string but found: {type_name(name)}")
    if name == "add":
        return _edit(document, path, _attribute(operation, "value"), insert=True)
    if name == "remove":
        return _edit(document, path, UNDEFINED, insert=False)
    if name == "replace":
        value = _attribute(operation, "value")
        if not path:
            return value
        return _edit(_edit(document, path, UNDEFINED, insert=False), path, value, insert=True)
    if name in {"move", "copy"}:
        source = parse_path(_attribute(operation, "from"))
        value = _at(document, source)
        if name == "move":
            document = _edit(document, source, UNDEFINED, insert=False)
        return _edit(document, path, value, insert=True)
    if name == "test":
        if not equal(_at(document, path), _attribute(operation, "value")):
            raise BuiltinFailure("value from EditTree != patch value")
        return document
    raise BuiltinFailure(f"unrecognized op: '{name}'")


def _at(document: Any, path: list[Any]) -> Any:
    for part in path:
        document = step(document, _position(part, document) if type(document) is list else part)
        if document is UNDEFINED:
            raise BuiltinFailure("path does not exist in object")
    return document


def _position(part: Any, array: list[Any], *, insert: bool = False) -> int:
    """An index into an array: an integer or its digits, and ``-`` for the end."""
    if part == "-" and insert:
        return len(array)
    if type(part) is str and part.isascii() and part.isdigit() and (part == "0" or part[0] != "0"):
        part = int(part)
    if type(part) is not int or not 0 <= part < len(array) + insert:
        raise BuiltinFailure(f"invalid array index {part}")
    return part


def _edit(document: Any, path: list[Any], value: Any, *, insert: bool) -> Any:
    """A copy with a value put at a path, or what stands there removed."""
    if not path:
        if insert:
            return value
        raise BuiltinFailure("cannot delete root of document")
    part, rest = path[0], path[1:]
    kind = type(document)
    if kind is dict:
        return _edit_object(document, part, rest, value, insert=insert)
    if kind is list:
        at = _position(part, document, insert=insert and not rest)
        if rest:
            return [*document[:at], _edit(document[at], rest, value, insert=insert), *document[at + 1 :]]
        return [*document[:at], *([value] if insert else []), *document[at + (not insert) :]]
    if kind is Set:
        return _edit_set(document, part, rest, value, insert=insert)
    raise BuiltinFailure("path does not exist in scalar")


def _edit_object(document: dict[Any, Any], part: Any, rest: list[Any], value: Any, *, insert: bool) -> Any:
    key = key_of(part)
    if key not in document and (rest or not insert):
        raise BuiltinFailure("path does not exist in object")
    found = dict(document)
    if rest:
        found[key] = _edit(document[key], rest, value, insert=insert)
    elif insert:
        found[key] = value
    else:
        del found[key]
    return found


def _edit_set(document: Set, part: Any, rest: list[Any], value: Any, *, insert: bool) -> Any:
    key = key_of(part)
    if rest:
        if key not in document.keys:
            raise BuiltinFailure("path does not exist in set")
        return Set((document.keys - {key}) | {key_of(_edit(part, rest, value, insert=insert))})
    if insert:
        if not equal(part, value):
            raise BuiltinFailure("set key does not equal value to be inserted")
        return Set(document.keys | {key})
    if key not in document.keys:
        raise BuiltinFailure("path does not exist in set")
    return Set(document.keys - {key})
