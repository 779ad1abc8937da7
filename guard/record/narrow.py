"""The schema of records made narrow, for the two ways that every record goes: into the log, and through a verifier.

``guard.record.schema`` leaves two places open, ``policy_input`` and ``params``. Here no place is left in which a value
outside the canonical subset of JSON could stand: what reads as a narrow record, from bytes or from Python's own
containers, holds no float and no integer past 2**53 - 1. Open places nest six containers deep; a record that nests
deeper is no narrow record, and is judged by the schema itself.

Narrow structs are subclasses that only these two ways make. So an instance of the schema's own structs, which nobody
has looked into, is not taken for one that was read.
"""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import msgspec

from guard.record.canonical import Integer
from guard.record.schema import DecisionEntry, OutcomeEntry

_Flat: TypeAlias = str | bool | Integer | None
_Deep2: TypeAlias = _Flat | list[_Flat] | dict[str, _Flat]
_Deep3: TypeAlias = _Flat | list[_Deep2] | dict[str, _Deep2]
_Deep4: TypeAlias = _Flat | list[_Deep3] | dict[str, _Deep3]
_Deep5: TypeAlias = _Flat | list[_Deep4] | dict[str, _Deep4]
_Deep6: TypeAlias = _Flat | list[_Deep5] | dict[str, _Deep5]


def narrowed(kind: Any) -> Any:
    """The type ``kind``, of those that the schema is made of, without an open place."""
    if kind is Any:
        return _Deep6
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _subclass(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is None or origin is Literal:
        return kind
    if origin is Annotated:
        return Annotated[narrowed(arguments[0]), *arguments[1:]]
    inner = tuple(narrowed(argument) for argument in arguments)
    return Union[inner] if origin in (Union, UnionType) else origin[inner]  # noqa: UP007 - made at run time


@cache
def _subclass(kind: type[msgspec.Struct]) -> Any:
    field: Any = msgspec.field
    fields = [
        (
            one.name,
            narrowed(one.type),
            field(default=one.default, default_factory=one.default_factory, name=one.encode_name),
        )
        for one in msgspec.structs.fields(kind)
    ]
    tag = kind.__struct_config__.tag
    return msgspec.defstruct(kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True, tag=tag)


NARROW: Final[dict[type[msgspec.Struct], Any]] = {kind: narrowed(kind) for kind in (DecisionEntry, OutcomeEntry)}
"""The kinds of which nearly all of a log consists, narrow. The schema of the others leaves no place open."""
