"""Memory pressure: what is held is counted as it arrives, given back on every path, and 503 past a bound."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import GuardStopped, Overloaded
from guard.exchange import Tally
from guard.exchange.pressure import Account, Pressure
from guard.pipeline import Pipeline
from guard.starting import RETRY_SECONDS
from guard.types import UNDEFINED, Segment
from guard.workers import Workers
from tests.flow.rig import (
    ALLOW,
    MemoryLog,
    Rig,
    ScriptedEngine,
    WordDetector,
    answering,
    chat,
    delta,
    oblige,
    streaming,
)
from tests.flow.test_01_door import CountingLog, Server, taking_part
from tests.flow.test_12_websocket import Client, echoing

pytestmark = pytest.mark.anyio

OPEN = ({"path": "/**", "unsafe_fail_open": True},)
JSON = [("content-type", "application/json")]
PSEUDONYM = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}

STEPS = ("work", "rest", "hold", "hold_answer", "release_answer", "drop", "drop_answer", "close")


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STEPS), st.integers(0, 40)), max_size=60))
def test_the_accounts_of_any_order_of_events_return_to_zero(events: list[tuple[int, str, int]]) -> None:
    """Never past a bound, never below zero, and nothing is left when every exchange is closed."""
    pressure = Pressure(max_exchanges=2, max_bytes=100)
    accounts = [Account(pressure) for _ in range(4)]
    for index, step, size in events:
        call = getattr(accounts[index], step)
        try:
            call(size) if step in {"hold", "hold_answer", "release_answer"} else call()
        except Overloaded:
            assert step in {"work", "hold", "hold_answer"}
        assert 0 <= pressure.exchanges <= 2
        assert 0 <= pressure.bytes <= 100
    for account in accounts:
        account.close()
        account.close()
    assert (pressure.exchanges, pressure.bytes) == (0, 0)


@pytest.mark.parametrize("routes", [({"path": "/**"},), OPEN], ids=["closed", "open"])
@pytest.mark.parametrize(
    ("request_", "answers"),
    [
        ({"body": chat("mail jane@corp.com")}, (oblige(PSEUDONYM), ALLOW)),
        ({"body": chat("x")}, (UNDEFINED, ALLOW)),
        ({"body": chat("x")}, (ALLOW, UNDEFINED)),
        ({"body": b"{", "headers": JSON}, (ALLOW, ALLOW)),
        ({"messages": [{"type": "http.request", "body": b"{", "more_body": True}], "headers": JSON}, (ALLOW, ALLOW)),
        ({"body": chat("x" * 60_000)}, (ALLOW, ALLOW)),
    ],
    ids=["redacted", "denied", "answer denied", "malformed", "client gone", "in a thread"],
)
async def test_every_way_of_a_request_ends_with_nothing_held(
    tmp_path: Path, request_: Any, answers: Any, routes: Any
) -> None:
    """Allowed, denied, refused, gone: the account of the process is zero afterwards."""
    rig = Rig(tmp_path, answering(lambda body: body), engine=ScriptedEngine(*answers), routes=routes)
    await rig.call(**request_)
    assert (rig.runtime.pressure.exchanges, rig.runtime.pressure.bytes) == (0, 0)


@pytest.mark.parametrize("when", ["decision", "app", "answer"])
async def test_a_cancelled_exchange_holds_nothing(tmp_path: Path, when: str) -> None:
    """A client that leaves, or a server that stops, in any phase."""
    reached = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if when == "answer":
            await send({"type": "http.response.start", "status": 200, "headers": JSON_HEAD})
            await send({"type": "http.response.body", "body": b"[1", "more_body": True})
        reached.set()
        await asyncio.Event().wait()

    rig = Rig(tmp_path, app)
    task = asyncio.ensure_future(rig.call(body=chat("hello")))
    await (rig.log.waiting if when == "decision" else reached).wait()
    assert rig.runtime.pressure.bytes > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (rig.runtime.pressure.exchanges, rig.runtime.pressure.bytes) == (0, 0)


JSON_HEAD = [(b"content-type", b"application/json")]


class HeldLog(MemoryLog):
    """Keeps every append waiting until told."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.held = 0

    async def append(self, record: dict[str, Any]) -> Any:
        """Wait, then keep it."""
        self.held += 1
        self.waiting.set()
        await self.go.wait()
        return await super().append(record)


async def test_past_max_exchanges_a_request_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    """503 ``overloaded`` with Retry-After 1, no record for each, counted; room again once the others are decided."""
    log = HeldLog()
    rig = Rig(tmp_path, answering(b"{}"), log=log, limits={"max_exchanges": 1})
    first = asyncio.ensure_future(rig.call(body=chat("one")))
    await log.waiting.wait()
    unread = [{"type": "http.request", "body": b"{}", "more_body": False}]
    refused = await rig.call(headers=JSON, messages=unread)
    assert (refused.status, refused.json["reasons"][0]["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    log.go.set()
    assert (await first).status == 200
    assert log.kinds() == ["decision", "outcome"]
    assert (await rig.call(body=chat("two"))).status == 200
    assert rig.runtime.tally.counters() == {"overloaded": 1}


async def test_neither_streams_nor_slow_bodies_take_the_place_of_others(tmp_path: Path) -> None:
    """A place is held between the last byte of the body and the call of the app, and by nobody else."""
    idle = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/stream":
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            await send({"type": "http.response.body", "body": delta("hi"), "more_body": True})
            await idle.wait()
        else:
            await answering(b"{}")(scope, receive_nothing, send)

    async def receive_nothing() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    rig = Rig(tmp_path, app, limits={"max_exchanges": 1})
    flowing = asyncio.Event()
    streams = [asyncio.ensure_future(rig.call("GET", "/stream", on_send=lambda _: flowing.set())) for _ in range(3)]
    await flowing.wait()
    slow = asyncio.Event()

    async def slowly() -> Any:
        slow.set()
        await idle.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/x",
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    reader = asyncio.ensure_future(rig.guard(scope, slowly, send))
    await slow.wait()
    assert (await rig.call("GET", "/x")).status == 200
    idle.set()
    await asyncio.gather(reader, *streams)
    assert (rig.runtime.pressure.exchanges, rig.runtime.pressure.bytes) == (0, 0)


async def test_past_max_buffered_bytes_the_body_is_refused_as_it_arrives(tmp_path: Path) -> None:
    """What arrived counts, whatever length was declared; the rest is not read."""
    messages = [{"type": "http.request", "body": b"x" * 40, "more_body": True} for _ in range(9)]
    rig = Rig(tmp_path, answering(b"{}"), limits={"max_buffered_bytes": 100})
    refused = await rig.call(headers=[("content-length", "360")], messages=messages)
    assert (refused.status, refused.json["reasons"][0]["code"]) == (503, "overloaded")
    assert rig.runtime.pressure.bytes == 0


async def test_an_answer_past_the_bound_is_refused_or_passes_whole(tmp_path: Path) -> None:
    """Closed: 503, nothing of it leaves. Open: every byte, uninspected, on record."""
    body = b'"' + b"x" * 300 + b'"'
    limits = {"max_buffered_bytes": 100}
    refused = await Rig(tmp_path, answering(body), limits=limits).call("GET", "/x")
    assert (refused.status, refused.json["reasons"][0]["code"], refused.headers["retry-after"]) == (
        503,
        "overloaded",
        "1",
    )
    rig = Rig(tmp_path, answering(body), limits=limits, routes=OPEN)
    answer = await rig.call("GET", "/x")
    assert (answer.status, answer.body) == (200, body)
    assert rig.log.records[1]["decisions"][-1]["fail"]["kind"] == "overloaded"
    assert rig.runtime.pressure.bytes == 0


async def test_a_request_past_a_bound_passes_where_the_route_fails_open(tmp_path: Path) -> None:
    """As it came, with a record: each costs the app a whole request, so the log is not what a flood fills."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), limits={"max_buffered_bytes": 50}, routes=OPEN)
    messages = [{"type": "http.request", "body": b"x" * 40, "more_body": more} for more in (True, True, False)]
    answer = await rig.call(messages=messages)
    assert (answer.status, seen[0][1]) == (200, b"x" * 120)
    assert seen[0][0]["guard"].reasons[0].code == "overloaded"
    assert rig.log.records[0]["decision"]["fail"] == {"component": "guard", "kind": "overloaded", "policy": "open"}
    assert rig.runtime.pressure.bytes == 0


async def test_a_message_past_the_bound_closes_its_connection(tmp_path: Path) -> None:
    """1011, as for every outage."""
    client = Client("x" * 200)
    seen: list[Any] = []
    rig = Rig(tmp_path, echoing(seen), limits={"max_buffered_bytes": 100})
    await rig.guard(client.scope, client.receive, client.send)
    assert client.closed[0] == 1011
    assert rig.runtime.tally.counters() == {"overloaded": 1}


async def test_a_flood_is_told_once_a_second(tmp_path: Path) -> None:
    """The counter is exact, the log for people is not filled."""
    now = [0.0]
    tally = Tally(clock=lambda: now[0])
    for _ in range(1000):
        tally.shed(Overloaded("full"))
    first = tally._unsaid
    now[0] = 1.0
    tally.shed(Overloaded("full"))
    assert (tally.overloaded, first, tally._unsaid) == (1001, 999, 0)


# Worker threads ------------------------------------------------------------------------------------------------------


async def test_worker_threads_are_few_and_their_queue_is_bounded() -> None:
    """What does not fit is refused at once; a call that is given up keeps its thread until it ends."""
    workers = Workers("test", threads=1, queue=1)
    go = threading.Event()
    begun = threading.Event()

    def work() -> str:
        begun.set()
        go.wait(30)
        return threading.current_thread().name

    with pytest.raises(TimeoutError):
        await workers.run(work, seconds=0.01)
    begun.wait(30)
    waiting = asyncio.ensure_future(workers.run(work, seconds=30))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await workers.run(work, seconds=30)
    assert workers.busy == 2
    go.set()
    assert (await waiting).startswith("test")
    workers.close()
    with pytest.raises(GuardStopped):
        await workers.run(work, seconds=1)


async def test_worker_threads_see_the_context_of_their_caller() -> None:
    """Traces and loggers find the request to which the work belongs."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("request 7")
    workers = Workers("test")
    assert await workers.run(variable.get, seconds=30) == "request 7"
    workers.close()


@pytest.mark.parametrize("routes", [({"path": "/**"},), OPEN], ids=["closed", "open"])
async def test_a_body_that_is_not_read_in_time(tmp_path: Path, routes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 ``work_timeout``; on where the route fails open. The threads of the app are not touched."""
    go = threading.Event()

    def stuck(*_: Any, **__: Any) -> Any:
        assert threading.current_thread().name.startswith("guard-work")
        go.wait(30)

    monkeypatch.setattr("guard.content.read", stuck)
    rig = Rig(tmp_path, answering(b""), routes=routes, limits={"work_deadline_ms": 1})
    answer = await rig.call(body=chat("x" * 60_000))
    go.set()
    if routes is OPEN:
        assert answer.status == 200
    else:
        assert (answer.status, answer.json["reasons"][0]["code"]) == (503, "work_timeout")
    assert rig.log.records[0]["decision"]["fail"]["kind"] == "work_timeout"
    await rig.runtime.stop()


async def test_when_the_threads_are_taken_small_bodies_go_on_and_large_ones_are_503(tmp_path: Path) -> None:
    """A flood of large bodies does not stop the small ones, which need no thread."""
    rig = Rig(tmp_path, answering(b"{}"))
    assert (await rig.call(body=chat("x"))).status == 200
    services = rig.runtime.services
    assert services is not None
    services.workers._room = 0
    refused = await rig.call(body=chat("x" * 60_000))
    assert (refused.status, refused.json["reasons"][0]["code"], refused.headers["retry-after"]) == (
        503,
        "overloaded",
        "1",
    )
    assert (await rig.call(body=chat("x"))).status == 200
    assert rig.runtime.tally.counters() == {"overloaded": 1}


async def test_a_detector_for_which_there_is_no_thread_did_not_finish() -> None:
    """It is told like any other gap, and the policy decides."""
    pipeline = Pipeline([WordDetector()], deadline_ms=1000)
    pipeline._workers._room = 0
    detection = await pipeline.detect([Segment.of("x" * 5000)], "request")
    assert [(gap.detector, gap.reason) for gap in detection.incomplete] == [("words", "overloaded")]
    pipeline.close()


# Starts and stops ----------------------------------------------------------------------------------------------------


class TriedLog(CountingLog):
    """Fails to start until it is mended; counts the attempts."""

    def __init__(self) -> None:
        super().__init__(failing=True)
        self.attempts = 0

    async def start(self) -> None:
        """Try."""
        self.attempts += 1
        await asyncio.sleep(0)
        await super().start()


async def test_a_start_that_failed_is_not_tried_by_every_request(tmp_path: Path) -> None:
    """One attempt a second, whoever asks; 503 at once meanwhile; mended, the next attempt serves."""
    log, now = TriedLog(), [100.0]
    rig = Rig(tmp_path, answering(b"{}"), log=log)
    rig.runtime.attempts._clock = lambda: now[0]
    answers = await asyncio.gather(*(rig.call(body=chat("x")) for _ in range(5)))
    assert [(a.status, a.headers["retry-after"]) for a in answers] == [(503, "5")] * 5
    assert log.attempts == 1
    now[0] += RETRY_SECONDS - 0.01
    await rig.call(body=chat("x"))
    assert log.attempts == 1
    now[0] += 0.02
    log._failing = False
    assert (await rig.call(body=chat("x"))).status == 200
    assert (log.attempts, rig.runtime.attempts.failure) == (2, None)


async def test_without_a_guard_a_route_that_fails_open_is_served(tmp_path: Path) -> None:
    """The server starts; that route passes and is counted, all others are 503; the counts reach the log later."""
    seen: list[Any] = []
    log = TriedLog()
    rig = Rig(tmp_path, answering(b"{}", seen=seen), log=log, routes=({"path": "/open", "unsafe_fail_open": True},))
    server = Server()
    await Rig(tmp_path, taking_part, log=TriedLog(), routes=OPEN).guard(
        {"type": "lifespan"}, server.receive, server.send
    )
    assert server.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (await rig.call("GET", "/open")).status == 200
    assert (await rig.call("GET", "/closed")).status == 503
    assert [scope["guard"].reasons[0].code for scope, _ in seen] == ["guard_stopped"]
    assert rig.runtime._count()["fail_open"] == 1


@pytest.mark.parametrize("routes", [({"path": "/**"},), OPEN], ids=["closed", "open"])
async def test_a_request_after_the_stop_is_refused_and_opens_nothing(tmp_path: Path, routes: Any) -> None:
    """The log stays closed; only a new start of the app opens it again."""
    log = CountingLog()
    rig = Rig(tmp_path, answering(b"{}"), log=log, routes=routes)
    assert (await rig.call(body=chat("x"))).status == 200
    await rig.runtime.stop()
    late = await rig.call(body=chat("x"))
    assert (late.status, late.json["reasons"][0]["code"]) == (503, "guard_stopped")
    assert log.events == ["start", "stop"]
    await rig.runtime.start()
    assert (await rig.call(body=chat("x"))).status == 200
    assert log.events == ["start", "stop", "start"]


async def test_the_denial_of_an_outage_speaks_the_dialect_of_its_path(tmp_path: Path) -> None:
    """Anthropic's SDK reads its own shape of error, also while there is no guard."""
    rig = Rig(tmp_path, streaming(), log=CountingLog(failing=True))
    answer = await rig.call(path="/v1/messages", body=chat("x"))
    assert (answer.status, answer.json["type"], answer.json["error"]["type"]) == (503, "error", "api_error")
