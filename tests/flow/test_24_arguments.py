"""Arguments of tool calls as they stream: inspected string by string, always valid JSON, never held to their end."""

# ruff: noqa: E501 - events stand on one line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flow.rig import Rig, ScriptedEngine, chat, deny, oblige
from tests.flow.test_23_live_streams import (
    BUFFER,
    DONE,
    PSEUDONYM,
    REPLACE,
    arguments_of,
    chunk,
    cut,
    data_of,
    event,
    sent_as,
)
from tests.flow.test_23_live_streams import through as sent_through

pytestmark = pytest.mark.anyio

HIDE = oblige(REPLACE, {**REPLACE, "entity": "PASSWORD", "operator": "mask", "keep_last": 2})
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "mail", "arguments": ""}}


def calling(pieces: list[str], finish: bool = True) -> bytes:
    """A call in these pieces, as OpenAI's chat completions send it."""
    frames = [chunk({"tool_calls": [CALL]})]
    frames += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    return b"".join([*frames, *([chunk({}, "tool_calls"), DONE] if finish else [])])


TEXTS = st.sampled_from([
    "jane@corp.com", "to jane@corp.com, é 😀", 'say "hunter2"', "a\\b\nc", "", "[1, 2", '{"mail": "jane@corp.com"}',
    '["jane\\u0040corp.com"]', '"jane@corp.com"', "plain words", "data:,x", "{jane@corp.com}",
])  # fmt: skip
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-5, 10**9), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)


def inner(value: Any) -> Any:
    """The value with JSON in its strings parsed: how that is spaced says nothing."""
    if isinstance(value, str):
        try:
            held = json.loads(value)
        except ValueError:
            return value
        return ["held", inner(held)] if isinstance(held, dict | list | str) else value
    if isinstance(value, list):
        return [inner(one) for one in value]
    return {key: inner(one) for key, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    value=st.dictionaries(st.sampled_from(["a", "to", "jane@corp.com"]), VALUES, max_size=3),
    ascii_only=st.booleans(),
    size=st.sampled_from([1, 3, 10, 999]),
    seed=st.integers(0, 9),
)
def test_flowing_arguments_say_what_whole_ones_say(value: Any, ascii_only: bool, size: int, seed: int) -> None:
    """Any value, any spelling, any cut: also JSON in strings, and keys."""
    stream = calling(cut(json.dumps(value, ensure_ascii=ascii_only), seed, size))

    async def both() -> tuple[bytes, bytes]:
        return await sent_through([stream], HIDE), await sent_through([stream], HIDE, routes=BUFFER)

    live, whole = anyio.run(both)
    assert inner(arguments_of(live)) == inner(arguments_of(whole))
    assert b"jane@corp.com" not in live
    if "jane" not in str(value) and "hunter2" not in str(value):
        assert live == stream


async def test_arguments_leave_as_they_are_made(tmp_path: Path) -> None:
    """Structure at once, of a string all but its last word."""
    order: list[str] = []
    pieces = ['{"to": ', '["many ', "words", ' here"', ', "x"]', "}"]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            order.append(f"made {piece}")
            await send({"type": "http.response.body", "body": calling([piece], finish=False), "more_body": True})
        await send({"type": "http.response.body", "body": chunk({}, "tool_calls") + DONE})

    def left(message: dict[str, Any]) -> None:
        for data in data_of(message.get("body", b"")):
            calls = data["choices"][0]["delta"].get("tool_calls", ())
            order.extend(f"left {c['function']['arguments']}" for c in calls if c["function"]["arguments"])

    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=HIDE))
    await rig.call(body=chat("x", stream=True), on_send=left)
    assert order == [
        *('made {"to": ', 'left {"to": ', 'made ["many ', "made words", 'left ["many ', 'made  here"'),
        *("left words", 'left  here"', 'made , "x"]', 'left , "x"]', "made }", "left }"),
    ]


async def test_a_call_is_named_before_its_arguments(tmp_path: Path) -> None:
    """No piece of them overtakes the event with the id and the name, for calls side by side too."""
    calls = [{**CALL, "index": index, "id": f"call_{index}"} for index in (0, 1)]
    pieces = [{"index": index, "function": {"arguments": piece}} for piece in ('{"a"', ": 1}") for index in (0, 1)]
    stream = [chunk({"tool_calls": [one]}) for one in [*calls, *pieces]]
    bodies: list[bytes] = []
    rig = Rig(tmp_path, sent_as(*stream, chunk({}, "tool_calls"), DONE), engine=ScriptedEngine(response=HIDE))
    await rig.call(body=chat("x", stream=True), on_send=lambda m: bodies.append(m.get("body", b"")))
    left = [data["choices"][0]["delta"].get("tool_calls") for data in data_of(b"".join(bodies))]
    for index in (0, 1):
        mine = [calls[0] for calls in left if calls and calls[0]["index"] == index]
        assert mine[0]["id"] == f"call_{index}"
        assert [call["function"]["arguments"] for call in mine] == ["", '{"a"', ": 1}"]
    assert len([body for body in bodies if body]) > 3


@pytest.mark.parametrize("size", [1, 2, 7, 30])
async def test_placeholders_are_restored_in_keys_strings_and_inner_json(tmp_path: Path, size: int) -> None:
    """At every cut, and escaped as often as JSON holds them; forged ones stay."""
    mail = 'o"neil\\x@corp.com'

    class Quoted:
        info = type("Info", (), {"name": "quoted", "version": "1", "digest": "0" * 64})()
        entities = local = frozenset({"EMAIL_ADDRESS"})

        def detect(self, segments: Any, context: Any) -> Any:
            from guard.types import Finding

            places = [(i, s.text.find(mail)) for i, s in enumerate(segments)]
            return [Finding("EMAIL_ADDRESS", i, at, at + len(mail), 0.9, "quoted") for i, at in places if at >= 0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked = json.loads((await receive())["body"])["messages"][0]["content"].split()[-1]
        value = {asked: f"to {asked} and <EMAIL_ADDRESS_9_aaaaaa>", "held": json.dumps({"to": asked})}
        await sent_as(calling(cut(json.dumps(value), size, size)))(scope, _nothing, send)

    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM), oblige(REPLACE)), detectors=[Quoted()])
    said = arguments_of((await rig.call(body=chat(f"write to {mail}"))).body)
    assert said == {mail: f"to {mail} and <EMAIL_ADDRESS_9_aaaaaa>", "held": said["held"]}
    assert json.loads(said["held"]) == {"to": mail}
    assert rig.log.records[1]["restored"] == 3


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_keys_that_become_equal_stop_the_stream() -> None:
    """One of two values would be lost to the tool."""
    body = await sent_through([calling(['{"jane@corp.com": 1, "<EMAIL_ADDRESS>": 2}'])], HIDE)
    assert b"obligation_failed" in body
    assert b"jane@corp.com" not in body


async def test_a_denied_string_stops_the_stream(tmp_path: Path) -> None:
    """What stands before it in the arguments has left."""
    response = lambda document: deny("SEC") if document["findings"] else HIDE  # noqa: E731
    pieces = ['{"a": "fine words", ', '"b": "hun', 'ter2"}']
    rig = Rig(tmp_path, sent_as(calling(pieces)), engine=ScriptedEngine(response=response))
    body = (await rig.call(body=chat("x"))).body
    assert b"fine words" in body
    assert b"hun" not in body
    assert b"policy_denied" in body


async def test_cut_off_arguments_are_redacted() -> None:
    """A model that stops at its limit leaves half a document."""
    body = await sent_through([calling(['{"a": "to jane', "@corp.com"])], HIDE)
    assert b"jane" not in body
    assert b"<EMAIL_ADDRESS>" in body


async def test_inputs_of_anthropic_flow(tmp_path: Path) -> None:
    """``input_json_delta``: order, number and names of the events stay."""
    pieces = cut('{"to": "jane@corp.com", "n": [1, "hunter2 x"]}', 3, 5)
    frames = [
        event({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "mail", "input": {}}}, "content_block_start"),
        *(event({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}, "content_block_delta") for piece in pieces),
        event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
    ]  # fmt: skip
    bodies: list[bytes] = []
    rig = Rig(tmp_path, sent_as(*frames), engine=ScriptedEngine(response=HIDE))
    await rig.call(path="/v1/messages", body=chat("x"), on_send=lambda m: bodies.append(m.get("body", b"")))
    events = [json.loads(line[6:]) for line in b"".join(bodies).split(b"\n") if line.startswith(b"data: ")]
    assert [e["type"] for e in events] == [json.loads(frame.split(b"data: ")[1])["type"] for frame in frames]
    said = "".join(e["delta"]["partial_json"] for e in events if "delta" in e)
    assert json.loads(said) == {"to": "<EMAIL_ADDRESS>", "n": [1, "*****r2 x"]}
    assert len([body for body in bodies if body]) > 3
