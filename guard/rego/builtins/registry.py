"""How a built-in is declared: its name, its signature in a small notation, and the Python function.

Signature: ``"string, array<string> | set -> boolean"``. The part before ``<`` is checked at run time, which yields
OPA's message for a wrong operand; at load, the arity and the types of constants are checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from guard.rego.errors import Location
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import Set, type_name

_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "number": (int, float, Decimal),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
    "set": (Set,),
}
_SIZED = frozenset({str, list, dict, Set})
_FREE = 512
ANY = frozenset(kind for kinds in _TYPES.values() for kind in kinds)


@dataclass(frozen=True, slots=True)
class Operand:
    """What an operand may be: Python types, and the Rego names for messages."""

    kinds: frozenset[type]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Builtin:
    """A built-in function. ``call`` takes the context, the location and the operands."""

    name: str
    operands: tuple[Operand, ...]
    result: str
    call: Callable[..., Any]
    relation: bool = False

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.operands)


BUILTINS: dict[str, Builtin] = {}


def operand_error(position: int, wanted: Sequence[str], got: Any) -> BuiltinFailure:
    """The error for an operand of a wrong type; positions count from 1."""
    expected = wanted[0] if len(wanted) == 1 else "one of {" + ", ".join(wanted) + "}"
    found = got if isinstance(got, _Described) else type_name(got)
    return BuiltinFailure(f"operand {position} must be {expected} but got {found}", "eval_type_error")


class _Described(str):
    """A description that stands for a value in an operand error."""

    __slots__ = ()


def described(text: str) -> Any:
    """A description to give to `operand_error` in place of a value."""
    return _Described(text)


def _operands(text: str) -> tuple[Operand, ...]:
    found: list[Operand] = []
    for part in _split(text, ","):
        names = tuple(name.split("<")[0].strip() for name in _split(part, "|"))
        if names == ("any",):
            found.append(Operand(ANY, names))
        elif names != ("",):
            found.append(Operand(frozenset(kind for name in names for kind in _TYPES[name]), names))
    return tuple(found)


def _split(text: str, separator: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char == "<") - (char == ">")
        if char == separator and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def builtin(
    name: str, signature: str, *, context: bool = False, lenient: bool = False, deep: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a Python function as a built-in. With ``context`` it takes the evaluation's context first. A
    ``lenient`` one is given operands of any type, and the signature only holds at load. A ``deep`` one walks or writes
    the whole of its operands, so that each of their parts is charged before it runs. What any of them makes is charged
    afterwards."""
    inputs, _, result = signature.rpartition("->")

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        operands = _operands(inputs)
        taken = (Operand(ANY, ("any",)),) * len(operands) if lenient else operands
        call = _guarded(name, function, taken, context=context, deep=deep)
        BUILTINS[name] = Builtin(name, operands, result.strip(), call)
        return function

    return register


def relation(name: str, signature: str, function: Callable[..., Any]) -> None:
    """Register a built-in that has many answers; the generated code iterates over them."""
    inputs, _, result = signature.rpartition("->")
    BUILTINS[name] = Builtin(name, _operands(inputs), result.strip(), function, relation=True)


def unfit(error: Exception) -> BuiltinFailure:
    """The failure for a value that Python refuses: half a surrogate pair, an integer of too many digits."""
    if isinstance(error, UnicodeError):
        return BuiltinFailure("a string is not valid Unicode")
    return BuiltinFailure(str(error))


def _paid(ctx: Context, found: Any) -> Any:
    """A result, charged where it is large."""
    if type(found) in _SIZED and len(found) > _FREE:
        ctx.budget.pay_result(found)
    return found


def _guarded(
    name: str, function: Callable[..., Any], operands: tuple[Operand, ...], *, context: bool, deep: bool
) -> Callable[..., Any]:
    """The function with its operands checked, its result charged, its failures turned into undefined or an error."""
    kinds = [operand.kinds for operand in operands]

    def fail(ctx: Context, loc: Location, error: Exception) -> Any:
        failure = error if isinstance(error, BuiltinFailure) else unfit(error)
        failure.message = f"{name}: {failure.message}"
        return ctx.failed(failure, loc)

    def wrong(ctx: Context, loc: Location, args: Sequence[Any]) -> Any:
        for position, (arg, operand) in enumerate(zip(args, operands, strict=True)):
            if type(arg) not in operand.kinds:
                return fail(ctx, loc, operand_error(position + 1, operand.names, arg))
        raise AssertionError(name)

    if context or deep or len(kinds) not in {1, 2}:

        def call(ctx: Context, loc: Location, *args: Any) -> Any:
            for arg, allowed in zip(args, kinds, strict=True):
                if type(arg) not in allowed:
                    return wrong(ctx, loc, args)
                if deep and type(arg) in _SIZED:
                    ctx.budget.pay(arg)
            try:
                found = function(ctx, *args) if context else function(*args)
            except (BuiltinFailure, OverflowError, ValueError) as error:
                return fail(ctx, loc, error)
            return _paid(ctx, found)

        return call
    if len(kinds) == 1:
        (only,) = kinds

        def call_one(ctx: Context, loc: Location, arg: Any) -> Any:
            if type(arg) not in only:
                return wrong(ctx, loc, (arg,))
            try:
                found = function(arg)
            except (BuiltinFailure, OverflowError, ValueError) as error:
                return fail(ctx, loc, error)
            return found if type(found) not in _SIZED else _paid(ctx, found)

        return call_one
    first, second = kinds

    def call_two(ctx: Context, loc: Location, left: Any, right: Any) -> Any:
        if type(left) not in first or type(right) not in second:
            return wrong(ctx, loc, (left, right))
        try:
            found = function(left, right)
        except (BuiltinFailure, OverflowError, ValueError) as error:
            return fail(ctx, loc, error)
        return found if type(found) not in _SIZED else _paid(ctx, found)

    return call_two
