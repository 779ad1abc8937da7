"""How a guard fares, as one snapshot: what health tells, and what metrics are made of.

Taking it costs no I/O and changes nothing. It holds no secret, no personal data and no path of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Final, Literal, Protocol, runtime_checkable

import msgspec

from guard.exchange.sharing import SharingState
from guard.monitored import measures_of
from guard.policy.bundles.remote import RemoteState
from guard.policy.candidate import Candidate
from guard.record.log import LogStatus
from guard.runtime import Runtime
from guard.types import BehaviourModel, Detector, DetectorInfo, IntentModel

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
    ``bundles``, ``log.anchors`` and ``sharing`` say why); ``failed``: no request can be decided or recorded.
    ``error_code`` says why the guard is not started; what follows it is then null or empty. ``reload`` is null where
    nothing is watched, ``bundles`` are those that are downloaded, ``candidate`` is null where no policies are in
    shadow: how that fares has no part in ``status``. ``sharing`` is null where behaviour is not shared."""

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
    sharing: SharingState | None = None


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
    sharing = None if services.sharing is None else services.sharing.state()
    outside = (*bundles, *log.anchors, *([sharing] if sharing else ()))
    failing = any(each.failures for each in outside)
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
        models=_models((*services.pipeline.detectors, services.behaviour, services.intent)),
        sharing=sharing,
    )


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
        if measures and isinstance(part, Detector | BehaviourModel | IntentModel)
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


@cache
def _version() -> str:
    return version("policy-guard")
