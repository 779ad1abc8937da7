"""What reading says of a body beside its texts: pointers, facts, limits, media types."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import SHAPES, ReadLimits, choose
from guard.errors import ContentRefused
from guard.types import JSON, Facts, Named, Skipped
from tests.content.reading import CHAT, LIMITS, MESSAGES, read_bytes, read_json, texts, token

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def strings(value: JSON) -> list[str]:
    """Every non-empty string and key of a value."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in ([key] if key else []) + strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return []


@given(value=VALUES)
def test_generic_json_shows_every_string_and_every_key(value: JSON) -> None:
    """Nothing of an unknown shape is missed: each string and key is a segment, or is JSON whose parts are."""
    seen = [text for _, _, text in texts(read_json(value))]
    for text in strings(value):
        if text not in seen:
            inner = json.loads(text)
            assert all(part in seen for part in strings(inner))


@given(value=VALUES)
def test_pointers_of_unknown_json_hold_no_text_of_the_body(value: JSON) -> None:
    """A pointer is made of array indexes and keyed hashes only."""
    for pointer, _, _ in texts(read_json(value)):
        assert all(part.isdecimal() or (part[0] == "~" and len(part) == 13) for part in pointer.split("/")[1:])


def test_a_key_that_looks_like_a_number_is_hashed() -> None:
    """Only the index of an array stays a number in a pointer."""
    assert texts(read_json({"4111": ["x"]}))[1][0] == f"/{token('4111')}/0"


def test_field_names_of_the_route_keep_their_name() -> None:
    """A key that the owner named stands in pointers as it is, and is no text."""
    content = read_json({"ticket": {"body": "x", "other": "y"}}, field_names=("ticket", "body"))
    key = token("other")
    assert texts(content) == [
        ("/ticket/body", "unknown", "x"),
        (f"/ticket/{key}", "key", "other"),
        (f"/ticket/{key}", "unknown", "y"),
    ]


def test_facts_of_a_chat_request() -> None:
    """Model, counts, names of tools and calls, stream and bounds come with their pointers."""
    body = {
        "model": "gpt-x",
        "messages": [
            {"role": "user", "content": "x" * 40},
            {"role": "assistant", "tool_calls": [{"function": {"name": "send", "arguments": "{}"}}]},
        ],
        "tools": [{"type": "function", "function": {"name": "send"}}],
        "stream": True,
        "max_completion_tokens": 256,
    }
    assert read_json(body, path=CHAT).facts == Facts(
        operation="chat",
        model=Named("gpt-x", "/model"),
        messages=2,
        tools=(Named("send", "/tools/0/function/name"),),
        tool_calls=(Named("send", "/messages/1/tool_calls/0/function/name"),),
        stream=True,
        max_tokens=256,
        tokens_estimate=(len("gpt-x") + 40 + 4 + 4) // 4,
    )


def test_facts_of_a_messages_request() -> None:
    """The same for Anthropic's shape, where a call is a block."""
    body = {
        "model": "claude-x",
        "max_tokens": 64,
        "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "send", "input": {}}]}],
        "tools": [{"name": "send", "input_schema": {"type": "object"}}],
    }
    facts = read_json(body, path=MESSAGES).facts
    assert (facts.operation, facts.max_tokens, facts.stream) == ("messages", 64, False)
    assert facts.tools == (Named("send", "/tools/0/name"),)
    assert facts.tool_calls == (Named("send", "/messages/0/content/0/name"),)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_bound_on_an_answer_has_many_names(name: str) -> None:
    """A call that no path announces states its bound as well, under the name that its API has for it."""
    assert read_json({"model": "m", "input": "x", name: 77}).facts.max_tokens == 77
    assert read_json({"model": "m", "messages": [], name: 77}, path=CHAT).facts.max_tokens == 77


def test_facts_of_the_wrong_type_are_absent() -> None:
    """A model that is no string, a flag that is no boolean, a bound that is no integer say nothing."""
    facts = read_json({"model": 7, "messages": "x", "stream": "true", "max_tokens": 1e3}, path=CHAT).facts
    assert (facts.model, facts.messages, facts.stream, facts.max_tokens) == (None, 0, False, None)
    assert read_json({"model": "m"}).facts == Facts()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai.chat"),
        ("/openai/deployments/x/chat/completions/", "openai.chat"),
        ("//V1//messages", "anthropic.messages"),
        ("/v1/messages/count_tokens", "anthropic.messages"),
        ("/messages", "generic"),
        ("/v1/chat/completions/x", "generic"),
        ("", "generic"),
    ],
)
def test_auto_chooses_the_shape_by_the_end_of_the_path(path: str, name: str) -> None:
    """Slashes and case don't matter; a path that is not known is read generically."""
    assert choose("auto", path).name == name
    assert choose("generic", path) is SHAPES["generic"]


def test_texts_past_the_inspection_limit_are_named() -> None:
    """The text that crosses the limit and all after it are skipped, under few pointers."""
    limits = msgspec.structs.replace(LIMITS, inspect_limit_bytes=100)
    body = {"messages": [{"role": "user", "content": "é" * 30} for _ in range(40)]}
    content = read_json(body, path=CHAT, limits=limits)
    assert [pointer for pointer, _, _ in texts(content)] == ["/messages/0/content"]
    assert content.skipped == (Skipped("/messages", "inspect_limit"),)
    content = read_json({"messages": body["messages"][:3]}, path=CHAT, limits=limits)
    assert content.skipped == (
        Skipped("/messages/1/content", "inspect_limit"),
        Skipped("/messages/2/content", "inspect_limit"),
    )
    content = read_bytes(b"x" * 101, "content-type: text/plain", limits=limits)
    assert (content.segments, content.skipped) == ((), (Skipped("", "inspect_limit"),))


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "image/png", "application/x-www-form-urlencoded"]
)
def test_an_empty_body_has_nothing_to_inspect(media_type: str) -> None:
    """No bytes: no segments, nothing skipped, nothing refused."""
    content = read_bytes(b"", f"content-type: {media_type}")
    assert (content.segments, content.skipped, content.size_bytes) == ((), (), 0)


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "text/html", "application/xml", "image/svg+xml", "application/javascript"],
)
def test_text_is_one_segment(media_type: str) -> None:
    """A text body is one segment that is the whole body."""
    content = read_bytes("<p>leak.me@é.com</p>".encode(), f"content-type: {media_type}")
    assert texts(content) == [("", "unknown", "<p>leak.me@é.com</p>")]


@pytest.mark.parametrize(
    ("charset", "codec"), [("iso-8859-1", "latin-1"), ("windows-1252", "cp1252"), ('"UTF8"', "utf-8")]
)
def test_text_is_read_in_its_charset(charset: str, codec: str) -> None:
    """A declared charset is used."""
    content = read_bytes("café".encode(codec), f"content-type: text/plain; charset={charset}")
    assert texts(content) == [("", "unknown", "café")]


def test_depth_counts_through_json_in_strings() -> None:
    """JSON in a string at the depth limit is not followed deeper than the limit."""
    limits = ReadLimits(max_json_depth=3, max_json_values=100, inspect_limit_bytes=1000)
    assert texts(read_json([['[1, "x"]']], limits=limits)) == [("/0/0/1", "unknown", "x")]
    assert texts(read_json([[['["x"]']]], limits=limits)) == [("/0/0/0", "unknown", '["x"]')]


def test_values_in_strings_count_too() -> None:
    """JSON in a string is followed while the body has values left of its limit."""
    limits = ReadLimits(max_json_depth=9, max_json_values=8, inspect_limit_bytes=1000)
    assert len(read_json(['["a","b"]', '["c","d"]'], limits=limits).segments) == 4
    content = read_json(['["a,,,,,,","b","c","d"]', '["e"]', '["f","g"]'], limits=limits)
    assert [text for _, _, text in texts(content)] == ["a,,,,,,", "b", "c", "d", '["e"]', '["f","g"]']


@pytest.mark.parametrize("depth", [64, 65])
def test_depth_limit_is_exact(depth: int) -> None:
    """As many levels as the limit are read, one more is refused."""
    body = b"[" * depth + b"]" * depth
    if depth == 64:
        assert read_bytes(body, "content-type: application/json").segments == ()
    else:
        with pytest.raises(ContentRefused, match="deeper"):
            read_bytes(body, "content-type: application/json")


def test_many_brackets_and_commas_in_strings_are_no_values() -> None:
    """Text that looks like structure neither nests nor counts."""
    limits = ReadLimits(max_json_depth=2, max_json_values=3, inspect_limit_bytes=1000)
    assert len(read_json({"x": 'a,[[[[,,,,{{{{\\"'}, limits=limits).segments) == 2
