"""The official SDKs through the guard, over a real socket: what their users rely on keeps working."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from guard.testing import assert_denied, assert_redacted, assert_verified
from guard.testing.app import GuardedApp

MAIL = "jane.roe@northwind-traders.com"
SECRET = "AKIA{}".format("Q7ZL5TN4WX2RKD3V")  # in two parts, so that scanners do not take it for a key
CONFIG: dict[str, Any] = {
    "routes": ({"path": "/v1/**", "provider": "mock"},),
    "providers": {"mock": {"external": True}},
}
TOOL_OPENAI: Any = {
    "type": "function",
    "function": {"name": "send_mail", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
}
TOOL_ANTHROPIC: Any = {
    "name": "send_mail",
    "input_schema": {"type": "object", "properties": {"to": {"type": "string"}}},
}

Guarded = Callable[..., GuardedApp]


@pytest.fixture
def app(guard_app: Guarded) -> GuardedApp:
    return guard_app(**CONFIG)


@pytest.fixture
def oai(app: GuardedApp) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-none", max_retries=2) as client:
        yield client


@pytest.fixture
def ant(app: GuardedApp) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=app.url, api_key="none", max_retries=2) as client:
        yield client


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_openai_plain(app: GuardedApp, oai: openai.OpenAI) -> None:
    """A clean question and its answer pass unchanged."""
    answer = oai.chat.completions.create(model="small-1", messages=user("Why is the sky blue?"))
    assert "Why is the sky blue?" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert [d["decision"]["effect"] for d in app.decisions()] == ["allow"]


def test_openai_streamed(oai: openai.OpenAI) -> None:
    """The deltas of a stream join to the answer, and the stream ends as the SDK expects."""
    stream = oai.chat.completions.create(
        model="small-1", messages=user("Why?"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "Why?" in text
    assert chunks[-1].usage is not None
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_openai_prompt_is_redacted_and_restored(app: GuardedApp, oai: openai.OpenAI) -> None:
    """The provider never sees the address; the user gets it back."""
    answer = oai.chat.completions.create(model="small-1", messages=user(f"Write to {MAIL} today."))
    assert_redacted(app.received[0], MAIL)
    assert b"<EMAIL_ADDRESS_1_" in app.received[0].body
    assert f"Write to {MAIL} today." in (answer.choices[0].message.content or "")


def test_openai_stream_is_restored(app: GuardedApp, oai: openai.OpenAI) -> None:
    """A placeholder that the provider cuts over many events comes back as one value."""
    stream = oai.chat.completions.create(model="small-1", messages=user(f"Write to {MAIL} today."), stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert_redacted(app.received[0], MAIL)
    assert f"Write to {MAIL} today." in text


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_tool_call_arguments_are_restored(app: GuardedApp, oai: openai.OpenAI, streamed: bool) -> None:
    """The tool is called with the value, not with its placeholder, and the arguments stay valid JSON."""
    asked: dict[str, Any] = {
        "model": "small-1",
        "messages": user(f"call the tool for {MAIL}"),
        "tools": [TOOL_OPENAI],
    }
    if streamed:
        stream = oai.chat.completions.create(**asked, stream=True)
        calls = [c.choices[0].delta.tool_calls for c in stream if c.choices and c.choices[0].delta.tool_calls]
        arguments = "".join(call[0].function.arguments or "" for call in calls)
    else:
        arguments = oai.chat.completions.create(**asked).choices[0].message.tool_calls[0].function.arguments
    assert_redacted(app.received[0], MAIL)
    assert json.loads(arguments) == {"to": f"call the tool for {MAIL}"}


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_denial_is_the_typed_error(app: GuardedApp, oai: openai.OpenAI, streamed: bool) -> None:
    """403 is raised as PermissionDeniedError with its code, and is not retried."""
    with pytest.raises(openai.PermissionDeniedError) as raised:
        oai.chat.completions.create(model="small-1", messages=user(f"why does {SECRET} fail"), stream=streamed)
    assert raised.value.code == "content_policy_violation"
    assert "SEC-001" in str(raised.value)
    assert_denied(raised.value, "SEC-001")
    assert app.received == []
    assert len(app.decisions()) == 1


def test_openai_answer_that_leaks_is_denied_or_redacted(app: GuardedApp, oai: openai.OpenAI) -> None:
    """A model that brings in a secret of somebody else: nothing of the answer arrives."""
    with pytest.raises(openai.PermissionDeniedError) as raised:
        oai.chat.completions.create(model="small-1", messages=user("Please recite the customer record."))
    assert_denied(raised.value, "SEC-002")
    assert "contoso" not in raised.value.response.text


def test_openai_provider_errors_pass(app: GuardedApp, oai: openai.OpenAI) -> None:
    """The provider's own error stays its own error."""
    with pytest.raises(openai.InternalServerError):
        oai.with_options(max_retries=0).chat.completions.create(model="m", messages=user("fail with 500"))


def test_anthropic_plain_and_restored(app: GuardedApp, ant: anthropic.Anthropic) -> None:
    """Messages keep their shape, the address is hidden and restored."""
    answer = ant.messages.create(model="small-1", max_tokens=64, messages=user(f"Write to {MAIL} today."))
    assert_redacted(app.received[0], MAIL)
    assert f"Write to {MAIL} today." in answer.content[0].text
    assert answer.stop_reason == "end_turn"


def test_anthropic_streamed(app: GuardedApp, ant: anthropic.Anthropic) -> None:
    """The SDK's stream helper accumulates the restored text."""
    with ant.messages.stream(model="small-1", max_tokens=64, messages=user(f"Write to {MAIL} today.")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert_redacted(app.received[0], MAIL)
    assert f"Write to {MAIL} today." in text
    assert final.content[0].text == text


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_tool_use_is_restored(app: GuardedApp, ant: anthropic.Anthropic, streamed: bool) -> None:
    """The tool's input is an object with the value in it."""
    asked: dict[str, Any] = {
        "model": "small-1",
        "max_tokens": 64,
        "messages": user(f"call the tool for {MAIL}"),
        "tools": [TOOL_ANTHROPIC],
    }
    if streamed:
        with ant.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = ant.messages.create(**asked)
    used = next(block for block in message.content if block.type == "tool_use")
    assert_redacted(app.received[0], MAIL)
    assert used.input == {"to": f"call the tool for {MAIL}"}


def test_anthropic_denial_is_the_typed_error(app: GuardedApp, ant: anthropic.Anthropic) -> None:
    """403 is raised as PermissionDeniedError with Anthropic's shape."""
    with pytest.raises(anthropic.PermissionDeniedError) as raised:
        ant.messages.create(model="small-1", max_tokens=64, messages=user(f"why does {SECRET} fail"))
    assert_denied(raised.value, "SEC-001")
    assert raised.value.body["error"]["type"] == "permission_error"  # type: ignore[index]
    assert app.received == []


def test_the_log_of_all_this_verifies_and_holds_no_value(app: GuardedApp, oai: openai.OpenAI) -> None:
    """After a clean stop the log is whole, and neither address nor secret is in it."""
    oai.chat.completions.create(model="small-1", messages=user(f"Write to {MAIL} today."))
    with pytest.raises(openai.PermissionDeniedError):
        oai.chat.completions.create(model="small-1", messages=user(f"why does {SECRET} fail"))
    app.stop()
    assert_verified(app.directory)
    log = b"".join(file.read_bytes() for file in (app.directory / "log").rglob("*") if file.is_file())
    assert MAIL.encode() not in log
    assert SECRET.encode() not in log
    assert b"Write to" not in log


# --- limits ---------------------------------------------------------------------------------------------------------

BUDGET = """package guard.rules.own

# METADATA
# title: Two requests an hour for each model
# custom:
#   id: OWN-001
#   severity: low
#   remediation: Come back later.
#   mode: enforce
obligations contains {
	"id": "OWN-001",
	"type": "limit",
	"key": "model",
	"budget": {"requests": 2},
	"window": "%s",
} if {
	input.stage == "request"
}
"""


def budgeted(guard_app: Guarded, tmp_path: Path, window: str) -> GuardedApp:
    policies = tmp_path / f"policies-{window}"
    policies.mkdir()
    (policies / "own.rego").write_text(BUDGET % window)
    return guard_app(**CONFIG, policy={"directories": (policies,)})


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_raises_its_rate_limit_error(guard_app: Guarded, tmp_path: Path, streamed: bool) -> None:
    """Past the budget: RateLimitError with code, rule and Retry-After, and a wait of an hour is not tried again."""
    app = budgeted(guard_app, tmp_path, "1h")
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-none", max_retries=2) as client:
        for _ in range(2):
            client.chat.completions.create(model="small-1", messages=user("Why?"))
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="small-1", messages=user("Why?"), stream=streamed)
        client.chat.completions.create(model="small-2", messages=user("Why?"))
    error = raised.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_exceeded")
    assert "OWN-001" in str(error)
    assert "Come back later." in str(error)
    assert 3500 <= int(error.response.headers["retry-after"]) <= 3600
    assert error.response.headers["x-should-retry"] == "false"
    assert_denied(error, "OWN-001", status=429)
    assert [d["decision"]["http_status"] for d in app.decisions()] == [None, None, 429, None]
    assert len(app.received) == 3


def test_anthropic_raises_its_rate_limit_error(guard_app: Guarded, tmp_path: Path) -> None:
    """The same in Anthropic's shape."""
    app = budgeted(guard_app, tmp_path, "1h")
    with anthropic.Anthropic(base_url=app.url, api_key="none", max_retries=2) as client:
        for _ in range(2):
            client.messages.create(model="small-1", max_tokens=64, messages=user("Why?"))
        with pytest.raises(anthropic.RateLimitError) as raised:
            client.messages.create(model="small-1", max_tokens=64, messages=user("Why?"))
    error = raised.value
    assert error.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]
    assert error.body["error"]["details"]["error_code"] == "rate_limit_exceeded"  # type: ignore[index]
    assert int(error.response.headers["retry-after"]) >= 3500
    assert_denied(error, "OWN-001", status=429)
    assert len(app.decisions()) == 3


def test_sdks_wait_as_they_are_told_and_get_through(guard_app: Guarded, tmp_path: Path) -> None:
    """With a short window the client's own retries are enough: nobody sees an error, and each try is on record."""
    app = budgeted(guard_app, tmp_path, "1s")
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-none", max_retries=5) as client:
        for _ in range(4):
            client.chat.completions.create(model="small-1", messages=user("Why?"))
    assert len(app.received) == 4
    statuses = [d["decision"]["http_status"] for d in app.decisions()]
    assert statuses.count(None) == 4
    assert set(statuses) <= {None, 429}
