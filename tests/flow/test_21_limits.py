"""Budgets on the way of a request: checked after the policy, taken before the record, corrected by the answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from guard.errors import LogUnavailable
from guard.obligations.counters import Counters
from guard.types import Anomaly, DetectorInfo
from tests.flow.rig import ALLOW, MemoryLog, Rig, ScriptedEngine, answering, chat, delta, deny, oblige, streaming
from tests.flow.test_12_websocket import Client, echoing

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
OK = b'{"ok": true}'


class Clock:
    """A clock that goes as it is told, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def limit(rule: str = "BUD-1", **params: Any) -> dict[str, Any]:
    return {"id": rule, "type": "limit", "key": "tenant", "budget": {"requests": 2}, "window": "1m", **params}


def tokens(budget: int) -> dict[str, Any]:
    return limit("TOK-1", key="all:calls", budget={"tokens": budget})


def rig_of(tmp_path: Path, answer: Any = ALLOW, app: Any = None, **options: Any) -> tuple[Rig, Clock]:
    """A guard whose counters have a clock of the test's."""
    rig = Rig(tmp_path, app or answering(OK), engine=ScriptedEngine(answer), **options)
    clock = Clock()
    rig.runtime.counters = Counters(max_keys=100, clock=clock)
    return rig, clock


def used(rig: Rig) -> int:
    """What the only counter holds."""
    ((window,),) = [group.values() for group in rig.runtime.counters._groups.values()]
    return window.total


def asked(rig: Rig) -> int:
    """The estimate of the first request."""
    estimate: int = rig.engine.documents[0]["ai"]["tokens_estimate"]
    assert estimate > 0
    return estimate


# --- requests -------------------------------------------------------------------------------------------------------


async def test_past_the_budget_it_is_429_until_retry_after(tmp_path: Path) -> None:
    """The app does not hear of it; after the seconds that the answer names, the next request passes."""
    seen: list[Any] = []
    rig, clock = rig_of(tmp_path, oblige(limit()), answering(OK, seen=seen))
    for _ in range(2):
        assert (await rig.call(body=chat("hi"))).status == 200
        clock.now += 10 * SECOND
    clock.now += SECOND // 2
    refused = await rig.call(body=chat("hi"))
    assert (refused.status, refused.headers["retry-after"], len(seen)) == (429, "40", 2)
    assert "x-should-retry" not in refused.headers
    error = refused.json["error"]
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_exceeded", "rate_limit_exceeded", None)
    assert refused.json["reasons"][0]["code"] == "limit_exceeded"
    clock.now += 40 * SECOND
    assert (await rig.call(body=chat("hi"))).status == 200


async def test_the_record_says_which_rule_and_that_429_was_answered(tmp_path: Path) -> None:
    """A limit is a decision like any other: effect, reason, rule, status, and obligations that were not carried out."""
    rig, _ = rig_of(tmp_path, oblige(limit(budget={"requests": 1}), {"type": "annotate", "headers": {"x-a": "b"}}))
    assert (await rig.call(body=chat("hi"))).headers["x-a"] == "b"
    await rig.call(body=chat("hi"))
    record = rig.log.records[-1]
    assert rig.log.kinds() == ["decision", "outcome", "decision"]
    assert record["decision"] == {"effect": "deny", "mode": "enforce", "http_status": 429, "fail": None}
    (why,) = record["why"]
    assert (why["code"], why["rule"]) == ("limit_exceeded", "BUD-1")
    assert why["message"] == "The limit of 1 request in 1m by tenant is used up, for 60 s."
    assert {duty["type"]: duty["result"] for duty in record["obligations"]} == {"limit": "failed", "annotate": "failed"}
    first = rig.log.records[0]["obligations"]
    assert {duty["type"]: duty["result"] for duty in first} == {"limit": "done", "annotate": "armed"}


async def test_a_long_wait_is_not_tried_again_by_sdks(tmp_path: Path) -> None:
    """Past a minute the SDKs do not wait as told, but try again within seconds: they are told not to."""
    rig, _ = rig_of(tmp_path, oblige(limit(budget={"requests": 1}, window="1h")))
    await rig.call(body=chat("hi"))
    refused = await rig.call(body=chat("hi"))
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("3600", "false")


async def test_anthropics_dialect(tmp_path: Path) -> None:
    """On Anthropic's path the error has its type."""
    rig, _ = rig_of(tmp_path, oblige(limit(budget={"requests": 1})))
    for _ in range(2):
        answer = await rig.call(path="/v1/messages", body=chat("hi", max_tokens=5))
    assert answer.status == 429
    assert answer.json["error"]["type"] == "rate_limit_error"
    assert answer.json["error"]["details"]["error_code"] == "rate_limit_exceeded"


async def test_what_one_budget_refuses_takes_nothing_from_others(tmp_path: Path) -> None:
    """All budgets or none; and of several that are used up, each is said, the longest wait first."""
    rig, clock = rig_of(tmp_path, oblige(limit("B-1", budget={"requests": 1}), limit("B-2", key="model", window="2m")))
    await rig.call(body=chat("hi"))
    for _ in range(3):
        assert (await rig.call(body=chat("hi"))).headers["retry-after"] == "60"
    clock.now += 60 * SECOND
    assert (await rig.call(body=chat("hi"))).status == 200
    refused = await rig.call(body=chat("hi"))
    assert refused.headers["retry-after"] == "60"
    assert {reason["rule"] for reason in refused.json["reasons"]} == {"B-1", "B-2"}


async def test_what_a_rule_denies_takes_nothing(tmp_path: Path) -> None:
    """Neither a denial, nor one by an obligation that cannot be performed."""
    answers = [
        {**deny(), "obligations": [limit()]},
        oblige(limit(), {"type": "fax"}),
        oblige(limit(), limit(key="tennant")),
    ]
    rig, _ = rig_of(tmp_path, lambda _document: answers.pop(0))
    assert [(await rig.call(body=chat("hi"))).status for _ in range(3)] == [403, 403, 403]
    assert len(rig.runtime.counters) == 0
    assert [record["why"][0]["code"] for record in rig.log.records] == [
        "policy_denied", "obligation_failed", "obligation_failed",
    ]  # fmt: skip


async def test_a_limit_on_an_answer_denies_it(tmp_path: Path) -> None:
    """It cannot be performed any more at stage response."""
    rig, _ = rig_of(tmp_path)
    rig.engine._answers["response"] = oblige(limit())
    answer = await rig.call(body=chat("hi"))
    assert (answer.status, answer.json["reasons"][0]["code"]) == (403, "obligation_failed")


async def test_what_fails_before_the_app_gives_back_what_it_took(tmp_path: Path) -> None:
    """A redaction that cannot be done, or a log that takes nothing: the request was not made, so it does not count."""
    redact = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}
    rig, _ = rig_of(tmp_path, oblige(limit(), redact))
    answer = await rig.call("jane@corp.com", body=chat("hi"))  # the method of a request cannot be rewritten
    assert (answer.status, answer.json["reasons"][0]["code"], used(rig)) == (403, "obligation_failed", 0)
    full, _ = rig_of(tmp_path, oblige(limit()), log=MemoryLog(fail_at=0))
    for _ in range(4):
        assert (await full.call(body=chat("hi"))).status == 503
    assert used(full) == 0


async def test_a_request_that_is_cancelled_before_the_app_gives_back_what_it_took(tmp_path: Path) -> None:
    """The client left while the decision was being made durable."""
    rig, _ = rig_of(tmp_path, oblige(limit()))
    task = asyncio.ensure_future(rig.call(body=chat("hi")))
    await rig.log.waiting.wait()
    assert used(rig) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert used(rig) == 0


async def test_requests_at_once_do_not_pass_together(tmp_path: Path) -> None:
    """However many tasks arrive in one turn of the loop: the budget lets in as many as it says."""
    rig, _ = rig_of(tmp_path, oblige(limit(budget={"requests": 7})))
    answers = await asyncio.gather(*[rig.call(body=chat("hi")) for _ in range(30)])
    assert sorted(answer.status for answer in answers) == [200] * 7 + [429] * 23


async def test_what_is_limited_teaches_no_behaviour(tmp_path: Path) -> None:
    """A request past its budget is a denied one for the model of what is usual."""
    effects: list[str] = []

    class Watching:
        info = DetectorInfo("watching", "1", "0" * 64)

        def score(self, _event: Any) -> Anomaly:
            return Anomaly(0.0)

        def learn(self, _event: Any, effect: str) -> None:
            effects.append(effect)

    rig, _ = rig_of(tmp_path, oblige(limit(budget={"requests": 1})), behaviour=Watching())
    for _ in range(2):
        await rig.call(body=chat("hi"))
    assert effects == ["allow", "deny"]


async def test_a_route_that_fails_open_keeps_its_limits(tmp_path: Path) -> None:
    """A budget that is used up is no failure of the guard."""
    routes = ({"path": "/**", "unsafe_fail_open": True},)
    rig, _ = rig_of(tmp_path, oblige(limit(budget={"requests": 1})), routes=routes)
    assert [(await rig.call(body=chat("hi"))).status for _ in range(2)] == [200, 429]


async def test_at_the_bound_on_keys_new_ones_wait(tmp_path: Path) -> None:
    """Who made up a hundred models does not reset anybody's count, and is told when there is room."""
    rig, clock = rig_of(tmp_path, oblige(limit(key="model")))
    for number in range(100):
        await rig.call(body={**chat("hi"), "model": f"m-{number}"})
    refused = await rig.call(body={**chat("hi"), "model": "m-new"})
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert refused.json["reasons"][0]["code"] == "limit_keys_exhausted"
    assert (await rig.call(body={**chat("hi"), "model": "m-7"})).status == 200
    clock.now += 60 * SECOND
    assert (await rig.call(body={**chat("hi"), "model": "m-new"})).status == 200


# --- tokens ---------------------------------------------------------------------------------------------------------

OPENAI_USAGE = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
ANTHROPIC_USAGE = {"input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 12}


def whole(**members: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": "x" * 40}}], **members}).encode()


def event(**members: Any) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


OPENAI_STREAM = [delta("x" * 20), delta("y" * 20), event(choices=[], usage=OPENAI_USAGE), b"data: [DONE]\n\n"]
RESPONSES_STREAM = [
    event(type="response.output_text.delta", delta="x" * 40, item_id="a", output_index=0, content_index=0),
    event(type="response.completed", response={"usage": {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}}),
]
ANTHROPIC_STREAM = [
    event(type="message_start", message={"usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}),
    event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * 40}),
    event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 12}),
    event(type="message_stop"),
]
REDACT = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}


@pytest.mark.parametrize("redacted", [False, True], ids=["flowing", "buffered"])
@pytest.mark.parametrize(
    ("path", "app"),
    [
        ("/v1/chat/completions", answering(whole(usage=OPENAI_USAGE))),
        ("/v1/messages", answering(whole(usage=ANTHROPIC_USAGE))),
        ("/v1/chat/completions", streaming(*OPENAI_STREAM)),
        ("/v1/responses", streaming(*RESPONSES_STREAM)),
        ("/v1/messages", streaming(*ANTHROPIC_STREAM)),
        ("/v1/messages", streaming(b"".join(ANTHROPIC_STREAM)[:333], b"".join(ANTHROPIC_STREAM)[333:])),
    ],
    ids=["openai", "anthropic", "openai stream", "responses stream", "anthropic stream", "cut stream"],
)
async def test_the_providers_count_takes_the_place_of_the_estimate(
    tmp_path: Path, path: str, app: Any, redacted: bool
) -> None:
    """Whole or streamed, in each dialect, redacted or not: what was reserved is corrected, and the outcome says so."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), app)
    rig.engine._answers["response"] = oblige(REDACT) if redacted else ALLOW
    answer = await rig.call(path=path, body=chat("hello there", max_tokens=500))
    assert answer.status == 200
    assert used(rig) == 42
    assert rig.log.records[-1]["tokens"] == {"reserved": asked(rig) + 500, "used": 42, "source": "provider"}


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": "many"}, "none", {"prompt_tokens": 1.5}, {}, [1]])
async def test_without_a_count_the_answer_is_estimated(tmp_path: Path, usage: Any) -> None:
    """A quarter of its characters; so it is where what stands there is no count."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), answering(whole(usage=usage)))
    await rig.call(body=chat("hello there", max_tokens=500))
    estimate = rig.engine.documents[1]["ai"]["tokens_estimate"]
    assert estimate >= 10
    assert rig.log.records[-1]["tokens"] == {
        "reserved": asked(rig) + 500, "used": used(rig), "source": "estimate",
    }  # fmt: skip
    assert abs(used(rig) - asked(rig) - estimate) <= 1


async def test_a_stream_without_a_count_is_estimated_by_its_texts(tmp_path: Path) -> None:
    """By what was said in it, not by how it was wrapped."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), streaming(*[delta("x" * 8) for _ in range(10)]))
    await rig.call(body=chat("hello there", max_tokens=500))
    assert used(rig) == asked(rig) + 20


async def test_an_answer_that_costs_more_is_paid_by_the_next(tmp_path: Path) -> None:
    """Without max_tokens only the prompt is known: the answer goes past the budget, and the next request waits."""
    usage = {"prompt_tokens": 3, "completion_tokens": 900, "total_tokens": 903}
    rig, clock = rig_of(tmp_path, oblige(tokens(500)), answering(whole(usage=usage)))
    assert (await rig.call(body=chat("hello there"))).status == 200
    assert used(rig) == 903
    refused = await rig.call(body=chat("hello there"))
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    clock.now += 60 * SECOND
    assert (await rig.call(body=chat("hello there"))).status == 200


async def test_reservations_hold_while_answers_are_under_way(tmp_path: Path) -> None:
    """What another request has reserved is not there to be taken, and what it did not need comes back."""
    go, called = asyncio.Event(), asyncio.Event()
    inner = answering(whole(usage=OPENAI_USAGE))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.set()
        await go.wait()
        await inner(scope, receive, send)

    rig, _ = rig_of(tmp_path, oblige(tokens(1000)), app)
    first = asyncio.ensure_future(rig.call(body=chat("hello there", max_tokens=800)))
    await called.wait()
    assert (await rig.call(body=chat("hello there", max_tokens=800))).status == 429
    go.set()
    assert (await first).status == 200
    assert (await rig.call(body=chat("hello there", max_tokens=800))).status == 200
    assert used(rig) == 84


@pytest.mark.parametrize("max_tokens", [500, None])
async def test_leaving_early_gives_nothing_back(tmp_path: Path, max_tokens: int | None) -> None:
    """The client leaves in the middle of a stream: the reservation stays, or what was said if that is more."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for _ in range(10):
            await send({"type": "http.response.body", "body": delta("x" * 40), "more_body": True})

    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), app)
    more = {} if max_tokens is None else {"max_tokens": max_tokens}
    await rig.call(body=chat("hello there", **more))
    expected = asked(rig) + (max_tokens or 100)
    assert used(rig) == expected
    outcome = rig.log.records[-1]
    assert (outcome["kind"], outcome["aborted"] is None) == ("outcome", False)
    assert outcome["tokens"]["used"] == expected


@pytest.mark.parametrize("error", [RuntimeError("boom"), asyncio.CancelledError()])
async def test_an_app_that_fails_keeps_the_reservation(tmp_path: Path, error: BaseException) -> None:
    """Nobody knows what was used by then; cancelled or raised, it is settled once."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise error

    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), app)
    with pytest.raises(type(error)):
        await rig.call(body=chat("hello there", max_tokens=500))
    assert used(rig) == asked(rig) + 500
    assert rig.log.records[-1]["tokens"]["source"] == "reserved"


async def test_an_answer_that_cannot_be_read_keeps_the_reservation(tmp_path: Path) -> None:
    """An image says nothing of what it cost."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), answering(b"\x89PNG", content_type="image/png"))
    await rig.call(body=chat("hello there", max_tokens=500))
    assert used(rig) == asked(rig) + 500


async def test_a_denied_answer_has_cost_what_it_cost(tmp_path: Path) -> None:
    """The provider was called: its count holds although nobody gets the answer."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), answering(whole(usage=OPENAI_USAGE)))
    rig.engine._answers["response"] = deny()
    assert (await rig.call(body=chat("hello there", max_tokens=500))).status == 403
    assert used(rig) == 42


async def test_more_tokens_than_the_budget_is_403(tmp_path: Path) -> None:
    """Waiting would not help, so nobody is told to wait."""
    rig, _ = rig_of(tmp_path, oblige(tokens(100)))
    refused = await rig.call(body=chat("hello there", max_tokens=101))
    assert refused.status == 403
    assert "retry-after" not in refused.headers
    assert refused.headers["x-should-retry"] == "false"
    (reason,) = refused.json["reasons"]
    assert reason["code"] == "limit_unreachable"
    assert reason["message"].startswith(f"The request needs {asked(rig) + 101} tokens; the limit is 100 tokens in 1m")


async def test_a_body_of_no_recognised_shape_is_not_free(tmp_path: Path) -> None:
    """A quarter of its bytes, there and back."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), answering(b'{"a": "' + b"y" * 391 + b'"}'))
    await rig.call(path="/notes", body=b"x" * 400, headers=[("content-type", "text/plain")])
    assert used(rig) == 200


async def test_no_limit_no_word_of_tokens(tmp_path: Path) -> None:
    """Records of calls that count against nothing are as they were."""
    rig, _ = rig_of(tmp_path, oblige(limit()), answering(whole(usage=OPENAI_USAGE)))
    await rig.call(body=chat("hello there"))
    assert "tokens" not in rig.log.records[-1]


# --- WebSockets, and the life of the counters -----------------------------------------------------------------------


async def test_a_handshake_past_the_budget_is_429(tmp_path: Path) -> None:
    """The app does not hear of it."""
    seen: list[Any] = []
    rig, _ = rig_of(tmp_path, lambda d: oblige(limit()) if not d["context"]["size_bytes"] else ALLOW, echoing(seen))
    clients = [Client(extensions=("websocket.http.response",)) for _ in range(3)]
    for client in clients:
        await rig.guard(client.scope, client.receive, client.send)
    assert [client.sent[0].get("status") for client in clients] == [None, None, 429]
    assert dict(clients[2].sent[0]["headers"])[b"retry-after"] == b"60"
    assert len(seen) == 4
    assert rig.log.records[-1]["decision"]["http_status"] == 429


async def test_messages_count_where_the_policy_says_so(tmp_path: Path) -> None:
    """Each for which it states the obligation; one past the budget is recorded and closes the connection."""
    seen: list[Any] = []
    rig, _ = rig_of(tmp_path, lambda d: oblige(limit()) if d["context"]["size_bytes"] else ALLOW, echoing(seen))
    client = Client("one", "two", "three", "four")
    await rig.guard(client.scope, client.receive, client.send)
    assert client.texts == ["one", "two"]
    assert client.closed == (1008, "BUD-1: A limit is used up")
    (denied,) = [r for r in rig.log.records if r["kind"] == "decision" and r["decision"]["effect"] == "deny"]
    assert denied["why"][0]["code"] == "limit_exceeded"
    assert denied["connection"] == rig.log.records[0]["id"]


async def test_a_handshake_that_cannot_be_recorded_gives_back_what_it_took(tmp_path: Path) -> None:
    """It was never accepted."""
    rig, _ = rig_of(tmp_path, oblige(limit()), echoing([]), log=MemoryLog(fail_at=0))
    client = Client()
    await rig.guard(client.scope, client.receive, client.send)
    assert used(rig) == 0


async def test_a_reload_keeps_what_was_used(tmp_path: Path) -> None:
    """A new configuration counts on, under its own bound."""
    rig, _ = rig_of(tmp_path, oblige(limit()))
    await rig.call(body=chat("hi"))
    config = rig.runtime.config
    changed = config.model_copy(update={"budgets": config.budgets.model_copy(update={"max_keys": 777})})
    generation = rig.runtime.prepare(changed)
    assert generation is not None
    await rig.runtime.adopt(generation)
    assert (used(rig), rig.runtime.counters.max_keys) == (1, 777)
    assert [(await rig.call(body=chat("hi"))).status for _ in range(2)] == [200, 429]


async def test_a_log_that_fails_later_does_not_hold_back_the_correction(tmp_path: Path) -> None:
    """The outcome cannot be recorded; what the call cost is counted all the same."""
    rig, _ = rig_of(tmp_path, oblige(tokens(10_000)), answering(whole(usage=OPENAI_USAGE)), log=MemoryLog(fail_at=1))
    assert (await rig.call(body=chat("hello there", max_tokens=500))).status == 503
    assert used(rig) == 42
    with pytest.raises(LogUnavailable):
        await rig.log.append({})
