"""Rego's values as plain Python objects, their equality, order and keys.

========  =======================================================================
Rego      Python
========  =======================================================================
null      ``None``
boolean   ``bool`` (never equal to a number)
number    ``int``, ``float``, or ``Decimal`` where no float has that decimal text
string    ``str``
array     ``list``
object    ``dict``, keyed by `key_of`
set       `Set`
========  =======================================================================

Values are never changed after they were made, so input and base data are used in place. Object keys and set members
are held in *key form*: strings and numbers as they are, all else in `Key`, so that ``true`` is not ``1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cmp_to_key, partial
from itertools import repeat
from typing import Any, Final

from .effort import Effort
from .errors import InputError


class Undefined:
    """The type of `UNDEFINED`: no value, which is not the same as null or false."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()

NUMBERS: Final = frozenset({int, float, Decimal})
_EXACT: Final = 2**53
_PLAIN: Final = frozenset({str, int, float})
_SCALARS: Final = frozenset({str, int, float, bool, type(None), Decimal})


class Key:
    """A value in key form (see the module's page): hashable, equal as Rego says."""

    __slots__ = ("_hash", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._hash = _hash(value, None)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is Key and self._hash == other._hash and equal(self.value, other.value)

    def __repr__(self) -> str:
        return f"Key({self.value!r})"


class Set:
    """A set of values. ``keys`` holds the members in key form; iteration gives the values in Rego's order."""

    __slots__ = ("_sorted", "keys")

    def __init__(self, keys: set[Any]) -> None:
        self.keys = keys
        self._sorted: list[Any] | None = None

    @classmethod
    def of(cls, values: Iterable[Any]) -> Set:
        """The set of these values."""
        return cls({key_of(value) for value in values})

    def sorted(self) -> list[Any]:
        """The members in Rego's order. The list is shared: do not change it."""
        found = self._sorted
        if found is None:
            values = [value_of(key) for key in self.keys]
            found = self._sorted = sort_values(values) if len(values) > 1 else values
        return found

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sorted())

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, value: object) -> bool:
        return key_of(value) in self.keys

    def __eq__(self, other: object) -> bool:
        return type(other) is Set and self.keys == other.keys

    def __hash__(self) -> int:
        return hash(frozenset(self.keys))

    def __repr__(self) -> str:
        return f"Set({self.sorted()!r})"


_CONTAINERS: Final = frozenset({list, dict, Set})


def _hash(value: Any, effort: Effort | None) -> int:
    """The hash of what is no string and no number; equal to that of its key form."""
    kind = type(value)
    if kind is bool:
        return 7 if value else 11
    if kind is Set:
        return hash(frozenset(value.keys))
    effort = effort or Effort()
    if kind is list:
        effort.visit(len(value))
        texts = set(map(type, value)) <= {str}
        return hash((1, *(map(hash, value) if texts else [_hash_part(item, effort) for item in value])))
    if kind is dict:
        effort.visit(len(value))
        if set(map(type, value.values())) <= {str}:
            return hash(frozenset(value.items()))
        pairs = [(key, item if type(item) is str else _hash_part(item, effort)) for key, item in value.items()]
        return hash(frozenset(pairs))
    raise InputError(f"{kind.__name__} is not a JSON value")


def _hash_part(value: Any, effort: Effort) -> int:
    if value is None or type(value) in NUMBERS or type(value) is str:
        return hash(key_of(value))
    return _hash(value, effort)


KEY_TRUE: Final = Key(True)
KEY_FALSE: Final = Key(False)


def key_of(value: Any) -> Any:
    """The key form of a value."""
    kind = type(value)
    if kind is float:
        return value if -_EXACT < value < _EXACT else int(Decimal(repr(value)))
    if kind in _PLAIN or value is None or kind is Decimal:
        return value
    if value is True:
        return KEY_TRUE
    if value is False:
        return KEY_FALSE
    return Key(value)


def value_of(key: Any) -> Any:
    """The value of a key form."""
    return key.value if type(key) is Key else key


def make_object(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """An object from (key, value) pairs; a later pair wins."""
    return {key_of(key): value for key, value in pairs}


def equal(left: Any, right: Any, effort: Effort | None = None) -> bool:
    """Rego's equality: by value and type; 1 equals 1.0, not ``true``. Raises StepLimitError for values too large."""
    kind = type(left)
    if kind is not type(right):
        return kind in NUMBERS and type(right) in NUMBERS and compare_numbers(left, right) == 0
    if kind in _SCALARS:
        return bool(left == right)
    if kind not in _CONTAINERS:
        raise InputError(f"{kind.__name__} is not a JSON value")
    if left is right:
        return True
    if len(left) != len(right):
        return False
    effort = effort or Effort()
    effort.visit(len(left))
    if kind is list:
        return all(map(equal, left, right, repeat(effort)))
    theirs = right if kind is dict else right.keys
    found = _matching(left if kind is dict else left.keys, theirs, effort)
    if found is None:
        return False
    return kind is Set or all(equal(left[key], right[other], effort) for key, other in found)


def _matching(ours: Iterable[Any], theirs: Any, effort: Effort) -> Iterable[tuple[Any, Any]] | None:
    """Each key with its equal among the others' keys; None where one has none. Keys that are containers are found by
    hash and compared on the same effort, since they may be containers of containers."""
    by_hash: dict[int, list[Any]] | None = None
    found: list[tuple[Any, Any]] = []
    for key in ours:
        if type(key) is not Key:
            if key not in theirs:
                return None
            found.append((key, key))
            continue
        if by_hash is None:
            by_hash = {}
            for other in theirs:
                if type(other) is Key:
                    by_hash.setdefault(hash(other), []).append(other)
        near = by_hash.get(hash(key), ())
        match = next((other for other in near if equal(key.value, other.value, effort)), None)
        if match is None:
            return None
        found.append((key, match))
    return found


def compare_numbers(left: Any, right: Any) -> int:
    """-1, 0 or 1. A float stands for its shortest decimal text, as it would in JSON."""
    if type(left) is not type(right):
        if type(left) is float and (type(right) is Decimal or abs(left) >= 2**53):
            left = Decimal(repr(left))
        if type(right) is float and (type(left) is Decimal or abs(right) >= 2**53):
            right = Decimal(repr(right))
    return bool(left > right) - bool(left < right)


_RANKS: Final = dict(
    zip((type(None), bool, int, float, Decimal, str, list, dict, Set), (0, 1, 2, 2, 2, 3, 5, 6, 7), strict=True)
)


def rank(value: Any) -> int:
    """The place of a value's type in Rego's order."""
    try:
        return _RANKS[type(value)]
    except KeyError:
        raise InputError(f"{type(value).__name__} is not a JSON value") from None


def compare(left: Any, right: Any, effort: Effort | None = None) -> int:
    """-1, 0 or 1 in OPA's total order: null < booleans < numbers < strings < arrays < objects < sets. Raises
    StepLimitError where the values are too large."""
    place = rank(left)
    other = rank(right)
    if place != other:
        return -1 if place < other else 1
    if place == 2:
        return compare_numbers(left, right)
    if place in {1, 3}:
        return bool(left > right) - bool(left < right)
    if left is right:
        return 0
    effort = effort or Effort()
    if place == 5:
        return _compare_sequences(left, right, effort)
    if place == 6:
        return _compare_objects(left, right, effort)
    return _compare_sequences(left.sorted(), right.sorted(), effort)


def _compare_sequences(left: list[Any], right: list[Any], effort: Effort) -> int:
    effort.visit(min(len(left), len(right)))
    for one, two in zip(left, right, strict=False):
        found = compare(one, two, effort)
        if found:
            return found
    return (len(left) > len(right)) - (len(left) < len(right))


def _compare_objects(left: dict[Any, Any], right: dict[Any, Any], effort: Effort) -> int:
    effort.visit(len(left) + len(right))
    left_keys, right_keys = sorted_keys(left), sorted_keys(right)
    for one, two in zip(left_keys, right_keys, strict=False):
        found = compare(value_of(one), value_of(two), effort) or compare(left[one], right[two], effort)
        if found:
            return found
    return (len(left) > len(right)) - (len(left) < len(right))


def _sort_key(value: Any, effort: Effort) -> tuple[Any, ...]:
    """A tuple that Python orders as `compare` orders the value. Raises TypeError where there is none."""
    kind = type(value)
    place = rank(value)
    if kind is str or kind is int or kind is bool:
        return (place, value)
    if kind is dict:
        effort.visit(len(value))
        flat: list[Any] = [place]
        for key in sorted(value):
            if type(key) is not str:
                raise TypeError(type(key))
            item = value[key]
            flat += (key, (3, item) if type(item) is str else _sort_key(item, effort))
        return tuple(flat)
    if kind is list or kind is Set:
        effort.visit(len(value))
        return (place, *[_sort_key(item, effort) for item in value])
    if value is None:
        return (place,)
    if kind is float and -_EXACT < value < _EXACT:
        return (place, value)
    raise TypeError(kind)


def sort_values(values: Iterable[Any], effort: Effort | None = None) -> list[Any]:
    """A new list in Rego's order. Raises StepLimitError where the values are too large."""
    values = list(values)
    kinds = set(map(type, values))
    if len(kinds) <= 1 and kinds <= _PLAIN:
        return sorted(values)
    effort = effort or Effort()
    try:
        return sorted(values, key=partial(_sort_key, effort=effort))
    except TypeError:
        return sorted(values, key=cmp_to_key(partial(compare, effort=effort)))


def sorted_keys(obj: dict[Any, Any]) -> list[Any]:
    """The keys of an object, in key form and Rego's order."""
    if len(obj) <= 1:
        return list(obj)
    if set(map(type, obj)) == {str}:
        return sorted(obj)
    effort = Effort()
    order = cmp_to_key(lambda left, right: compare(value_of(left), value_of(right), effort))
    return sorted(obj, key=order)


_NAMES: Final = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    str: "string",
    list: "array",
    dict: "object",
    Set: "set",
}


def type_name(value: Any) -> str:
    """What ``type_name`` answers."""
    try:
        return _NAMES[type(value)]
    except KeyError:
        raise InputError(f"{type(value).__name__} is not a JSON value") from None
