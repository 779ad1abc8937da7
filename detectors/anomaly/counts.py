"""How many requests of a principal were let in lately: counts in buckets of five seconds over the last minute."""

from __future__ import annotations

from typing import Final

BUCKET_S: Final = 5.0
BUCKETS: Final = 12
SHORT_BUCKETS: Final = 2
SET_BACK_S: Final = BUCKET_S * SHORT_BUCKETS
"""A time that lies further before the last one is of a clock that was set back."""


def later(last_s: float, time_s: float) -> float:
    """The time up to which something is known: the later of both, unless the clock was set back."""
    return time_s if time_s < last_s - SET_BACK_S else max(last_s, time_s)


class Counts:
    """A ring of twelve buckets. Constant memory. A time just before the newest bucket counts as the newest; one before
    those of ten seconds is of a clock that was set back, and begins anew."""

    __slots__ = ("last", "ring")

    def __init__(self) -> None:
        self.ring = [0] * BUCKETS
        self.last = 0

    def bucket(self, time_s: float) -> int:
        """The bucket that ``time_s`` counts in."""
        bucket = int(time_s // BUCKET_S)
        return bucket if bucket < self.last - SHORT_BUCKETS else max(bucket, self.last)

    def within(self, bucket: int, buckets: int) -> int:
        """Requests in the last ``buckets`` buckets up to and with ``bucket``. Changes nothing."""
        if bucket < self.last:
            return 0
        first = max(bucket - buckets + 1, self.last - BUCKETS + 1)
        ring = self.ring
        return sum([ring[index % BUCKETS] for index in range(first, self.last + 1)])

    def add(self, bucket: int) -> None:
        """Count one request in ``bucket``. One before the newest begins anew."""
        if bucket < self.last:
            self.ring = [0] * BUCKETS
            self.last = bucket
        for index in range(max(self.last + 1, bucket - BUCKETS + 1), bucket + 1):
            self.ring[index % BUCKETS] = 0
        self.last = bucket
        self.ring[bucket % BUCKETS] += 1
