"""A running guard: engine, detectors, log and limits, built once from a ``GuardConfig`` and shared by middleware, scan
and replay. Started by the lifespan or, where none arrives, by the first request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version

from guard import process
from guard.config import GuardConfig
from guard.errors import ConfigError, GuardError, GuardStopped, LogUnavailable, place_of
from guard.exchange import Pressure, Services, Tally
from guard.exchange.lasting import Lasting
from guard.generation import (
    Generation,
    Given,
    build_candidate,
    build_engine,
    bundle_of,
    config_digest,
    first_policies,
    load_behaviour,
    load_detectors,
    load_intent,
    next_generation,
    uncollected,
)
from guard.identity import Authenticator
from guard.keyed import KeyedHash
from guard.monitored import counters_of
from guard.obligations.conversations import Conversations
from guard.obligations.counters import Counters
from guard.pipeline import Pipeline
from guard.policy.bundles.remote import RemoteState
from guard.policy.bundles.remotes import Remotes, remote_sources
from guard.policy.networks import Networks
from guard.record.build import Standing, config_record
from guard.record.log import SignedLog
from guard.record.tenant_keys import TenantKeys
from guard.reload import ConfigSource, Refusal, Reloader, ReloadState
from guard.shelf import Shelf
from guard.starting import Attempts, anchor_plan, could_not_start, load_log_keys, open_conversations
from guard.telemetry import get_logger
from guard.types import BehaviourModel, Detector, IntentModel, PolicyEngine, RecordLog
from guard.workers import Workers

__all__ = [
    "Runtime",
    "build_candidate",
    "build_engine",
    "bundle_of",
    "config_digest",
    "load_behaviour",
    "load_detectors",
    "load_intent",
]

_log = get_logger("guard.runtime")


class Runtime:
    """Everything that lives as long as the process serves."""

    def __init__(
        self,
        config: GuardConfig,
        *,
        detectors: Sequence[Detector] | None = None,
        behaviour: BehaviourModel | None = None,
        intent: IntentModel | None = None,
        engine: PolicyEngine | None = None,
        log: RecordLog | None = None,
        keyed: KeyedHash | None = None,
        source: ConfigSource | None = None,
    ) -> None:
        """Parts that are given are used as they are; the others are built from ``config``.

        Loads and compiles policies and detectors, so that a mistake stops the start and not a request. Opens neither
        the log nor a connection: that is ``start``, after the server has forked. With ``source`` and ``reload`` in the
        configuration, its files are watched while the guard runs, and what changes is taken over; bundles that are
        downloaded are polled in any case. Raises ``GuardError``.
        """
        self._given = Given(detectors is not None, behaviour is not None, engine is not None, intent is not None)
        # Looks at the files before they are read, so that an edit in between is one.
        watched = source if config.reload else None
        self._remotes = Remotes(config.state_directory)
        moving = watched is not None or bool(remote_sources(config))
        self._reloader = Reloader(watched, config, self, remotes=self._remotes) if moving else None
        loaded = tuple(load_detectors(config) if detectors is None else detectors)
        asked = loaded if detectors is None else None
        self._now = Generation(
            config,
            loaded,
            load_behaviour(config) if behaviour is None else behaviour,
            *self._remotes.trying(lambda: first_policies(config, self._remotes, engine, asked)),
            load_intent(config) if intent is None else intent,
        )
        self._log = log
        self._keyed = keyed
        self._services: Services | None = None
        self._shelf: Shelf | None = None
        self._starting = asyncio.Lock()
        self._stopped = False
        self._workers: Workers | None = None
        self._conversations: Conversations | None = None
        self._tenants: TenantKeys | None = None
        self._lasting = Lasting(config, lambda: self._now.behaviour)
        limits = config.limits
        self.pressure = Pressure(max_exchanges=limits.max_exchanges, max_bytes=limits.max_buffered_bytes)
        self.tally = Tally()
        self.counters = Counters(max_keys=config.budgets.max_keys)
        self.attempts = Attempts()
        self.excluded_requests = 0
        self.health_requests = 0

    @property
    def config(self) -> GuardConfig:
        """The configuration that decides now."""
        return self._now.config

    @property
    def services(self) -> Services | None:
        """The parts of the running guard; ``None`` before ``start``. Take them once for a request: the next look may
        give those of a reloaded configuration."""
        return self._services

    @property
    def reload_state(self) -> ReloadState | None:
        """How reloading fares; ``None`` where nothing is watched."""
        return self._reloader.state if self._reloader else None

    @property
    def bundles(self) -> tuple[RemoteState, ...]:
        """How the bundles that are downloaded fare. From any thread."""
        return self._remotes.states()

    @property
    def standing(self) -> Standing:
        """What decides now, as records name it. From any thread."""
        return self._now.standing

    async def start(self) -> Services:
        """Open the log and connect to what the configuration names. Starting twice is starting once.

        Raises ``GuardError``; ``attempts`` keeps it for the requests that come.
        """
        async with self._starting:
            self._stopped = False
            return self._services or await self._attempt()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped, and not started since."""
        return self._stopped

    async def ready(self) -> Services:
        """The running guard, for a request: where no lifespan came, the first request starts it.

        Raises ``GuardStopped`` after ``stop``, and where it cannot be started; a failure stands for a second, whoever
        asks meanwhile.
        """
        async with self._starting:
            if self._services is not None:
                return self._services
            if self._stopped:
                raise could_not_start(None)
            self.attempts.check()
            try:
                return await self._attempt()
            except GuardError as error:
                raise could_not_start(error) from None

    async def _attempt(self) -> Services:
        try:
            self._services = await self._start()
        except Exception as error:  # noqa: BLE001 - whatever stops the start, requests must hear of it
            if isinstance(error, GuardError):
                known: GuardError = error
            elif isinstance(error, OSError):
                known = ConfigError(
                    f"the state directory cannot be used: {error.strerror}",
                    where=str(self.config.state_directory),
                    mend="check state_directory, its permissions and the free space",
                )
            else:
                known = GuardStopped(f"the start failed with {type(error).__name__}", where=place_of(error))
            _log.error("the guard cannot start", error=str(known))
            self.attempts.failed(known)
            raise known from None
        self.attempts.succeeded()
        return self._services

    async def _start(self) -> Services:
        process.settle()
        config = self.config
        if self._log is None or self._keyed is None:
            keys, keyed = await asyncio.to_thread(load_log_keys, config)
            self._keyed = self._keyed or keyed
            self._log = self._log or SignedLog(
                config.state_directory / "log",
                name=config.record.name,
                signer=keys.origin,
                mode=config.record.mode,
                segment_records=config.record.segment_records,
                queue_records=config.record.queue_records,
                heartbeat_seconds=config.record.heartbeat_seconds,
                standing=lambda: self.standing,
                software_version=version("policy-guard"),
                counters=self._count,
                anchors=await asyncio.to_thread(anchor_plan, config.record),
            )
        if config.record.tenant_keys:
            self._tenants = TenantKeys(config.state_directory / "keys", self._keyed)
        shelf = Shelf()
        async with AsyncExitStack() as undo:
            self._workers = Workers("guard-work")
            undo.callback(self._workers.close)
            self._conversations = await asyncio.to_thread(open_conversations, config)
            if self._conversations is not None:
                undo.callback(self._conversations.close)
            services = await self._open(self._now, None, undo)
            await self._log.start()
            undo.pop_all()
        shelf.hold(services)
        self._shelf = shelf
        await self._lasting.start(self._keyed)
        if self._reloader is not None:
            left_out = self._now.left_out is not None
            await asyncio.to_thread(self._remotes.keep, config, without_candidate=left_out)
            self._reloader.start(self._now.revision)
        _log.info("guard started", engine=services.engine.info.name, directory=str(config.state_directory))
        return services

    async def _open(self, generation: Generation, before: Services | None, undo: AsyncExitStack) -> Services:
        """The services of a generation, started; those of ``before`` that fit it are shared."""
        config = generation.config
        assert self._keyed is not None  # noqa: S101 - start has made both
        assert self._log is not None  # noqa: S101
        assert self._workers is not None  # noqa: S101
        if before is not None and before.config.identity == config.identity:
            authenticator = before.authenticator
        else:
            authenticator = Authenticator(config.identity)
            await authenticator.start()
            undo.push_async_callback(authenticator.stop)
        if before is None or before.engine is not generation.engine:
            await generation.engine.start()
            undo.push_async_callback(generation.engine.stop)
        deadline_ms = config.limits.detect_deadline_ms
        if (
            before is not None
            and before.pipeline.detectors == generation.detectors
            and before.config.limits.detect_deadline_ms == deadline_ms
        ):
            pipeline = before.pipeline
        else:
            pipeline = Pipeline(generation.detectors, deadline_ms=deadline_ms)
        return Services(
            config=config,
            config_digest=config_digest(config),
            keyed=self._keyed,
            authenticator=authenticator,
            pipeline=pipeline,
            behaviour=generation.behaviour,
            networks=Networks(config.networks),
            engine=generation.engine,
            candidate=generation.candidate,
            log=self._log,
            workers=self._workers,
            pressure=self.pressure,
            tally=self.tally,
            counters=self.counters,
            conversations=self._conversations,
            tenants=self._tenants,
            intent=generation.intent,
            sharing=self._lasting.sharing,
        )

    def prepare(self, config: GuardConfig) -> Generation | None:
        """The parts that a changed configuration or changed policies need; ``None`` if they change nothing.

        Blocks while it loads and compiles: for a worker thread. Raises ``GuardError``.
        """
        with uncollected():
            return next_generation(self._now, config, self._given, self._remotes)

    async def adopt(self, generation: Generation) -> None:
        """Let a generation decide from the next request on, once that is on record. If it cannot be started, or the log
        cannot take the record, the one before stays. Raises ``GuardError``."""
        async with self._starting:
            before, shelf = self._services, self._shelf
            if before is None or shelf is None:
                return
            async with AsyncExitStack() as undo:
                services = await self._open(generation, before, undo)
                # The log is a queue: no decision of this generation can come before this record.
                await services.log.append(config_record(self.standing, generation.standing))
                undo.pop_all()
            shelf.hold(services)
            self._services, self._now = services, generation
            limits = generation.config.limits
            self.pressure.max_exchanges, self.pressure.max_bytes = limits.max_exchanges, limits.max_buffered_bytes
            self.counters.max_keys = generation.config.budgets.max_keys

    async def refuse(self, refusal: Refusal, generation: Generation | None) -> None:
        """Record that a reload was refused: before ``generation`` was built, or when it was to be adopted."""
        services = self._services
        if services is None:
            return
        after = None if generation is None else generation.standing
        try:
            await services.log.append(config_record(self.standing, after, (refusal.code, refusal.where)))
        except LogUnavailable as error:
            _log.error("a refused reload could not be recorded", error=str(error))

    async def stop(self) -> None:
        """Write what is queued, close the log, let go of threads and connections. Requests that come later are refused;
        only ``start`` starts again."""
        self._stopped = True
        if self._reloader is not None:
            await self._reloader.stop()
        async with self._starting:
            services, self._services = self._services, None
            shelf, self._shelf = self._shelf, None
            if services is None or shelf is None:
                return
            services.pipeline.close()
            services.workers.close()
            await self._lasting.stop()
            try:
                await services.log.stop()
            finally:
                await shelf.clear()
                if self._conversations is not None:
                    self._conversations.close()

    def _count(self) -> dict[str, int]:
        """For the heartbeats. Called from the log's thread."""
        counters = {"excluded_requests": self.excluded_requests, "health_requests": self.health_requests}
        counters |= self.tally.counters() | self._lasting.counters()
        if state := self.reload_state:
            counters |= {"reloads": state.reloads, "reloads_failed": state.failures}
        return counters_of((*self._now.detectors, self._now.behaviour, self._now.intent)) | counters
