"""Calls of a model that no path announces: told by their members, wherever an app serves them.

An ordinary app keeps what it is sent; a model's provider must not see everything. Which of the two a body is for
decides whether the shipped rules hide what is in it, so a body that looks like a call of a model is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from guard.keyed import KeyedHash
from guard.types import Facts, Named, Operation, Segment

_MAX_SAFE_INTEGER_DIGITS: Final = 15
_MAX_TOKENS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def operation_of(value: Any) -> Operation | None:
    """``chat`` for messages with roles, ``completion`` for a prompt, ``inference`` for a model and its input."""
    if not isinstance(value, dict):
        return None
    messages = value.get("messages")
    if isinstance(messages, list) and any(isinstance(item, dict) and "role" in item for item in messages):
        return "chat"
    if isinstance(value.get("prompt"), str | list):
        return "completion"
    if isinstance(value.get("model"), str) and "input" in value:
        return "inference"
    return None


def facts_of(value: Any, segments: list[Segment], keyed: KeyedHash, field_names: frozenset[str]) -> Facts:
    """What a body of no recognised shape says about a call; all zero if it is none."""
    operation = operation_of(value)
    if operation is None:
        return Facts()
    model, messages = value.get("model"), value.get("messages")
    pointer = "/model" if "model" in field_names else "/" + keyed.token("model")
    return Facts(
        operation=operation,
        model=Named(model, pointer) if isinstance(model, str) and model else None,
        messages=len(messages) if isinstance(messages, list) else 0,
        stream=value.get("stream") is True,
        max_tokens=max_tokens_of(value),
        tokens_estimate=sum(len(segment.text) for segment in segments) // 4,
    )


def max_tokens_of(root: Mapping[str, Any]) -> int | None:
    """How long the answer may be, by the first of the names that APIs have for it."""
    return next((number for name in _MAX_TOKENS if (number := _integer(root.get(name))) is not None), None)


def _integer(value: Any) -> int | None:
    text = bytes(value).decode() if isinstance(value, Raw) else ""
    return int(text) if text.isdecimal() and len(text) <= _MAX_SAFE_INTEGER_DIGITS else None
