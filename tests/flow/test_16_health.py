"""Health: whether the guard can decide and record, told to who asks, and to nobody unless it is configured."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import guard
from guard.config import OpaConfig, load_config
from guard.errors import EngineUnavailable, LogUnavailable, PolicyTimeout
from guard.health import HealthApp, report
from guard.keyed import KeyedHash
from guard.middleware import GuardMiddleware
from guard.policy.opa import OpaEngine
from guard.record.log import LogStatus
from guard.reload import Refusal, ReloadState
from guard.runtime import Runtime
from guard.testing.records import read_records
from guard.testing.server import serve
from tests.flow.rig import MemoryLog, Rig, ScriptedEngine, answering, chat
from tests.policy.servers import answer, free_url, misbehaving

pytestmark = pytest.mark.anyio
PATIENCE_SECONDS = 20.0
HEALTH = "/guard/health"
PROBES = [HEALTH, f"{HEALTH}/live", f"{HEALTH}/ready"]


class Fragile(MemoryLog):
    """A log in memory that tells how it fares."""

    now = LogStatus(writable=True, queued=3, size=4711, checkpoint_age_seconds=0.5)

    def status(self) -> LogStatus:
        """As told."""
        return self.now


class Faraway(ScriptedEngine):
    """An engine that can be out of reach."""

    healthy = True


def rig(tmp_path: Path, seen: list[Any] | None = None, **options: Any) -> Rig:
    """A guard that answers for its health."""
    return Rig(tmp_path, answering(b'{"app": true}', seen=seen), **{"health_path": HEALTH, **options})


# --- on a path of the app -------------------------------------------------------------------------------------------


async def test_nothing_is_exposed_by_default(tmp_path: Path) -> None:
    """Without ``health_path`` the paths are the app's, and inspected as any other."""
    rig = Rig(tmp_path, answering(b'{"app": true}'))
    for path in (*PROBES, "/live", "/ready"):
        assert (await rig.call("GET", path)).json == {"app": True}
    assert rig.log.kinds().count("decision") == len(PROBES) + 2
    assert rig.runtime.health_requests == 0
    await rig.runtime.stop()


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_guard_answers_itself(tmp_path: Path, method: str, path: str) -> None:
    """Neither inspected nor recorded nor forwarded, nor cached by anybody; counted."""
    seen: list[Any] = []
    guarded = rig(tmp_path, seen)
    answer = await guarded.call(method, path)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"] == "application/json"
    full = (await guarded.call("GET", path)).body
    assert answer.body == (b"" if method == "HEAD" else full)
    assert int(answer.headers["content-length"]) > 0
    assert json.loads(full)["status"] == "ok"
    assert (seen, guarded.log.records) == ([], [])
    assert (guarded.runtime.health_requests, guarded.runtime.excluded_requests) == (2, 0)
    await guarded.runtime.stop()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", HEALTH),
        ("OPTIONS", f"{HEALTH}/ready"),
        ("GET", f"{HEALTH}/"),
        ("GET", f"{HEALTH}/other"),
        ("GET", f"{HEALTH}x"),
        ("GET", "/GUARD/HEALTH"),
        ("GET", "/guard//health"),
        ("GET", "/guard/%68ealth"),
    ],
)
async def test_what_only_looks_like_it_is_inspected(tmp_path: Path, method: str, path: str) -> None:
    """Exactly these paths and methods; whatever is near goes the way of every request."""
    guarded = rig(tmp_path)
    assert (await guarded.call(method, path)).json == {"app": True}
    assert guarded.log.kinds()[0] == "decision"
    assert guarded.runtime.health_requests == 0
    await guarded.runtime.stop()


async def test_a_websocket_on_the_path_is_no_probe(tmp_path: Path) -> None:
    """A handshake is decided as any other."""
    guarded = rig(tmp_path, engine=ScriptedEngine(request={"allow": False, "reasons": [], "obligations": []}))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket", "path": HEALTH, "raw_path": HEALTH.encode(), "query_string": b"", "headers": [],
        "client": ("10.0.0.7", 1), "subprotocols": [], "extensions": {},
    }  # fmt: skip
    await guarded.guard(scope, receive, send)
    assert sent[0]["type"] == "websocket.close"
    assert guarded.log.kinds() == ["decision"]
    await guarded.runtime.stop()


async def test_routes_do_not_hide_it(tmp_path: Path) -> None:
    """The path wins over an entry that excludes it; an edit of the configuration moves it."""
    guarded = rig(tmp_path, routes=[{"path": "/**", "inspect": False}])
    assert (await guarded.call("GET", f"{HEALTH}/ready")).json["status"] == "ok"
    moved = load_config(
        environ={}, state_directory=tmp_path, detectors={"enabled": (), "behaviour": None}, health_path="/up"
    )
    generation = guarded.runtime.prepare(moved)
    assert generation is not None
    await guarded.runtime.adopt(generation)
    assert (await guarded.call("GET", "/up/ready")).json["status"] == "ok"
    assert (await guarded.call("GET", f"{HEALTH}/ready")).json == {"app": True}
    await guarded.runtime.stop()


# --- what it says ---------------------------------------------------------------------------------------------------


async def test_the_report_says_what_decides_and_how_the_log_fares(tmp_path: Path) -> None:
    """Everything that an operator compares between processes, and nothing that tells a secret or a path."""
    guarded = rig(tmp_path, log=Fragile())
    await guarded.runtime.start()
    said = (await guarded.call("GET", HEALTH)).json
    assert said.pop("version")
    assert said.pop("config_digest") == guarded.runtime.services.config_digest
    assert said == {
        "status": "ok",
        "error_code": "",
        "reload": None,
        "log": {
            "writable": True,
            "queued": 3,
            "size": 4711,
            "checkpoint_age_seconds": 0.5,
            "error_code": "",
            "anchors": [],
        },
        "engine": {"name": "scripted", "version": "1", "revision": "r1", "healthy": True},
        "candidate": None,
        "bundles": [],
        "detectors": [{"name": "words", "version": "1", "digest": "0" * 64}],
        "models": [],
        "sharing": None,
    }
    assert str(tmp_path).encode() not in (await guarded.call("GET", HEALTH)).body
    await guarded.runtime.stop()


async def test_a_log_that_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    """No durable record, no request: no traffic should come. The process need not be restarted for it."""
    log = Fragile()
    guarded = rig(tmp_path, log=log)
    await guarded.runtime.start()
    log.now = LogStatus(writable=False, error_code="log_unavailable")
    ready = await guarded.call("GET", f"{HEALTH}/ready")
    assert (ready.status, ready.json["status"], ready.json["log"]["error_code"]) == (503, "failed", "log_unavailable")
    assert (await guarded.call("GET", HEALTH)).status == 503
    assert (await guarded.call("GET", f"{HEALTH}/live")).status == 200
    log.now = LogStatus(writable=True)
    assert (await guarded.call("GET", f"{HEALTH}/ready")).status == 200
    await guarded.runtime.stop()


async def test_an_engine_out_of_reach_is_not_ready(tmp_path: Path) -> None:
    """And ready again when it answers."""
    engine = Faraway()
    guarded = rig(tmp_path, engine=engine)
    engine.healthy = False
    ready = await guarded.call("GET", f"{HEALTH}/ready")
    assert (ready.status, ready.json["engine"]["healthy"]) == (503, False)
    engine.healthy = True
    assert (await guarded.call("GET", f"{HEALTH}/ready")).status == 200
    await guarded.runtime.stop()


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ReloadState("r1", 2, 0, watching=True), "ok"),
        (ReloadState("r1", 2, 1, "long", Refusal("policy_invalid", "a.rego:3"), watching=True), "degraded"),
        (ReloadState("r1", 2, 0, watching=False), "degraded"),
    ],
    ids=["watching", "refused", "the watcher has died"],
)
async def test_a_reload_that_is_due_degrades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: ReloadState, status: str
) -> None:
    """The last good configuration decides: ready, and somebody should look."""
    guarded = rig(tmp_path, reload=True)
    await guarded.runtime.start()
    monkeypatch.setattr(Runtime, "reload_state", state)
    ready = await guarded.call("GET", f"{HEALTH}/ready")
    assert (ready.status, ready.json["status"]) == (200, status)
    refusal = state.refusal or Refusal("", "")
    assert ready.json["reload"] == {
        "watching": state.watching, "revision": "r1", "reloads": 2, "failures": state.failures,
        "last_error_code": refusal.code, "last_error_where": refusal.where,
    }  # fmt: skip
    assert b"long" not in ready.body
    await guarded.runtime.stop()


async def test_readiness_starts_a_guard_that_no_lifespan_started(tmp_path: Path) -> None:
    """An orchestrator sends nothing to what is not ready: its question is the first request. Liveness asks nothing."""
    guarded = rig(tmp_path)
    assert (await guarded.call("GET", f"{HEALTH}/live")).status == 200
    assert guarded.runtime.services is None
    assert (await guarded.call("GET", f"{HEALTH}/ready")).status == 200
    assert guarded.runtime.services is not None
    await guarded.runtime.stop()


async def test_a_guard_that_cannot_start_says_the_code(tmp_path: Path) -> None:
    """Not ready, and alive; the message, which may name files, stays in the log of the process."""

    class Broken(MemoryLog):
        async def start(self) -> None:
            raise LogUnavailable("the disk is full", where=str(tmp_path))

    guarded = rig(tmp_path, log=Broken())
    ready = await guarded.call("GET", f"{HEALTH}/ready")
    assert (ready.status, ready.json["status"], ready.json["error_code"]) == (503, "failed", "log_unavailable")
    assert (ready.json["log"], ready.json["engine"], ready.json["detectors"]) == (None, None, [])
    assert str(tmp_path).encode() not in ready.body
    assert (await guarded.call("GET", f"{HEALTH}/live")).status == 200


# --- on a port of its own -------------------------------------------------------------------------------------------


async def test_the_health_app_serves_the_same(tmp_path: Path) -> None:
    """Mounted anywhere, and without starting what belongs to another app's event loop."""
    guarded = rig(tmp_path)
    transport = httpx.ASGITransport(guard.HealthApp(guarded.runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        assert (await client.get("/live")).json() == {"status": "ok"}
        early = await client.get("/ready")
        assert (early.status_code, early.json()["error_code"]) == (503, "not_started")
        assert guarded.runtime.services is None
        await guarded.runtime.start()
        for path in ("/", "/ready", "/ready/"):
            answer = await client.get(path)
            assert answer.json() == msgspec.json.decode(msgspec.json.encode(report(guarded.runtime))), path
        assert (await client.head("/ready")).content == b""
        assert (await client.get("/measures")).status_code == 404
        refused = await client.post("/ready")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    under = httpx.ASGITransport(HealthApp(guarded.runtime), root_path="/admin/health")
    async with httpx.AsyncClient(transport=under, base_url="http://admin") as client:
        assert (await client.get("/admin/health/ready")).status_code == 200
    await guarded.runtime.stop()


async def test_the_health_app_on_a_server_of_its_own(tmp_path: Path) -> None:
    """It takes part in the lifespan, and reads from another thread than the guard's."""
    guarded = rig(tmp_path)
    await guarded.runtime.start()
    with serve(HealthApp(guarded.runtime), lifespan="on") as url:
        answer = await asyncio.to_thread(httpx.get, f"{url}/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    await guarded.runtime.stop()


async def test_the_health_app_takes_no_websocket(tmp_path: Path) -> None:
    """It is closed before it is accepted."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await HealthApp(rig(tmp_path).runtime)({"type": "websocket", "path": "/live"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


# --- whole ----------------------------------------------------------------------------------------------------------


async def test_a_real_guard_over_a_socket(tmp_path: Path) -> None:
    """Its own log and engine; the questions stand in the log as a number, the requests as records."""
    (tmp_path / "guard.toml").write_text(
        f'state_directory = "state"\nhealth_path = "{HEALTH}"\nreload = true\n'
        '[detectors]\nenabled = ["secrets"]\nbehaviour = "behaviour"\n'
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await answering(b"{}")(scope, receive, send)

    guarded = GuardMiddleware(app, tmp_path / "guard.toml")

    def ask() -> dict[str, Any]:
        with serve(guarded, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as client:
            assert client.post("/v1/chat/completions", json=chat("hello")).status_code == 200
            answer = client.get(f"{HEALTH}/ready")
            assert answer.status_code == 200
            said: dict[str, Any] = answer.json()
            return said

    said = await asyncio.to_thread(ask)
    assert said["status"] == "ok"
    assert said["log"]["size"] >= 3
    assert said["engine"]["name"] == "embedded"
    assert (said["reload"]["watching"], said["reload"]["revision"]) == (True, said["engine"]["revision"])
    assert [detector["name"] for detector in said["detectors"]] == ["secrets", "behaviour"]
    (opened,) = read_records(tmp_path / "state", "open")
    assert (opened["config_digest"], opened["policy"]["revision"]) == (
        said["config_digest"],
        said["engine"]["revision"],
    )
    (closed,) = read_records(tmp_path / "state", "close")
    assert (closed["counters"]["health_requests"], closed["counters"]["excluded_requests"]) == (1, 0)
    assert [record["kind"] for record in read_records(tmp_path / "state")] == ["open", "decision", "outcome", "close"]


async def test_an_opa_server_that_went_away_and_came_back(tmp_path: Path) -> None:
    """No request shows that it is back, for none is sent to what is not ready: the engine asks by itself."""
    url = free_url()
    engine = OpaEngine(OpaConfig(url=url, breaker_open_seconds=0.01), "data.guard.decision")
    runtime = Runtime(
        load_config(environ={}, state_directory=tmp_path, detectors={"enabled": (), "behaviour": None}),
        engine=engine,
        log=MemoryLog(),
        keyed=KeyedHash("test", b"k" * 32),
    )
    await runtime.start()

    async def until(healthy: bool) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while engine.healthy is not healthy:  # noqa: ASYNC110 - the engine asks by itself
                await asyncio.sleep(0.01)

    assert report(runtime).status == "failed"
    for _ in range(2):
        async with misbehaving(answer(b'{"result": {}}'), port=int(url.rpartition(":")[2])):
            await until(healthy=True)
            assert report(runtime).status == "ok"
        with pytest.raises(EngineUnavailable):
            await engine.evaluate({}, deadline=time.monotonic() + PATIENCE_SECONDS)
        assert report(runtime).status == "failed"
    await runtime.stop()
    assert engine._watch is None


async def test_a_silent_opa_server_is_out_of_reach() -> None:
    """A deadline that passed says so as well as a refused connection."""
    async with misbehaving(None) as silent:
        engine = OpaEngine(OpaConfig(url=silent.url), "data.guard.decision")
        await engine.start()
        with pytest.raises(PolicyTimeout):
            await engine.evaluate({}, deadline=time.monotonic() + 0.01)
        assert engine.healthy is False
        await engine.stop()
