"""A running guard: engine, detectors, log and limits, built once from a ``GuardConfig`` and shared by middleware, scan
and replay. Started by the lifespan or, where none arrives, by the first request."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, Final

from guard.config import GuardConfig
from guard.errors import ConfigError, DetectorMissing
from guard.exchange import Services
from guard.identity import Authenticator
from guard.keyed import KeyedHash
from guard.pipeline import Pipeline
from guard.policy.bundle import Bundle, bundle_data, load_bundle
from guard.policy.networks import Networks
from guard.record.keys import load_or_create_keys
from guard.record.log import SignedLog
from guard.telemetry import get_logger
from guard.types import BehaviourModel, Detector, PolicyEngine, RecordLog

DETECTOR_GROUP: Final = "guard.detectors"
# Whose extra brings what a detector of ours needs.
_EXTRAS: Final = {"pii": "pii", "forest": "ml"}

_log = get_logger("guard.runtime")


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
    ) -> None:
        """Parts that are given are used as they are; the others are built from ``config``.

        Loads and compiles policies and detectors, so that a mistake stops the start and not a request. Opens neither
        the log nor a connection: that is ``start``, after the server has forked. Raises ``GuardError``.
        """
        self.config = config
        self._detectors = load_detectors(config) if detectors is None else list(detectors)
        self._behaviour = load_behaviour(config) if behaviour is None else behaviour
        self._engine = build_engine(config) if engine is None else engine
        self._log = log
        self._keyed = keyed
        self._services: Services | None = None
        self._starting = asyncio.Lock()
        self.excluded_requests = 0

    @property
    def services(self) -> Services | None:
        """The parts of the running guard; ``None`` before ``start``."""
        return self._services

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
        digest = config_digest(config)
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
                config_digest=digest,
                software_version=version("policy-guard"),
                counters=lambda: {"excluded_requests": self.excluded_requests},
            )
        authenticator = Authenticator(config.identity)
        pipeline = Pipeline(self._detectors, deadline_ms=config.limits.detect_deadline_ms)
        async with AsyncExitStack() as undo:
            await authenticator.start()
            undo.push_async_callback(authenticator.stop)
            await self._engine.start()
            undo.push_async_callback(self._engine.stop)
            await self._log.start()
            undo.pop_all()
        _log.info("guard started", engine=self._engine.info.name, directory=str(config.state_directory))
        return Services(
            config=config,
            config_digest=digest,
            keyed=self._keyed,
            authenticator=authenticator,
            pipeline=pipeline,
            behaviour=self._behaviour,
            networks=Networks(config.networks),
            engine=self._engine,
            log=self._log,
        )

    async def stop(self) -> None:
        """Write what is queued, close the log, let go of threads and connections."""
        async with self._starting:
            services, self._services = self._services, None
            if services is None:
                return
            services.pipeline.close()
            try:
                await services.log.stop()
            finally:
                await services.engine.stop()
                await services.authenticator.stop()


def build_engine(config: GuardConfig) -> PolicyEngine:
    """The engine that the configuration names, over the policies that it names."""
    bundle = bundle_of(config)
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
