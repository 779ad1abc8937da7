"""What detectors and behaviour models see, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from guard.types.read import Segment
from guard.types.words import Effect, Stage


class Finding(msgspec.Struct, frozen=True, gc=False):
    """Something that a detector saw in ``segments[segment].text[start:end]`` (code points of the original text).

    ``evidence`` names the pattern or rule that matched and is free of personal data.
    """

    type: str
    segment: int
    start: int
    end: int
    score: float
    detector: str
    evidence: str = ""


class DetectContext(msgspec.Struct, frozen=True):
    """What a detector may know beside the text. ``deadline`` is a value of ``time.monotonic()``, in seconds."""

    stage: Stage
    deadline: float


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


class BehaviourEvent(msgspec.Struct, frozen=True):
    """One request as a behaviour model sees it: a pseudonymous principal, a time, and numbers."""

    principal: str
    time_s: float
    features: Mapping[str, float]


class Feature(msgspec.Struct, frozen=True):
    """One feature's part in an anomaly. ``share`` lies in 0..1; the shares of one anomaly sum to 1 or are all 0."""

    name: str
    value: float
    expected: float
    share: float


class Anomaly(msgspec.Struct, frozen=True):
    """How unusual an event is for its principal. ``features`` come most unusual first."""

    score: float
    features: tuple[Feature, ...] = ()


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
