"""Is it flat? Samples of a process's vital signs in, a verdict out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

WARM_UP: Final = 0.2
"""The share of the run in which caches fill, pools grow and the allocator finds its size."""
TOLERATED_BYTES: Final = 5 * 2**20
TOLERATED_SHARE: Final = 0.03
COUNTED: Final = ("fds", "threads", "tasks")
POOLS: Final = {"threads": 4 + 4 + 6 + 4}
"""What pools may come to, however late: detectors, bodies, the loop's executor on two cores; and the loop, the log, the
watcher of files and its notices."""


class Sample(NamedTuple):
    """What was seen when ``requests`` had been answered and none was under way."""

    requests: int
    signs: dict[str, float]


class Trend(NamedTuple):
    """A straight line through the samples after the warm-up. ``growth`` is what it rises by over them.

    ``error`` is the standard error of ``growth`` (ordinary least squares): a growth below twice of it is no evidence.
    """

    level: float
    growth: float
    error: float


def trend(samples: Sequence[Sample], sign: str) -> Trend:
    """The trend of one vital sign. Needs two samples or more."""
    xs = [float(sample.requests) for sample in samples]
    ys = [sample.signs[sign] for sample in samples]
    count = len(xs)
    x_mean, y_mean = sum(xs) / count, sum(ys) / count
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    residual = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in zip(xs, ys, strict=True))
    error = math.sqrt(residual / (count - 2) / spread) if count > 2 else math.inf
    span = xs[-1] - xs[0]
    return Trend(y_mean, slope * span, error * span)


def warm(samples: Sequence[Sample]) -> list[Sample]:
    """The samples after the warm-up."""
    return [sample for sample in samples if sample.requests >= WARM_UP * samples[-1].requests]


def flaws(samples: Sequence[Sample]) -> list[str]:
    """Why the run is not flat, in sentences; empty if it is."""
    kept = warm(samples)
    if len(kept) < 3:
        return ["too few samples after the warm-up for a verdict: ask for more requests"]
    rss, blocks, native = trend(kept, "rss_bytes"), trend(kept, "blocks"), trend(kept, "native_bytes")
    found = []
    if rss.growth > max(TOLERATED_BYTES, TOLERATED_SHARE * rss.level):
        found.append(f"memory grew by {rss.growth / 2**20:.1f} MiB over {rss.level / 2**20:.0f} MiB")
    # RE2's memory of states rises and falls like a saw: only a growth that it does not explain counts.
    if native.growth - 2 * native.error > TOLERATED_BYTES:
        found.append(f"native memory in use grew by {native.growth / 2**20:.1f} MiB")
    if blocks.growth > TOLERATED_SHARE * blocks.level:
        found.append(f"live objects grew by {blocks.growth:.0f} blocks over {blocks.level:.0f}")
    half = len(kept) // 2
    for sign in COUNTED:
        # A pool makes a thread when all of its others are busy: it may be full only late.
        most, last = max(sample.signs[sign] for sample in kept[:half]), kept[-1].signs[sign]
        if last > max(most, POOLS.get(sign, 0)):
            found.append(f"{sign} rose from at most {most:.0f} in the first half to {last:.0f}")
    return found
