"""How a guard fares, told to orchestrators and people: one snapshot, and the ASGI app that serves it.

``live`` says that the event loop runs, ``ready`` whether requests can be decided and recorded. Both are answered by the
guard itself, never inspected and never forwarded. Telling costs no I/O and changes nothing: whoever asks often wears
nothing out. The answers hold no secret, no personal data and no path of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Final, Literal, Protocol, runtime_checkable

import msgspec
from starlette.types import Receive, Scope, Send

from guard.monitored import measures_of
from guard.policy.bundles.remote import RemoteState
from guard.policy.candidate import Candidate
from guard.record.log import LogStatus
from guard.runtime import Runtime
from guard.types import BehaviourModel, Detector, DetectorInfo

Probe = Literal["report", "live", "ready"]

METHODS: Final = frozenset({"GET", "HEAD"})
_PROBES: Final[Mapping[str, Probe]] = {"": "report", "/live": "live", "/ready": "ready"}
_LIVE: Final = b'{"status":"ok"}'
_NOT_STARTED: Final = "not_started"


@runtime_checkable
class Reachable(Protocol):
    """An engine that can be out of reach. One that does not tell counts as healthy."""

    @property
    def healthy(self) -> bool:
        """Whether its last question was answered. Must not wait."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """A log that tells how it fares. One that does not counts as writable."""

    def status(self) -> LogStatus:
        """How it fares now. Must not wait."""
        ...


class ReloadHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How reloading fares. ``last_error_code`` and ``last_error_where`` (``file:line`` or a key) are ``""`` unless the
    files as they stand were refused."""

    watching: bool
    revision: str
    reloads: int
    failures: int
    last_error_code: str
    last_error_where: str


class EngineHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The policy engine, and the revision of the policies that decide."""

    name: str
    version: str
    revision: str
    healthy: bool


class CandidateHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate policies, which watch without effect. ``judged`` and ``failed`` count evaluations since they were
    loaded; ``last_error_code`` is ``""`` if none failed. ``paused``: they kept running into their bounds."""

    revision: str
    entrypoint: str
    share_permille: int
    judged: int
    failed: int
    paused: bool
    last_error_code: str


class ModelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the model of a detector fares: ``measures`` such as drift, by the names that the detector documents."""

    name: str
    version: str
    measures: dict[str, float]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``ok``; ``degraded``: requests are decided and recorded, and somebody should look (``reload``,
    ``bundles`` and ``log.anchors`` say why); ``failed``: no request can be decided or recorded. ``error_code`` says why
    the guard is not started; what follows it is then null or empty. ``reload`` is null where nothing is watched,
    ``bundles`` are those that are downloaded, ``candidate`` is null where no policies are in shadow: how that fares has
    no part in ``status``."""

    status: Literal["ok", "degraded", "failed"]
    version: str
    error_code: str = ""
    config_digest: str = ""
    reload: ReloadHealth | None = None
    log: LogStatus | None = None
    engine: EngineHealth | None = None
    candidate: CandidateHealth | None = None
    bundles: tuple[RemoteState, ...] = ()
    detectors: tuple[DetectorInfo, ...] = ()
    models: tuple[ModelHealth, ...] = ()


def report(runtime: Runtime) -> Health:
    """How the guard fares now. From any thread."""
    services = runtime.services
    if services is None:
        failure = runtime.attempts.failure
        return Health(status="failed", version=_version(), error_code=failure.code if failure else _NOT_STARTED)
    standing = runtime.standing
    log = services.log.status() if isinstance(services.log, Reporting) else LogStatus(writable=True)
    info = services.engine.info
    healthy = services.engine.healthy if isinstance(services.engine, Reachable) else True
    reload = _reload(runtime)
    bundles = runtime.bundles
    deaf = reload is not None and not reload.watching and (services.config.reload or bool(bundles))
    failing = any(each.failures for each in bundles) or any(each.failures for each in log.anchors)
    stale = deaf or (reload is not None and bool(reload.last_error_code)) or failing
    return Health(
        status="failed" if not (log.writable and healthy) else "degraded" if stale else "ok",
        version=_version(),
        config_digest=services.config_digest,
        reload=reload,
        log=log,
        engine=EngineHealth(name=info.name, version=info.version, revision=info.revision, healthy=healthy),
        candidate=_candidate(services.candidate),
        bundles=bundles,
        detectors=standing.detectors,
        models=_models((*services.pipeline.detectors, services.behaviour)),
    )


def probes(path: str | None) -> dict[str, Probe]:
    """The paths that the guard answers itself below ``health_path``; none where it is not configured."""
    return {} if path is None else {path + below: probe for below, probe in _PROBES.items()}


async def answer(probe: Probe, runtime: Runtime, method: str, send: Send) -> None:
    """Answer a GET or HEAD: 200, or 503 where no request can be decided or recorded. ``live`` always is 200."""
    status, body = 200, _LIVE
    if probe != "live":
        health = report(runtime)
        status, body = 503 if health.status == "failed" else 200, msgspec.json.encode(health)
    await _respond(send, status, body, method)


class HealthApp:
    """The same answers as an ASGI app of its own, for a port that only the operator reaches: ``/``, ``/live`` and
    ``/ready``, below wherever it is mounted.

    It never starts the guard: that is for the app which the guard protects, on its event loop. Until then ``ready`` is
    503 with the code ``not_started``.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await _take_part(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            path = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/")
            method, probe = scope["method"], _PROBES.get(path)
            if probe is None:
                await _respond(send, 404, b'{"status":"unknown path"}', method)
            elif method not in METHODS:
                await _respond(send, 405, b'{"status":"unknown method"}', method, (b"allow", b"GET, HEAD"))
            else:
                await answer(probe, self.runtime, method, send)


def _candidate(candidate: Candidate | None) -> CandidateHealth | None:
    if candidate is None:
        return None
    return CandidateHealth(
        revision=candidate.info.revision,
        entrypoint=candidate.entrypoint,
        share_permille=candidate.permille,
        judged=candidate.judged,
        failed=candidate.failed,
        paused=candidate.paused,
        last_error_code=candidate.last_error,
    )


def _models(parts: Iterable[object]) -> tuple[ModelHealth, ...]:
    told = ((part, measures_of(part)) for part in parts)
    return tuple(
        ModelHealth(name=part.info.name, version=part.info.version, measures=measures)
        for part, measures in told
        if measures and isinstance(part, Detector | BehaviourModel)
    )


def _reload(runtime: Runtime) -> ReloadHealth | None:
    state = runtime.reload_state
    if state is None:
        return None
    refusal = state.refusal
    return ReloadHealth(
        watching=state.watching,
        revision=state.revision,
        reloads=state.reloads,
        failures=state.failures,
        last_error_code="" if refusal is None else refusal.code,
        last_error_where="" if refusal is None else refusal.where,
    )


async def _respond(send: Send, status: int, body: bytes, method: str, *more: tuple[bytes, bytes]) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _take_part(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


@cache
def _version() -> str:
    return version("policy-guard")
