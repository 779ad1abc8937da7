"""The small words: stages, effects, severities, and the value of what has none."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""A JSON value as Python holds it."""

Stage = Literal["request", "response"]
Effect = Literal["allow", "deny"]
Severity = Literal["low", "medium", "high", "critical"]
Mode = Literal["enforce", "shadow"]
Provenance = Literal["user", "system", "assistant", "tool", "definition", "key", "metadata", "unknown"]
"""Whose words a segment holds. ``definition`` is a tool's or a schema's description, ``key`` an object key,
``metadata`` a field beside the conversation, ``unknown`` a position of no recognised shape."""


class _Undefined:
    """The value of a Rego reference that has none. There is one instance, ``UNDEFINED``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = _Undefined()
Undefined: TypeAlias = _Undefined
