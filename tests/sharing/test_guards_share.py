"""Whole guards around one server: what one lets in, all judge by; and nothing that names anybody leaves a guard."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors.anomaly import TailModel
from guard.condition import report
from guard.config import load_config
from guard.config.sharing import SharingConfig
from guard.errors import ConfigError
from guard.exchange.sharing import SharingState
from guard.exchange.sharing.lessons import unpack
from guard.exchange.sharing.sealing import Seal
from guard.exchange.sharing.snapshots import Snapshots
from guard.exchange.sharing.store import Store
from guard.middleware import GuardMiddleware
from guard.runtime import Runtime
from guard.types import Anomaly, BehaviourEvent, DetectorInfo, Effect
from tests.flow.rig import ALLOW, MemoryLog, Rig, ScriptedEngine, answering, chat, deny
from tests.sharing.replicas import KEYED
from tests.sharing.server import RedisServer, until

pytestmark = pytest.mark.anyio

ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "word " * 80}}]}).encode()
THRESHOLD = 0.8


class Catching(TailModel):
    """Keeps the bytes of a snapshot."""

    dumped = b""

    def restore(self, data: bytes) -> None:
        """Keep them."""
        self.dumped = data


class Seeing:
    """Keeps the events that it is told of, and finds nothing unusual."""

    info = DetectorInfo("seeing", "1", "5e" * 32)

    def __init__(self) -> None:
        self.events: list[BehaviourEvent] = []

    def score(self, event: BehaviourEvent) -> Anomaly:
        """As always."""
        return Anomaly(0.0)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Keep it."""
        self.events.append(event)


def by_behaviour() -> ScriptedEngine:
    """Denies what scores as the shipped rule denies it."""
    return ScriptedEngine(request=lambda asked: deny() if asked["anomaly"]["score"] >= THRESHOLD else ALLOW)


class Guarded(Rig):
    """A guard with a directory of its own, as on a machine of its own."""

    def __init__(
        self, tmp_path: Path, url: str, number: int = 0, model: Any = None, *, snapshot_seconds: int = 0, **config: Any
    ) -> None:
        """``url``: of the server, ``""`` for one that shares nothing."""
        self.engine = by_behaviour()
        self.log = MemoryLog()
        self.model = TailModel() if model is None else model
        named = {
            "enabled": (),
            "behaviour": None,
            "behaviour_snapshot_seconds": snapshot_seconds,
            "sharing": {"url": url, "name": "test"} if url else None,
        }
        self.config = {"state_directory": tmp_path / str(number), "detectors": named, **config}
        self.runtime = Runtime(
            load_config(environ={}, **self.config),
            detectors=(),
            behaviour=self.model,
            engine=self.engine,
            log=self.log,
            keyed=KEYED,
        )
        self.guard = GuardMiddleware(answering(ANSWER), runtime=self.runtime)

    def state(self) -> SharingState:
        """How its sharing fares."""
        told = report(self.runtime).sharing
        assert told is not None
        return told


@pytest.fixture
async def guards(tmp_path: Path, server: RedisServer) -> AsyncIterator[list[Guarded]]:
    """Three guards, started."""
    three = [Guarded(tmp_path, server.url, number) for number in range(3)]
    for each in three:
        await each.runtime.start()
    yield three
    for each in three:
        await each.runtime.stop()


async def holds(condition: Callable[[], bool], why: Callable[[], object] = lambda: "") -> None:
    """Wait until something holds, while the event loop goes on."""
    await asyncio.to_thread(until, condition, 30.0, why)


async def shape_of(tmp_path: Path) -> BehaviourEvent:
    """The event that a guard makes of the request that the tests send."""
    seeing = Seeing()
    guard = Guarded(tmp_path, "", 99, seeing)
    await guard.call(body=chat("hello"))
    await guard.runtime.stop()
    return seeing.events[0]


async def test_a_burst_over_three_guards_is_denied_as_on_one(tmp_path: Path, guards: list[Guarded]) -> None:
    """An hour of one request every ten seconds, then a burst that changes the guard with each request: it is denied as
    early as on a single guard, but for one request at each of the others."""
    event, now = await shape_of(tmp_path), time.time()
    past = [msgspec.structs.replace(event, time_s=now - 3660.0 + 10.0 * number) for number in range(360)]
    alone = Guarded(tmp_path, "", 4)
    for guard in (alone, *guards):
        guard.model.restore(TailModel().dump())
        for each in past:
            guard.model.learn(each, "allow")
    let_in_alone = 0
    while (await alone.call(body=chat("hello"))).status == 200:
        let_in_alone += 1
    let_in = [0, 0, 0]
    for number in itertools.cycle(range(3)):
        if (await guards[number].call(body=chat("hello"))).status != 200:
            break
        let_in[number] += 1
        for other, guard in enumerate(guards):
            heard = 2 * (sum(let_in) - let_in[other])  # a request and its answer
            await holds(functools.partial(has_heard, guard, heard), guard.state)
    assert 5 <= let_in_alone <= sum(let_in) + 1
    assert sum(let_in) <= let_in_alone + 2
    await alone.runtime.stop()


def has_heard(guard: Guarded, count: int) -> bool:
    """Whether it was taught so many lessons of others."""
    return guard.state().received >= count


async def test_requests_go_on_while_the_server_is_away(
    server: RedisServer, guards: list[Guarded], caplog: pytest.LogCaptureFixture
) -> None:
    """Killed in the midst: every request is answered, health is degraded and says by what; started again: all is well,
    and what was learned meanwhile has arrived."""
    first, second, _ = guards
    assert (await first.call(body=chat("hello"))).status == 200
    await holds(lambda: second.state().received == 2)
    assert report(first.runtime).status == "ok"
    server.kill()
    await holds(lambda: first.state().failures > 0)
    health = report(first.runtime)
    assert health.status == "degraded"
    assert health.sharing is not None
    assert health.sharing.last_error == "ConnectionError"
    for number in range(3):
        assert (await first.call(body=chat(f"hello {number}"))).status == 200
    server.start()
    await holds(lambda: second.state().received == 8, second.state)
    await holds(lambda: all(report(each.runtime).status == "ok" for each in guards))
    counted = first.runtime._count()
    assert counted["sharing_sent"] == 8
    assert counted["sharing_failed"] > 0
    assert "requests are decided by what this process learned" in caplog.text


SECRETS = ("jane.doe@corp.example", "acme-tenant", "curl/8.5-secret", "203.0.113.77", "send_mail", "small-1", "sesame")


async def test_nothing_that_names_anybody_leaves(tmp_path: Path, server: RedisServer) -> None:
    """Subject, tenant, address, client, model, tool and text of requests are neither in what the server holds or was
    sent, nor in what the messages hold once they are opened."""
    header = {"peers": ["10.0.0.0/8"], "tenant": "x-tenant"}
    guard = Guarded(tmp_path, server.url, snapshot_seconds=1, identity={"trusted_header": header})
    tools = [{"type": "function", "function": {"name": "send_mail", "parameters": {}}}]
    headers = [("x-forwarded-user", SECRETS[0]), ("x-tenant", SECRETS[1]), ("user-agent", SECRETS[2])]
    with server.client() as client, client.monitor() as monitor:
        for client_ip in ("10.0.0.1", "203.0.113.77"):
            answer = await guard.call(
                body=chat("open sesame", tools=tools),
                headers=headers,
                client=(client_ip, 1),
                path="/v1/chat/completions",
            )
            assert answer.status == 200
        await holds(lambda: guard.state().sent == 4 and guard.state().snapshots > 0)
        with server.client() as another:
            another.ping()
        sent = []
        for told in monitor.listen():
            if told["command"] == "PING":
                break
            sent.append(told["command"])
    held = server.everything()
    seal = Seal(KEYED, "test")
    with server.client() as client:
        envelopes = [fields[b"m"] for _, fields in client.xrange("policy-guard:{test}:lessons")]
    lessons = [lesson for envelope in envelopes for lesson in unpack(seal.open(b"L", envelope).data)]
    assert len(lessons) == 4
    assert len({event.principal for event, _ in lessons}) == 2
    assert any("XADD" in command for command in sent)
    catching = Catching()
    Snapshots(Store(SharingConfig(url=server.url, name="test")), seal).take(catching.info, catching)
    plain = msgspec.json.encode(lessons) + catching.dumped
    for secret in SECRETS:
        assert secret.encode() not in held
        assert not any(secret in command for command in sent)
        assert secret.encode() not in plain
    for event, _ in lessons:
        assert event.principal.encode() not in held  # not even the pseudonyms
    await guard.runtime.stop()


async def test_a_change_needs_a_restart(tmp_path: Path, server: RedisServer) -> None:
    """A reload that names another server, or none, is refused; one that changes something else keeps sharing."""
    guard = Guarded(tmp_path, server.url)
    await guard.runtime.start()
    for sharing in ({"url": "redis://127.0.0.1:1/0"}, None):
        changed = {**guard.config, "detectors": {**guard.config["detectors"], "sharing": sharing}}
        with pytest.raises(ConfigError, match="cannot change while the guard runs") as refused:
            guard.runtime.prepare(load_config(environ={}, **changed))
        assert refused.value.where == "detectors.sharing"
    generation = guard.runtime.prepare(load_config(environ={}, **guard.config, health_path="/up"))
    assert generation is not None
    await guard.runtime.adopt(generation)
    assert (await guard.call(body=chat("hello"))).status == 200
    await holds(lambda: guard.state().sent == 2)
    await guard.runtime.stop()


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that shares does not start without the extra, and says how to get it."""
    monkeypatch.setattr("guard.exchange.sharing.store.find_spec", {}.get)
    with pytest.raises(ConfigError) as refused:
        Guarded(tmp_path, "redis://127.0.0.1:1/0")
    assert refused.value.where == "detectors.sharing"
    assert refused.value.mend == "pip install 'policy-guard[redis]'"


async def test_a_guard_that_shares_nothing_tells_nothing(tmp_path: Path) -> None:
    """Without ``[detectors.sharing]`` there is neither a thread nor a counter nor a line in health."""
    rig = Rig(tmp_path, answering(ANSWER), behaviour=TailModel())
    await rig.runtime.start()
    assert report(rig.runtime).sharing is None
    assert not [name for name in rig.runtime._count() if name.startswith("sharing")]
    await rig.runtime.stop()
