"""A real OPA that is killed, frozen, slow, restarted, or replaced by something else: a named reason each time, in
bounded time, and decisions again without a restart of the guard."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from guard.config import OpaConfig
from guard.policy.opa import OpaEngine
from tests.policy.opa_rig import ALLOW, ENTRYPOINT, PATIENCE_SECONDS, ask, built, codes, started, until
from tests.policy.servers import answer, free_url, misbehaving, real_opa

pytestmark = pytest.mark.anyio
FAILURES = 3
QUICK: dict[str, Any] = {"breaker_failures": FAILURES, "breaker_open_seconds": 0.05}
POLICY = "package guard\n\ndecision := {json}\n".replace("{json}", json.dumps(ALLOW))
SLOW = """package guard

decision := {"allow": count(all) > 0} if input.stage

all contains a * b if {
	some a in numbers.range(1, 5000)
	some b in numbers.range(1, 5000)
}
"""


async def denied(engine: OpaEngine, seconds: float = 0.1, times: int = FAILURES) -> list[str]:
    """The codes of as many questions, one after the other; none may take much longer than it was given."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [code for _ in range(times) for code in codes(await ask(engine, seconds))]


def is_open(engine: OpaEngine) -> bool:
    return engine._breaker.state != "closed"


async def test_killed_and_started_again(tmp_path: Path) -> None:
    """Unavailable at once, then not even asked; back by itself when the server is."""
    bundle = built(tmp_path / "b.tar.gz", "v1", POLICY)
    with real_opa("-b", str(bundle)) as opa:
        async with started(opa.url, **QUICK) as engine:
            assert codes(await ask(engine)) == []
            opa.kill()
            assert await denied(engine) == ["engine_unavailable"] * FAILURES
            assert not engine.healthy
            refused = await ask(engine)
            assert codes(refused) == ["engine_unavailable"]
            assert "circuit breaker is open since 20" in refused.reasons[0].message
            opa.start("-b", str(bundle))
            await until(lambda: engine.healthy)
            assert codes(await ask(engine)) == []


async def test_frozen_and_thawed(tmp_path: Path) -> None:
    """SIGSTOP: each request costs its deadline until the breaker opens, then nothing; SIGCONT: decisions again."""
    bundle = built(tmp_path / "b.tar.gz", "v1", POLICY)
    with real_opa("-b", str(bundle)) as opa:
        async with started(opa.url, **QUICK) as engine:
            opa.signal(signal.SIGSTOP)
            assert await denied(engine) == ["policy_timeout"] * FAILURES
            started_at = time.monotonic()
            many = await asyncio.gather(*(ask(engine, PATIENCE_SECONDS) for _ in range(200)))
            assert {code for decision in many for code in codes(decision)} == {"engine_unavailable"}
            assert time.monotonic() - started_at < PATIENCE_SECONDS, "nobody waited for a deadline"
            assert all(decision.outage for decision in many)
            opa.signal(signal.SIGCONT)
            await until(lambda: engine.healthy)
            assert codes(await ask(engine)) == []


async def test_a_rule_that_burns_time_is_a_timeout_and_stops_nobody_else(tmp_path: Path) -> None:
    """The breaker opens, the guard's own question finds the server alive, and others are decided."""
    bundle = built(tmp_path / "b.tar.gz", "v1", SLOW)
    with real_opa("-b", str(bundle)) as opa:
        async with started(opa.url, **QUICK) as engine:
            found = await denied(engine, 0.05)
            assert set(found) <= {"policy_timeout", "engine_unavailable"}
            assert found[0] == "policy_timeout"
            await until(lambda: engine.healthy and not is_open(engine))


async def test_replaced_by_a_server_that_talks_garbage(tmp_path: Path) -> None:
    """The address answers, but not as OPA does: the policy has failed, and then the breaker is open."""
    bundle = built(tmp_path / "b.tar.gz", "v1", POLICY)
    with real_opa("-b", str(bundle)) as opa:
        port = int(opa.url.rpartition(":")[2])
        async with started(opa.url, **QUICK) as engine:
            assert codes(await ask(engine)) == []
            opa.kill()
            async with misbehaving(b"SSH-2.0-OpenSSH_9.2\r\n", port=port):
                assert await denied(engine) == ["policy_error"] * FAILURES
                assert codes(await ask(engine)) == ["engine_unavailable"]
            opa.start("-b", str(bundle))
            await until(lambda: engine.healthy)
            assert codes(await ask(engine)) == []


@pytest.mark.parametrize(
    "sent",
    [
        answer(b"down", "503 Service Unavailable", "text/plain"),
        answer(b"<html>", "500 Internal Server Error", "text/html"),
        answer(b"{}", "401 Unauthorized"),
        answer(b"", "302 Found\r\nLocation: http://127.0.0.1:1/"),
        b"",
    ],
    ids=["503", "500 of a proxy", "401", "redirect", "nothing"],
)
async def test_what_opens_the_breaker(sent: bytes) -> None:
    """As many as configured are sent; then no further request reaches the server."""
    async with misbehaving(sent) as server, started(server.url, breaker_failures=3, breaker_open_seconds=60) as engine:
        await ask(engine)
        await ask(engine)
        await until(lambda: len(server.requests) == 4)  # the start, two requests, and the probe of the open breaker
        assert await denied(engine, times=5) == ["engine_unavailable"] * 5
        assert len(server.requests) == 4
        assert is_open(engine)


@pytest.mark.parametrize(
    "sent",
    [
        answer(b'{"code": "internal_error", "errors": [{"code": "eval_builtin_error"}]}', "500 Internal Server Error"),
        answer(b'{"code": "invalid_parameter"}', "400 Bad Request"),
        answer(b"{}"),
        answer(b'{"result": 7}'),
        answer(b'{"result": "' + b"x" * 5000 + b'"}'),
    ],
    ids=["a rule fails", "400", "undefined", "no decision", "too large"],
)
async def test_what_an_input_can_bring_about_never_opens_the_breaker(sent: bytes) -> None:
    """Who writes a request that a rule fails on must not stop the decisions on all others."""
    async with misbehaving(sent) as server, started(server.url, breaker_failures=1, max_answer_bytes=4096) as engine:
        for _ in range(4):
            assert codes(await ask(engine)) in (["policy_error"], ["policy_undefined"])
        assert len(server.requests) == 5
        assert not is_open(engine)
        assert engine.healthy


async def test_a_request_that_is_given_up_is_no_outage() -> None:
    """A client that leaves while OPA is asked says nothing about OPA."""
    async with misbehaving(None) as silent:
        engine = OpaEngine(OpaConfig(url=silent.url, breaker_failures=1), ENTRYPOINT)
        engine._client = engine._new_client()
        await engine._client._init_session()
        for _ in range(3):
            task = asyncio.create_task(ask(engine, PATIENCE_SECONDS))
            count = len(silent.requests)
            await until(lambda count=count: len(silent.requests) > count)  # type: ignore[misc]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not is_open(engine)
        await engine.stop()


async def test_a_server_that_was_never_there_is_found_when_it_comes() -> None:
    """The guard starts without OPA, refuses, and needs no restart; the breaker opens without a single request."""
    url = free_url()
    async with started(url, **QUICK) as engine:
        await until(lambda: is_open(engine))
        assert "did not answer" in (await ask(engine)).reasons[0].message
        body = json.dumps({"result": ALLOW}).encode()
        async with misbehaving(answer(body), port=int(url.rpartition(":")[2])):
            await until(lambda: engine.healthy)
            assert codes(await ask(engine)) == []


async def test_an_open_breaker_is_never_left_without_a_probe() -> None:
    """Should the task that asks have ended, the next request that is refused starts it again."""
    url = free_url()
    async with started(url, **QUICK) as engine:
        await until(lambda: is_open(engine))
        assert engine._watch is not None
        engine._watch.cancel()
        await until(engine._watch.done)
        assert codes(await ask(engine)) == ["engine_unavailable"]
        async with misbehaving(answer(b'{"result": {}}'), port=int(url.rpartition(":")[2])):
            await until(lambda: engine.healthy)


def test_an_engine_that_is_started_again_on_another_event_loop() -> None:
    """As a test client does, with a loop for each of its lives: outage, stop, and outage again."""
    engine = OpaEngine(OpaConfig(url=free_url(), breaker_failures=1, breaker_open_seconds=0.01), ENTRYPOINT)

    async def life() -> list[str]:
        await engine.start()
        await asyncio.sleep(0.05)
        try:
            return codes(await ask(engine))
        finally:
            assert engine._watch is not None
            assert not engine._watch.done()
            await engine.stop()

    assert [asyncio.run(life()) for _ in range(2)] == [["engine_unavailable"]] * 2
