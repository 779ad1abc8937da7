"""The request's way: nothing reaches the app that was not read, decided and recorded."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from guard.errors import EngineUnavailable, PolicyEvaluationError, PolicyTimeout
from guard.types import UNDEFINED
from tests.flow.rig import MemoryLog, Rig, ScriptedEngine, answering, chat, deny, oblige

pytestmark = pytest.mark.anyio

PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
OK = answering(b"{}")


async def test_the_decision_is_durable_before_the_app_is_called(tmp_path: Path) -> None:
    """Audit before act: the app finds its own decision already in the log."""
    at_call: list[list[str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        at_call.append(rig.log.kinds())
        await OK(scope, receive, send)

    rig = Rig(tmp_path, app)
    answer = await rig.call(body=chat("hello"))
    assert answer.status == 200
    assert at_call == [["decision"]]
    assert rig.log.kinds() == ["decision", "outcome"]
    assert rig.log.records[1]["decision_ref"] == rig.log.records[0]["id"] == answer.headers["x-guard-decision-id"]


async def test_a_denied_request_never_reaches_the_app(tmp_path: Path) -> None:
    """403 with the rule, one record, and no call."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(deny("SEC-001")))
    answer = await rig.call(body=chat("hello"))
    assert (answer.status, seen) == (403, [])
    assert answer.json["reasons"][0]["rule"] == "SEC-001"
    assert rig.log.kinds() == ["decision"]
    assert rig.log.records[0]["decision"]["effect"] == "deny"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (PolicyTimeout("late"), 503, "policy_timeout"),
        (EngineUnavailable("down"), 503, "engine_unavailable"),
        (PolicyEvaluationError("conflict"), 503, "policy_error"),
        (ZeroDivisionError("bug"), 503, "policy_error"),
        (UNDEFINED, 403, "policy_undefined"),
        ("yes", 503, "policy_error"),
        ({"allow": True, "reasons": [{"id": "R-1", "message": "m"}]}, 403, "policy_denied"),
        (oblige({"type": "shred"}), 403, "obligation_failed"),
        (oblige({"type": "redact", "entity": "X", "operator": "burn"}), 403, "obligation_failed"),
        (oblige({"type": "notify"}), 403, "obligation_failed"),
    ],
)
async def test_whatever_goes_wrong_in_the_policy_denies(tmp_path: Path, failure: Any, status: int, code: str) -> None:
    """Errors, silence, nonsense and unknown obligations fail closed, each with its reason."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(failure))
    answer = await rig.call(body=chat("hello"))
    assert (answer.status, seen) == (status, [])
    assert answer.json["reasons"][-1]["code"] == code
    assert rig.log.records[0]["decision"]["effect"] == "deny"


async def test_no_durable_decision_no_request(tmp_path: Path) -> None:
    """A full disk is an outage: 503, and the app is not called."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), log=MemoryLog(fail_at=0))
    answer = await rig.call(body=chat("hello"))
    assert (answer.status, seen) == (503, [])
    assert answer.json["error"]["code"] == "guard_unavailable"
    assert answer.headers["retry-after"] == "5"


async def test_the_app_receives_what_was_rewritten(tmp_path: Path) -> None:
    """The value is gone from the body that the app reads, and the headers fit the new body."""
    seen: list[Any] = []
    app = answering(lambda body: json.dumps({"text": json.loads(body)["messages"][0]["content"]}).encode(), seen=seen)
    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM)))
    answer = await rig.call(body=chat("mail jane@corp.com now"), headers=[("content-md5", "x")])
    scope, body = seen[0]
    headers = dict(scope["headers"])
    assert b"jane@corp.com" not in body
    assert b"<EMAIL_ADDRESS_1_" in body
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"content-md5" not in headers
    assert answer.json == {"text": "mail jane@corp.com now"}
    assert answer.headers["content-length"] == str(len(answer.body))
    assert rig.log.records[1]["restored"] == 1
    assert "jane@corp.com" not in json.dumps(rig.log.records)


async def test_an_untouched_body_is_passed_byte_for_byte(tmp_path: Path) -> None:
    """White space and key order of the client survive where nothing is rewritten."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(oblige(PSEUDONYM)))
    sent = b'{ "messages" : [ {"role":"user", "content":"clean"} ] , "model":"m" }'
    await rig.call(body=sent, headers=[("content-type", "application/json")])
    assert seen[0][1] == sent


async def test_a_compressed_body_is_inspected_and_passed_on_plain(tmp_path: Path) -> None:
    """What the app receives is what was inspected, not what it was inflated from."""
    seen: list[Any] = []
    plain = json.dumps(chat("hello")).encode()
    rig = Rig(tmp_path, answering(b"{}", seen=seen))
    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    answer = await rig.call(body=gzip.compress(plain), headers=headers)
    scope, body = seen[0]
    assert (answer.status, body) == (200, plain)
    assert b"content-encoding" not in dict(scope["headers"])


async def test_the_app_is_not_asked_for_what_cannot_be_inspected(tmp_path: Path) -> None:
    """Ranges, compression and the ways to answer past us are removed on the way in."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen))
    extensions = {
        "http.response.pathsend": {},
        "http.response.zerocopysend": {},
        "http.response.trailers": {},
        "tls": {},
    }
    await rig.call("GET", "/x", headers=[("accept-encoding", "br"), ("range", "bytes=0-1"), ("x-a", "b")],
                   extensions=extensions)  # fmt: skip
    scope = seen[0][0]
    assert dict(scope["headers"]) == {b"x-a": b"b"}
    assert scope["extensions"] == {"tls": {}}


async def test_the_app_finds_its_decision_in_the_scope(tmp_path: Path) -> None:
    """``scope["guard"]`` tells effect, findings, principal and the route that the policy chose."""
    seen: list[Any] = []
    engine = ScriptedEngine(oblige({"type": "route", "models": ["big"], "provider": "p"}))
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=engine)
    answer = await rig.call(body=chat("mail jane@corp.com"))
    context = seen[0][0]["guard"]
    assert context.decision_id == answer.headers["x-guard-decision-id"]
    assert (context.effect, context.principal.type) == ("allow", "anonymous")
    assert [f.type for f in context.findings] == ["EMAIL_ADDRESS"]
    assert context.route == {"models": ["big"], "provider": "p", "rule": "R-1"}
    with pytest.raises(AttributeError):
        context.effect = "deny"


async def test_a_refused_body_is_recorded(tmp_path: Path) -> None:
    """A body that two readers would read differently gets a 4xx, a decision record and no policy."""
    rig = Rig(tmp_path, OK)
    answer = await rig.call(body=b'{"a":1,"a":2}', headers=[("content-type", "application/json")])
    assert answer.status == 400
    assert answer.json["error"]["code"] == "json_duplicate_key"
    assert rig.log.kinds() == ["decision"]
    assert rig.engine.documents == []


@pytest.mark.parametrize(
    ("messages", "headers", "code", "status"),
    [
        ([(b"x" * 60, True), (b"x" * 60, False)], [], "body_too_large", 413),
        ([(b"x", False)], [("content-length", "101")], "body_too_large", 413),
        ([(b"xy", False)], [("content-length", "3")], "body_length_mismatch", 400),
        ([(b"xy", False)], [("content-length", "2"), ("content-length", "2")], "content_length_invalid", 400),
    ],
    ids=["past the limit", "announced past the limit", "shorter than announced", "announced twice"],
)
async def test_lengths_that_lie_are_refused(
    tmp_path: Path, messages: list[tuple[bytes, bool]], headers: list[tuple[str, str]], code: str, status: int
) -> None:
    """The limit holds for what is announced and for what arrives, and both must agree."""
    rig = Rig(tmp_path, OK, limits={"max_body_bytes": 100})
    parts = [{"type": "http.request", "body": body, "more_body": more} for body, more in messages]
    answer = await rig.call(messages=parts, headers=headers)
    assert (answer.status, answer.json["error"]["code"]) == (status, code)


async def test_a_slow_body_is_refused(tmp_path: Path) -> None:
    """A client that never finishes its body does not hold a place for ever."""
    rig = Rig(tmp_path, OK, limits={"body_timeout_seconds": 0.05})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(5)
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": [], "client": None}
    await rig.guard(scope, receive, send)
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"]["code"] == "body_too_slow"


async def test_a_client_that_leaves_before_its_body_is_whole_is_recorded(tmp_path: Path) -> None:
    """A refusal by name, no call, and nobody is answered."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen))
    gone = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    answer = await rig.call(messages=gone)
    assert (answer.messages, seen) == ([], [])
    (record,) = rig.log.records
    assert (record["decision"]["effect"], record["decision"]["http_status"]) == ("deny", None)
    assert record["refusal"] == {"code": "client_disconnected", "where": ""}


async def test_an_invalid_credential_is_401_and_recorded(tmp_path: Path) -> None:
    """A credential that is presented must be right; its absence would be anonymous."""
    keys = {"api_keys": ({"id": "a", "hash": "sha256:" + "0" * 64},)}
    rig = Rig(tmp_path, OK, identity=keys)
    answer = await rig.call(body=chat("x"), headers=[("authorization", "Bearer wrong")])
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert rig.log.kinds() == ["decision"]
    assert "wrong" not in json.dumps(rig.log.records)


async def test_a_failure_of_the_guard_itself_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception before the app is called is an outage, recorded, without the exception's text."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen))

    async def broken(*_args: object, **_named: object) -> None:
        raise RuntimeError("jane@corp.com")

    monkeypatch.setattr("guard.exchange.session.judge", broken)
    answer = await rig.call(body=chat("hello"))
    assert (answer.status, seen) == (503, [])
    assert rig.log.records[0]["why"][0]["code"] == "guard_error"
    assert b"jane" not in answer.body


async def test_the_policy_sees_what_was_inspected_and_what_was_not(tmp_path: Path) -> None:
    """Texts beside the body stand in the coverage, a credential as what it is."""
    rig = Rig(tmp_path, OK)
    await rig.call("GET", "/x", headers=[("referer", "y"), ("authorization", "Bearer z")])
    coverage = rig.engine.documents[0]["coverage"]
    assert coverage["inspected"] == ["headers/referer", "path/0"]
    assert coverage["skipped"] == [{"pointer": "headers/authorization", "reason": "credential"}]


async def test_the_query_string_is_inspected_and_rewritten(tmp_path: Path) -> None:
    """A value in the query is found, hidden from the app, and restored in the answer; the body keeps its own."""
    seen: list[Any] = []
    app = answering(lambda _body: json.dumps({"q": seen[0][0]["query_string"].decode()}).encode(), seen=seen)
    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM)))
    query = b"page=2&q=mail%20jane%40corp.com&x"
    answer = await rig.call(body=chat("and jane@corp.com"), query_string=query)
    scope, body = seen[0]
    assert b"jane" not in scope["query_string"]
    assert scope["query_string"].startswith(b"page=2&q=mail%20")
    assert scope["query_string"].endswith(b"&x")
    assert b"jane" not in body
    assert rig.engine.documents[0]["findings"][1]["pointer"].startswith("query/")
    assert rig.log.records[0]["redactions"] == {"EMAIL_ADDRESS": 2}
    assert answer.status == 200


@pytest.mark.parametrize("query", [b"q=100%", b"q=%ff", b"a=1&a=%zz"])
async def test_a_query_string_that_is_no_form_is_coverage(tmp_path: Path, query: bytes) -> None:
    """Apps take any query string: it passes as it is, and the gap is spoken."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen))
    await rig.call("GET", "/x", query_string=query)
    assert seen[0][0]["query_string"] == query
    assert "query" in {s["pointer"] for s in rig.engine.documents[0]["coverage"]["skipped"]}


async def test_excluded_routes_pass_untouched(tmp_path: Path) -> None:
    """An excluded route is counted, not inspected; the scope is the server's own."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), routes=({"path": "/health", "inspect": False},))
    await rig.call("GET", "/health", headers=[("accept-encoding", "br")])
    assert dict(seen[0][0]["headers"]) == {b"accept-encoding": b"br"}
    assert "guard" not in seen[0][0]
    assert (rig.log.records, rig.runtime.excluded_requests) == ([], 1)
    await rig.call("GET", "/healthz")
    assert rig.log.kinds() == ["decision", "outcome"]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/v1/**", "/v1/chat/completions", True),
        ("/v1/**", "/v1", True),
        ("/v1/**", "/v10/x", False),
        ("/users/*/mail", "/users/7/mail", True),
        ("/users/*/mail", "/users/7/8/mail", False),
        ("/health", "/health/", False),
        ("/a.c", "/abc", False),
    ],
)
async def test_route_patterns(tmp_path: Path, pattern: str, path: str, matches: bool) -> None:
    """``*`` is one path segment, a final ``/**`` any rest; nothing else is special."""
    rig = Rig(tmp_path, OK, routes=({"path": pattern, "inspect": False},))
    await rig.call("GET", path)
    assert (rig.runtime.excluded_requests == 1) is matches


@pytest.mark.parametrize(
    "path",
    ["/public/../v1/x", "/public/./../v1", "/public/%2e%2e/x", "/public/..\\x", "/v1//../public/x", "/v1;/../public"],
)
async def test_a_path_that_others_would_route_differently_is_refused(tmp_path: Path, path: str) -> None:
    """An app or a proxy that resolves the path would serve another route than the one decided here."""
    rig = Rig(tmp_path, OK, routes=({"path": "/public/**", "inspect": False}, {"path": "/v1/**", "provider": "p"}))
    answer = await rig.call("GET", path)
    assert (answer.status, answer.json["error"]["code"]) == (400, "path_ambiguous")
    assert (rig.runtime.excluded_requests, rig.log.kinds()) == (0, ["decision"])


@pytest.mark.parametrize("path", ["/v1//x", "/v1/./x", "/v1/a;b", "/v1/50%25", "/v1/a\\b"])
async def test_an_odd_path_of_one_route_passes(tmp_path: Path, path: str) -> None:
    """Odd spelling alone is no attack: every reader takes the same route."""
    rig = Rig(tmp_path, OK, routes=({"path": "/v1/**", "provider": "p"},))
    assert (await rig.call("GET", path)).status == 200


async def test_a_cancelled_request_has_an_outcome(tmp_path: Path) -> None:
    """Cancelled while its decision became durable: the log says so, and the app was not called."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen))
    task = asyncio.ensure_future(rig.call(body=chat("hello")))
    await rig.log.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.01)
    assert seen == []
    assert [(r["kind"], r.get("aborted")) for r in rig.log.records] == [("decision", None), ("outcome", "cancelled")]


async def test_an_event_stream_is_no_request_body(tmp_path: Path) -> None:
    """Its events would have no bound."""
    answer = await Rig(tmp_path, OK).call(body=b"data: x\n\n", headers=[("content-type", "text/event-stream")])
    assert (answer.status, answer.json["error"]["code"]) == (415, "media_type_unsupported")
