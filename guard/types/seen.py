"""What detectors and behaviour models see, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from guard.types.read import Facts, Segment
from guard.types.words import Effect, Stage


class Finding(msgspec.Struct, frozen=True, gc=False):
    """Something that a detector saw in ``segments[segment].text[start:end]`` (code points of the original text).

    ``evidence`` names the pattern or rule that matched and is free of personal data: it enters the log.
    """

    type: str
    segment: int
    start: int
    end: int
    score: float
    detector: str
    evidence: str = ""


class DetectContext(msgspec.Struct, frozen=True):
    """What a detector may know beside the text. ``deadline`` is a value of ``time.monotonic()``, in seconds;
    ``media_type`` that of the body without parameters, ``""`` where there is none or it is not known."""

    stage: Stage
    deadline: float
    media_type: str = ""


class DetectorInfo(msgspec.Struct, frozen=True):
    """How a detector stands in the record. ``digest`` identifies its configuration and model."""

    name: str
    version: str
    digest: str


class DetectorOutcome(msgspec.Struct, frozen=True):
    """How one detector fared with one body: ``ok``, or the reason of its ``Incomplete``."""

    info: DetectorInfo
    outcome: str
    duration_us: int


@runtime_checkable
class Detector(Protocol):
    """Pure for its input, bounded in memory and time, safe to call from several threads."""

    @property
    def info(self) -> DetectorInfo:
        """How it stands in the record."""
        ...

    @property
    def entities(self) -> frozenset[str]:
        """The types of finding that this detector can return."""
        ...

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """All findings of the segments. Raises ``guard.errors.DetectionIncomplete`` if it could not finish."""
        ...


@runtime_checkable
class Monitored(Protocol):
    """A ``Detector``, ``BehaviourModel`` or ``IntentModel`` that tells how its model fares. One may do without. Both
    are called from any thread, now and then; numbers only, never a text."""

    def counters(self) -> Mapping[str, int]:
        """What it counted since it was made, for the heartbeats of the log: few hundred names, none of them chosen by a
        client. What is zero may be absent."""
        ...

    def measures(self) -> Mapping[str, float]:
        """What is to be watched now, such as drift, for health and metrics."""
        ...


class Distribution(msgspec.Struct, frozen=True):
    """Scores (0..1) that were counted in bins: ``counts[i]`` those up to ``edges[i]`` and above the edge before, the
    last of them those above all edges. The edges rise; ``total`` is the sum of the scores."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@runtime_checkable
class Distributed(Protocol):
    """A ``Monitored`` one that tells, too, how its scores are distributed. One may do without."""

    def distribution(self) -> Distribution:
        """The scores since it was made. From any thread."""
        ...


class Intent(msgspec.Struct, frozen=True):
    """What a request asks a model for. ``score`` is how likely ``name`` is right, ``difficulty`` how hard the task
    reads; both lie in 0..1."""

    name: str
    score: float
    difficulty: float


@runtime_checkable
class IntentModel(Protocol):
    """Pure for its input, bounded in memory and time, safe to call from several threads."""

    @property
    def info(self) -> DetectorInfo:
        """How it stands in the record."""
        ...

    def classify(self, segments: Sequence[Segment], facts: Facts) -> Intent | None:
        """What the request asks for; ``None`` where it asks a model for nothing, or nothing can be said. Called on the
        event loop: it takes microseconds, whatever the size of the segments."""
        ...


class BehaviourEvent(msgspec.Struct, frozen=True):
    """One request as a behaviour model sees it: a pseudonymous principal, a time, and numbers.

    ``group`` stands for the principal's tenant, ``""`` for none. ``labels`` are what the request used, by kind:
    ``endpoint``, ``model``, ``agent``, ``network``, ``tools``. Both are keyed pseudonyms or names of the
    configuration, never raw text. ``anonymous``: the principal is an address, which costs nothing to change.
    ``pending``: requests of the principal that are not decided yet, and count like those that were let in.
    ``elsewhere``: another replica let it in, so it may be told after later ones; who tells it early has no clock that
    was set back.
    """

    principal: str
    time_s: float
    features: Mapping[str, float]
    group: str = ""
    labels: Mapping[str, tuple[str, ...]] = {}
    anonymous: bool = False
    elsewhere: bool = False
    pending: int = 0


class BehaviourOutcome(msgspec.Struct, frozen=True):
    """What came of an event that was let in: ``tokens_out`` of the answer (``None``: unknown), whether it was an
    ``error`` (a status of 400 or more, or none), and whether it was ``refused`` (withheld or stopped by the policy)."""

    time_s: float
    tokens_out: float | None = None
    error: bool = False
    refused: bool = False


Scope = Literal["own", "group", "global"]
"""Whose past an event was compared with: the principal's own, that of its group, or that of everybody."""


class Feature(msgspec.Struct, frozen=True):
    """One feature's part in an anomaly. ``share`` lies in 0..1; the shares of one anomaly sum to 1 or are all 0.

    ``spread`` is what one standard deviation adds to ``expected``, in its unit, 0 where it is not known; ``rarity`` is
    ``-log10`` of how often a value is at least so high: 3 is one in a thousand, and 0 where it is not known. ``drift``:
    not this value but how long it has stayed above what it was is what is rare.
    """

    name: str
    value: float
    expected: float
    share: float
    spread: float = 0.0
    rarity: float = 0.0
    drift: bool = False


class Anomaly(msgspec.Struct, frozen=True):
    """How unusual an event is for its principal. ``features`` come most unusual first.

    ``scope`` says whose past it was compared with, ``None`` where the model does not tell. ``second`` is a second
    opinion on the whole event in 0..1, ``None`` where none was asked; it has no part in ``score``.
    """

    score: float
    features: tuple[Feature, ...] = ()
    scope: Scope | None = None
    second: float | None = None


@runtime_checkable
class BehaviourModel(Protocol):
    """Learns what is usual for each principal. Bounded in memory; time arrives with the event."""

    @property
    def info(self) -> DetectorInfo:
        """How it stands in the record."""
        ...

    def score(self, event: BehaviourEvent) -> Anomaly:
        """How unusual the event is. Changes nothing."""
        ...

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Take the event into the baseline. A denied one neither counts nor teaches."""
        ...


@runtime_checkable
class OutcomeLearner(Protocol):
    """A ``BehaviourModel`` that also learns from what came of the events that were let in. A model may do without."""

    def settle(self, event: BehaviourEvent, outcome: BehaviourOutcome) -> None:
        """Take the outcome of an event in. It speaks about the principal's next events."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A ``BehaviourModel`` whose memory survives a restart. A model may do without. Both are called off the event loop,
    while ``score`` and ``learn`` go on."""

    def dump(self) -> bytes:
        """All that was learned; free of raw text."""
        ...

    def restore(self, data: bytes) -> None:
        """Take the place of what was learned so far. Raises ``ValueError`` for what ``dump`` did not write, or what
        another version wrote; the memory stays as it is then."""
        ...
