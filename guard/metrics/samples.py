"""The state of a guard as samples of the catalogue's metrics. Knows no library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final, NamedTuple

from guard.condition import Health, report
from guard.exchange import Services
from guard.exchange.meter import EDGES_SECONDS, Durations, Meter
from guard.monitored import distribution_of, measures_of
from guard.record.log import SignedLog
from guard.runtime import Runtime
from guard.types import BehaviourModel, Detector, IntentModel

_DIGITS: Final = 12
_MEASURES: Final = {
    "judged": "model_judged",
    "moved": "model_mean_moves",
    "window": "model_window_scores",
    "flagged": "model_flagged_ratio",
    "shadow.disagreement": "model_shadow_disagreement_ratio",
    "principals": "model_principals",
}
"""Names of measures (``docs/models.md``) that have a metric of their own."""
_PSI: Final = "psi."


class Bins(NamedTuple):
    """What a histogram holds: the upper bound of each bin, how many values lie up to it, and the sum of all; the last
    of ``upto`` is how many there are."""

    edges: tuple[float, ...]
    upto: tuple[int, ...]
    total: float


class Sample(NamedTuple):
    """A value of one metric, for these values of its labels."""

    name: str
    value: float | Bins
    labels: tuple[str, ...] = ()


def samples(runtime: Runtime) -> Iterator[Sample]:
    """All there is to tell. From any thread."""
    health = report(runtime)
    yield Sample("build", 1, (health.version,))
    yield Sample("ready", health.status != "failed")
    yield Sample("degraded", health.status == "degraded")
    if health.error_code:
        yield Sample("start_error", 1, (health.error_code,))
    if health.config_digest:
        yield Sample("config", 1, (health.config_digest[:_DIGITS],))
    yield from _decided(runtime.tally.meter)
    yield from _counted(runtime)
    yield from _engine(health)
    yield from _candidate(health, runtime.tally.meter)
    yield from _log(health)
    yield from _sharing(health)
    if runtime.services is not None:
        yield from _models(runtime.services)


def origin_of(runtime: Runtime) -> str:
    """The name of the log that this process writes; ``""`` before it is open, or for another kind of log."""
    log = runtime.services.log if runtime.services else None
    directory = log.directory if isinstance(log, SignedLog) else None
    return directory.name if directory else ""


def _decided(meter: Meter) -> Iterator[Sample]:
    counters: tuple[tuple[str, Mapping[tuple[str, str], int]], ...] = (
        ("decisions", meter.decisions),
        ("denials", meter.denials),
        ("shadow_denials", meter.shadow_denials),
        ("findings", meter.findings),
        ("redactions", meter.redactions),
        ("detector_incomplete", meter.incomplete),
    )
    for name, counts in counters:
        for key, count in dict(counts).items():  # a copy: the event loop may add one meanwhile
            yield Sample(name, count, key)
    yield Sample("decision_duration_seconds", _bins(meter.requests))
    for stage, durations in dict(meter.policies).items():
        yield Sample("policy_duration_seconds", _bins(durations), (stage,))
    for detector, durations in dict(meter.detectors).items():
        yield Sample("detector_duration_seconds", _bins(durations), (detector,))
    yield Sample("unwritten", meter.unwritten)


def _counted(runtime: Runtime) -> Iterator[Sample]:
    tally, pressure = runtime.tally, runtime.pressure
    yield Sample("fail_open", tally.fail_open)
    yield Sample("unrecorded", tally.unrecorded)
    yield Sample("overloaded", tally.overloaded)
    yield Sample("excluded_requests", runtime.excluded_requests)
    yield Sample("health_requests", runtime.health_requests)
    yield Sample("exchanges", pressure.exchanges)
    yield Sample("exchanges_limit", pressure.max_exchanges)
    yield Sample("buffered_bytes", pressure.bytes)
    yield Sample("buffered_bytes_limit", pressure.max_bytes)


def _engine(health: Health) -> Iterator[Sample]:
    engine, reload = health.engine, health.reload
    if engine is not None:
        yield Sample("engine", 1, (engine.name, engine.version, engine.revision))
        yield Sample("engine_healthy", engine.healthy)
    if reload is not None:
        yield Sample("reloads", reload.reloads)
        yield Sample("reload_failures", reload.failures)
        yield Sample("reload_watching", reload.watching)
        if reload.last_error_code:
            yield Sample("reload_refused", 1, (reload.last_error_code,))
    for bundle in health.bundles:
        yield Sample("bundle_failures", bundle.failures, (bundle.name,))
        yield Sample("bundle_last_good", bundle.last_good, (bundle.name,))
        if bundle.answered_seconds_ago >= 0:
            yield Sample("bundle_answer_age_seconds", bundle.answered_seconds_ago, (bundle.name,))


def _candidate(health: Health, meter: Meter) -> Iterator[Sample]:
    candidate = health.candidate
    if candidate is not None:
        yield Sample("candidate", 1, (candidate.revision,))
        yield Sample("candidate_evaluations", candidate.judged)
        yield Sample("candidate_failures", candidate.failed)
        yield Sample("candidate_changes", meter.candidate_changed)
        yield Sample("candidate_paused", candidate.paused)


def _log(health: Health) -> Iterator[Sample]:
    log = health.log
    if log is None:
        return
    yield Sample("log_writable", log.writable)
    yield Sample("log_queued_records", log.queued)
    yield Sample("log_size_records", log.size)
    yield Sample("log_checkpoint_age_seconds", log.checkpoint_age_seconds)
    for anchor in log.anchors:
        yield Sample("anchor_size_records", anchor.size, (anchor.name,))
        yield Sample("anchor_failures", anchor.failures, (anchor.name,))


def _sharing(health: Health) -> Iterator[Sample]:
    sharing = health.sharing
    if sharing is not None:
        yield Sample("sharing_failures", sharing.failures)
        yield Sample("sharing_queued_lessons", sharing.queued)
        yield Sample("sharing_attempts_failed", sharing.failed)
        yield Sample("sharing_lessons_sent", sharing.sent)
        yield Sample("sharing_lessons_received", sharing.received)
        yield Sample("sharing_lessons_dropped", sharing.dropped)
        yield Sample("sharing_lessons_missed", sharing.missed)
        yield Sample("sharing_lessons_ahead", sharing.ahead)
        yield Sample("sharing_messages_refused", sharing.refused)
        yield Sample("sharing_snapshots", sharing.snapshots)


def _models(services: Services) -> Iterator[Sample]:
    told: set[tuple[str, str]] = set()
    for part in (*services.pipeline.detectors, services.behaviour, services.intent):
        if not isinstance(part, Detector | BehaviourModel | IntentModel):
            continue
        which = part.info.name, part.info.version
        if which in told:
            continue  # Prometheus refuses a page on which a series stands twice
        told.add(which)
        yield Sample("detector", 1, which)
        for name, value in measures_of(part).items():
            if name in _MEASURES:
                yield Sample(_MEASURES[name], value, which)
            elif name.startswith(_PSI):
                yield Sample("model_psi", value, (*which, name.removeprefix(_PSI)))
            else:
                yield Sample("model_measure", value, (*which, name))
        scores = distribution_of(part)
        if scores is not None:
            yield Sample("model_score", Bins(scores.edges, tuple(accumulate(scores.counts)), scores.total), which)


def _bins(durations: Durations) -> Bins:
    return Bins(EDGES_SECONDS, tuple(accumulate(durations.counts)), durations.seconds)
