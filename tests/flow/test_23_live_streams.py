"""Streams on the wire: redacted and restored as they flow, in whatever pieces the bytes come."""

# ruff: noqa: E501 - events stand on one line

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flow.rig import ALLOW, Rig, ScriptedEngine, WordDetector, body_of, chat, deny, oblige

pytestmark = pytest.mark.anyio

REPLACE = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}
PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
BUFFER = [{"path": "/**", "streams": "buffer"}]
DONE = b"data: [DONE]\n\n"


def event(data: Any, name: str = "") -> bytes:
    """One event as a provider sends it."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: Any, finish: str | None = None, index: int = 0) -> bytes:
    """One chunk of OpenAI's chat completions."""
    return event({"id": "c-1", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def sent_as(*pieces: bytes) -> Any:
    """An app that sends an event stream in these pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def data_of(stream: bytes) -> list[Any]:
    """The JSON of all events."""
    return [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]


def text_of(stream: bytes, index: int = 0, member: str = "content") -> str:
    """The joined text of one choice."""
    choices = [choice for data in data_of(stream) for choice in data.get("choices", ()) if choice["index"] == index]
    return "".join(choice["delta"].get(member) or "" for choice in choices)


def arguments_of(stream: bytes) -> Any:
    """The arguments of the only tool call, parsed."""
    calls = [
        call
        for data in data_of(stream)
        if data["choices"]
        for call in data["choices"][0]["delta"].get("tool_calls", ())
    ]
    return json.loads("".join(call["function"].get("arguments", "") for call in calls))


SAID = 'grüße an jane@corp.com, 😀 „hunter2" und jane@corp.com\n'
ARGUMENTS = '{"to": "jane\\u0040corp.com", "note": "h\\u00e9 \\"jane@corp.com\\"", "n": [1, "hunter2"]}'


def openai_stream(words: list[str], arguments: list[str]) -> bytes:
    """Two choices, one of which calls a tool; usage behind the finish, as ``include_usage`` has it."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "mail", "arguments": ""}}
    return b"".join([
        b": keep-alive\n\n",
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in words),
        *(chunk({"content": word}, index=1) for word in words),
        chunk({"tool_calls": [call]}),
        *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in arguments),
        chunk({}, "tool_calls"),
        chunk({}, "stop", 1),
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}}),
        DONE,
    ])  # fmt: skip


def cut(text: Any, seed: int, most: int) -> list[Any]:
    """A text or bytes in pieces of 1 to ``most``."""
    rng, pieces = random.Random(seed), []
    while text:
        size = rng.randint(1, most)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


async def through(pieces: list[bytes], response: Any, **config: Any) -> bytes:
    """What a client receives."""
    with tempfile.TemporaryDirectory() as directory:
        rig = Rig(Path(directory), sent_as(*pieces), engine=ScriptedEngine(response=response), **config)
        return (await rig.call(body=chat("hello", stream=True))).body


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), words=st.sampled_from([1, 4, 12]), wire=st.sampled_from([5, 60, 10**6]))
def test_a_flowing_stream_says_what_a_buffered_one_says(seed: int, words: int, wire: int) -> None:
    """Any chunking, also inside UTF-8 sequences and escapes of the wire: texts, arguments and other events are those of
    the stream rewritten whole."""
    stream = openai_stream(cut(SAID, seed, words), cut(ARGUMENTS, seed, words))
    hide = oblige(REPLACE, {**REPLACE, "entity": "PASSWORD", "operator": "mask", "keep_last": 2})

    async def both() -> tuple[bytes, bytes]:
        return await through(cut(stream, seed, wire), hide), await through([stream], hide, routes=BUFFER)

    live, whole = anyio.run(both)
    for index in (0, 1):
        assert (
            text_of(live, index)
            == text_of(whole, index)
            == SAID.replace("jane@corp.com", "<EMAIL_ADDRESS>").replace("hunter2", "*****r2")
        )
    assert arguments_of(live) == arguments_of(whole)
    assert arguments_of(live)["to"] == "<EMAIL_ADDRESS>"
    assert live.startswith(b": keep-alive\n\n")
    assert live.endswith(DONE)
    assert data_of(live)[-1]["usage"]["total_tokens"] == 12


@pytest.mark.parametrize("wire", [1, 13, 10**6])
async def test_what_nothing_is_found_in_leaves_as_it_came(wire: int) -> None:
    """Byte for byte, in the provider's events, although a redaction is armed."""
    words = [" The", " answer", " is", " ", "for", "ty", "-two", ".\n", " Why", "?"]
    stream = b"".join(
        [chunk({"role": "assistant"}), *(chunk({"content": word}) for word in words), chunk({}, "stop"), DONE]
    )
    assert await through(cut(stream, 1, wire), oblige(REPLACE)) == stream


async def test_an_event_leaves_while_the_next_is_made(tmp_path: Path) -> None:
    """A redaction is armed, and still each event leaves as soon as the next one shows that its last word is over."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for word in (" one", " two", " three"):
            order.append(f"made{word}")
            await send({"type": "http.response.body", "body": chunk({"content": word}), "more_body": True})
        await send({"type": "http.response.body", "body": chunk({}, "stop") + DONE})

    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE)))
    await rig.call(
        body=chat("x", stream=True),
        on_send=lambda m: order.append(f"left{text_of(m['body'])}") if m.get("body") else None,
    )
    assert order == ["made one", "made two", "left one", "made three", "left two", "left three"]


async def test_a_long_event_is_divided(tmp_path: Path) -> None:
    """What is certain of a long piece leaves at once; its last word waits."""
    bodies: list[bytes] = []
    rig = Rig(
        tmp_path,
        sent_as(chunk({"content": "a whole sentence in one pie"}), chunk({"content": "ce"}, "stop"), DONE),
        engine=ScriptedEngine(response=oblige(REPLACE)),
    )
    await rig.call(body=chat("x", stream=True), on_send=lambda m: bodies.append(m.get("body", b"")))
    assert [text_of(body) for body in bodies if text_of(body)] == ["a whole sentence in one ", "piece"]


@pytest.mark.parametrize("most", [1, 3, 8, 100])
async def test_placeholders_are_restored_at_every_cut(tmp_path: Path, most: int) -> None:
    """Content and arguments; a placeholder that this exchange does not know stays as it is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked = json.loads(await body_of(receive))["messages"][0]["content"]
        placeholder = asked.split()[-1]
        said = f"to {placeholder}, {placeholder.lower()[:-3]} and <EMAIL_ADDRESS_9_aaaaaa>{placeholder}."
        stream = openai_stream(cut(said, most, most), cut(json.dumps({"to": f"<{placeholder}>"}), most, most))
        await sent_as(*cut(stream, most, 50))(scope, _nothing, send)

    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM), oblige(REPLACE)))
    answer = await rig.call(body=chat("write to jane@corp.com", stream=True))
    text = text_of(answer.body)
    assert text.startswith("to jane@corp.com, <email_address_1_")
    assert text.endswith("and <EMAIL_ADDRESS_9_aaaaaa>jane@corp.com.")
    assert arguments_of(answer.body) == {"to": "<jane@corp.com>"}
    assert rig.log.records[1]["restored"] == 5
    assert rig.log.records[1]["redactions"] == {}


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_anthropic_blocks_are_redacted_before_their_stop() -> None:
    """Text and tool input of each block; events keep their order, names and number."""
    frames = [
        event({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}}, "message_start"),
        event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, "content_block_start"),
        *(
            event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}, "content_block_delta")
            for word in ("mail ja", "ne@cor", "p.com now")
        ),
        event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        event({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "mail", "input": {}}}, "content_block_start"),
        *(
            event({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}, "content_block_delta")
            for piece in ('{"to": "ja', "ne@corp", '.com"}')
        ),
        event({"type": "content_block_stop", "index": 1}, "content_block_stop"),
        event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}, "message_delta"),
        event({"type": "message_stop"}, "message_stop"),
    ]  # fmt: skip
    routes = [{"path": "/**", "shape": "anthropic.messages"}]
    body = await through(cut(b"".join(frames), 5, 40), oblige(REPLACE), routes=routes)
    events = data_of(body)
    assert [e["type"] for e in events] == [e["type"] for e in data_of(b"".join(frames))]
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in deltas) == "mail <EMAIL_ADDRESS> now"
    assert json.loads("".join(d.get("partial_json", "") for d in deltas)) == {"to": "<EMAIL_ADDRESS>"}


async def test_a_denied_value_does_not_leave_and_what_stands_before_it_does(tmp_path: Path) -> None:
    """The stream stops with an error event, and no last word of the provider's passes it."""
    response = lambda document: deny("SEC") if document["findings"] else oblige(REPLACE)  # noqa: E731
    pieces = [chunk({"content": word}) for word in ("it is ", "hun", "ter2", " and on")]
    rig = Rig(tmp_path, sent_as(*pieces, chunk({}, "stop"), DONE), engine=ScriptedEngine(response=response))
    answer = await rig.call(body=chat("x", stream=True))
    assert text_of(answer.body) == "it is "
    assert b"policy_denied" in answer.body
    assert b"[DONE]" not in answer.body
    outcome = rig.log.records[1]
    assert (outcome["aborted"], [d["effect"] for d in outcome["decisions"]]) == ("stopped", ["allow", "deny"])


async def test_an_obligation_that_a_finding_brings_holds_from_the_finding_on(tmp_path: Path) -> None:
    """And does not end with the next verdict that does not state it."""
    seen: list[int] = []

    def response(document: Any) -> Any:
        seen.append(len(document["findings"]))
        return oblige(REPLACE) if len(document["findings"]) == 1 else ALLOW

    pieces = [
        chunk({"content": word}) for word in ("a jane@corp.com ", "b hunter2 is very secret, ", "c jane@corp.com")
    ]
    rig = Rig(tmp_path, sent_as(*pieces, DONE), engine=ScriptedEngine(response=response))
    answer = await rig.call(body=chat("x", stream=True))
    assert text_of(answer.body) == "a <EMAIL_ADDRESS> b hunter2 is very secret, c <EMAIL_ADDRESS>"
    assert rig.log.records[1]["redactions"] == {"EMAIL_ADDRESS": 2}
    assert seen[0] == 0


async def test_what_a_detector_finds_only_in_whole_texts_is_not_streamed(tmp_path: Path) -> None:
    """A type that is not local is hidden in a buffered stream: no byte leaves before the last has come."""

    class Wide(WordDetector):
        local = frozenset({"PASSWORD"})

    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sent_as(chunk({"content": "to jane@corp.com"}))(scope, receive, _note(order, send))

    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE)), detectors=[Wide()])
    answer = await rig.call(body=chat("x"), on_send=lambda m: order.append(m["type"]))
    assert text_of(answer.body) == "to <EMAIL_ADDRESS>"
    assert order == ["made", "made", "made", "http.response.start", "http.response.body"]


def _note(order: list[str], send: Any) -> Any:
    async def noting(message: Any) -> None:
        order.append("made")
        await send(message)

    return noting


async def test_reasoning_and_content_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """The last word of the one is held, the other flows."""
    bodies: list[bytes] = []
    pieces = [
        chunk({"reasoning_content": "so I think"}),
        chunk({"content": " the"}),
        chunk({"content": " answer"}),
        chunk({}, "stop"),
    ]
    rig = Rig(tmp_path, sent_as(*pieces, DONE), engine=ScriptedEngine(response=oblige(REPLACE)))
    answer = await rig.call(body=chat("x"), on_send=lambda m: bodies.append(m.get("body", b"")))
    assert text_of(answer.body) == " the answer"
    assert text_of(answer.body, member="reasoning_content") == "so I think"
    assert [text_of(body) for body in bodies].index(" the") < len(bodies) - 2
