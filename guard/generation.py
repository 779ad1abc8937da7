"""A configuration with the parts that it needs, built and not yet in use: at the start, and for every reload."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from guard.config import DetectorsConfig, GuardConfig
from guard.errors import ConfigError, DetectorMissing, GuardError, PolicyInvalid
from guard.policy.bundle import Bundle
from guard.policy.bundles.loading import bundle_for
from guard.policy.bundles.remotes import Remotes
from guard.policy.candidate import MAX_STEPS, Candidate, as_candidate, candidate_config
from guard.policy.provided import check_provided
from guard.record.build import Standing
from guard.telemetry import get_logger
from guard.types import BehaviourModel, Detector, IntentModel, PolicyEngine

_log = get_logger("guard.generation")

DETECTOR_GROUP: Final = "guard.detectors"
# Whose extra brings what a detector of ours needs.
_EXTRAS: Final = {"pii": "pii", "forest": "ml", "intent": "ml"}


class Generation(msgspec.Struct, frozen=True):
    """A configuration and the parts that it needs, built and not yet in use.

    ``left_out`` says why the candidate policies are those of the generation before: they only watch, so that one which
    does not load must not keep anything else from being taken over.
    """

    config: GuardConfig
    detectors: tuple[Detector, ...]
    behaviour: BehaviourModel | None
    engine: PolicyEngine
    candidate: Candidate | None = None
    left_out: GuardError | None = None
    intent: IntentModel | None = None

    @property
    def revision(self) -> str:
        """The revision of its policies."""
        return self.engine.info.revision

    @property
    def standing(self) -> Standing:
        """How it stands in ``open`` and ``config`` records, and in health: engines may learn what they serve."""
        models = [model for model in (self.behaviour, self.intent) if model is not None]
        return Standing(
            config_digest(self.config),
            self.engine.info,
            self.config.policy.entrypoint,
            tuple(part.info for part in (*self.detectors, *models)),
            None if self.candidate is None else self.candidate.info,
            "" if self.candidate is None else self.candidate.entrypoint,
        )


class Given(msgspec.Struct, frozen=True):
    """Which parts the runtime was given: those are no affair of a reload."""

    detectors: bool
    behaviour: bool
    engine: bool
    intent: bool = False


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the cyclic garbage collector away while much is made that stays.

    A full collection holds the interpreter lock, and with it every request, for as long as it takes to look at all
    objects of the process: 60 to 270 ms, several times in one compile. What was made is counted among the old objects
    afterwards, so that no collection of the young ones has to look at it either. Compiling leaves no cyclic garbage.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # An app that froze objects itself wants them to stay frozen.
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()


def next_generation(
    now: Generation, config: GuardConfig, given: Given, remotes: Remotes | None = None
) -> Generation | None:
    """What follows a generation under another configuration: what did not change is shared, learned behaviour kept.

    ``None`` if nothing changed. Raises ``GuardError``; a candidate that does not load raises only where nothing else
    changed.
    """
    old = now.config
    fixed = [name for name in ("state_directory", "record", "vault") if getattr(config, name) != getattr(old, name)]
    if config.detectors.sharing != old.detectors.sharing:
        fixed.append("detectors.sharing")
    if fixed:
        raise ConfigError(
            "cannot change while the guard runs", where=", ".join(fixed), mend="restart the guard to change it"
        )
    wanted, had = config.detectors, old.detectors
    detectors, behaviour = now.detectors, now.behaviour
    if not given.detectors and _choice(wanted, wanted.enabled) != _choice(had, had.enabled):
        detectors = tuple(load_detectors(config))
    asked = None if given.detectors else detectors
    engine = now.engine if given.engine else _next_engine(now, config, remotes, asked)
    if not given.behaviour and _choice(wanted, [wanted.behaviour]) != _choice(had, [had.behaviour]):
        behaviour = load_behaviour(config)
    intent = now.intent
    if not given.intent and _choice(wanted, [wanted.intent]) != _choice(had, [had.intent]):
        intent = load_intent(config)
    candidate, left_out = _next_candidate(now, config, remotes)
    if engine is now.engine and candidate is now.candidate:
        if left_out is not None and _but_candidate(config) == _but_candidate(old):
            raise left_out
        if config == old:
            return None
    return Generation(config, detectors, behaviour, engine, candidate, left_out, intent)


def _next_engine(
    now: Generation, config: GuardConfig, remotes: Remotes | None, detectors: Sequence[Detector] | None
) -> PolicyEngine:
    """The engine that runs, if it would be built the same. One that asks a server always is built anew: the files that
    it reads may have changed."""
    wanted, had = config.policy, now.config.policy
    if wanted.engine == "embedded" == had.engine and wanted.entrypoint == had.entrypoint:
        bundle, info = bundle_of(config, remotes), now.engine.info
        same = (bundle.digest, bundle.revision) == (info.digest, info.revision)
        if not same:
            return _built(config, bundle, detectors)
        if detectors is not now.detectors:
            _demand(bundle, detectors)
        return now.engine
    return _built(config, bundle_of(config, remotes), detectors)


def _next_candidate(
    now: Generation, config: GuardConfig, remotes: Remotes | None
) -> tuple[Candidate | None, GuardError | None]:
    """The candidate that watches on if it would be built the same, and why a changed one could not be built."""
    try:
        wanted = build_candidate(config, remotes)
    except GuardError as error:
        return now.candidate, error
    if wanted is None or now.candidate is None:
        return wanted, None
    same = wanted.info == now.candidate.info and wanted.terms == now.candidate.terms
    return now.candidate if same else wanted, None


def _but_candidate(config: GuardConfig) -> GuardConfig:
    return config.model_copy(update={"policy": config.policy.model_copy(update={"candidate": None})})


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


def build_candidate(config: GuardConfig, remotes: Remotes | None = None) -> Candidate | None:
    """The candidate policies that the configuration names, compiled; ``None`` if it names none. Raises
    ``PolicyInvalid``."""
    wanted, as_live = config.policy.candidate, candidate_config(config)
    if wanted is None or as_live is None:
        return None
    from guard.policy.embedded import EmbeddedEngine

    entrypoint = as_live.policy.entrypoint
    try:
        engine = EmbeddedEngine(bundle_of(as_live, remotes), entrypoint, max_steps=MAX_STEPS)
    except PolicyInvalid as error:
        raise as_candidate(error) from None
    return Candidate(engine, entrypoint=entrypoint, share=wanted.share, deadline_ms=wanted.deadline_ms)


def first_policies(
    config: GuardConfig,
    remotes: Remotes,
    engine: PolicyEngine | None = None,
    detectors: Sequence[Detector] | None = None,
) -> tuple[PolicyEngine, Candidate | None, GuardError | None]:
    """The policies to start with: ``engine``, or one that is built, whose demands ``detectors`` must meet; the
    candidate, or why it is left out. Raises ``GuardError``."""
    live = engine or _built(config, bundle_of(config, remotes), detectors)
    return live, *first_candidate(config, remotes)


def _built(config: GuardConfig, bundle: Bundle, detectors: Sequence[Detector] | None) -> PolicyEngine:
    """An engine over a bundle that counts on no finding that none of the detectors gives; ``None``: not asked."""
    engine = build_engine(config, bundle)
    _demand(bundle, detectors)
    return engine


def _demand(bundle: Bundle, detectors: Sequence[Detector] | None) -> None:
    if detectors is not None:
        check_provided(bundle, frozenset[str]().union(*(detector.entities for detector in detectors)))


def first_candidate(config: GuardConfig, remotes: Remotes | None = None) -> tuple[Candidate | None, GuardError | None]:
    """The candidate to start with. One that is downloaded must not keep the guard from starting: then the error, and
    none until the server gives one that can be taken. Raises ``GuardError`` for one that lies on this machine."""
    try:
        return build_candidate(config, remotes), None
    except GuardError as error:
        wanted = config.policy.candidate
        if wanted is None or wanted.bundle is None or not wanted.bundle.remote:
            raise
        _log.warning("the candidate policies are left out for now", error=str(error))
        return None, error


def bundle_of(config: GuardConfig, remotes: Remotes | None = None) -> Bundle:
    """The policies and data of a configuration, loaded and checked; a bundle that is downloaded is the newest of
    ``remotes``. Raises ``PolicyInvalid`` and ``BundleRefused``."""
    return bundle_for(config, remotes)


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
                f"{name!r} is no detector",
                where="detectors.enabled",
                mend="name it in detectors.behaviour or detectors.intent",
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


def load_intent(config: GuardConfig) -> IntentModel | None:
    """The intent model that the configuration names, if any."""
    name = config.detectors.intent
    if not name:
        return None
    instance = _load(name, config.detectors.options.get(name, {}))
    if not isinstance(instance, IntentModel):
        raise ConfigError(f"{name!r} is no intent model", where="detectors.intent", mend='use "intent"')
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
