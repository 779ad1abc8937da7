"""The head of requests and answers: inspected, redacted, restored; with the path, and the handshake of WebSockets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.policy.bounds import LIMIT_BYTES
from tests.flow.rig import Answer, Rig, ScriptedEngine, answering, chat, delta, deny, oblige, streaming

pytestmark = pytest.mark.anyio

PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
REPLACE = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}
JANE = "jane@corp.com"


def hiding() -> ScriptedEngine:
    """Replaces addresses in both directions."""
    return ScriptedEngine(oblige(REPLACE), oblige(REPLACE))


def values(answer: Answer, name: str) -> list[bytes]:
    """All values of a header of the answer."""
    return [value for key, value in answer.messages[0]["headers"] if key == name.encode()]


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_headers_are_judged_with_the_body_and_rewritten(tmp_path: Path) -> None:
    """A value in a header does not reach the app, all other headers stay as they came, in their order."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(oblige(PSEUDONYM)))
    headers = [("user-agent", f"tool of {JANE}"), ("x-a", "1"), ("x-request-id", JANE), ("cookie", JANE)]
    await rig.call(body=chat(f"and {JANE}"), headers=headers)
    scope, body = seen[0]
    inward = dict(scope["headers"])
    placeholder = json.loads(body)["messages"][0]["content"].removeprefix("and ")
    assert placeholder.startswith("<EMAIL_ADDRESS_1_")
    assert inward[b"user-agent"].decode() == f"tool of {placeholder}"
    assert inward[b"x-request-id"].decode() == placeholder
    assert inward[b"cookie"].decode() == JANE
    names = [name for name, _ in scope["headers"]]
    assert names == [b"content-type", b"user-agent", b"x-a", b"x-request-id", b"cookie", b"content-length"]
    document = rig.engine.documents[0]
    assert {finding["pointer"] for finding in document["findings"]} == {
        "/messages/0/content",
        "headers/user-agent",
        "headers/x-request-id",
    }
    assert {"pointer": "headers/cookie", "reason": "credential"} in document["coverage"]["skipped"]
    assert rig.log.records[0]["redactions"] == {"EMAIL_ADDRESS": 3}
    assert JANE not in json.dumps(rig.log.records, default=str)


async def test_a_header_that_cannot_be_rewritten_denies(tmp_path: Path) -> None:
    """A redaction in a header that frames the message would change how the app reads what was inspected."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(oblige(REPLACE)))
    answer = await rig.call(body=b"{}", headers=[("content-type", f'application/json; note="{JANE}"')])
    assert (answer.status, seen) == (403, [])
    assert rig.log.records[0]["why"][-1]["code"] == "obligation_failed"


async def test_both_spellings_of_the_path_are_rewritten(tmp_path: Path) -> None:
    """A segment of the path is hidden from the app, whichever spelling it reads."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=hiding())
    await rig.call("GET", f"/users/{JANE}/a b", raw_path=b"/users/jane%40corp.com/a%20b")
    assert seen[0][0]["path"] == "/users/<EMAIL_ADDRESS>/a b"
    assert seen[0][0]["raw_path"] == b"/users/%3CEMAIL_ADDRESS%3E/a%20b"
    assert rig.engine.documents[0]["findings"][0]["pointer"] == "path/1"
    assert JANE not in json.dumps(rig.log.records, default=str)


async def test_a_server_without_raw_path_gets_none(tmp_path: Path) -> None:
    """What the server did not give is not made up."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=hiding())
    await rig.call("GET", f"/users/{JANE}", raw_path=None)
    assert (seen[0][0]["path"], seen[0][0]["raw_path"]) == ("/users/<EMAIL_ADDRESS>", None)


ELSEWHERE: list[tuple[str, dict[str, Any]]] = [
    ("mounted", {"path": f"/{JANE}/x", "raw_path": f"/{JANE}/x".encode(), "root_path": f"/{JANE}"}),
    ("routed", {"path": f"/u/{JANE}", "raw_path": f"/u/{JANE}".encode(), "path_params": {"id": JANE}}),
]


@pytest.mark.parametrize("scope", [scope for _, scope in ELSEWHERE], ids=[name for name, _ in ELSEWHERE])
async def test_a_path_is_not_rewritten_where_others_have_read_it(tmp_path: Path, scope: dict[str, Any]) -> None:
    """The app is mounted under it, or a router has taken parameters from it: the request is denied."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=hiding())
    answer = await rig.call("GET", **scope)
    assert (answer.status, seen) == (403, [])
    assert rig.log.records[0]["why"][-1]["code"] == "obligation_failed"


async def test_a_redaction_does_not_move_a_request_to_another_route(tmp_path: Path) -> None:
    """What was decided for one route must not be served by another."""
    seen: list[Any] = []
    routes = ({"path": "/u/<EMAIL_ADDRESS>", "inspect": False}, {"path": "/u/*"})
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=hiding(), routes=routes)
    answer = await rig.call("GET", f"/u/{JANE}")
    assert (answer.status, seen) == (403, [])
    other = await rig.call("GET", f"/other/{JANE}")
    assert (other.status, seen[0][0]["path"]) == (200, "/other/<EMAIL_ADDRESS>")


async def test_what_the_route_spells_is_no_text(tmp_path: Path) -> None:
    """Literal parts of a pattern are the configuration's words: never looked at, never touched."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=hiding(), routes=({"path": "/hunter2/*"},))
    await rig.call("GET", f"/hunter2/{JANE}")
    assert seen[0][0]["path"] == "/hunter2/<EMAIL_ADDRESS>"
    assert rig.engine.documents[0]["coverage"]["inspected"] == ["path/1"]


async def test_a_method_of_the_clients_own_making_is_inspected(tmp_path: Path) -> None:
    """No part of a request line is a hiding place; a method cannot be rewritten, so a redaction in it denies."""
    rig = Rig(tmp_path, answering(b"{}"), engine=hiding())
    assert (await rig.call("hunter2", "/x")).status == 200
    assert rig.engine.documents[0]["findings"][0]["pointer"] == "method"
    rig = Rig(tmp_path, answering(b"{}"), engine=hiding())
    assert (await rig.call(JANE, "/x")).status == 403


async def test_very_many_headers_stay_within_the_document(tmp_path: Path) -> None:
    """Positions are aggregated, and a finding among them is not lost."""
    headers = [(f"x-{number}", "text") for number in range(3000)] + [("x-last", JANE)]
    rig = Rig(tmp_path, answering(b"{}"))
    await rig.call(body=chat("hello"), headers=headers)
    document = rig.engine.documents[0]
    assert len(json.dumps(document, separators=(",", ":"))) <= LIMIT_BYTES
    assert document["findings"][0]["pointer"].startswith("headers/~")
    assert any(pointer.startswith("/headers") or pointer == "" for pointer in document["coverage"]["inspected"])


# --- answers ----------------------------------------------------------------------------------------------------------

IN_ANSWERS: list[tuple[str, str, str]] = [
    # header, its value with the address, as the client gets it
    ("location", f"/u/{JANE}?a=b", "/u/%3CEMAIL_ADDRESS%3E?a=b"),
    ("x-user", f"for {JANE}", "for <EMAIL_ADDRESS>"),
    ("content-disposition", f'attachment; filename="{JANE}.txt"', 'attachment; filename="<EMAIL_ADDRESS>.txt"'),
    (
        "content-disposition",
        "attachment; filename*=UTF-8''jane%40corp.com.txt",
        "attachment; filename*=UTF-8''%3CEMAIL_ADDRESS%3E.txt",
    ),
    ("link", f'<https://x/{JANE}>; rel="next"', '<https://x/%3CEMAIL_ADDRESS%3E>; rel="next"'),
    ("refresh", f"0; url=/u/{JANE}", "0; url=/u/%3CEMAIL_ADDRESS%3E"),
    ("x-meta", json.dumps({"to": JANE}), '{"to":"<EMAIL_ADDRESS>"}'),
]
KINDS = ["buffered", "opaque", "bodiless", "events"]


def app_of(kind: str, headers: Sequence[tuple[bytes, bytes]]) -> Any:
    """An app that answers in one of the ways in which answers are handled."""
    if kind == "events":
        inner = streaming(delta("hello"))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def with_headers(message: Any) -> None:
                more = {"headers": [*message["headers"], *headers]} if "headers" in message else {}
                await send({**message, **more})

            await inner(scope, receive, with_headers)

        return app
    content_type = "image/png" if kind == "opaque" else "application/json"
    return answering(b"{}", content_type=content_type, status=204 if kind == "bodiless" else 200, headers=headers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "value", "after"), IN_ANSWERS)
async def test_headers_of_answers_are_redacted(tmp_path: Path, kind: str, name: str, value: str, after: str) -> None:
    """However the body is handled, its head is inspected before it leaves."""
    headers = [(name.encode(), value.encode()), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]
    rig = Rig(tmp_path, app_of(kind, headers), engine=ScriptedEngine(response=oblige(REPLACE)))
    answer = await rig.call(body=chat("hello"))
    assert values(answer, name) == [after.encode()]
    assert values(answer, "set-cookie") == [b"a=b", b"c=d"]
    document = rig.engine.documents[-1]
    assert document["findings"][0]["pointer"].startswith("headers/")
    assert {"pointer": "headers/set-cookie/1", "reason": "credential"} in document["coverage"]["skipped"]
    assert rig.log.records[-1]["redactions"] == {"EMAIL_ADDRESS": 1}


@pytest.mark.parametrize("kind", KINDS)
async def test_placeholders_in_headers_are_restored(tmp_path: Path, kind: str) -> None:
    """What the client had sent comes back to it, encoded where a reference stands."""
    placeholder: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        placeholder.append(dict(scope["headers"])[b"x-who"].decode())
        quoted = placeholder[0].replace("<", "%3C").replace(">", "%3E")
        headers = [(b"location", f"/u/{quoted}".encode()), (b"x-for", placeholder[0].encode())]
        await app_of(kind, headers)(scope, receive, send)

    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM)))
    answer = await rig.call(body=chat("hello"), headers=[("x-who", JANE)])
    assert values(answer, "x-for") == [JANE.encode()]
    assert values(answer, "location") == [b"/u/jane%40corp.com"]
    assert rig.log.records[-1]["restored"] == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_denied_answer_leaks_no_header(tmp_path: Path, kind: str) -> None:
    """A finding in a header can deny the answer; nothing of the app's head is sent."""

    def verdict(document: Any) -> Any:
        return deny() if document["findings"] else oblige()

    headers = [(b"x-user", JANE.encode()), (b"x-inner", b"inner"), (b"set-cookie", b"a=b")]
    rig = Rig(tmp_path, app_of(kind, headers), engine=ScriptedEngine(response=verdict))
    answer = await rig.call(body=chat("hello"))
    assert answer.status == 403
    assert not {"x-user", "x-inner", "set-cookie"} & answer.headers.keys()
    assert JANE.encode() not in answer.body


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_whose_header_cannot_hold_the_new_text_is_denied(tmp_path: Path, kind: str) -> None:
    """The name of a header is a token, and how the body is read does not change."""
    headers = [(b"x-jane@corp.com", b"1")]
    rig = Rig(tmp_path, app_of(kind, headers), engine=ScriptedEngine(response=oblige(REPLACE)))
    assert (await rig.call(body=chat("hello"))).status == 403


async def test_a_stream_keeps_what_was_seen_at_its_head(tmp_path: Path) -> None:
    """Every later verdict on the stream sees the findings and the gaps of the headers, too."""
    headers = [(b"x-user", JANE.encode()), (b"set-cookie", b"a=b")]
    rig = Rig(tmp_path, app_of("events", headers))
    answer = await rig.call(body=chat("hello"))
    assert values(answer, "x-user") == [JANE.encode()]
    first, last = rig.engine.documents[1], rig.engine.documents[-1]
    assert first["findings"] == last["findings"] != []
    assert first["coverage"]["skipped"] == last["coverage"]["skipped"] != []


async def test_headers_that_the_policy_adds_are_not_inspected(tmp_path: Path) -> None:
    """They are the owner's own words."""
    annotate = {"type": "annotate", "headers": {"x-note": JANE}}
    rig = Rig(tmp_path, answering(b"{}"), engine=ScriptedEngine(response=oblige(REPLACE, annotate)))
    answer = await rig.call(body=chat("hello"))
    assert values(answer, "x-note") == [JANE.encode()]


# --- WebSockets -------------------------------------------------------------------------------------------------------


async def handshake(tmp_path: Path, engine: ScriptedEngine, *, accept: Any, **scope: Any) -> tuple[Any, Any, Any]:
    """The scope that the app got, what the client got, and the rig."""
    seen: list[Any] = []
    sent: list[Any] = []
    incoming = [{"type": "websocket.connect"}]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await receive()
        await send(accept(scope))

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        sent.append(message)

    rig = Rig(tmp_path, app, engine=engine)
    full: dict[str, Any] = {
        "type": "websocket",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    await rig.guard({**full, "extensions": {}, **scope}, receive, send)
    return seen, sent, rig


async def test_the_handshake_is_inspected_and_its_answer_restored(tmp_path: Path) -> None:
    """Headers, subprotocols and path of the handshake do not reach the app in clear; the chosen subprotocol is what
    the client offered."""
    seen, sent, rig = await handshake(
        tmp_path,
        ScriptedEngine(oblige(PSEUDONYM)),
        accept=lambda scope: {
            "type": "websocket.accept",
            "subprotocol": scope["subprotocols"][1],
            "headers": [(b"x-for", dict(scope["headers"])[b"x-who"])],
        },
        path=f"/ws/{JANE}",
        raw_path=f"/ws/{JANE}".encode(),
        headers=[(b"x-who", JANE.encode()), (b"sec-websocket-protocol", f"chat, user.{JANE}".encode())],
        subprotocols=["chat", f"user.{JANE}"],
    )
    assert JANE not in str({key: seen[0][key] for key in ("path", "raw_path", "headers", "subprotocols")})
    assert seen[0]["subprotocols"][0] == "chat"
    assert sent[0]["subprotocol"] == f"user.{JANE}"
    assert sent[0]["headers"][0] == (b"x-for", JANE.encode())
    assert rig.log.kinds() == ["decision", "decision", "outcome"]


async def test_a_finding_in_the_answer_of_a_handshake_can_deny_it(tmp_path: Path) -> None:
    """The connection is refused before it is accepted."""
    accept = {"type": "websocket.accept", "headers": [(b"x-user", JANE.encode())]}
    _, sent, rig = await handshake(tmp_path, ScriptedEngine(response=deny()), accept=lambda _scope: accept)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert rig.log.records[-1]["status"] is None
