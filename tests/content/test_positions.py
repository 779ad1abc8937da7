"""Every place of a JSON body where text lives is read: the rows of the bypass table that concern bodies, and more."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import pytest

from tests.content.reading import CHAT, MESSAGES, read_bytes, read_json, texts, token

MAIL = "leak.me@example-bank.com"
CARD = "4111 1111 1111 1111"
PII = f"write to {MAIL}, card {CARD}"
B64 = base64.b64encode((PII + " and so on, and so on, and so on").encode()).decode()
BINARY = base64.b64encode(bytes(range(256))).decode()
PLAIN = [{"role": "user", "content": "hello"}]


def chat(**members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": PLAIN} | members


def user(content: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": content}])


def said(role: str, **members: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": "hi"}, {"role": role, **members}])


class Position(NamedTuple):
    """One row: where the text is planted, and where it is expected (``""``: anywhere)."""

    row: str
    body: Any
    pointer: str
    provenance: str
    path: str = CHAT
    text: str = PII


ARGUMENTS = json.dumps({"to": PII})
POSITIONS = (
    Position("00 user string content", user(PII), "/messages/0/content", "user"),
    Position("01 text part", user([{"type": "text", "text": PII}]), "/messages/0/content/0/text", "user"),
    Position("02 system message", said("system", content=PII), "/messages/1/content", "system"),
    Position(
        "03 earlier user turn",
        chat(messages=[{"role": "user", "content": PII}, {"role": "assistant", "content": "ok"}, *PLAIN]),
        "/messages/0/content",
        "user",
    ),
    Position("04 developer message", said("developer", content=PII), "/messages/1/content", "system"),
    Position(
        "05 tool-call arguments",
        said(
            "assistant", tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}]
        ),
        f"/messages/1/tool_calls/0/function/arguments/{token('to')}",
        "assistant",
    ),
    Position("06 tool result", said("tool", tool_call_id="c", content=PII), "/messages/1/content", "tool"),
    Position(
        "07 tool description",
        chat(tools=[{"type": "function", "function": {"name": "f", "description": PII}}]),
        "/tools/0/function/description",
        "definition",
    ),
    Position(
        "07 tool enum",
        chat(
            tools=[
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"enum": [PII]}}}},
                }
            ]
        ),
        f"/tools/0/function/parameters/properties/{token('x')}/enum/0",
        "definition",
    ),
    Position("08 metadata value", chat(metadata={"note": PII}), f"/metadata/{token('note')}", "metadata"),
    Position("09 user field", chat(user=PII), "/user", "metadata"),
    Position("10 message name", said("user", content="hi", name=PII), "/messages/1/name", "metadata"),
    Position(
        "11 image URL with a query",
        user([{"type": "image_url", "image_url": {"url": f"https://x/?mail={MAIL}"}}]),
        "/messages/0/content/0/image_url/url",
        "user",
        text=MAIL,
    ),
    Position(
        "14 response_format description",
        chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"description": PII}}}),
        "/response_format/json_schema/schema/description",
        "definition",
    ),
    Position("15 stop sequences", chat(stop=["END", PII]), "/stop/1", "metadata"),
    Position("16 prediction", chat(prediction={"type": "content", "content": PII}), "/prediction/content", "user"),
    Position("17 unknown field", chat(notes=PII), f"/{token('notes')}", "unknown"),
    Position(
        "18 legacy functions",
        chat(functions=[{"name": "f", "description": PII}]),
        "/functions/0/description",
        "definition",
    ),
    Position(
        "28 full-width", user(MAIL.replace("@", "＠")), "/messages/0/content", "user", text=MAIL.replace("@", "＠")
    ),
    Position(
        "29 zero-width spaces", user("leak\u200b.me@x.com"), "/messages/0/content", "user", text="leak\u200b.me@x.com"
    ),
    Position(
        "30 dots as separators", user("4111.1111.1111.1111"), "/messages/0/content", "user", text="4111.1111.1111.1111"
    ),
    Position(
        "31 newline inside", user("4111 1111\n1111 1111"), "/messages/0/content", "user", text="4111 1111\n1111 1111"
    ),
    Position("32 base64 text", user(B64), "/messages/0/content", "user", text=B64),
    Position(
        "33 spelled out",
        user("leak.me (at) x (dot) com"),
        "/messages/0/content",
        "user",
        text="leak.me (at) x (dot) com",
    ),
    Position("34 HTML entities", user("leak.me&#64;x.com"), "/messages/0/content", "user", text="leak.me&#64;x.com"),
    Position("35 part input_text", user([{"type": "input_text", "text": PII}]), "/messages/0/content/0/text", "user"),
    Position(
        "36 text in another key",
        user([{"type": "text", "caption": PII}]),
        f"/messages/0/content/0/{token('caption')}",
        "unknown",
    ),
    Position(
        "39 completions prompt", {"model": "m", "prompt": PII}, f"/{token('prompt')}", "unknown", "/v1/completions"
    ),
    Position("40 embeddings input", {"input": ["x", PII]}, f"/{token('input')}/1", "unknown", "/v1/embeddings"),
    Position("41 responses input", {"input": [{"content": [{"text": PII}]}]}, "", "unknown", "/v1/responses"),
    Position(
        "42 responses instructions", {"instructions": PII}, f"/{token('instructions')}", "unknown", "/v1/responses"
    ),
    Position("43 Anthropic user", user(PII), "/messages/0/content", "user", MESSAGES),
    Position("44 Anthropic system", chat(system=PII), "/system", "system", MESSAGES),
    Position(
        "44 Anthropic system blocks", chat(system=[{"type": "text", "text": PII}]), "/system/0/text", "system", MESSAGES
    ),
    Position("45 flags to skip", chat(guardrails=[], disable=True, notes=PII), f"/{token('notes')}", "unknown"),
    Position("49 moderations input", {"input": PII}, f"/{token('input')}", "unknown", "/v1/moderations"),
    Position("50 image prompt", {"prompt": PII}, f"/{token('prompt')}", "unknown", "/v1/images/generations"),
    Position("51 content as object", user({"text": PII}), "/messages/0/content/text", "user"),
    Position(
        "51 content as unknown object",
        user({"body": {"x": PII}}),
        f"/messages/0/content/{token('body')}/{token('x')}",
        "unknown",
    ),
    Position("52 trailing and double slash", user(PII), "/messages/0/content", "user", "/v1//chat/completions//"),
    Position("52 other case", user(PII), "/messages/0/content", "user", "/V1/Chat/Completions"),
    Position("53 alias path", user(PII), "/messages/0/content", "user", "/chat/completions"),
    Position("messages as a string", chat(messages=PII), "/messages", "user"),
    Position("model as an object", chat(model={"x": PII}), f"/model/{token('x')}", "unknown"),
    Position("an unknown role", said("critic", content=PII), "/messages/1/content", "unknown"),
    Position(
        "a role that is no string",
        chat(messages=[*PLAIN, {"role": [PII], "content": "x"}]),
        "/messages/1/role/0",
        "metadata",
    ),
    Position("role itself", said(PII, content="x"), "/messages/1/role", "metadata"),
    Position("part type itself", user([{"type": PII}]), "/messages/0/content/0/type", "metadata"),
    Position("a key", chat(metadata={PII: 1}), f"/metadata/{token(PII)}", "key"),
    Position(
        "legacy function_call",
        said("assistant", function_call={"name": "f", "arguments": ARGUMENTS}),
        f"/messages/1/function_call/arguments/{token('to')}",
        "assistant",
    ),
    Position(
        "arguments that are no JSON",
        said("assistant", function_call={"name": "f", "arguments": PII}),
        "/messages/1/function_call/arguments",
        "assistant",
    ),
    Position(
        "arguments that are an object",
        said("assistant", function_call={"name": "f", "arguments": {"to": PII}}),
        f"/messages/1/function_call/arguments/{token('to')}",
        "assistant",
    ),
    Position(
        "JSON twice encoded", chat(x=json.dumps({"y": json.dumps([PII])})), f"/{token('x')}/{token('y')}/0", "unknown"
    ),
    Position(
        "JSON in a tool result",
        said("tool", content=json.dumps({"x": PII})),
        f"/messages/1/content/{token('x')}",
        "tool",
    ),
    Position("refusal", said("assistant", refusal=PII), "/messages/1/refusal", "assistant"),
    Position(
        "Anthropic tool_use input",
        chat(
            messages=[
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"to": PII}}]}
            ]
        ),
        f"/messages/0/content/0/input/{token('to')}",
        "assistant",
        MESSAGES,
    ),
    Position(
        "Anthropic tool_result",
        user([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": PII}]}]),
        "/messages/0/content/0/content/0/text",
        "tool",
        MESSAGES,
    ),
    Position(
        "Anthropic tool schema",
        chat(tools=[{"name": "f", "input_schema": {"description": PII}}]),
        "/tools/0/input_schema/description",
        "definition",
        MESSAGES,
    ),
    Position("Anthropic metadata", chat(metadata={"user_id": PII}), "/metadata/user_id", "metadata", MESSAGES),
    Position("Anthropic stop_sequences", chat(stop_sequences=[PII]), "/stop_sequences/0", "metadata", MESSAGES),
    Position(
        "Anthropic plain text document",
        user([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PII}}]),
        "/messages/0/content/0/source/data",
        "user",
        MESSAGES,
    ),
    Position(
        "text at the place of an image",
        user([{"type": "image_url", "image_url": PII}]),
        "/messages/0/content/0/image_url",
        "user",
    ),
    Position(
        "text at the place of audio",
        user([{"type": "input_audio", "input_audio": {"data": PII}}]),
        "/messages/0/content/0/input_audio/data",
        "user",
    ),
    Position(
        "a short base64 text at the place of audio",
        user([{"input_audio": {"data": "4111111111111111"}}]),
        "/messages/0/content/0/input_audio/data",
        "user",
        text="4111111111111111",
    ),
    Position("an unquoted card", chat(card=4111111111111111), f"/{token('card')}", "unknown", text="4111111111111111"),
    Position("a card as seed", chat(seed=4111111111111111), "/seed", "unknown", text="4111111111111111"),
    Position(
        "a card as a fraction",
        chat(temperature=4111111111111111.5),
        "/temperature",
        "unknown",
        text="4111111111111111.5",
    ),
    Position("a fraction in unknown JSON", chat(at=52.5), f"/{token('at')}", "unknown", text="52.5"),
)


@pytest.mark.parametrize("position", POSITIONS, ids=lambda position: position.row)
def test_text_is_read_at_every_position(position: Position) -> None:
    """The planted text is in a segment, under a pointer that names the place, as the words of whoever said them."""
    content = read_json(position.body, path=position.path)
    found = [(pointer, provenance) for pointer, provenance, text in texts(content) if position.text in text]
    assert found
    if position.pointer:
        assert found == [(position.pointer, position.provenance)]
    assert all(provenance in {position.provenance, "key"} for _, provenance in found)


@pytest.mark.parametrize(
    ("body", "pointer", "reason", "path"),
    [
        (
            user([{"image_url": {"url": f"data:image/png;base64,{BINARY}"}}]),
            "/messages/0/content/0/image_url/url",
            "image",
            CHAT,
        ),
        (
            user([{"image_url": {"url": f"data:text/plain;base64,{BINARY}"}}]),
            "/messages/0/content/0/image_url/url",
            "data_url",
            CHAT,
        ),
        (user([{"file": {"file_data": BINARY}}]), "/messages/0/content/0/file/file_data", "file", CHAT),
        (
            user([{"file": {"file_data": f"data:application/pdf;base64,{BINARY}"}}]),
            "/messages/0/content/0/file/file_data",
            "file",
            CHAT,
        ),
        (
            user([{"input_audio": {"data": BINARY, "format": "wav"}}]),
            "/messages/0/content/0/input_audio/data",
            "audio",
            CHAT,
        ),
        (
            user([{"type": "image", "source": {"media_type": "image/png", "data": BINARY}}]),
            "/messages/0/content/0/source/data",
            "image",
            MESSAGES,
        ),
        (
            user([{"type": "document", "source": {"media_type": "application/pdf", "data": BINARY}}]),
            "/messages/0/content/0/source/data",
            "file",
            MESSAGES,
        ),
        (
            user([{"type": "thinking", "thinking": "x", "signature": BINARY}]),
            "/messages/0/content/0/signature",
            "opaque_value",
            MESSAGES,
        ),
    ],
)
def test_what_is_not_text_is_named(body: Any, pointer: str, reason: str, path: str) -> None:
    """Rows 12 and 13, images, audio and files: not inspected, and said so with pointer and reason."""
    content = read_json(body, path=path)
    assert [(skipped.pointer, skipped.reason) for skipped in content.skipped] == [(pointer, reason)]
    assert not any(BINARY in text for _, _, text in texts(content))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (user([{"image_url": {"url": f"data:text/plain;base64,{B64}"}}]), CHAT),
        (user([{"image_url": {"url": f"data:image/png;base64,{B64}"}}]), CHAT),
        (user([{"file": {"file_data": B64}}]), CHAT),
        (user([{"input_audio": {"data": B64, "format": "wav"}}]), CHAT),
        (user([{"type": "image", "source": {"media_type": "image/png", "data": B64}}]), MESSAGES),
        (user([{"type": "thinking", "thinking": "x", "signature": B64}]), MESSAGES),
        (user(f"data:text/plain;base64,{B64}"), CHAT),
    ],
)
def test_a_text_in_base64_is_read_whatever_it_is_declared_as(body: Any, path: str) -> None:
    """Rows 12, 13 and 32: what decodes to text is text, and its folded form holds both spellings."""
    content = read_json(body, path=path)
    (segment,) = [segment for segment in content.segments if B64 in segment.text]
    start = segment.folded.text.index(MAIL)
    begin, end = segment.folded.original_span(start, start + len(MAIL))
    assert segment.text[begin:end] == B64
    assert content.skipped == ()


def test_a_data_url_of_no_text_at_a_place_of_text_is_inspected_and_named() -> None:
    """A model reads a data URL in a message as text: the URL is a segment, and what it encodes is said as unread."""
    content = read_json(user(f"data:image/png;base64,{BINARY}"), path=CHAT)
    assert any(BINARY in text for _, _, text in texts(content))
    assert [(skipped.pointer, skipped.reason) for skipped in content.skipped] == [("/messages/0/content", "data_url")]


@pytest.mark.parametrize(
    "arguments",
    [
        '{"to": "leak\\u0040x.com", "to": 1}',
        '{"to": "leak\\u0040x.com",}',
        '{"to": "\\ud800"}',
        '{"to": "\\u0040", "n": NaN}',
        "[" * 100 + '"\\u0040"' + "]" * 100,
    ],
)
def test_arguments_that_break_the_rules_are_inspected_raw_and_named(arguments: str) -> None:
    """JSON in a string that readers may read differently is a text as it stands; what its escapes spell is named."""
    content = read_json(said("assistant", function_call={"name": "f", "arguments": arguments}), path=CHAT)
    assert ("/messages/1/function_call/arguments", "assistant", arguments) in texts(content)
    assert [skipped.reason for skipped in content.skipped] == ["embedded_json"]


def test_row_05_of_the_hostile_table_nested_arguments() -> None:
    """Arguments nested 10,000 levels deep are not followed, and their e-mail address is in a segment."""
    arguments = '{"a":' * 10_000 + f'"{MAIL}"' + "}" * 10_000
    content = read_json(said("assistant", function_call={"name": "f", "arguments": arguments}), path=CHAT)
    assert any(MAIL in text for _, _, text in texts(content))


def test_row_23_json_as_text_and_row_25_byte_order_mark() -> None:
    """JSON sent as text, or with a byte order mark, is read in its shape."""
    body = json.dumps(user(PII)).encode()
    for content in (
        read_bytes(body, "content-type: text/plain", path=CHAT),
        read_bytes(b"\xef\xbb\xbf" + body, "content-type: application/json", path=CHAT),
    ):
        assert ("/messages/0/content", "user", PII) in texts(content)


def test_answers_are_read_in_their_shape() -> None:
    """Choices, tool calls, citations and errors of an answer have pointers and the assistant's provenance."""
    answer = {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1_733_333_333,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": PII,
                    "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}],
                },
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    }
    content = read_json(answer, path=CHAT, stage="response")
    key = token("to")
    assert texts(content) == [
        ("/id", "metadata", "c-1"),
        ("/model", "metadata", "m"),
        ("/choices/0/message/content", "assistant", PII),
        ("/choices/0/message/tool_calls/0/id", "metadata", "t"),
        ("/choices/0/message/tool_calls/0/function/name", "assistant", "f"),
        (f"/choices/0/message/tool_calls/0/function/arguments/{key}", "key", "to"),
        (f"/choices/0/message/tool_calls/0/function/arguments/{key}", "assistant", PII),
    ]
    failed = read_json({"error": {"message": PII, "type": "server_error"}}, path=CHAT, stage="response")
    assert ("/error/message", "unknown", PII) in texts(failed)
    blocks = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": PII}]}
    assert texts(read_json(blocks, path=MESSAGES, stage="response")) == [("/content/0/text", "assistant", PII)]
