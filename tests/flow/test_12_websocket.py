"""WebSockets: decided before they are accepted, every message inspected like a body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.types import UNDEFINED
from tests.flow.rig import ALLOW, MemoryLog, Rig, ScriptedEngine, deny, oblige

pytestmark = pytest.mark.anyio

PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
REPLACE = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}


class Client:
    """Speaks the client's side: sends its messages, then disconnects; keeps what it is sent."""

    def __init__(self, *messages: str | bytes, extensions: tuple[str, ...] = ()) -> None:
        self._incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
        for message in messages:
            kind = "text" if isinstance(message, str) else "bytes"
            self._incoming.append({"type": "websocket.receive", kind: message})
        self.sent: list[dict[str, Any]] = []
        self.scope = {
            "type": "websocket",
            "path": "/ws",
            "query_string": b"",
            "headers": [],
            "client": ("10.0.0.7", 1),
            "extensions": {name: {} for name in extensions},
        }

    async def receive(self) -> dict[str, Any]:
        return self._incoming.pop(0) if self._incoming else {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def texts(self) -> list[str]:
        return [m.get("text") or m.get("bytes") for m in self.sent if m["type"] == "websocket.send"]

    @property
    def closed(self) -> tuple[int, str]:
        last = self.sent[-1]
        assert last["type"] == "websocket.close"
        return last["code"], last["reason"]


def echoing(seen: list[Any]) -> Any:
    """An app that accepts and sends every message back."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        await send({"type": "websocket.accept", "headers": []})
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message)
            echo = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
            await send({"type": "websocket.send", **echo})
        seen.append(message)

    return app


async def conversed(tmp_path: Path, client: Client, engine: ScriptedEngine | None = None, **options: Any) -> Any:
    seen: list[Any] = []
    rig = Rig(tmp_path, echoing(seen), engine=engine, **options)
    await rig.guard(client.scope, client.receive, client.send)
    return rig, seen


async def test_a_clean_conversation_passes_with_two_records(tmp_path: Path) -> None:
    """Connect, messages both ways, disconnect: one decision, one outcome, and the decision id on the handshake."""
    client = Client("hello", b"\x00\x01")
    rig, seen = await conversed(tmp_path, client)
    assert client.texts == ["hello", b"\x00\x01"]
    assert rig.log.kinds() == ["decision", "outcome"]
    assert dict(client.sent[0]["headers"])[b"x-guard-decision-id"].decode() == rig.log.records[0]["id"]
    assert rig.log.records[1]["status"] == 101
    assert seen[-1]["type"] == "websocket.disconnect"


async def test_a_denied_connection_is_never_accepted(tmp_path: Path) -> None:
    """The app does not hear of it; the server turns the close into a 403."""
    client = Client()
    rig, seen = await conversed(tmp_path, client, ScriptedEngine(deny("R-7")))
    assert client.sent == [{"type": "websocket.close", "code": 1008, "reason": "R-7: Denied by policy"}]
    assert (seen, rig.log.kinds()) == ([], ["decision"])


async def test_a_denied_connection_gets_the_whole_denial_where_the_server_can(tmp_path: Path) -> None:
    """The ASGI extension for denial responses carries the problem document."""
    client = Client(extensions=("websocket.http.response",))
    await conversed(tmp_path, client, ScriptedEngine(deny("R-7")))
    assert client.sent[0]["status"] == 403
    assert json.loads(client.sent[1]["body"])["reasons"][0]["rule"] == "R-7"


async def test_values_are_hidden_from_the_app_and_restored_for_the_client(tmp_path: Path) -> None:
    """Pseudonyms live as long as the connection: a later answer still restores them."""
    client = Client('{"say": "mail jane@corp.com"}', "again jane@corp.com")
    rig, seen = await conversed(tmp_path, client, ScriptedEngine(oblige(PSEUDONYM)))
    assert "jane" not in json.dumps([m.get("text") for m in seen])
    assert json.loads(client.texts[0]) == {"say": "mail jane@corp.com"}
    assert client.texts[1] == "again jane@corp.com"
    assert rig.log.records[-1]["restored"] == 2


async def test_the_query_of_the_handshake_is_rewritten_and_its_messages_keep_their_own(tmp_path: Path) -> None:
    """A value in the query does not reach the app, and does not shift what is redacted in later messages."""
    scopes: list[Any] = []
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echoing(seen)(scope, receive, send)

    client = Client("mail jane@corp.com", "and jane@corp.com")
    client.scope["query_string"] = b"page=1&q=jane%40corp.com"
    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM)))
    await rig.guard(client.scope, client.receive, client.send)
    assert scopes[0]["query_string"].startswith(b"page=1&q=")
    assert b"jane" not in scopes[0]["query_string"]
    assert "jane" not in str(seen)
    assert client.texts == ["mail jane@corp.com", "and jane@corp.com"]
    assert rig.log.records[0]["redactions"] == {"EMAIL_ADDRESS": 1}


async def test_a_header_that_becomes_due_after_the_handshake_closes(tmp_path: Path) -> None:
    """It could not be performed any more: the message is denied, not passed without it."""
    late = oblige({"type": "annotate", "headers": {"x-a": "1"}})
    answers = iter([ALLOW, late])
    client = Client("hello")
    _, seen = await conversed(tmp_path, client, ScriptedEngine(lambda _document: next(answers)))
    assert client.closed == (1008, "obligation_failed: An obligation cannot be performed")
    assert len(seen) == 2


async def test_what_the_app_brings_in_is_redacted(tmp_path: Path) -> None:
    """An app's own message is an answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "ask jane@corp.com"})
        await send({"type": "websocket.close", "code": 1000})

    client = Client()
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE)))
    await rig.guard(client.scope, client.receive, client.send)
    assert client.texts == ["ask <EMAIL_ADDRESS>"]
    assert rig.log.kinds() == ["decision", "decision", "outcome"]


async def test_a_denied_message_is_recorded_and_ends_the_connection(tmp_path: Path) -> None:
    """Its own record before the close; the app sees a disconnect, not the message."""
    engine = ScriptedEngine(lambda d: deny("PW-1") if any(f["type"] == "PASSWORD" for f in d["findings"]) else ALLOW)
    client = Client("fine", "it is hunter2", "more")
    rig, seen = await conversed(tmp_path, client, engine)
    assert client.closed == (1008, "PW-1: Denied by policy")
    assert "hunter2" not in str(seen)
    assert seen[-1]["type"] == "websocket.disconnect"
    assert rig.log.kinds() == ["decision", "decision", "outcome"]
    connection, message, outcome = rig.log.records
    assert message["connection"] == connection["id"] == outcome["decision_ref"]
    assert message["decision"]["effect"] == "deny"
    assert outcome["aborted"] == "stopped"


@pytest.mark.parametrize(
    ("message", "code"),
    [('{"a": 1, "a": 2}', 1008), ("x" * 101, 1009), ("[" * 100 + "]" * 100, 1009), ("\ud800", 1008)],
    ids=["duplicate key", "too large", "too large and deep", "lone surrogate"],
)
async def test_a_message_that_cannot_be_read_closes(tmp_path: Path, message: str, code: int) -> None:
    """What two readers would read differently never reaches the app."""
    client = Client(message)
    rig, seen = await conversed(tmp_path, client, limits={"max_body_bytes": 100})
    assert client.closed[0] == code
    assert [m["type"] for m in seen] == ["websocket.connect", "websocket.disconnect"]
    assert rig.log.records[1]["refusal"] is not None


async def test_a_binary_message_is_coverage(tmp_path: Path) -> None:
    """The policy is told that it was not read."""
    engine = ScriptedEngine()
    await conversed(tmp_path, Client(b"\x00"), engine)
    assert {"pointer": "", "reason": "binary_message"} in engine.documents[1]["coverage"]["skipped"]


@pytest.mark.parametrize("broken", [UNDEFINED, ZeroDivisionError("bug"), oblige({"type": "notify"})])
async def test_a_policy_that_fails_on_a_message_closes(tmp_path: Path, broken: Any) -> None:
    """Fail closed, message by message."""
    answers = iter([ALLOW, broken])
    client = Client("hello")
    _, seen = await conversed(tmp_path, client, ScriptedEngine(lambda _document: next(answers)))
    assert client.closed[0] in {1008, 1011}
    assert len(seen) == 2


async def test_no_durable_decision_no_message(tmp_path: Path) -> None:
    """A rewritten message whose record cannot be written does not pass."""
    client = Client("mail jane@corp.com")
    _, seen = await conversed(tmp_path, client, ScriptedEngine(oblige(PSEUDONYM)), log=MemoryLog(fail_at=1))
    assert client.closed[0] == 1011
    assert len(seen) == 2


async def test_an_app_that_answers_past_the_guard_is_stopped(tmp_path: Path) -> None:
    """A denial response of the app would not be inspected: it was not offered and is refused."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "websocket.http.response" not in scope["extensions"]
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})

    client = Client(extensions=("websocket.http.response",))
    rig = Rig(tmp_path, app)
    with pytest.raises(RuntimeError, match=r"websocket\.http\.response"):
        await rig.guard(client.scope, client.receive, client.send)
    assert client.sent == []
    assert rig.log.records[-1]["aborted"] == "app_error"


def test_a_real_conversation_over_a_real_socket(tmp_path: Path) -> None:
    """uvicorn, the websockets library and the shipped policies: hidden from the app, restored for the client; a secret
    ends the connection; the log verifies and no message is taken for a request without an outcome."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    from guard.config import load_config
    from guard.middleware import GuardMiddleware
    from guard.record.verify import verify
    from guard.testing import serve

    seen: list[str] = []

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                seen.append(await socket.receive_text())
                await socket.send_text(seen[-1])
        except WebSocketDisconnect:
            return

    config = load_config(environ={}, state_directory=tmp_path, routes=({"path": "/**", "provider": "p"},))
    app = GuardMiddleware(Starlette(routes=[WebSocketRoute("/ws", echo)]), config)
    mail = "write to jane.roe@northwind-traders.com"
    with serve(app) as url, connect(url.replace("http", "ws") + "/ws") as client:
        assert client.response is not None
        assert "x-guard-decision-id" in client.response.headers
        client.send(mail)
        assert client.recv(timeout=10) == mail
        client.send("AKIA{}".format("Q7ZL5TN4WX2RKD3V"))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason[:7]) == (1008, "SEC-001")
    assert len(seen) == 1
    assert "<EMAIL_ADDRESS_1_" in seen[0]
    report = verify(tmp_path / "log")
    assert report.exit_code == 0
    assert report.origins[0].accounts.unanswered_total == 0
