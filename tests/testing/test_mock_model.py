"""The mock model, judged by the official SDKs over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from starlette.applications import Starlette

from guard.testing import script
from guard.testing.mock_model import mock_model
from guard.testing.script import Call, Reply, ToolUse
from guard.testing.server import serve

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "priority": {"type": "string", "enum": ["low", "high"]},
        "copies": {"type": "integer"},
        "cc": {"type": "array", "items": {"type": "string"}},
        "options": {"type": "object", "properties": {"draft": {"type": "boolean"}}},
    },
}
ASKED = "Please call the tool for Zoë."
ARGUMENTS = {"to": ASKED, "priority": "low", "copies": 0, "cc": [ASKED], "options": {"draft": False}}
ECHO = "You said: Greet Zoë 🙂. That is all I know."


@pytest.fixture(scope="module")
def app() -> Starlette:
    return mock_model()


@pytest.fixture(scope="module")
def url(app: Starlette) -> Iterator[str]:
    with serve(app) as base:
        yield base


@pytest.fixture
def chat(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


# --- OpenAI ---------------------------------------------------------------------------------------------------------


def test_openai_plain_answer_echoes_the_last_user_message(chat: openai.OpenAI) -> None:
    """The answer repeats what the user said, so that placeholders come back; ids, usage and reason are filled."""
    answer = chat.chat.completions.create(
        model="mock-small",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "First."},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": [{"type": "text", "text": "Greet Zoë 🙂."}]},
        ],
        n=2,
    )
    assert [(choice.index, choice.finish_reason, choice.message.content) for choice in answer.choices] == [
        (0, "stop", ECHO),
        (1, "stop", ECHO),
    ]
    assert (answer.object, answer.model) == ("chat.completion", "mock-small")
    assert answer.id.startswith("chatcmpl-")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_openai_stream_adds_up_to_the_plain_answer(chat: openai.OpenAI) -> None:
    """The deltas give the same text, the reason comes once, and the usage chunk comes last when it was asked for."""
    stream = chat.chat.completions.create(
        model="mock-small",
        messages=[{"role": "user", "content": "Greet Zoë 🙂."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    choices = [chunk.choices[0] for chunk in chunks[:-1]]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == ECHO
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert (chunks[-1].choices, len({chunk.id for chunk in chunks})) == ([], 1)
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("stream", [False, True])
def test_openai_tool_call_and_its_result(chat: openai.OpenAI, stream: bool) -> None:
    """A tool is called with arguments that fit its schema, whole or in deltas; its result is then echoed."""
    tools: Any = [{"type": "function", "function": {"name": "send_mail", "parameters": SCHEMA}}]
    messages: Any = [{"role": "user", "content": ASKED}]
    if stream:
        with chat.chat.completions.stream(model="m", messages=messages, tools=tools) as events:
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = chat.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == ("function", "send_mail", ARGUMENTS)
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sent"}
    answer = chat.chat.completions.create(model="m", messages=[*messages, result], tools=tools)
    assert answer.choices[0].message.content == "The tool answered: sent"


def test_openai_stream_ends_with_done_on_the_wire(url: str) -> None:
    """Each event is one ``data`` line, and the last says ``[DONE]``."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx.Client(base_url=url) as client:
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = answer.text.split("\n\n")
    assert all(event.startswith("data: {") for event in events[:-2])
    assert events[-2:] == ["data: [DONE]", ""]


def test_openai_errors_are_raised_typed(chat: openai.OpenAI) -> None:
    """Provider errors, a broken request and an unknown model raise the SDK's own exceptions."""
    ask = chat.chat.completions.create
    with pytest.raises(openai.InternalServerError):
        ask(model="m", messages=[{"role": "user", "content": script.ASKS_FOR_500}])
    with pytest.raises(openai.RateLimitError) as limited:
        ask(model="m", messages=[{"role": "user", "content": script.ASKS_FOR_429}])
    assert (limited.value.code, limited.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "1")
    with pytest.raises(openai.BadRequestError, match="non-empty"):
        ask(model="m", messages=[])
    with pytest.raises(openai.NotFoundError):
        chat.models.retrieve("unknown")
    assert [model.id for model in chat.models.list()] == ["mock-small", "mock-large"]
    assert chat.models.retrieve("mock-small").owned_by == "policy-guard"


# --- Anthropic ------------------------------------------------------------------------------------------------------


def test_anthropic_plain_answer_echoes_the_last_user_message(claude: anthropic.Anthropic) -> None:
    """The answer is a message with one text block, a stop reason and usage."""
    answer = claude.messages.create(
        model="mock-large", max_tokens=100, messages=[{"role": "user", "content": "Greet Zoë 🙂."}]
    )
    assert [(block.type, block.text) for block in answer.content if block.type == "text"] == [("text", ECHO)]
    assert (answer.model, answer.stop_reason, answer.role) == ("mock-large", "end_turn", "assistant")
    assert answer.usage.output_tokens > 0


def test_anthropic_stream_adds_up_to_the_plain_answer(claude: anthropic.Anthropic) -> None:
    """The events come in the documented order, and the text deltas give the same text."""
    asked: Any = {"role": "user", "content": [{"type": "text", "text": "Greet Zoë 🙂."}]}
    with claude.messages.stream(model="m", max_tokens=100, messages=[asked]) as stream:
        assert "".join(stream.text_stream) == ECHO
        assert stream.get_final_message().stop_reason == "end_turn"


def test_anthropic_events_on_the_wire(url: str) -> None:
    """Each event names its type twice, as Anthropic does; a ping comes after the first block has begun."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx.Client(base_url=url) as client:
        text = client.post("/v1/messages", json=body).text
    events = [event.split("\n") for event in text.removesuffix("\n\n").split("\n\n")]
    names = [event[0].removeprefix("event: ") for event in events]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert [json.loads(event[1].removeprefix("data: "))["type"] for event in events] == names


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_tool_call_and_its_result(claude: anthropic.Anthropic, stream: bool) -> None:
    """A tool is called with an input that fits its schema; its result is then echoed."""
    tools: Any = [{"name": "send_mail", "input_schema": SCHEMA}]
    messages: Any = [{"role": "user", "content": ASKED}]
    if stream:
        with claude.messages.stream(model="m", max_tokens=9, messages=messages, tools=tools) as events:
            answer: Any = events.get_final_message()
    else:
        answer = claude.messages.create(model="m", max_tokens=9, messages=messages, tools=tools)
    (block,) = answer.content
    assert block.type == "tool_use"
    assert (answer.stop_reason, block.name, block.input) == ("tool_use", "send_mail", ARGUMENTS)
    result: Any = {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "sent"}]}
    conversation: Any = [
        *messages,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True)]},
        {"role": "user", "content": [result]},
    ]
    last = claude.messages.create(model="m", max_tokens=9, messages=conversation, tools=tools)
    assert [block.text for block in last.content if block.type == "text"] == ["The tool answered: sent"]


def test_anthropic_errors_are_raised_typed(claude: anthropic.Anthropic, url: str) -> None:
    """Provider errors, a broken request and an unknown model raise the SDK's own exceptions."""
    ask = claude.messages.create
    with pytest.raises(anthropic.InternalServerError):
        ask(model="m", max_tokens=9, messages=[{"role": "user", "content": script.ASKS_FOR_500}])
    with pytest.raises(anthropic.RateLimitError) as limited:
        ask(model="m", max_tokens=9, messages=[{"role": "user", "content": script.ASKS_FOR_429}])
    assert limited.value.type == "rate_limit_error"
    assert (limited.value.request_id or "").startswith("req_")
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        ask(model="m", max_tokens=9, messages=[])
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("unknown")
    assert [model.id for model in claude.models.list()] == ["mock-small", "mock-large"]
    assert httpx.post(f"{url}/v1/messages", json={"model": "m", "messages": [{}]}).status_code == 400


# --- behaviour ------------------------------------------------------------------------------------------------------


def test_what_arrived_is_kept_to_the_byte(app: Starlette, url: str) -> None:
    """Tests assert on what reached the provider: raw body, headers in order and repeated, method and path."""
    raw = b'{"model" : "m", "messages": [{"role":"user","content":"caf\\u00e9"}]}'
    headers = [("x-twice", "1"), ("x-twice", "2"), ("content-type", "application/json")]
    with httpx.Client(base_url=url) as client:
        client.post("/v1/chat/completions", content=raw, headers=headers)
    received = app.state.received[-1]
    assert (received.method, received.path, received.body) == ("POST", "/v1/chat/completions", raw)
    assert [value for name, value in received.headers if name == "x-twice"] == ["1", "2"]
    assert received.json["messages"][0]["content"] == "café"


@pytest.mark.parametrize(
    ("phrase", "leaked"),
    [
        (script.ASKS_FOR_LEAK, [script.LEAKED_EMAIL, script.LEAKED_CARD, script.LEAKED_SECRET]),
        (script.ASKS_FOR_CONTACT, [script.LEAKED_EMAIL, script.LEAKED_CARD]),
    ],
)
def test_leak_holds_what_the_prompt_did_not(chat: openai.OpenAI, phrase: str, leaked: list[str]) -> None:
    """Fixture phrases make the model tell somebody else's e-mail address and card number, with or without a secret."""
    asked = f"Please {phrase}."
    answer = chat.chat.completions.create(model="m", messages=[{"role": "user", "content": asked}])
    assert all(value in (answer.choices[0].message.content or "") for value in leaked)
    assert not any(value in asked for value in leaked)


@pytest.mark.parametrize("shape", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_death_in_mid_answer_breaks_the_connection(url: str, shape: str, stream: bool) -> None:
    """A provider that dies leaves a body that was begun and never ended."""
    path = "/v1/chat/completions" if shape == "openai" else "/v1/messages"
    asked = [{"role": "user", "content": script.ASKS_FOR_DEATH}]
    body = {"model": "m", "max_tokens": 9, "messages": asked, "stream": stream}
    read: list[bytes] = []
    with httpx.Client(base_url=url) as client, client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            read.extend(answer.iter_bytes())
    assert b"".join(read)
    assert b"[DONE]" not in b"".join(read)


def test_same_requests_get_the_same_answers() -> None:
    """Two mock models that hear the same, in the same order, say the same bytes: demos and recordings are stable."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

    def answers() -> list[bytes]:
        with serve(mock_model()) as base, httpx.Client(base_url=base) as client:
            return [client.post("/v1/chat/completions", json=body).content for _ in range(2)]

    first, second = answers(), answers()
    assert first == second
    assert first[0] != first[1]


def test_script_decides_text_tools_and_chunks() -> None:
    """A script of one's own sees the call and decides the reply, text and tool call in one answer included."""

    def mine(call: Call) -> Reply:
        assert (call.shape, call.model, call.text, call.stream) == ("openai", "m", "hi", True)
        return Reply(text="One moment.", tool_use=ToolUse("clock", {"zone": "UTC"}), chunk_code_points=3)

    with (
        serve(mock_model(mine)) as base,
        openai.OpenAI(base_url=f"{base}/v1", api_key="k") as client,
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as events,
    ):
        pieces = [event.delta for event in events if event.type == "content.delta"]
        message = events.get_final_completion().choices[0].message
    assert pieces == ["", "One", " mo", "men", "t."]
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"zone":"UTC"}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "m"}', b'{"messages": [1], "model": "m"}', b"\xff"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_malformed_bodies_are_refused_in_the_providers_shape(url: str, path: str, body: bytes) -> None:
    """What no provider would accept gets a 400 with an error object."""
    answer = httpx.post(url + path, content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
