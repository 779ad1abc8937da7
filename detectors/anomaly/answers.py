"""What a principal's latest answers came to: known only after the request, so it speaks about the next one."""

from __future__ import annotations

import math
from array import array
from typing import Final

from detectors.anomaly.counts import later
from detectors.anomaly.features import bounded
from guard.types import BehaviourOutcome

FRESH_S: Final = 900.0
"""Answers speak for this long."""
SPENT_S: Final = 3600.0
"""Time in which what was spent fades by the factor e."""
OUT_WEIGHT: Final = 4.0
"""Tokens of an answer count so many times those of a request in a cost without prices: about what price lists say."""
_WEIGHT: Final = 0.35
_FADE: Final = 0.95
_PRIOR: Final = 10.0

_LAST, _TOKENS, _SEEN, _ERRORS, _REFUSALS, _COST, _COST_S, _NEW = range(8)


class Answers:
    """Decayed sums of one principal. Constant memory."""

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums = array("d", [0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    def settle(self, outcome: BehaviourOutcome) -> None:
        """Take an answer in."""
        sums, time_s = self.sums, outcome.time_s
        tokens = None if outcome.tokens_out is None else bounded(outcome.tokens_out)
        if time_s - sums[_LAST] > FRESH_S:
            sums[_TOKENS] = -1.0
            sums[_SEEN] = sums[_ERRORS] = sums[_REFUSALS] = 0.0
        sums[_LAST] = later(sums[_LAST], time_s)
        if tokens is not None:
            held = sums[_TOKENS]
            sums[_TOKENS] = tokens if held < 0.0 else held + _WEIGHT * (tokens - held)
            self.spend(time_s, OUT_WEIGHT * tokens)
        for index, one in ((_SEEN, 1.0), (_ERRORS, outcome.error), (_REFUSALS, outcome.refused)):
            sums[index] = _FADE * sums[index] + one
        sums[_NEW] = 1.0

    def spend(self, time_s: float, amount: float) -> None:
        """Add to what was spent."""
        spent = self.cost(time_s)
        self.sums[_COST_S] = later(self.sums[_COST_S], time_s)
        self.sums[_COST] = spent + bounded(amount)

    def cost(self, time_s: float) -> float:
        """What was spent lately: a sum that fades within an hour."""
        elapsed = max(0.0, time_s - self.sums[_COST_S])
        return self.sums[_COST] * math.exp(-elapsed / SPENT_S)

    def take_news(self) -> bool:
        """Whether an answer came since this was asked last."""
        news = self.sums[_NEW] > 0.0
        self.sums[_NEW] = 0.0
        return news

    def latest(self, time_s: float) -> tuple[float, float, float] | None:
        """Tokens of an answer (-1 where they are unknown), share of errors, share of refusals; ``None`` where no
        answer came lately."""
        sums = self.sums
        if not sums[_SEEN] or time_s - sums[_LAST] > FRESH_S:
            return None
        known = sums[_SEEN] + _PRIOR
        return sums[_TOKENS], sums[_ERRORS] / known, sums[_REFUSALS] / known
