"""What callers have used of their budgets: moving windows, bounded in number and in size.

A window counts what was taken in the last ``window_ns``. Its first ``EXACT`` events stand one by one; more of them are
joined, those of one ``SLOTS``-th of the window into one that leaves with its youngest. So a window never admits more
than its budget in any span of its length, however the events fall, and keeps at most ``MOST`` numbers for that. What
it costs: under load, room comes back up to ``window / SLOTS`` late.

A counter that still counts is never dropped to make room for another, for that would give its owner a new budget. Used
from one event loop; no locks, and nothing here waits.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Final

import msgspec

EXACT: Final = 32
SLOTS: Final = 64
MOST: Final = EXACT + SLOTS + 2
NEVER: Final = -1
"""The wait for an amount that is larger than the budget itself."""
_SWEPT_AT_ONCE: Final = 2


class Window:
    """One moving window. Times are nanoseconds of one clock that never goes back."""

    __slots__ = ("_amounts", "_began", "_ends", "_first", "_length", "total")

    def __init__(self, window_ns: int) -> None:
        self.total = 0
        self._length = window_ns
        self._ends = array("q")
        self._amounts = array("q")
        self._first = 0  # the number of the event at index 0: numbers stay when events leave
        self._began = 0

    @property
    def ends_at(self) -> int:
        """When nothing of it counts any longer, if nothing is added."""
        return self._ends[-1] + self._length if self._ends else 0

    @property
    def size(self) -> int:
        """How many events are kept, ``MOST`` at most."""
        return len(self._ends)

    def expire(self, now: int) -> None:
        """Forget what was taken a whole window ago, or earlier."""
        ends, limit, gone = self._ends, now - self._length, 0
        while gone < len(ends) and ends[gone] <= limit:
            self.total -= self._amounts[gone]
            gone += 1
        if gone:
            del ends[:gone], self._amounts[:gone]
            self._first += gone

    def wait(self, now: int, amount: int, budget: int) -> int:
        """In how many nanoseconds ``amount`` fits into the budget: 0 for now, ``NEVER`` if it is larger than that."""
        if amount > budget:
            return NEVER
        excess = self.total + amount - budget
        if excess <= 0:
            return 0
        for end, freed in zip(self._ends, self._amounts, strict=True):
            excess -= freed
            if excess <= 0:
                return end + self._length - now
        raise AssertionError("the events of a window do not add up to its total")

    def add(self, now: int, amount: int) -> int:
        """Take an amount now; returns the number under which it can be given back."""
        self.total += amount
        if len(self._ends) >= EXACT and now - self._began < self._length // SLOTS:
            self._ends[-1] = now
            self._amounts[-1] += amount
        else:
            self._ends.append(now)
            self._amounts.append(amount)
            self._began = now
        return self._first + len(self._ends) - 1

    def give_back(self, number: int, amount: int) -> None:
        """Give back at most what was taken under this number; nothing if that counts no longer."""
        index = number - self._first
        if index >= 0:
            amount = min(amount, self._amounts[index])
            self._amounts[index] -= amount
            self.total -= amount


class Draw(msgspec.Struct, frozen=True, gc=False):
    """What an exchange would take from one counter. ``key`` names the counter, 16 bytes of a keyed hash."""

    key: bytes
    amount: int
    budget: int
    window_ns: int


class Shortage(msgspec.Struct, frozen=True, gc=False):
    """A draw that its counter does not allow. ``wait_ns`` says when it will, if nobody else takes from it (``NEVER``
    for an amount larger than the budget); ``full`` that there is no room for another counter."""

    draw: Draw
    wait_ns: int
    full: bool = False


class Taken(msgspec.Struct, frozen=True):
    """What was taken from one counter, so that it can be corrected."""

    draw: Draw
    window: Window
    number: int


class Counters:
    """All windows of a process, at most ``max_keys`` of them."""

    def __init__(self, *, max_keys: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.max_keys = max_keys
        self._clock = clock
        # By length, each in the order of its windows' youngest events: the first is the first that ends.
        self._groups: dict[int, OrderedDict[bytes, Window]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def take(self, draws: Sequence[Draw]) -> tuple[Sequence[Taken], Sequence[Shortage]]:
        """Take all of the draws, or none: one of the two answers is empty. The keys of the draws differ.

        The shortages come longest wait first, ``NEVER`` before all others.
        """
        now = self._clock()
        missing: list[Draw] = []
        short: list[Shortage] = []
        for draw in draws:
            window = self._live(draw, now)
            if window is None:
                missing.append(draw)
                wait = NEVER if draw.amount > draw.budget else 0
            else:
                wait = window.wait(now, draw.amount, draw.budget)
            if wait:
                short.append(Shortage(draw, wait))
        if not short and missing and (room := self._wait_for_room(draws, missing, now)):
            short = [Shortage(draw, room, full=True) for draw in missing]
        if short:
            return (), sorted(short, key=lambda one: (one.wait_ns != NEVER, -one.wait_ns, one.draw.key))
        return [self._add(draw, draw.amount, now) for draw in draws], ()

    def correct(self, taken: Taken, amount: int) -> None:
        """Let it be ``amount`` that was taken. Less gives the rest back; more is taken now, even past the budget and
        past ``max_keys``, because it has been used already."""
        reserved = taken.draw.amount
        if amount < reserved:
            taken.window.give_back(taken.number, reserved - amount)
        elif amount > reserved:
            now = self._clock()
            self._live(taken.draw, now)
            self._add(taken.draw, amount - reserved, now)

    def _live(self, draw: Draw, now: int) -> Window | None:
        """The counter of this key, up to date."""
        group = self._sweep(draw.window_ns, now, _SWEPT_AT_ONCE)
        window = group.get(draw.key) if group else None
        if window is not None:
            window.expire(now)
        return window

    def _add(self, draw: Draw, amount: int, now: int) -> Taken:
        group = self._groups.get(draw.window_ns)
        if group is None:
            group = self._groups[draw.window_ns] = OrderedDict()
        window = group.get(draw.key)
        if window is None:
            window = group[draw.key] = Window(draw.window_ns)
            self._size += 1
        else:
            group.move_to_end(draw.key)
        return Taken(draw, window, window.add(now, amount))

    def _wait_for_room(self, draws: Sequence[Draw], missing: Sequence[Draw], now: int) -> int:
        """In how many nanoseconds there is room for the missing counters: 0 for now."""
        if self._size + len(missing) <= self.max_keys:
            return 0
        for length in list(self._groups):
            self._sweep(length, now, self._size + len(missing) - self.max_keys)
        lacking = self._size + len(missing) - self.max_keys
        if lacking <= 0:
            return 0
        own = {draw.key for draw in draws}
        ends = (
            window.ends_at
            for group in self._groups.values()
            for key, window in islice(group.items(), lacking + len(own))
            if key not in own
        )
        return nsmallest(lacking, ends)[-1] - now

    def _sweep(self, length: int, now: int, most: int) -> OrderedDict[bytes, Window] | None:
        """The counters of one length, without the first of them as far as those count no longer; ``None`` if there are
        none left."""
        group = self._groups.get(length)
        if group is None:
            return None
        for _ in range(most):
            if not group or next(iter(group.values())).ends_at > now:
                break
            group.popitem(last=False)
            self._size -= 1
        if group:
            return group
        del self._groups[length]
        return None
