"""A call of a model is known by its body where no path announces it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard import content
from guard.keyed import KeyedHash

KEYED = KeyedHash("test", b"k" * 32)


def facts(body: Any, path: str = "/ask") -> Any:
    return content.read(
        json.dumps(body).encode(),
        content.Head("application/json"),
        shape="auto",
        path=path,
        stage="request",
        keyed=KEYED,
        limits=content.ReadLimits(64, 1000, 100_000),
    ).facts


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, "chat"),
        ({"prompt": "hi"}, "completion"),
        ({"prompt": ["hi"], "model": "m"}, "completion"),
        ({"model": "m", "input": ["a", "b"]}, "inference"),
        ({"name": "Jane", "email": "jane@corp.com"}, None),
        ({"messages": ["a", "b"]}, None),
        ({"input": "x"}, None),
        ({"model": "Golf", "year": 2020}, None),
        ([1, 2], None),
        ("text", None),
    ],
)
def test_a_call_of_a_model_is_told_by_its_members(body: Any, operation: str | None) -> None:
    """Messages with roles, a prompt, or a model with its input; a customer or a car is none."""
    assert facts(body).operation == operation


def test_the_model_of_such_a_call_is_named_with_its_pointer() -> None:
    """So that the rules about models, and about findings in their names, hold there too."""
    found = facts({"model": "gpt-x", "prompt": "hi", "stream": True})
    assert (found.model.value, found.model.pointer, found.stream) == ("gpt-x", "/" + KEYED.token("model"), True)


def test_a_recognised_path_keeps_its_own_operation() -> None:
    """The shape knows more than the members."""
    assert facts({"model": "m", "messages": []}, "/v1/messages").operation == "messages"
