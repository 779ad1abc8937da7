"""What a provider says that a call cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import Usage, usage_of


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}, Usage(3, 4)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9}}, Usage(3, 6)),
        ({"usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3, 0)),
        ({"usage": {"total_tokens": 8}}, Usage(None, 8)),
        ({"usage": {"input_tokens": 3, "output_tokens": 4}}, Usage(3, 4)),
        (
            {"usage": {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4}},
            Usage(7, None),
        ),
        ({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}, Usage(5, None)),
        ({"type": "message_delta", "usage": {"output_tokens": 9}}, Usage(None, 9)),
        ({"response": {"usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}}, Usage(3, 4)),
        ({"response": "a text", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Usage(3, 4)),
        ({"message": "a text", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Usage(3, 4)),
        ({"usage": {"prompt_tokens": -3, "completion_tokens": 10**30}}, Usage(0, 10**12)),
        ({"usage": {"prompt_tokens": -3, "completion_tokens": 4}}, Usage(0, 4)),
        ({"usage": {"prompt_tokens": 10**15}}, Usage(10**12, None)),
        ({"usage": None}, None),
        ({"response": {"usage": None}}, None),
        ({"response": "usage"}, None),
        ({"usage": {"prompt_tokens": "3"}}, None),
        ({"usage": {"prompt_tokens": True}}, None),
        ({"usage": {"searches": 3}}, None),
        ({"content": 'the "usage" of words'}, None),
        ([{"usage": {"prompt_tokens": 3}}], None),
    ],
)
def test_each_providers_form(answer: Any, expected: Usage | None) -> None:
    """OpenAI's and Anthropic's, whole and in events; what is no count is none. Text and bytes are read alike."""
    text = json.dumps(answer)
    assert usage_of(text) == expected
    assert usage_of(text.encode()) == expected


@given(
    st.binary(max_size=60) | st.text(max_size=60),
    st.sampled_from(['{"usage": ', "", '"usage"', '{"message":{"usage":']),
)
def test_whatever_stands_there_is_read_or_passed_over(data: bytes | str, begin: str) -> None:
    """No answer breaks the counting; a count is never below nothing."""
    whole: bytes | str = begin + data if isinstance(data, str) else begin.encode() + data
    found = usage_of(whole)
    assert found is None or min(found.input or 0, found.output or 0) >= 0


def test_deep_nesting_is_passed_over() -> None:
    """An answer that no parser follows has no count."""
    assert usage_of('{"usage": {"x": ' + "[" * 100_000) is None
