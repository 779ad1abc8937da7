"""Those who are compared with each other: principals, everybody's baselines and tails, and what everybody uses."""

from __future__ import annotations

from detectors.anomaly.features import SCALES
from detectors.anomaly.habits import Customs
from detectors.anomaly.state import Lately, State, no_levels
from detectors.anomaly.tails import WIDTH, Tail


class Crowd:
    """Bounded by the number of principals that it remembers."""

    __slots__ = ("customs", "everybody", "states", "tails")

    def __init__(self, most: int) -> None:
        self.everybody = no_levels()
        self.tails = tuple(Tail(scale, at * WIDTH, self.everybody) for at, scale in enumerate(SCALES.values()))
        self.customs = Customs()
        self.states: Lately[State] = Lately(most)
