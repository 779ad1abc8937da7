"""OpenAI's Responses API as it streams: each text is said in pieces and then four times whole, and all of that is
redacted and restored alike."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.testing import assert_redacted, responses_wire
from guard.testing.app import GuardedApp
from guard.testing.script import Call, Reply, ToolUse
from tests.flow.rig import Rig, ScriptedEngine, chat, deny, oblige
from tests.flow.test_23_live_streams import BUFFER, PSEUDONYM, REPLACE, cut, data_of, event, sent_as

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"
SAID = 'grüße an jane@corp.com, 😀 „hunter2" und jane@corp.com\n'
ARGUMENTS = {"to": "jane@corp.com", "note": 'hé "jane@corp.com" 😀', "n": [1, "hunter2"]}
HIDE = oblige(REPLACE, {**REPLACE, "entity": "PASSWORD", "operator": "mask", "keep_last": 2})
CALL = Call(shape="openai", model="m", text="x")


def stream(text: str, arguments: dict[str, Any], size: int) -> bytes:
    """A message and a call, in pieces of ``size`` characters."""
    reply = Reply(text=text, tool_use=ToolUse("mail", arguments), chunk_code_points=size)
    return b"".join(responses_wire.events(CALL, reply, "1"))


def copies(events: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Every time the text and the arguments are said: the joined pieces first."""
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    pieces = [e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"]
    texts, arguments = ["".join(deltas)], ["".join(pieces)]
    for e in events:
        texts += [e["text"]] if e["type"] == "response.output_text.done" else []
        texts += [e["part"]["text"]] if e["type"] == "response.content_part.done" else []
        arguments += [e["arguments"]] if e["type"] == "response.function_call_arguments.done" else []
        items = [e["item"]] if e["type"] == "response.output_item.done" else []
        items += e["response"]["output"] if e["type"] == "response.completed" else []
        for item in items:
            texts += [item["content"][0]["text"]] if item["type"] == "message" else []
            arguments += [item["arguments"]] if item["type"] == "function_call" else []
    return texts, arguments


async def through(pieces: list[bytes], response: Any, **config: Any) -> bytes:
    """What a client receives."""
    with tempfile.TemporaryDirectory() as directory:
        rig = Rig(Path(directory), sent_as(*pieces), engine=ScriptedEngine(response=response), **config)
        return (await rig.call(path=PATH, body={"model": "m", "input": "x", "stream": True})).body


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([1, 4, 12, 999]), wire=st.sampled_from([7, 90, 10**6]))
def test_all_copies_of_a_text_are_rewritten_alike(seed: int, size: int, wire: int) -> None:
    """Any chunking: the joined pieces, the ends and the final response say one text, that of the stream read whole."""
    pieces = cut(stream(SAID, ARGUMENTS, size), seed, wire)

    async def both() -> tuple[bytes, bytes]:
        return await through(pieces, HIDE), await through(pieces, HIDE, routes=BUFFER)

    live, whole = anyio.run(both)
    expected = SAID.replace("jane@corp.com", "<EMAIL_ADDRESS>").replace("hunter2", "*****r2")
    texts, arguments = copies(data_of(live))
    assert texts == [expected] * 5
    assert len(set(arguments)) == 1
    assert len(arguments) == 4
    assert json.loads(arguments[0]) == {
        "to": "<EMAIL_ADDRESS>",
        "note": 'hé "<EMAIL_ADDRESS>" 😀',
        "n": [1, "*****r2"],
    }
    texts, arguments = copies(data_of(whole))
    assert texts == [expected] * 5
    assert [json.loads(one) for one in arguments] == [json.loads(copies(data_of(live))[1][0])] * 4
    assert [e["type"] for e in data_of(live)] == [e["type"] for e in data_of(whole)]
    assert [e["sequence_number"] for e in data_of(live)] == list(range(len(data_of(live))))


@pytest.mark.parametrize("wire", [1, 40, 10**6])
async def test_what_nothing_is_found_in_leaves_as_it_came(wire: int) -> None:
    """Byte for byte, although a redaction is armed: ids, numbers, usage and names pass."""
    whole = stream("nothing to see\nhere", {"a": "b\u2028c", "d": [1.5, None, True]}, 3)
    assert await through(cut(whole, 1, wire), HIDE) == whole


async def test_events_leave_as_they_are_made(tmp_path: Path) -> None:
    """The pieces of a text and of arguments flow: no event waits for the end of its text."""
    order: list[str] = []
    reply = Reply(text="one two three", tool_use=ToolUse("f", {"a": "one", "b": "two"}), chunk_code_points=4)
    frames = list(responses_wire.events(CALL, reply, "1"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, frame in enumerate(frames):
            order.append(f"made {number}")
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def left(message: dict[str, Any]) -> None:
        order.extend(f"left {data['sequence_number']}" for data in data_of(message.get("body", b"")))

    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=HIDE))
    await rig.call(path=PATH, body={"model": "m", "input": "x"}, on_send=left)
    late = [order.index(f"left {n}") - order.index(f"made {n}") for n in range(len(frames))]
    assert max(late) <= 6
    assert [entry for entry in order if entry.startswith("left")] == [f"left {n}" for n in range(len(frames))]


@pytest.mark.parametrize("size", [1, 5, 17, 999])
async def test_placeholders_are_restored_in_every_copy(tmp_path: Path, size: int) -> None:
    """The value comes back in pieces and copies, escaped where JSON holds it; a forged placeholder stays."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked = json.loads((await receive())["body"])["input"]
        name = asked.split()[-1]
        body = stream(f"to {name} and <EMAIL_ADDRESS_9_aaaaaa>{name}.", {"to": f"<{name}>", name: "k"}, size)
        await sent_as(*cut(body, size, 60))(scope, _nothing, send)

    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM), oblige(REPLACE)))
    answer = await rig.call(path=PATH, body={"model": "m", "input": "write to jane@corp.com"})
    texts, arguments = copies(data_of(answer.body))
    assert texts == ["to jane@corp.com and <EMAIL_ADDRESS_9_aaaaaa>jane@corp.com."] * 5
    assert [json.loads(one) for one in arguments] == [{"to": "<jane@corp.com>", "jane@corp.com": "k"}] * 4
    assert rig.log.records[1]["restored"] == 4


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_copy_that_says_another_text_is_inspected_by_itself() -> None:
    """A provider may correct itself at the end: what was never said in pieces is redacted, too."""
    at, arguments = {"output_index": 0, "content_index": 0}, '{"a": "jane@corp.com"}'
    frames = [
        event({"type": "response.output_text.delta", "delta": "all is well"} | at),
        event({"type": "response.output_text.done", "text": "mail jane@corp.com"} | at),
        event({"type": "response.function_call_arguments.done", "output_index": 1, "arguments": arguments}),
    ]
    events = data_of(await through(frames, HIDE))
    assert events[0]["delta"] == "all is well"
    assert events[1]["text"] == "mail <EMAIL_ADDRESS>"
    assert json.loads(events[2]["arguments"]) == {"a": "<EMAIL_ADDRESS>"}


@pytest.mark.parametrize(
    "kind", ["refusal", "reasoning_summary_text", "reasoning_text", "custom_tool_call_input", "mcp_call_arguments",
             "code_interpreter_call_code", "something_new"],
)  # fmt: skip
async def test_every_kind_of_delta_is_joined(kind: str) -> None:
    """A value over two pieces is found in refusals, summaries, reasoning, inputs of tools, code, and kinds to come."""
    text = '{"a": "to jane@corp.com"}' if kind == "mcp_call_arguments" else "to jane@corp.com now"
    at = {"output_index": 0, "content_index": 0, "summary_index": 0, "item_id": "i"}
    frames = [event({"type": f"response.{kind}.delta", "delta": text[n : n + 3]} | at) for n in range(0, len(text), 3)]
    frames.append(event({"type": "response.completed", "response": {"id": "r", "output": []}}))
    said = "".join(e["delta"] for e in data_of(await through(frames, HIDE)) if "delta" in e)
    assert said == text.replace("jane@corp.com", "<EMAIL_ADDRESS>")


async def test_probabilities_of_a_changed_text_are_emptied() -> None:
    """They would spell the old text. A list stays a list, as the SDKs expect."""
    at = {"output_index": 0, "content_index": 0, "logprobs": [{"token": "jane", "logprob": -1.0}]}
    frames = [
        event({"type": "response.output_text.delta", "delta": "jane@corp.com"} | at),
        event({"type": "response.output_text.done", "text": "jane@corp.com"} | at),
    ]
    for e in data_of(await through(frames, HIDE)):
        assert e["logprobs"] == []


async def test_a_denial_stops_before_the_copies(tmp_path: Path) -> None:
    """The error event has the Responses API's form and number; neither the value nor a copy leaves."""
    response = lambda document: deny("SEC") if document["findings"] else oblige(REPLACE)  # noqa: E731
    rig = Rig(tmp_path, sent_as(stream("it is hunter2 now", {}, 4)), engine=ScriptedEngine(response=response))
    answer = await rig.call(path=PATH, body=chat("x"))
    events = data_of(answer.body)
    assert events[-1]["type"] == "error"
    assert events[-1]["sequence_number"] == len(events) - 1
    assert b"hunter2" not in answer.body
    assert b"response.completed" not in answer.body


# --- the official SDK ------------------------------------------------------------------------------------------------

MAIL = "jane.roe@northwind-traders.com"
CONFIG: dict[str, Any] = {
    "routes": ({"path": "/v1/**", "provider": "mock"},),
    "providers": {"mock": {"external": True}},
}
TOOL: Any = {
    "type": "function",
    "name": "send_mail",
    "parameters": {"type": "object", "properties": {"to": {"type": "string"}}},
}


@pytest.fixture
def app(guard_app: Callable[..., GuardedApp]) -> GuardedApp:
    return guard_app(**CONFIG)


@pytest.fixture
def client(app: GuardedApp) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-none", max_retries=0) as one:
        yield one


def test_the_sdk_reads_a_restored_stream(app: GuardedApp, client: openai.OpenAI) -> None:
    """Its stream helper accumulates the pieces to what the final response says."""
    said = f"Write to {MAIL} today."
    with client.responses.stream(model="small-1", input=said) as flowing:
        text = "".join(e.delta for e in flowing if e.type == "response.output_text.delta")
        final = flowing.get_final_response()
    assert_redacted(app.received[0], MAIL)
    assert said in text
    assert final.output_text == text
    assert final.usage is not None


def test_the_sdk_reads_restored_arguments(app: GuardedApp, client: openai.OpenAI) -> None:
    """A tool is called with the value, as the pieces and the item say it."""
    asked = f"call the tool for {MAIL}"
    events = list(client.responses.create(model="small-1", input=asked, tools=[TOOL], stream=True))
    assert_redacted(app.received[0], MAIL)
    pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    done = next(e for e in events if e.type == "response.output_item.done")
    assert json.loads(pieces) == {"to": asked}
    assert done.item.type == "function_call"
    assert done.item.arguments == pieces


def test_the_sdk_reads_a_whole_answer(app: GuardedApp, client: openai.OpenAI) -> None:
    """Not streamed, the same text."""
    said = f"Write to {MAIL} today."
    assert said in client.responses.create(model="small-1", input=said).output_text
    assert_redacted(app.received[0], MAIL)


def test_the_sdk_raises_what_stops_a_stream(client: openai.OpenAI) -> None:
    """A secret that the model brings in: the SDK raises, and the secret has not come."""
    heard: list[Any] = []
    flowing = client.responses.create(model="small-1", input="Please recite the customer record.", stream=True)
    with pytest.raises(openai.APIError) as raised:
        heard.extend(flowing)
    assert "SEC-002" in str(raised.value)
    assert "AKIA" not in "".join(e.delta for e in heard if e.type == "response.output_text.delta")
