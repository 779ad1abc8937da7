"""What detectors and behaviour models tell of themselves (``guard.types.Monitored``), taken with care: code that is not
ours must neither silence the log's heartbeats nor name things in it as it likes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

from guard.errors import place_of
from guard.telemetry import get_logger
from guard.types import Distributed, Distribution, Monitored

MAX_NAMES: Final = 256
"""Names that one part may tell; what comes after them is left out."""
MAX_BINS: Final = 64
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,95}")
_LARGEST: Final = 2**53 - 1

_log = get_logger("guard.monitored")


def counters_of(parts: Iterable[object]) -> dict[str, int]:
    """The counters of all parts together. What raises, or is no counter, is left out and logged."""
    found: dict[str, int] = {}
    for part in parts:
        if isinstance(part, Monitored):
            told = _told(part, "counters")
            found |= {name: value for name, value in told.items() if isinstance(value, int) and 0 <= value <= _LARGEST}
    return found


def measures_of(part: object) -> dict[str, float]:
    """What one part measures of itself; empty for one that does not."""
    if not isinstance(part, Monitored):
        return {}
    told = _told(part, "measures")
    return {
        name: float(value) for name, value in told.items() if isinstance(value, int | float) and math.isfinite(value)
    }


def distribution_of(part: object) -> Distribution | None:
    """How the scores of one part are distributed; ``None`` for one that does not tell, or tells what is none."""
    if not isinstance(part, Distributed):
        return None
    try:
        told = part.distribution()
        edges, counts, total = tuple(map(float, told.edges)), tuple(map(int, told.counts)), float(told.total)
    except Exception as error:  # noqa: BLE001 - whatever it raises, the metrics go on
        _log.error("a detector does not tell its scores", exception=type(error).__name__, where=place_of(error))
        return None
    rising = all(a < b for a, b in pairwise(edges)) and all(map(math.isfinite, (*edges, total)))
    sound = rising and 0 < len(edges) <= MAX_BINS and len(counts) == len(edges) + 1 and min(counts) >= 0
    return Distribution(edges, counts, total) if sound else None


def _told(part: Monitored, what: str) -> Mapping[str, Any]:
    try:
        told = dict(getattr(part, what)())
    except Exception as error:  # noqa: BLE001 - whatever it raises, the heartbeat goes on
        _log.error("a detector does not tell how it fares", exception=type(error).__name__, where=place_of(error))
        return {}
    names = [name for name in told if isinstance(name, str) and _NAME.fullmatch(name)]
    return {name: told[name] for name in names[:MAX_NAMES]}
