"""Arrays, sets and objects."""

from __future__ import annotations

from typing import Any

from guard.rego.runtime import BuiltinFailure
from guard.rego.values import UNDEFINED, Set, equal, key_of, type_name

from .arithmetic import integer
from .registry import builtin


@builtin("and", "set, set -> set")
def _and(left: Set, right: Set) -> Set:
    return Set(left.keys & right.keys)


@builtin("or", "set, set -> set")
def _or(left: Set, right: Set) -> Set:
    return Set(left.keys | right.keys)


def _sets(values: Set) -> list[set[Any]]:
    found = []
    for value in values:
        if type(value) is not Set:
            raise BuiltinFailure(
                f"operand 1 must be set of sets but got set containing {type_name(value)}", "eval_type_error"
            )
        found.append(value.keys)
    return found


@builtin("union", "set<set> -> set")
def _union(values: Set) -> Set:
    return Set(set().union(*_sets(values)))


@builtin("intersection", "set<set> -> set")
def _intersection(values: Set) -> Set:
    sets = _sets(values)
    return Set(set.intersection(*sets) if sets else set())


# -- arrays -----------------------------------------------------------------------------------------------------------


@builtin("array.concat", "array, array -> array")
def _array_concat(left: list[Any], right: list[Any]) -> list[Any]:
    return left + right


@builtin("array.slice", "array, number, number -> array")
def _array_slice(values: list[Any], start: Any, stop: Any) -> list[Any]:
    first, last = max(integer(start, 2), 0), min(integer(stop, 3), len(values))
    return values[first : max(last, first)]


@builtin("array.reverse", "array -> array")
def _array_reverse(values: list[Any]) -> list[Any]:
    return values[::-1]


@builtin("array.flatten", "array -> array")
def _array_flatten(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if type(value) is list:
            found.extend(value)
        else:
            found.append(value)
    return found


# -- objects ----------------------------------------------------------------------------------------------------------


@builtin("object.get", "object, any, any -> any")
def _object_get(obj: dict[Any, Any], key: Any, default: Any) -> Any:
    if type(key) is not list:
        return obj.get(key_of(key), default)
    found: Any = obj
    for part in key:
        found = step(found, part)
        if found is UNDEFINED:
            return default
    return found


def step(value: Any, part: Any) -> Any:
    """One step down: a key of an object, an index of an array, a member of a set."""
    kind = type(value)
    if kind is dict:
        return value.get(key_of(part), UNDEFINED)
    if kind is list and type(part) is int and 0 <= part < len(value):
        return value[part]
    if kind is Set and key_of(part) in value.keys:
        return part
    return UNDEFINED


@builtin("object.keys", "object -> set")
def _object_keys(obj: dict[Any, Any]) -> Set:
    return Set(set(obj))


def _keys(value: Any) -> set[Any]:
    kind = type(value)
    if kind is list:
        return {key_of(item) for item in value}
    if kind is Set:
        return set(value.keys)
    return set(value)


@builtin("object.remove", "object, object | set | array -> any")
def _object_remove(obj: dict[Any, Any], keys: Any) -> dict[Any, Any]:
    gone = _keys(keys)
    return {key: value for key, value in obj.items() if key not in gone}


@builtin("object.filter", "object, object | set | array -> any")
def _object_filter(obj: dict[Any, Any], keys: Any) -> dict[Any, Any]:
    kept = _keys(keys)
    return {key: value for key, value in obj.items() if key in kept}


def _merged(left: Any, right: Any) -> Any:
    """``right`` over ``left``, objects key by key."""
    if type(left) is not dict or type(right) is not dict:
        return right
    found = dict(left)
    for key, value in right.items():
        found[key] = _merged(found[key], value) if key in found else value
    return found


@builtin("object.union", "object, object -> any", deep=True)
def _object_union(left: dict[Any, Any], right: dict[Any, Any]) -> Any:
    return _merged(left, right)


@builtin("object.union_n", "array -> any", deep=True)
def _object_union_n(objects: list[Any]) -> Any:
    found: Any = {}
    for obj in objects:
        if type(obj) is not dict:
            message = f"operand 1 must be array of objects but got array containing {type_name(obj)}"
            raise BuiltinFailure(message, "eval_type_error")
        found = _merged(found, obj)
    return found


@builtin("object.subset", "object | set | array, object | set | array -> any", deep=True)
def _object_subset(whole: Any, part: Any) -> bool:
    kinds = (type(whole), type(part))
    if kinds == (list, Set):
        have = {key_of(item) for item in whole}
        return bool(part.keys <= have) and bool(part.keys or whole)
    if kinds[0] is not kinds[1]:
        message = "both arguments object.subset must be of the same type or array and set"
        raise BuiltinFailure(message, "eval_type_error")
    return _subset(whole, part)


def _subset(whole: Any, part: Any) -> bool:
    kind = type(part)
    if kind is not type(whole):
        return equal(whole, part)
    if kind is Set:
        return bool(part.keys <= whole.keys)
    if kind is list:
        size = len(part)
        return any(equal(whole[at : at + size], part) for at in range(len(whole) - size + 1))
    if kind is dict:
        return all(key in whole and _subset(whole[key], value) for key, value in part.items())
    return equal(whole, part)
