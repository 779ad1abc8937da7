"""``TailModel``: how unusual a request is for its principal, with reasons, in microseconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from detectors.anomaly.features import NAMES, SCALES
from detectors.anomaly.lessons import teach
from detectors.anomaly.memory import Memory
from detectors.anomaly.options import NAME, BehaviourOptions
from detectors.anomaly.rating import WINDOWS, Rated, among, rate, told, values_of
from detectors.anomaly.second import SecondOpinion
from detectors.anomaly.state import State, no_levels
from detectors.anomaly.tails import ENOUGH, Levels, N
from detectors.anomaly.watch import SECOND, watch_of
from detectors.common.options import digest, parse_options
from guard.types import Anomaly, BehaviourEvent, BehaviourOutcome, DetectorInfo, Distribution, Effect, Scope

VERSION: Final = "3"
UNAIDED: Final = digest(NAME, VERSION, SCALES)
"""Stands for a model without a second opinion, which has no file."""

DECADES: Final = 5.0
"""The score is ``-log10(p) / DECADES``, at most 1: 0.8 is one in 10,000, 1.0 one in 100,000."""

COLD_EVENTS: Final = 30
COLD_LESSONS: Final = ENOUGH
COLD_CAP: Final = 0.7
"""The most that a newcomer can score, and the most that anything but a rate can score.

A principal is a newcomer until it has taught ``COLD_EVENTS`` requests, and ``COLD_LESSONS`` times a rate: five minutes
in which it sends something at least every five seconds, longer if it sends less. A size does not pass with time as a
rate does: who is denied for one would be denied for good, so it is said and left to a policy of one's own. Both stay
below the shipped threshold of 0.8.
"""
SECOND_FROM: Final = 0.4
"""The score from which the second opinion is asked."""
_KNEE: Final = 0.6
_BEYOND: Final = 1.7
"""From 0.6 on, a score under the cap rises by 0.1 for so many decades."""


class TailModel:
    """Per-principal baselines, one-sided tails, the largest of them as the score.

    Deterministic: time comes with the event and nothing is random. ``score`` teaches nothing. Options:
    ``BehaviourOptions``; raises ``guard.errors.ConfigError`` for an unknown or invalid one. Memory is bounded by
    ``max_principals``, some three kilobytes each. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(BehaviourOptions, options, NAME)
        self._second = SecondOpinion.of(self._options)
        self._memory = Memory(self._options)
        self._nobody = State()
        self._lock = threading.Lock()
        second = self._second.digest if self._second else ""
        version = f"{VERSION}+{self._second.version}" if self._second else VERSION
        self._watch = watch_of(second or UNAIDED, SECOND_FROM)
        self._info = DetectorInfo(NAME, version, digest(NAME, VERSION, self._options, SCALES, second))

    @property
    def info(self) -> DetectorInfo:
        """Name, version (with that of the second opinion's forest after a plus sign), and the digest of options, scales
        and forest."""
        return self._info

    def score(self, event: BehaviourEvent) -> Anomaly:
        """How unusual the event is, counted as if it had just been let in. Teaches nothing: no score depends on it.

        Each feature's ``expected`` is in the unit of its value; ``share`` is its part of the evidence (decades of tail
        probability beyond one half) among those that are told.
        """
        with self._lock:
            rated, state, group = self._rated(event)
            cold = state.events < COLD_EVENTS or state.levels[N] < COLD_LESSONS
            settled = group is not None and group[N] >= ENOUGH
        hard = max([one.decades for one in rated[: len(WINDOWS)]])
        others = [one.decades for one in rated[len(WINDOWS) :]]
        capped = _capped(max(hard, among(len(others), max(others, default=0.0))))
        score = capped if cold else max(capped, min(hard / DECADES, 1.0))
        second = None
        if self._second is not None and score >= SECOND_FROM:
            second = self._second.score([(one.at, one.z) for one in rated])
            self._watch.also(SECOND, second)
        self._watch.observe((score,))
        scope: Scope = "own" if not cold else "group" if settled else "global"
        return Anomaly(score, told(rated), scope, second)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Count an event that was let in, and teach the baselines by it. A denied one changes no score; one that is
        flagged counts, and teaches nothing."""
        with self._lock:
            crowd, groups = self._memory.crowd(event), self._memory.groups
            state = crowd.states.touch(event.principal)
            if effect != "allow":
                return
            group = None
            if event.group:
                held = groups.touch(event.group)
                group = groups.put(event.group, no_levels()) if held is None else held
            state = state or crowd.states.put(event.principal, State())
            teach(crowd, state, group, event, relearn_s=self._options.relearn_hours * 3600.0)

    def settle(self, event: BehaviourEvent, outcome: BehaviourOutcome) -> None:
        """Take in what came of an event that was let in: it shows in the principal's next events."""
        with self._lock:
            state = self._memory.crowd(event).states.get(event.principal)
            if state is not None and not (event.elsewhere and state.outlived(outcome.time_s)):
                state.answers.settle(outcome)

    def counters(self) -> dict[str, int]:
        """The scores since the start, in bins: ``docs/models.md``."""
        return self._watch.counters()

    def measures(self) -> dict[str, float]:
        """Drift of the scores against their own past, the share of those that flag, and how many are remembered."""
        memory = self._memory
        known = {"principals": len(memory.members.states), "anonymous": len(memory.guests.states)}
        return {**self._watch.measures(), **known}

    def distribution(self) -> Distribution:
        """The scores since the start, in bins."""
        return self._watch.distribution()

    def dump(self) -> bytes:
        """All that was learned, as bytes. Scores and lessons go on meanwhile."""
        return self._memory.dump(self._lock, self._watch.kept())

    def restore(self, data: bytes) -> None:
        """Take the place of what was learned so far. Raises ``ValueError`` for what ``dump`` of this version did not
        write; nothing has changed then."""
        memory = Memory.load(data, self._options)
        self._watch.restore(memory.scores)
        with self._lock:
            self._memory = memory

    # For training and for benchmarks ---------------------------------------------------------------------------------

    def row(self, event: BehaviourEvent) -> list[float]:
        """What the baselines hold of the event, one number for each feature of ``NAMES``; 0 for what it has not."""
        return self._row(event, lambda one: one.x)

    def zs(self, event: BehaviourEvent) -> list[float]:
        """One z for each feature of ``NAMES``, 0 for what the event has not: what the second opinion sees."""
        return self._row(event, lambda one: one.z)

    def _row(self, event: BehaviourEvent, take: Callable[[Rated], float]) -> list[float]:
        row = [0.0] * len(NAMES)
        with self._lock:
            for one in self._rated(event)[0]:
                row[one.at] = take(one)
        return row

    def _rated(self, event: BehaviourEvent) -> tuple[list[Rated], State, Levels | None]:
        memory = self._memory
        crowd = memory.crowd(event)
        state = crowd.states.get(event.principal) or self._nobody
        group = memory.groups.get(event.group) if event.group else None
        rated = [rate(crowd.tails[at], state, group, at, value) for at, value in values_of(crowd, state, event)]
        return rated, state, group


def _capped(decades: float) -> float:
    """A score that stays below the cap, and still tells what is rarer: from 0.6 on more slowly."""
    return min(decades / DECADES, _KNEE + (COLD_CAP - _KNEE) * (decades - _KNEE * DECADES) / _BEYOND, COLD_CAP)
