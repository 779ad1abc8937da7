"""When the guard itself fails: 503, or on where the route says ``unsafe_fail_open``, with every use on record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.errors import DetectionIncomplete, EngineUnavailable, LogUnavailable, PolicyEvaluationError, PolicyTimeout
from guard.exchange.flowing import Flow
from guard.review.explain import explain
from guard.review.query import Exchange as RecordedExchange
from guard.types import (
    UNDEFINED,
    Anomaly,
    BehaviourEvent,
    DetectContext,
    DetectorInfo,
    Effect,
    Finding,
    GuardContext,
    Segment,
)
from tests.flow.rig import (
    ALLOW,
    MemoryLog,
    Rig,
    ScriptedEngine,
    WordDetector,
    answering,
    chat,
    delta,
    deny,
    oblige,
    streaming,
)
from tests.flow.test_12_websocket import Client, echoing

pytestmark = pytest.mark.anyio

OPEN = ({"path": "/**", "unsafe_fail_open": True},)
PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
REPLACE = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}
FAILURES = {
    "engine_unavailable": EngineUnavailable("nobody listens"),
    "policy_timeout": PolicyTimeout("too late"),
    "policy_error": PolicyEvaluationError("division by zero"),
    "policy_undefined": UNDEFINED,
    "obligation_failed": oblige({"type": "teleport"}),
}


class Unfinished(WordDetector):
    """Finds what it finds, and says that it is not done."""

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        raise DetectionIncomplete("too much", reason="deadline", findings=super().detect(segments, context))


class BrokenModel:
    """A behaviour model with a bug, before or after the decision."""

    info = DetectorInfo("broken", "1", "0" * 64)

    def __init__(self, *, late: bool = False) -> None:
        self._late = late

    def score(self, event: BehaviourEvent) -> Anomaly:
        """Fails unless it is to fail later."""
        if not self._late:
            raise ZeroDivisionError("a bug")
        return Anomaly(0.0)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Fails."""
        raise ZeroDivisionError("a bug")


def gaps_denied(document: Mapping[str, Any]) -> Any:
    """What GUARD-001 does, and a rule against passwords beside it."""
    if any(finding["type"] == "PASSWORD" for finding in document["findings"]):
        return deny("PW-1")
    return deny("GUARD-001") if document["coverage"]["incomplete"] else ALLOW


def failed(rig: Rig, index: int = 0) -> Any:
    """The ruling of a decision record."""
    return rig.log.records[index]["decision"]


@pytest.mark.parametrize("code", FAILURES)
async def test_a_failing_policy_refuses_unless_its_route_fails_open(tmp_path: Path, code: str) -> None:
    """Closed: the app is not called. Open: it gets the very request, the client the very answer."""
    seen: list[Any] = []
    app = answering(b'{ "as": "given" }', headers=[(b"etag", b'"1"')], seen=seen)
    closed = Rig(tmp_path, app, engine=ScriptedEngine(FAILURES[code]))
    refused = await closed.call(body=chat("mail jane@corp.com"))
    status = 503 if code in {"engine_unavailable", "policy_timeout", "policy_error"} else 403
    assert (refused.status, seen) == (status, [])
    assert refused.headers.get("retry-after") == ("5" if status == 503 else None)
    assert refused.json["reasons"][0]["code"] == code

    rig = Rig(tmp_path, app, engine=ScriptedEngine(FAILURES[code]), routes=OPEN)
    sent = b'{"model":"m",  "messages":[{"role":"user","content":"mail jane@corp.com"}]}'
    headers = [("content-type", "application/json"), ("accept-encoding", "br"), ("range", "bytes=0-1")]
    answer = await rig.call(body=sent, headers=headers, query_string=b"q=jane%40corp.com")
    scope, body = seen[0]
    assert body == sent
    assert scope["headers"] == [(k.encode(), v.encode()) for k, v in headers]
    assert scope["query_string"] == b"q=jane%40corp.com"
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b'{ "as": "given" }', '"1"')
    assert "x-guard-decision-id" not in answer.headers
    context: GuardContext = scope["guard"]
    assert (context.effect, context.obligations, context.reasons[0].code) == ("allow", (), code)

    decision, outcome = rig.log.records
    component = "obligation" if code == "obligation_failed" else "policy"
    fail = {"component": component, "kind": code, "policy": "open"}
    assert decision["decision"] == {"effect": "allow", "mode": "enforce", "http_status": None, "fail": fail}
    assert decision["why"][0]["code"] == code
    assert (outcome["status"], outcome["aborted"], outcome["size_bytes"]) == (200, None, 17)
    assert outcome["coverage"]["skipped"] == [{"pointer": "", "reason": "fail_open"}]
    assert rig.runtime.tally.counters() == {"fail_open": 1}


async def test_a_detector_that_does_not_finish_is_a_failure_of_the_guard(tmp_path: Path) -> None:
    """Rule GUARD-001 denies the gap; on a route that fails open the gap alone does not stop the request."""
    closed = Rig(tmp_path, answering(b"{}"), engine=ScriptedEngine(gaps_denied), detectors=[Unfinished()])
    assert (await closed.call(body=chat("x"))).status == 403
    rig = Rig(tmp_path, answering(b"{}"), engine=ScriptedEngine(gaps_denied), detectors=[Unfinished()], routes=OPEN)
    assert (await rig.call(body=chat("x"))).status == 200
    assert failed(rig)["fail"] == {"component": "detector", "kind": "detection_incomplete", "policy": "open"}
    assert rig.log.records[0]["policy_input"]["coverage"]["incomplete"] == [{"detector": "words", "reason": "deadline"}]


async def test_what_an_unfinished_detector_did_see_is_denied_on_every_route(tmp_path: Path) -> None:
    """The gap opens the route; a finding beside it does not."""
    engine = ScriptedEngine(gaps_denied)
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=engine, detectors=[Unfinished()], routes=OPEN)
    answer = await rig.call(body=chat("hunter2"))
    assert (answer.status, seen, rig.runtime.tally.fail_open) == (403, [], 0)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"body": chat("x")}, 403),
        ({"body": b'{"a":1,"a":2}', "headers": [("content-type", "application/json")]}, 400),
        ({"path": "/v1/x;/../y"}, 200),
        ({"body": b"x" * 200}, 413),
    ],
    ids=["policy", "duplicate key", "odd path", "too large"],
)
async def test_a_denial_and_a_refused_body_stay_refused(tmp_path: Path, request_: Any, status: int) -> None:
    """``unsafe_fail_open`` is about failures of the guard, not about what it decided."""
    seen: list[Any] = []
    engine = ScriptedEngine(deny() if status == 403 else ALLOW)
    limits = {"max_body_bytes": 150}
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=engine, routes=OPEN, limits=limits)
    answer = await rig.call(**request_)
    assert (answer.status, len(seen)) == (status, status == 200)
    assert rig.runtime.tally.fail_open == 0


async def test_a_credential_that_is_refused_stays_refused(tmp_path: Path) -> None:
    """Who presents a wrong key is not let in by a failure."""
    key = {"id": "ci", "hash": "sha256:" + "0" * 64}
    rig = Rig(tmp_path, answering(b"{}"), routes=OPEN, identity={"api_keys": (key,)}, engine=ScriptedEngine(UNDEFINED))
    answer = await rig.call(body=chat("x"), headers=[("authorization", "Bearer wrong")])
    assert (answer.status, rig.runtime.tally.fail_open) == (401, 0)


async def test_a_redaction_that_a_body_makes_impossible_stays_denied(tmp_path: Path) -> None:
    """Who writes the body must not choose how it is treated: an answer that cannot be read does not pass unredacted."""
    app = answering(b"jane@corp.com", headers=[(b"content-encoding", b"rot13")])
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE)), routes=OPEN)
    answer = await rig.call(body=chat("x"))
    assert (answer.status, b"jane" in answer.body, rig.runtime.tally.fail_open) == (403, False, 0)


@pytest.mark.parametrize("routes", [None, OPEN], ids=["closed", "open"])
async def test_a_bug_of_the_guard(tmp_path: Path, routes: Any) -> None:
    """Closed: 503 ``guard_error``, recorded. Open: the request as it came, in the pieces in which it came."""
    pieces: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pieces.extend([await receive(), await receive()])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    rig = Rig(tmp_path, app, behaviour=BrokenModel(), **({"routes": routes} if routes else {}))
    messages = [
        {"type": "http.request", "body": b'{"a": ', "more_body": True},
        {"type": "http.request", "body": b"1}", "more_body": False},
    ]
    answer = await rig.call(headers=[("content-type", "application/json")], messages=list(messages))
    if routes is None:
        assert (answer.status, answer.json["reasons"][0]["code"], pieces) == (503, "guard_error", [])
        assert failed(rig)["fail"] == {"component": "guard", "kind": "guard_error", "policy": "closed"}
    else:
        assert (answer.status, pieces) == (204, messages)
        assert failed(rig)["fail"] == {"component": "guard", "kind": "guard_error", "policy": "open"}
        assert rig.log.records[0]["coverage"]["skipped"] == [{"pointer": "", "reason": "fail_open"}]
        assert rig.runtime.pressure.bytes == 0


async def test_a_bug_after_a_denial_lets_nothing_in(tmp_path: Path) -> None:
    """What was denied stays denied, whatever breaks while that is carried out."""
    seen: list[Any] = []
    model = BrokenModel(late=True)
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(deny()), behaviour=model, routes=OPEN)
    assert ((await rig.call(body=chat("x"))).status, seen) == (503, [])


async def test_a_refusal_that_cannot_be_sent_is_not_mended_by_the_app(tmp_path: Path) -> None:
    """The client is gone while it is refused: the error is the server's, and the app is not called."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(deny()), routes=OPEN)

    def gone(message: Any) -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await rig.call(body=chat("x"), on_send=gone)
    assert seen == []


# The log ------------------------------------------------------------------------------------------------------------


async def test_without_a_log_a_route_that_fails_open_goes_on_as_decided(tmp_path: Path) -> None:
    """Redacted and restored as decided; the lost records are counted, and the app is told."""
    seen: list[Any] = []
    app = answering(lambda body: body, seen=seen)
    closed = Rig(tmp_path, app, log=MemoryLog(fail_at=0), engine=ScriptedEngine(oblige(PSEUDONYM)))
    assert ((await closed.call(body=chat("mail jane@corp.com"))).status, seen) == (503, [])
    rig = Rig(tmp_path, app, log=MemoryLog(fail_at=0), engine=ScriptedEngine(oblige(PSEUDONYM)), routes=OPEN)
    answer = await rig.call(body=chat("mail jane@corp.com"))
    scope, body = seen[0]
    assert (answer.status, b"jane" in body) == (200, False)
    assert answer.json["messages"][0]["content"] == "mail jane@corp.com"
    assert [reason.code for reason in scope["guard"].reasons] == ["log_unavailable"]
    assert rig.runtime.tally.counters() == {"fail_open": 2, "unrecorded": 2}


async def test_without_a_log_a_denial_is_a_denial(tmp_path: Path) -> None:
    """403 with its reasons where the route fails open; 503 elsewhere. The app is called in neither case."""
    seen: list[Any] = []
    for routes, status in ((OPEN, 403), (({"path": "/**"},), 503)):
        log = MemoryLog(fail_at=0)
        rig = Rig(tmp_path, answering(b"{}", seen=seen), log=log, engine=ScriptedEngine(deny()), routes=routes)
        assert (await rig.call(body=chat("x"))).status == status
    assert seen == []


# The answer ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", FAILURES)
async def test_a_failure_at_the_answer(tmp_path: Path, code: str) -> None:
    """Closed: the answer is replaced. Open: it passes; what the client itself had sent is still put back."""
    app = answering(lambda body: body)
    engine = ScriptedEngine(oblige(PSEUDONYM), FAILURES[code])
    refused = await Rig(tmp_path, app, engine=engine).call(body=chat("mail jane@corp.com"))
    assert refused.status in {403, 503}
    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM), FAILURES[code]), routes=OPEN)
    answer = await rig.call(body=chat("mail jane@corp.com"))
    assert (answer.status, answer.json["messages"][0]["content"]) == (200, "mail jane@corp.com")
    verdict = rig.log.records[1]["decisions"][0]
    assert (verdict["effect"], verdict["fail"]["kind"], verdict["fail"]["policy"]) == ("allow", code, "open")
    assert rig.runtime.tally.counters() == {"fail_open": 1}


@pytest.mark.parametrize("broken_at", ["head", "body"])
async def test_a_bug_at_the_answer(tmp_path: Path, broken_at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed: 503, nothing of the answer leaves. Open: every byte of it, in order."""
    body = json.dumps({"say": "x" * 40_000}).encode()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kind = b"text/event-stream" if broken_at == "head" else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body[:7], "more_body": True})
        await send({"type": "http.response.body", "body": body[7:], "more_body": False})

    async def bug(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug")

    place = "guard.exchange.events.judge_answer" if broken_at == "head" else "guard.exchange.handling.judge_answer"
    monkeypatch.setattr(place, bug)
    closed = Rig(tmp_path, app)
    refused = await closed.call("GET", "/x")
    assert (refused.status, refused.json["reasons"][0]["code"], b"xxx" in refused.body) == (503, "guard_error", False)
    assert closed.log.records[1]["aborted"] == "denied"
    rig = Rig(tmp_path, app, routes=OPEN)
    answer = await rig.call("GET", "/x")
    assert (answer.status, answer.body) == (200, body)
    outcome = rig.log.records[1]
    assert (outcome["aborted"], outcome["decisions"][-1]["fail"]["kind"]) == (None, "guard_error")
    assert {"pointer": "", "reason": "fail_open"} in outcome["coverage"]["skipped"]
    assert rig.runtime.pressure.bytes == 0


async def test_an_engine_that_breaks_under_a_stream(tmp_path: Path) -> None:
    """Closed: an error event ends the stream. Open: it flows on, every byte."""
    events = [delta("all is "), delta("well hunter2"), delta(" and on"), b"data: [DONE]\n\n"]

    def engine() -> ScriptedEngine:
        answers = iter([ALLOW])
        return ScriptedEngine(response=lambda _: next(answers, EngineUnavailable("gone")))

    stopped = await Rig(tmp_path, streaming(*events), engine=engine()).call(body=chat("x"))
    assert b"hunter2" not in stopped.body
    assert b"guard_unavailable" in stopped.body
    rig = Rig(tmp_path, streaming(*events), engine=engine(), routes=OPEN)
    answer = await rig.call(body=chat("x"))
    assert answer.body == b"".join(events)
    kinds = [verdict["fail"] and verdict["fail"]["kind"] for verdict in rig.log.records[1]["decisions"]]
    assert kinds == [None, "engine_unavailable", "engine_unavailable"]
    assert rig.runtime.tally.counters() == {"fail_open": 1}


@pytest.mark.parametrize("cut", [3, 20, 70])
async def test_a_bug_in_the_middle_of_a_stream(tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open: what the guard still held goes out, and the rest behind it; no byte is lost or doubled at any cut."""
    whole = delta("one two three") + delta("four") + delta("five six") + b"data: [DONE]\n\n"
    pieces = [whole[i : i + cut] for i in range(0, len(whole), cut)]
    inspect = Flow._inspect
    calls = iter(range(1000))

    async def breaking(self: Any, events: Any) -> Any:
        if next(calls) >= len(pieces) // 2:
            raise ZeroDivisionError("a bug")
        return await inspect(self, events)

    monkeypatch.setattr(Flow, "_inspect", breaking)
    rig = Rig(tmp_path, streaming(*pieces), routes=OPEN)
    answer = await rig.call(body=chat("x"))
    assert answer.body == whole
    assert rig.runtime.pressure.bytes == 0
    calls = iter(range(1000))
    closed = Rig(tmp_path, streaming(*pieces))
    stopped = await closed.call(body=chat("x"))
    assert b"[DONE]" not in stopped.body
    assert closed.log.records[1]["aborted"] == "stopped"


# WebSocket -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", FAILURES)
async def test_a_message_of_a_connection_that_fails_open(tmp_path: Path, code: str) -> None:
    """It passes as it came, with a record of its own; the messages after it are inspected again."""
    broken = iter([ALLOW, FAILURES[code]])
    engine = ScriptedEngine(lambda d: next(broken, deny("PW-1") if d["findings"] else ALLOW))
    client = Client("first jane@corp.com", "hunter2")
    seen: list[Any] = []
    rig = Rig(tmp_path, echoing(seen), engine=engine, routes=OPEN)
    await rig.guard(client.scope, client.receive, client.send)
    assert seen[1]["text"] == "first jane@corp.com"
    assert "hunter2" not in str(seen)
    assert client.closed == (1008, "PW-1: Denied by policy")
    connection, message = rig.log.records[:2]
    assert (message["connection"], message["decision"]["fail"]["kind"]) == (connection["id"], code)
    assert rig.runtime.tally.counters() == {"fail_open": 1}


@pytest.mark.parametrize("code", FAILURES)
async def test_a_handshake_that_fails_open_leaves_the_messages_inspected(tmp_path: Path, code: str) -> None:
    """The failure of a moment does not open a connection for its whole life."""
    answers = iter([FAILURES[code]])
    engine = ScriptedEngine(lambda d: next(answers, deny("PW-1") if d["findings"] else ALLOW))
    client = Client("hello", "hunter2")
    seen: list[Any] = []
    rig = Rig(tmp_path, echoing(seen), engine=engine, routes=OPEN)
    await rig.guard(client.scope, client.receive, client.send)
    assert client.texts == ["hello"]
    assert client.closed == (1008, "PW-1: Denied by policy")
    assert failed(rig)["fail"]["kind"] == code


async def test_a_connection_without_a_log(tmp_path: Path) -> None:
    """Open: messages go on as decided. A denied one closes whether or not it can be recorded, on every route."""
    engine = ScriptedEngine(lambda d: deny("PW-1") if "PASSWORD" in str(d["findings"]) else oblige(PSEUDONYM))
    client = Client("mail jane@corp.com", "hunter2")
    seen: list[Any] = []
    rig = Rig(tmp_path, echoing(seen), engine=engine, log=MemoryLog(fail_at=0), routes=OPEN)
    await rig.guard(client.scope, client.receive, client.send)
    assert ("jane" in str(seen), "hunter2" in str(seen)) == (False, False)
    assert client.closed == (1008, "PW-1: Denied by policy")
    client = Client("hunter2")
    rig = Rig(tmp_path, echoing(seen), engine=engine, log=MemoryLog(fail_at=1))
    await rig.guard(client.scope, client.receive, client.send)
    assert client.closed[0] == 1011
    assert "hunter2" not in str(seen)


async def test_the_error_of_a_log_is_told_by_its_code(tmp_path: Path) -> None:
    """The client learns which part failed, and nothing of paths or disks."""
    rig = Rig(tmp_path, answering(b"{}"), log=MemoryLog(fail_at=0))
    answer = await rig.call(body=chat("x"))
    assert answer.json["reasons"][0]["code"] == LogUnavailable.code
    assert str(tmp_path) not in answer.body.decode()


async def test_a_log_tells_in_plain_words_what_passed_undecided(tmp_path: Path) -> None:
    """``guard log explain`` names the failure at the request, and at the answer."""
    kinds = {"request": ScriptedEngine(FAILURES["policy_timeout"]), "answer": ScriptedEngine(response=UNDEFINED)}
    said = {}
    for stage, engine in kinds.items():
        rig = Rig(tmp_path, answering(b"{}"), engine=engine, routes=OPEN)
        await rig.call(body=chat("x"))
        decision, outcome = ({"origin": "o-0", "seq": 0, "ts_us": 0, **r} for r in rig.log.records)
        sections = explain(RecordedExchange(decision, {"id": "x", **outcome}))
        said[stage] = " ".join(sentence for section in sections for sentence in section.sentences)
    assert "let through although the guard failed: its route fails open (policy: policy_timeout)." in said["request"]
    assert "passed although the guard failed: the route fails open (policy: policy_undefined)." in said["answer"]


async def test_a_file_that_the_server_sends_itself_is_whole(tmp_path: Path) -> None:
    """Where nothing is inspected, the ways to answer that the server offers are offered to the app."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/dev/null"})

    rig = Rig(tmp_path, app, engine=ScriptedEngine(UNDEFINED), routes=OPEN)
    answer = await rig.call("GET", "/x", extensions={"http.response.pathsend": {}})
    assert answer.messages[1]["type"] == "http.response.pathsend"
    assert rig.log.records[1]["aborted"] is None


async def test_what_nobody_decided_teaches_the_behaviour_model_nothing(tmp_path: Path) -> None:
    """A flood that passed while the engine was down is not what is usual from then on."""

    class Learning(BrokenModel):
        effects: list[str] = []  # noqa: RUF012 - of this test alone

        def score(self, event: BehaviourEvent) -> Anomaly:
            return Anomaly(0.0)

        def learn(self, event: BehaviourEvent, effect: Effect) -> None:
            self.effects.append(effect)

    model = Learning()
    rig = Rig(tmp_path, answering(b"{}"), engine=ScriptedEngine(UNDEFINED), routes=OPEN, behaviour=model)
    await rig.call(body=chat("x"))
    assert model.effects == ["deny"]
