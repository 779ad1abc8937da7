"""The answer's way back: held until decided, rewritten or replaced, and its outcome recorded."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.types import Finding
from tests.flow.rig import (
    ALLOW,
    MemoryLog,
    Rig,
    ScriptedEngine,
    WordDetector,
    answering,
    body_of,
    chat,
    delta,
    deny,
    oblige,
    streaming,
)

pytestmark = pytest.mark.anyio

PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
REPLACE = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}
LEAK = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ask jane@corp.com"}}]}
).encode()


def found(entity: str, then: dict[str, Any]) -> Any:
    """Answers ``then`` once the document holds a finding of this type, allows before."""
    return lambda document: then if any(f["type"] == entity for f in document["findings"]) else ALLOW


def text_of(stream: bytes) -> str:
    """The joined text of an OpenAI chat stream."""
    events = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return "".join(c["delta"].get("content", "") for e in events for c in e.get("choices", ()))


async def test_what_the_model_brings_in_is_redacted(tmp_path: Path) -> None:
    """The answer is rewritten, its length fits, validators of the old bytes are gone."""
    app = answering(LEAK, headers=[(b"etag", b'"1"'), (b"x-kept", b"yes")])
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE)))
    answer = await rig.call(body=chat("hello"))
    assert answer.json["choices"][0]["message"]["content"] == "ask <EMAIL_ADDRESS>"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "etag" not in answer.headers
    assert answer.headers["x-kept"] == "yes"
    assert rig.log.records[1]["redactions"] == {"EMAIL_ADDRESS": 1}


async def test_a_denied_answer_leaks_nothing(tmp_path: Path) -> None:
    """The client gets the denial, not a byte of the answer; the outcome says that it was denied."""
    rig = Rig(tmp_path, answering(LEAK), engine=ScriptedEngine(response=found("EMAIL_ADDRESS", deny("ANS-1"))))
    answer = await rig.call(body=chat("hello"))
    assert answer.status == 403
    assert answer.json["reasons"][0]["rule"] == "ANS-1"
    assert b"jane" not in answer.body
    assert (rig.log.records[1]["aborted"], rig.log.records[1]["status"]) == ("denied", 403)
    assert rig.log.records[1]["upstream_status"] == 200


async def test_the_outcome_is_durable_before_the_first_byte(tmp_path: Path) -> None:
    """A buffered answer leaves after its outcome was recorded."""
    at_send: list[list[str]] = []
    rig = Rig(tmp_path, answering(b"{}"))
    await rig.call(body=chat("hello"), on_send=lambda _message: at_send.append(rig.log.kinds()))
    assert at_send[0] == ["decision", "outcome"]


async def test_an_answer_whose_outcome_cannot_be_recorded_is_withheld(tmp_path: Path) -> None:
    """The disk fills between request and answer: 503, not an unrecorded answer."""
    rig = Rig(tmp_path, answering(LEAK), log=MemoryLog(fail_at=1))
    answer = await rig.call(body=chat("hello"))
    assert answer.status == 503
    assert b"jane" not in answer.body


async def test_the_policy_may_add_headers(tmp_path: Path) -> None:
    """Annotations of both stages stand on the answer."""
    engine = ScriptedEngine(
        oblige({"type": "annotate", "headers": {"x-a": "1"}}), oblige({"type": "annotate", "headers": {"x-b": "2"}})
    )
    answer = await Rig(tmp_path, answering(b"{}"), engine=engine).call(body=chat("hello"))
    assert (answer.headers["x-a"], answer.headers["x-b"]) == ("1", "2")


async def test_error_answers_of_the_app_are_inspected_too(tmp_path: Path) -> None:
    """A provider that quotes the prompt in its error leaks as well as one that answers."""
    app = answering(b'{"error": {"message": "bad mail jane@corp.com"}}', status=500)
    answer = await Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE))).call(body=chat("hello"))
    assert (answer.status, b"jane" in answer.body) == (500, False)


async def test_a_compressed_answer_is_inflated_to_be_redacted(tmp_path: Path) -> None:
    """An app that compresses unasked is inspected all the same."""
    app = answering(gzip.compress(LEAK), headers=[(b"content-encoding", b"gzip")])
    answer = await Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE))).call(body=chat("hello"))
    assert b"jane" not in answer.body
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a": 1, "a": 2}', []),
        (b"\xff\xfe{", []),
        (LEAK, [(b"content-encoding", b"br")]),
        (LEAK, [(b"content-type", b"text/plain")]),
    ],
    ids=["duplicate keys", "not UTF-8", "an encoding that we do not read", "two content types"],
)
async def test_an_answer_that_cannot_be_read_passes_only_if_nothing_is_due(
    tmp_path: Path, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Unread is coverage for the policy; where a redaction is due it is a denial."""
    app = answering(body, headers=headers)
    engine = ScriptedEngine()
    passed = await Rig(tmp_path, app, engine=engine).call(body=chat("hello"))
    assert (passed.status, passed.body) == (200, body)
    assert engine.documents[1]["coverage"]["skipped"][0]["pointer"] == ""
    held = await Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE))).call(body=chat("hello"))
    assert held.status == 403


async def test_an_opaque_answer_passes_with_the_gap_spoken(tmp_path: Path) -> None:
    """An image is not text: its bytes stream through, decided at the head."""
    engine = ScriptedEngine(response=oblige(REPLACE))
    app = answering(b"\x89PNG", content_type="image/png")
    answer = await Rig(tmp_path, app, engine=engine).call("GET", "/logo.png")
    assert (answer.status, answer.body) == (200, b"\x89PNG")
    assert {"pointer": "", "reason": "opaque_media_type"} in engine.documents[1]["coverage"]["skipped"]


async def test_an_answer_past_the_buffer_is_coverage_or_a_denial(tmp_path: Path) -> None:
    """Bounded memory: what is not held whole cannot be redacted."""
    app = answering(b"x" * 1000, content_type="text/plain")
    limits = {"answer_buffer_bytes": 100}
    engine = ScriptedEngine()
    passed = await Rig(tmp_path, app, engine=engine, limits=limits).call(body=chat("hello"))
    assert (passed.status, len(passed.body)) == (200, 1000)
    assert {"pointer": "", "reason": "answer_limit"} in engine.documents[1]["coverage"]["skipped"]
    held = await Rig(tmp_path, app, engine=ScriptedEngine(response=oblige(REPLACE)), limits=limits).call(body=chat("x"))
    assert held.status == 403


async def test_head_and_not_modified_have_no_body_to_inspect(tmp_path: Path) -> None:
    """They pass with the app's headers."""
    answer = await Rig(tmp_path, answering(b"")).call("HEAD", "/x")
    assert (answer.status, answer.body) == (200, b"")
    answer = await Rig(tmp_path, answering(b"", status=304, headers=[(b"etag", b'"1"')])).call("GET", "/x")
    assert (answer.status, answer.headers["etag"]) == (304, '"1"')


async def test_a_stream_flows_while_it_is_inspected(tmp_path: Path) -> None:
    """An event leaves once the next one shows that its last word is over, before the one after that is made."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(3):
            order.append(f"made {number}")
            await send({"type": "http.response.body", "body": delta(f" no{'abc'[number]}"), "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    rig = Rig(tmp_path, app)
    answer = await rig.call(
        body=chat("hello", stream=True),
        on_send=lambda m: order.append("left") if m["type"] == "http.response.body" else None,
    )
    assert order == ["made 0", "made 1", "left", "made 2", "left", "left"]
    assert text_of(answer.body) == " noa nob noc"
    assert rig.log.records[1]["aborted"] is None


async def test_a_stream_is_stopped_by_an_error_event(tmp_path: Path) -> None:
    """A value cut over three events is seen before any of it has left: what stands before it leaves, then the error."""
    app = streaming(delta("write to jane"), delta("@cor"), delta("p.com"), delta("more"))
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=found("EMAIL_ADDRESS", deny("ANS-1"))))
    answer = await rig.call(body=chat("hello", stream=True))
    assert text_of(answer.body) == "write to "
    last = json.loads(answer.body.strip().split(b"\n")[-1].removeprefix(b"data: "))
    assert last["error"]["code"] == "policy_denied"
    assert answer.messages[-1]["more_body"] is False
    assert rig.log.records[1]["aborted"] == "stopped"
    assert [d["effect"] for d in rig.log.records[1]["decisions"]] == ["allow", "deny"]


async def test_a_redaction_that_becomes_due_in_a_flowing_stream_is_carried_out(tmp_path: Path) -> None:
    """The value that makes it due has not left: it is hidden, and so are those behind it."""
    app = streaming(delta("write to "), delta("jane@corp.com"), delta("more"))
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=found("EMAIL_ADDRESS", oblige(REPLACE))))
    answer = await rig.call(body=chat("hello", stream=True))
    assert text_of(answer.body) == "write to <EMAIL_ADDRESS>more"
    assert rig.log.records[1]["redactions"] == {"EMAIL_ADDRESS": 1}


async def test_a_header_that_becomes_due_in_a_flowing_stream_stops_it(tmp_path: Path) -> None:
    """The head has left: what the policy obliges to cannot be performed."""
    late = oblige({"type": "annotate", "headers": {"x-a": "1"}})
    app = streaming(delta("write to "), delta("jane@corp.com"), delta("more"))
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=found("EMAIL_ADDRESS", late)))
    answer = await rig.call(body=chat("hello", stream=True))
    assert text_of(answer.body) == "write to "
    assert b"obligation_failed" in answer.body


async def test_an_escaped_value_in_streamed_arguments_is_seen(tmp_path: Path) -> None:
    """Pieces of JSON text hide nothing behind an escape."""
    arguments = '{"to": "jane\\u0040corp.com"}'
    call = {"index": 0, "function": {"arguments": arguments}}
    event = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode() + b"\n\n"
    rig = Rig(tmp_path, streaming(event), engine=ScriptedEngine(response=found("EMAIL_ADDRESS", deny())))
    answer = await rig.call(body=chat("hello", stream=True))
    assert b"jane" not in answer.body


async def test_a_stream_in_which_something_is_restored_is_rewritten_whole(tmp_path: Path) -> None:
    """The placeholder comes back cut over events, and leaves as the value."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        said = json.loads(await body_of(receive))["messages"][0]["content"]
        await streaming(*[delta(c) for c in said], b"data: [DONE]\n\n")(scope, _nothing, send)

    rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM)))
    answer = await rig.call(body=chat("mail jane@corp.com, please", stream=True))
    assert text_of(answer.body) == "mail jane@corp.com, please"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert rig.log.records[1]["restored"] == 1


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_stream_past_its_buffer_is_denied_where_something_is_due(tmp_path: Path) -> None:
    """Bounded memory, and no unredacted rest: a buffered stream is denied, a flowing one is stopped where it holds back
    more than that."""
    app = streaming(*[delta("x" * 50) for _ in range(20)])
    limits = {"stream_buffer_bytes": 300}
    engine = ScriptedEngine(response=oblige(REPLACE))
    routes = [{"path": "/**", "streams": "buffer"}]
    answer = await Rig(tmp_path, app, engine=engine, limits=limits, routes=routes).call(body=chat("x"))
    assert answer.status == 403
    flowing = await Rig(tmp_path, app, engine=engine, limits=limits).call(body=chat("x"))
    assert (flowing.status, text_of(flowing.body)) == (200, "")
    assert b"obligation_failed" in flowing.body


async def test_an_app_that_fails_is_answered_by_the_guard(tmp_path: Path) -> None:
    """The framework's error page would not be inspected: a plain 500 of ours, an outcome, and the exception goes on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("jane@corp.com")

    sent: list[dict[str, Any]] = []
    rig = Rig(tmp_path, app)
    with pytest.raises(RuntimeError, match="jane"):
        await rig.call(body=chat("hello"), on_send=sent.append)
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error"]["code"] == "app_error"
    assert b"jane" not in sent[1]["body"]
    assert (rig.log.records[1]["aborted"], rig.log.records[1]["status"]) == ("app_error", 500)


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_an_answer_without_a_body_has_none(tmp_path: Path, status: int) -> None:
    """What an app sends behind a status that has no body is not inspected, and does not leave."""
    answer = await Rig(tmp_path, answering(b"jane@corp.com", status=status)).call("GET", "/x")
    assert (answer.status, answer.body) == (status, b"")


async def test_a_second_head_is_refused(tmp_path: Path) -> None:
    """An answer has one status and one set of headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
        await send(start)
        await send({**start, "headers": [(b"content-type", b"image/png")]})

    rig = Rig(tmp_path, app)
    with pytest.raises(RuntimeError, match=r"http\.response\.start"):
        await rig.call("GET", "/x")


async def test_a_finding_that_grows_in_a_stream_is_judged_again(tmp_path: Path) -> None:
    """A weak finding first must not hide a strong one of the same type."""

    class Growing(WordDetector):
        def detect(self, segments: Any, context: Any) -> list[Finding]:
            return [
                msgspec.structs.replace(f, score=0.3 if "weak" in segments[f.segment].text else 0.9)
                for f in super().detect(segments, context)
            ]

    def strict(document: Any) -> Any:
        return deny() if any(f["score"] > 0.5 for f in document["findings"]) else ALLOW

    app = streaming(delta("weak hunter2 " + " " * 600), delta("and hunter2"), delta("more"))
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=strict), detectors=[Growing()])
    answer = await rig.call(body=chat("hello", stream=True))
    assert "and" not in text_of(answer.body)
    assert rig.log.records[1]["aborted"] == "stopped"


async def test_an_app_that_stops_halfway_leaks_nothing_unread(tmp_path: Path) -> None:
    """An unfinished buffered answer never leaves."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"a": "jane@corp', "more_body": True})

    rig = Rig(tmp_path, app)
    answer = await rig.call(body=chat("hello"))
    assert answer.messages == []
    assert rig.log.records[1]["aborted"] == "incomplete"


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend", "http.response.trailers"])
async def test_ways_to_answer_past_the_guard_are_refused(tmp_path: Path, kind: str) -> None:
    """An app that sends a file by its path although that was not offered gets an exception, the client nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": kind, "path": "/etc/passwd"})

    rig = Rig(tmp_path, app)
    with pytest.raises(RuntimeError, match=kind):
        await rig.call("GET", "/x")
    assert rig.log.records[1]["aborted"] == "app_error"
