"""A running guard: engine, detectors, log and limits, built once from a ``GuardConfig`` and shared by middleware, scan
and replay. Started by the lifespan or, where none arrives, by the first request."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, Final

import msgspec

from guard.config import DetectorsConfig, GuardConfig
from guard.errors import ConfigError, DetectorMissing
from guard.exchange import Services
from guard.identity import Authenticator
from guard.keyed import KeyedHash
from guard.pipeline import Pipeline
from guard.policy.bundle import Bundle, bundle_data, load_bundle
from guard.policy.networks import Networks
from guard.record.keys import load_or_create_keys
from guard.record.log import SignedLog
from guard.reload import ConfigSource, Reloader, ReloadState
from guard.shelf import Shelf
from guard.telemetry import get_logger
from guard.types import BehaviourModel, Detector, PolicyEngine, RecordLog

DETECTOR_GROUP: Final = "guard.detectors"
# Whose extra brings what a detector of ours needs.
_EXTRAS: Final = {"pii": "pii", "forest": "ml"}

_log = get_logger("guard.runtime")


class Generation(msgspec.Struct, frozen=True):
    """A configuration and the parts that it needs, built and not yet in use."""

    config: GuardConfig
    detectors: tuple[Detector, ...]
    behaviour: BehaviourModel | None
    engine: PolicyEngine

    @property
    def revision(self) -> str:
        """The revision of its policies."""
        return self.engine.info.revision


class Runtime:
    """Everything that lives as long as the process serves."""

    def __init__(
        self,
        config: GuardConfig,
        *,
        detectors: Sequence[Detector] | None = None,
        behaviour: BehaviourModel | None = None,
        engine: PolicyEngine | None = None,
        log: RecordLog | None = None,
        keyed: KeyedHash | None = None,
        source: ConfigSource | None = None,
    ) -> None:
        """Parts that are given are used as they are; the others are built from ``config``.

        Loads and compiles policies and detectors, so that a mistake stops the start and not a request. Opens neither
        the log nor a connection: that is ``start``, after the server has forked. With ``source``, the files of
        ``config`` are watched while the guard runs, and what changes is taken over. Raises ``GuardError``.
        """
        self._given = Given(detectors is not None, behaviour is not None, engine is not None)
        # Looks at the files before they are read, so that an edit in between is one.
        self._reloader = Reloader(source, config, prepare=self.prepare, adopt=self.adopt) if source else None
        self._now = Generation(
            config,
            tuple(load_detectors(config) if detectors is None else detectors),
            load_behaviour(config) if behaviour is None else behaviour,
            build_engine(config) if engine is None else engine,
        )
        self._log = log
        self._keyed = keyed
        self._services: Services | None = None
        self._shelf: Shelf | None = None
        self._starting = asyncio.Lock()
        self.excluded_requests = 0

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

    async def start(self) -> Services:
        """Open the log and connect to what the configuration names. Starting twice is starting once."""
        async with self._starting:
            if self._services is None:
                try:
                    self._services = await self._start()
                except OSError as error:
                    raise ConfigError(
                        f"the state directory cannot be used: {error.strerror}",
                        where=str(self.config.state_directory),
                        mend="check state_directory, its permissions and the free space",
                    ) from None
            return self._services

    async def _start(self) -> Services:
        config = self.config
        if self._log is None or self._keyed is None:
            keys = load_or_create_keys(config.state_directory / "keys")
            for created in keys.created:
                _log.warning("key created; back it up and keep it secret", file=str(created))
            self._keyed = self._keyed or keys.keyed
            self._log = self._log or SignedLog(
                config.state_directory / "log",
                name=config.record.name,
                signer=keys.signer,
                mode=config.record.mode,
                segment_records=config.record.segment_records,
                queue_records=config.record.queue_records,
                heartbeat_seconds=config.record.heartbeat_seconds,
                config_digest=config_digest(config),
                software_version=version("policy-guard"),
                counters=self._count,
            )
        shelf = Shelf()
        async with AsyncExitStack() as undo:
            services = await self._open(self._now, None, undo)
            await self._log.start()
            undo.pop_all()
        shelf.hold(services)
        self._shelf = shelf
        if self._reloader is not None:
            self._reloader.start(self._now.revision)
        _log.info("guard started", engine=services.engine.info.name, directory=str(config.state_directory))
        return services

    async def _open(self, generation: Generation, before: Services | None, undo: AsyncExitStack) -> Services:
        """The services of a generation, started; those of ``before`` that fit it are shared."""
        config = generation.config
        assert self._keyed is not None  # noqa: S101 - start has made both
        assert self._log is not None  # noqa: S101
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
            log=self._log,
        )

    def prepare(self, config: GuardConfig) -> Generation | None:
        """The parts that a changed configuration or changed policies need; ``None`` if they change nothing.

        Blocks while it loads and compiles: for a worker thread. Raises ``GuardError``.
        """
        return next_generation(self._now, config, self._given)

    async def adopt(self, generation: Generation) -> None:
        """Let a generation decide from the next request on. If it cannot be started, the one before stays."""
        async with self._starting:
            before, shelf = self._services, self._shelf
            if before is None or shelf is None:
                return
            async with AsyncExitStack() as undo:
                services = await self._open(generation, before, undo)
                undo.pop_all()
            shelf.hold(services)
            self._services, self._now = services, generation

    async def stop(self) -> None:
        """Write what is queued, close the log, let go of threads and connections."""
        if self._reloader is not None:
            await self._reloader.stop()
        async with self._starting:
            services, self._services = self._services, None
            shelf, self._shelf = self._shelf, None
            if services is None or shelf is None:
                return
            services.pipeline.close()
            try:
                await services.log.stop()
            finally:
                await shelf.clear()

    def _count(self) -> dict[str, int]:
        """For the heartbeats. Called from the log's thread."""
        counters = {"excluded_requests": self.excluded_requests}
        if state := self.reload_state:
            counters |= {"reloads": state.reloads, "reloads_failed": state.failures}
        return counters


class Given(msgspec.Struct, frozen=True):
    """Which parts the runtime was given: those are no affair of a reload."""

    detectors: bool
    behaviour: bool
    engine: bool


def next_generation(now: Generation, config: GuardConfig, given: Given) -> Generation | None:
    """What follows a generation under another configuration: what did not change is shared, learned behaviour kept.

    ``None`` if nothing changed. Raises ``GuardError``.
    """
    old = now.config
    fixed = [name for name in ("state_directory", "record") if getattr(config, name) != getattr(old, name)]
    if fixed:
        raise ConfigError(
            "cannot change while the guard runs", where=", ".join(fixed), mend="restart the guard to change it"
        )
    engine = now.engine if given.engine else _next_engine(now, config)
    wanted, had = config.detectors, old.detectors
    detectors, behaviour = now.detectors, now.behaviour
    if not given.detectors and _choice(wanted, wanted.enabled) != _choice(had, had.enabled):
        detectors = tuple(load_detectors(config))
    if not given.behaviour and _choice(wanted, [wanted.behaviour]) != _choice(had, [had.behaviour]):
        behaviour = load_behaviour(config)
    if engine is now.engine and config == old:
        return None
    return Generation(config, detectors, behaviour, engine)


def _next_engine(now: Generation, config: GuardConfig) -> PolicyEngine:
    """The engine that runs, if it would be built the same. One that asks a server always is built anew: the files that
    it reads may have changed."""
    wanted, had = config.policy, now.config.policy
    if wanted.engine == "embedded" == had.engine and wanted.entrypoint == had.entrypoint:
        bundle = bundle_of(config)
        return now.engine if bundle.digest == now.engine.info.digest else build_engine(config, bundle)
    return build_engine(config)


def _choice(config: DetectorsConfig, names: Sequence[str | None]) -> list[tuple[str | None, Mapping[str, Any]]]:
    return [(name, config.options.get(name or "", {})) for name in names]


def build_engine(config: GuardConfig, bundle: Bundle | None = None) -> PolicyEngine:
    """The engine that the configuration names, over the policies that it names; ``bundle``, if they are loaded."""
    bundle = bundle or bundle_of(config)
    if config.policy.engine == "opa":
        from guard.policy.opa import OpaEngine

        return OpaEngine(config.policy.opa, entrypoint=config.policy.entrypoint, bundle=bundle)
    from guard.policy.embedded import EmbeddedEngine

    return EmbeddedEngine(bundle, entrypoint=config.policy.entrypoint)


def bundle_of(config: GuardConfig) -> Bundle:
    """The policies and data of a configuration, loaded and checked. Raises ``PolicyInvalid``."""
    return load_bundle(directories=config.policy.directories, shipped=config.policy.shipped, data=bundle_data(config))


def config_digest(config: GuardConfig) -> str:
    """SHA-256, in hex, of the effective configuration."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def load_detectors(config: GuardConfig) -> list[Detector]:
    """The detectors that the configuration enables, from the entry points. Raises ``DetectorMissing``."""
    loaded: list[Detector] = []
    for name in config.detectors.enabled:
        instance = _load(name, config.detectors.options.get(name, {}))
        if not isinstance(instance, Detector):
            raise ConfigError(
                f"{name!r} is no detector", where="detectors.enabled", mend="name it in detectors.behaviour"
            )
        loaded.append(instance)
    return loaded


def load_behaviour(config: GuardConfig) -> BehaviourModel | None:
    """The behaviour model that the configuration names, if any."""
    name = config.detectors.behaviour
    if not name:
        return None
    instance = _load(name, config.detectors.options.get(name, {}))
    if not isinstance(instance, BehaviourModel):
        raise ConfigError(f"{name!r} is no behaviour model", where="detectors.behaviour", mend='use "behaviour"')
    return instance


def _load(name: str, options: Mapping[str, Any]) -> object:
    found: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=DETECTOR_GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise DetectorMissing(f"no detector is called {name!r}", where="detectors", mend=f"known: {known}")
    try:
        factory = found[name].load()
    except ImportError as error:
        extra = _EXTRAS.get(name)
        mend = f"pip install 'policy-guard[{extra}]'" if extra else f"install what {found[name].value} imports"
        raise DetectorMissing(
            f"the detector {name!r} cannot be loaded: {error}", where="detectors", mend=mend
        ) from None
    return factory(**options)
