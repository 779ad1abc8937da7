"""Streamed answers: joined texts under the pointers of the whole answer, and edits that fit back into the events."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import EventReader, apply_edits, assemble, choose, deltas, read_event, write
from guard.errors import ContentRefused
from guard.types import Content, Named, Skipped
from tests.content.reading import CHAT, KEYED, LIMITS, MESSAGES, read_bytes, texts, token

EVENTS = "content-type: text/event-stream; charset=utf-8"
MAIL = "leak.me@x.com"


def event(data: Any, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chunk(index: int = 0, /, **delta: Any) -> bytes:
    """One chunk of an OpenAI stream."""
    choice = {"index": index, "delta": delta, "finish_reason": None}
    return event(
        {"id": "c-1", "object": "chat.completion.chunk", "created": 1_733_333_333, "model": "m", "choices": [choice]}
    )


def arguments(text: str, **call: Any) -> bytes:
    return chunk(tool_calls=[{"index": 0, "function": {"arguments": text} | call}])


def block(kind: str, index: int = 0, **members: Any) -> bytes:
    """One event of an Anthropic stream."""
    return event({"type": kind, "index": index} | members, kind)


DONE = event("[DONE]")


def read_stream(stream: bytes, path: str = CHAT) -> Content:
    return read_bytes(stream, EVENTS, path=path, stage="response")


def replaced(content: Content, text: str, new: str) -> dict[int, list[tuple[int, int, str]]]:
    edits = {}
    for index, segment in enumerate(content.segments):
        if text in segment.text:
            start = segment.text.index(text)
            edits[index] = [(start, start + len(text), new)]
    assert edits
    return edits


def test_pieces_of_a_chat_stream_are_joined() -> None:
    """Content, refusals, reasoning, names and arguments join by choice and call; ids are read once."""
    stream = b"".join(
        [
            chunk(role="assistant", content=""),
            chunk(content="to leak"),
            chunk(1, content="other"),
            chunk(content=".me@x.com"),
            chunk(reasoning_content="hm"),
            chunk(vendor_field="le"),
            chunk(vendor_field="ak"),
            chunk(
                tool_calls=[{"index": 0, "id": "t", "type": "function", "function": {"name": "send", "arguments": ""}}]
            ),
            arguments('{"to": "leak.'),
            arguments('me@x.com", "n": 1'),
            arguments("}"),
            event({"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3}}),
            DONE,
        ]
    )
    content = read_stream(stream)
    key = token("to")
    assert texts(content) == [
        ("/id", "metadata", "c-1"),
        ("/model", "metadata", "m"),
        (f"/choices/0/message/{token('vendor_field')}", "key", "vendor_field"),
        ("/choices/0/message/tool_calls/0/id", "metadata", "t"),
        ("/choices/0/message/content", "assistant", "to leak.me@x.com"),
        ("/choices/1/message/content", "assistant", "other"),
        ("/choices/0/message/reasoning_content", "assistant", "hm"),
        (f"/choices/0/message/{token('vendor_field')}", "assistant", "leak"),
        ("/choices/0/message/tool_calls/0/function/name", "assistant", "send"),
        (f"/choices/0/message/tool_calls/0/function/arguments/{key}", "key", "to"),
        (f"/choices/0/message/tool_calls/0/function/arguments/{key}", "assistant", MAIL),
        (f"/choices/0/message/tool_calls/0/function/arguments/{token('n')}", "key", "n"),
    ]
    assert content.facts.tool_calls == (Named("send", "/choices/0/message/tool_calls/0/function/name"),)
    assert content.skipped == ()


ANTHROPIC = b"".join(
    [
        event(
            {
                "type": "message_start",
                "message": {
                    "id": "m-1",
                    "type": "message",
                    "role": "assistant",
                    "model": "m",
                    "content": [],
                    "usage": {"input_tokens": 3},
                },
            },
            "message_start",
        ),
        block("content_block_start", content_block={"type": "text", "text": ""}),
        event({"type": "ping"}, "ping"),
        block("content_block_delta", delta={"type": "text_delta", "text": "to leak"}),
        block("content_block_delta", delta={"type": "text_delta", "text": ".me@x.com"}),
        block("content_block_stop"),
        block("content_block_start", 1, content_block={"type": "tool_use", "id": "t", "name": "send", "input": {}}),
        block("content_block_delta", 1, delta={"type": "input_json_delta", "partial_json": '{"to": "leak'}),
        block("content_block_delta", 1, delta={"type": "input_json_delta", "partial_json": '.me@x.com"}'}),
        block("content_block_stop", 1),
        block("content_block_start", 2, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        block("content_block_delta", 2, delta={"type": "thinking_delta", "thinking": "hm"}),
        block("content_block_delta", 2, delta={"type": "signature_delta", "signature": "A" * 80}),
        event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}, "message_delta"),
        event({"type": "message_stop"}, "message_stop"),
    ]
)


def test_pieces_of_a_messages_stream_are_joined() -> None:
    """Text, thinking and tool input join by block; what the provider signed is named as unread."""
    content = read_stream(ANTHROPIC, MESSAGES)
    key = token("to")
    assert texts(content) == [
        ("/id", "metadata", "m-1"),
        ("/model", "metadata", "m"),
        ("/content/1/id", "metadata", "t"),
        ("/content/0/text", "assistant", "to leak.me@x.com"),
        ("/content/1/name", "assistant", "send"),
        (f"/content/1/input/{key}", "key", "to"),
        (f"/content/1/input/{key}", "assistant", MAIL),
        ("/content/2/thinking", "assistant", "hm"),
    ]
    assert content.skipped == (Skipped("/content/2/signature", "opaque_value"),)
    written = write(content, replaced(content, MAIL, "<MAIL>"))
    pieces = [json.loads(line[6:]) for line in written.decode().splitlines() if line.startswith("data: ")]
    said = [piece["delta"] for piece in pieces if piece["type"] == "content_block_delta"]
    assert [piece["text"] for piece in said if "text" in piece] == ["to <MAIL>", ""]
    assert [piece["partial_json"] for piece in said if "partial_json" in piece] == ['{"to":"<MAIL>"}', ""]


def test_events_without_an_edit_are_the_same_bytes() -> None:
    """Comments, spacing and every event that an edit does not touch pass byte for byte; no edits, no change."""
    parts = [
        b": hello\n\n",
        chunk(content="a "),
        chunk(content="leak.me@"),
        chunk(content="x.com!"),
        b": ping\r\n\r\n",
        DONE,
    ]
    content = read_stream(b"".join(parts))
    assert write(content, {}) == b"".join(parts)
    written = [one.raw for one in EventReader(10_000).feed(write(content, replaced(content, MAIL, "<MAIL>")))]
    assert [written[index] for index in (0, 1, 4, 5)] == [parts[index] for index in (0, 1, 4, 5)]
    said = [json.loads(written[index][6:])["choices"][0]["delta"]["content"] for index in (2, 3)]
    assert said == ["<MAIL>", "!"]


def test_an_id_that_repeats_is_edited_everywhere() -> None:
    """A text that stands at one pointer in many events is one segment with many places."""
    stream = event({"id": MAIL, "choices": []}) * 3
    content = read_stream(stream)
    assert texts(content) == [("/id", "metadata", MAIL)]
    assert write(content, replaced(content, MAIL, "x")) == b'data: {"id":"x","choices":[]}\n\n' * 3


def test_lines_beside_the_data_are_read_and_rewritten() -> None:
    """Comments, ids, names, unknown lines and data that is no JSON are texts like others."""
    stream = f": c {MAIL}\nid: i {MAIL}\nevent: n {MAIL}\nretry: 10\nodd {MAIL}\ndata: d {MAIL}\n\n".encode()
    content = read_stream(stream)
    assert [(pointer, text) for pointer, _, text in texts(content)] == [
        ("/event/comment", f" c {MAIL}"),
        ("/event/id", f"i {MAIL}"),
        ("/event/name", f"n {MAIL}"),
        ("/event/line", f"odd {MAIL}"),
        ("/event/data", f"d {MAIL}"),
    ]
    written = write(content, replaced(content, MAIL, "<M>"))
    assert written == b": c <M>\nid: i <M>\nevent: n <M>\nretry: 10\nodd <M>\ndata: d <M>\n\n"


def test_arguments_that_are_no_json_are_one_text() -> None:
    """Arguments that were cut off are inspected and edited as they stand."""
    content = read_stream(arguments('{"to": "leak.') + arguments("me@x.com"))
    pointer = "/choices/0/message/tool_calls/0/function/arguments"
    assert (pointer, "assistant", '{"to": "leak.me@x.com') in texts(content)
    again = read_stream(write(content, replaced(content, MAIL, "<M>")))
    assert (pointer, "assistant", '{"to": "<M>') in texts(again)


def test_a_stream_of_no_known_shape_says_that_it_is_not_joined() -> None:
    """Each event is read by itself, and coverage says so."""
    content = read_stream(event({"token": "le"}) + event({"token": "ak"}) + event("plain"), "/other")
    key = token("token")
    assert texts(content) == [
        (f"/{key}", "key", "token"),
        (f"/{key}", "unknown", "le"),
        (f"/{key}", "unknown", "ak"),
        ("/event/data", "unknown", "plain"),
    ]
    assert content.skipped == (Skipped("", "unjoined_stream"),)


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        ('{"a":1,"a":2}', "json_duplicate_key"),
        ('{"a":NaN}', "json_number_invalid"),
        ("[" * 99 + "]" * 99, "json_too_deep"),
    ],
)
def test_events_are_held_to_strict_json(data: str, refusal: str) -> None:
    """An event that readers could read differently is refused as a body is."""
    with pytest.raises(ContentRefused) as refused:
        read_stream(event(data))
    assert refused.value.refusal == refusal


def test_logprobs_of_a_stream_are_emptied_by_an_edit() -> None:
    """The pieces that spell the old text beside the deltas go with it."""
    choice = {"index": 0, "delta": {"content": MAIL}, "logprobs": {"content": [{"token": "leak"}]}}
    content = read_stream(event({"choices": [choice]}))
    assert content.skipped == (Skipped("/choices/0/logprobs", "token_fragments"),)
    (written,) = EventReader(1000).feed(write(content, replaced(content, MAIL, "x")))
    assert json.loads(written.data or "") == {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": None}]}


def test_texts_past_the_inspection_limit_of_a_stream_are_named() -> None:
    """A joined text that crosses the limit is skipped whole."""
    limits = msgspec.structs.replace(LIMITS, inspect_limit_bytes=10)
    content = read_bytes(chunk(content="12345678901") * 2, EVENTS, path=CHAT, stage="response", limits=limits)
    assert Skipped("/choices/0/message/content", "inspect_limit") in content.skipped
    assert [text for _, _, text in texts(content)] == ["c-1", "m"]


def test_deltas_of_one_event() -> None:
    """What flows is told by channel: pieces to be joined, and texts that stand alone."""
    (one,) = EventReader(10_000).feed(chunk(content=" leak"))
    found = deltas(one, choose("auto", CHAT), keyed=KEYED, limits=LIMITS)
    assert [(delta.channel, delta.text, delta.joined) for delta in found.texts] == [
        ("/choices/0/message/content", " leak", True),
        ("/id", "c-1", False),
        ("/model", "m", False),
    ]
    assert found.skipped == ()
    other = deltas(one, choose("generic", ""), keyed=KEYED, limits=LIMITS)
    assert other.skipped == (Skipped("", "unjoined_stream"),)


TEXT = st.text(st.sampled_from('ab "\\\n😀é@'), max_size=12)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, int, str]]]:
    text = draw(TEXT)
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=5))})
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    news = draw(st.lists(TEXT, min_size=3, max_size=3))
    pieces = [text[begin:end] for begin, end in itertools.pairwise(cuts)] or [""]
    return pieces, [(start, end, new) for start, end, new in zip(at[::2], at[1::2], news, strict=False)]


@given(cut_texts())
def test_edited_deltas_join_to_the_edited_text(given_: tuple[list[str], list[tuple[int, int, str]]]) -> None:
    """For any cutting of a text into deltas and any edits, the client joins exactly the edited text."""
    pieces, edits = given_
    content = read_stream(b"".join(chunk(content=piece) for piece in pieces) + DONE)
    text = "".join(pieces)
    index = next((i for i, one in enumerate(content.segments) if one.pointer == "/choices/0/message/content"), None)
    assert (index is None) == (text == "")
    if index is None:
        return
    assert content.segments[index].text == text
    written = write(content, {index: edits})
    said = [
        json.loads(one.data)["choices"][0]["delta"]["content"]
        for one in EventReader(10**6).feed(written)[:-1]
        if one.data
    ]
    assert "".join(said) == apply_edits(text, edits)
    assert len(said) == len(pieces)


@given(value=TEXT, new=TEXT, size=st.integers(1, 9))
def test_edited_arguments_join_to_json_with_the_edited_leaf(value: str, new: str, size: int) -> None:
    """Arguments cut anywhere, inside escapes too, join to JSON in which only the edited leaf differs."""
    document = json.dumps({"to": value, "n": 1.5, "x": [None, True]})
    stream = b"".join(arguments(document[at : at + size]) for at in range(0, len(document), size))
    content = read_stream(stream)
    leaves = {
        index: [(0, len(one.text), new)]
        for index, one in enumerate(content.segments)
        if one.provenance == "assistant" and one.text == value
    }
    joined = "".join(
        json.loads(one.data)["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
        for one in EventReader(10**6).feed(write(content, leaves))
        if one.data
    )
    assert json.loads(joined) == {"to": new if leaves else value, "n": 1.5, "x": [None, True]}


@given(cuts=st.lists(st.integers(0, len(ANTHROPIC)), max_size=6))
def test_assembled_events_are_read_as_the_whole_body(cuts: list[int]) -> None:
    """However the bytes arrive, the events assemble to what the whole body reads as."""
    reader = EventReader(10_000)
    at = sorted({0, *cuts, len(ANTHROPIC)})
    events = [one for begin, end in itertools.pairwise(at) for one in reader.feed(ANTHROPIC[begin:end])]
    content = assemble(events + reader.finish(), shape="auto", path=MESSAGES, keyed=KEYED, limits=LIMITS)
    assert texts(content) == texts(read_stream(ANTHROPIC, MESSAGES))
    assert content.size_bytes == len(ANTHROPIC)


@given(st.lists(st.sampled_from(["id-1", "id-2", "gpt-4o-mini"]), min_size=2, max_size=2), st.text(max_size=5))
def test_known_texts_are_counted_and_not_read_again(alone: list[str], piece: str) -> None:
    """What is known to be clean at its place is no part of an event; all others are the same parts, with or without."""
    data = {
        "id": alone[0],
        "model": alone[1],
        "extra": alone[0],
        "choices": [{"index": 0, "delta": {"content": piece}}],
    }
    (one,) = EventReader(10_000).feed(event(data))
    shape = choose("auto", CHAT)
    plain = read_event(one, shape, keyed=KEYED, limits=LIMITS)
    known = {
        (part.segment.pointer, part.text) for part in plain.parts if part.segment and part.segment.pointer == "/id"
    }
    read = read_event(one, shape, keyed=KEYED, limits=LIMITS, known=known)
    rest = [part for part in plain.parts if not part.segment or part.segment.pointer != "/id"]
    assert known == {("/id", alone[0])}
    assert [(p.text, p.at and p.at.pointer, p.segment) for p in read.parts] == [
        (p.text, p.at and p.at.pointer, p.segment) for p in rest
    ]
    assert (plain.known_characters, read.known_characters) == (0, len(alone[0]))
    assert (read.skipped, read.ends, read.divisible) == (plain.skipped, plain.ends, plain.divisible)
    assert read.write({}) == one.raw
