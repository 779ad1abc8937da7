"""How many requests of a principal were let in lately: counts in buckets of five seconds over the last minute."""

from __future__ import annotations

from typing import Final

BUCKET_S: Final = 5.0
BUCKETS: Final = 12
SHORT_BUCKETS: Final = 2


class Counts:
    """A ring of twelve buckets. Constant memory; a time before the newest bucket counts as the newest."""

    __slots__ = ("last", "ring")

    def __init__(self) -> None:
        self.ring = [0] * BUCKETS
        self.last = 0

    def bucket(self, time_s: float) -> int:
        """The bucket that ``time_s`` counts in."""
        return max(int(time_s // BUCKET_S), self.last)

    def within(self, bucket: int, buckets: int) -> int:
        """Requests in the last ``buckets`` buckets up to and with ``bucket``. Changes nothing."""
        first = max(bucket - buckets + 1, self.last - BUCKETS + 1)
        ring = self.ring
        return sum([ring[index % BUCKETS] for index in range(first, self.last + 1)])

    def add(self, bucket: int) -> None:
        """Count one request in ``bucket``, which is not older than the newest."""
        for index in range(max(self.last + 1, bucket - BUCKETS + 1), bucket + 1):
            self.ring[index % BUCKETS] = 0
        self.last = bucket
        self.ring[bucket % BUCKETS] += 1
