"""The official SDKs before a guard that has API keys of its own: who is let in, and what stops an answer.

What they do with redacted, streamed and denied calls stands in ``tests/flow``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import anthropic
import openai
import pytest

from guard.identity import hash_api_key
from guard.testing import GuardedApp, assert_denied, assert_verified, script

KEY = "own-key-of-the-test-0123456789"
IDENTITY: dict[str, Any] = {"api_keys": ({"id": "app", "tenant": "acme", "hash": hash_api_key(KEY)},)}


class Clients:
    """Both SDKs before one guarded app, neither of which tries again."""

    def __init__(self, app: GuardedApp, open_clients: ExitStack, key: str) -> None:
        self.app = app
        self.openai = open_clients.enter_context(openai.OpenAI(base_url=f"{app.url}/v1", api_key=key, max_retries=0))
        self.anthropic = open_clients.enter_context(anthropic.Anthropic(base_url=app.url, api_key=key, max_retries=0))


@pytest.fixture
def connect(guard_app: Callable[..., GuardedApp]) -> Iterator[Callable[[str], Clients]]:
    """Makes the SDKs of somebody who holds this key."""
    with ExitStack() as open_clients:
        yield lambda key: Clients(guard_app(identity=IDENTITY), open_clients, key)


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def heard(answer: Any) -> str:
    """All that an SDK says of an answer, whole or streamed."""
    return str(list(answer))


def test_keys_of_the_guard_identify_in_both_sdks(connect: Callable[[str], Clients]) -> None:
    """OpenAI's SDK sends the key as a bearer token, Anthropic's in ``x-api-key``: both are the same principal."""
    clients = connect(KEY)
    assert [model.id for model in clients.openai.models.list()] == ["mock-small", "mock-large"]
    assert [model.id for model in clients.anthropic.models.list()] == ["mock-small", "mock-large"]
    callers = [record["who"] for record in clients.app.decisions()]
    assert [(who["method"], who["tenant"], who["authenticated"]) for who in callers] == [("api_key", "acme", True)] * 2
    assert callers[0]["id"] == callers[1]["id"]
    clients.app.stop()
    assert assert_verified(clients.app).origins[0].accounts.unanswered_total == 0


def test_unknown_key_raises_the_sdks_authentication_error(connect: Callable[[str], Clients]) -> None:
    """A key that the guard did not issue is 401 in both SDKs, with a challenge and a record; nobody hears of it."""
    clients = connect("sk-a-providers-key")
    with pytest.raises(openai.AuthenticationError) as chat:
        clients.openai.chat.completions.create(model="m", messages=user("hi"))
    with pytest.raises(anthropic.AuthenticationError) as messages:
        clients.anthropic.messages.create(model="m", max_tokens=9, messages=user("hi"))
    for caught in (chat.value, messages.value):
        assert [reason["code"] for reason in assert_denied(caught, status=401)] == ["credential_refused"]
        assert caught.response.headers["www-authenticate"].startswith("Bearer")
    assert clients.app.received == []
    assert [record["who"]["authenticated"] for record in clients.app.decisions()] == [False, False]


@pytest.mark.parametrize("stream", [False, True])
def test_secret_in_the_answer_is_an_error_of_the_sdks(connect: Callable[[str], Clients], stream: bool) -> None:
    """An answer that brings in a secret reaches no client, plain or streamed."""
    clients = connect(KEY)
    asked = user(f"Please {script.ASKS_FOR_LEAK}.")
    with pytest.raises(openai.APIError) as chat:
        heard(clients.openai.chat.completions.create(model="m", messages=asked, stream=stream))
    with pytest.raises(anthropic.APIError) as messages:
        heard(clients.anthropic.messages.create(model="m", max_tokens=9, messages=asked, stream=stream))
    for caught in (chat.value, messages.value):
        assert "SEC-002" in str(caught)
        assert script.LEAKED_SECRET not in str(caught)


def test_providers_errors_pass_as_they_are(connect: Callable[[str], Clients]) -> None:
    """A provider's 429 and 500 stay the provider's."""
    clients = connect(KEY)
    with pytest.raises(openai.RateLimitError):
        clients.openai.chat.completions.create(model="m", messages=user(script.ASKS_FOR_429))
    with pytest.raises(anthropic.InternalServerError):
        clients.anthropic.messages.create(model="m", max_tokens=9, messages=user(script.ASKS_FOR_500))
