"""How much the exchanges of a process may hold at once, and the account that each of them has.

Two bounds, checked where something is taken, never by waiting: ``max_exchanges`` counts exchanges between the last byte
of their body and the call of the app, which is where the guard works; ``max_buffered_bytes`` counts the bytes of
bodies and answers that are held. So neither an idle stream nor a slow client takes a place that others need
(``docs/adr/0007-shed-load-at-the-door.md``). Used from one event loop; no locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from guard.errors import Overloaded


class Pressure:
    """What all exchanges hold together."""

    def __init__(self, *, max_exchanges: int, max_bytes: int) -> None:
        self.max_exchanges = max_exchanges
        self.max_bytes = max_bytes
        self.exchanges = 0
        self.bytes = 0

    def admit(self) -> None:
        """An exchange arrives. Raises ``Overloaded`` while a bound is reached."""
        if self.exchanges >= self.max_exchanges:
            raise _too_many(self.max_exchanges)
        if self.bytes >= self.max_bytes:
            raise _too_much(self.max_bytes)


class Account:
    """What one exchange holds. ``close`` gives all of it back, once, however often it is called."""

    __slots__ = ("_answer", "_pressure", "_request", "_working")

    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure
        self._request = self._answer = 0
        self._working = False

    def work(self) -> None:
        """Take a place among the exchanges that are worked on. Raises ``Overloaded`` if there is none."""
        pressure = self._pressure
        if self._working:
            return
        if pressure.exchanges >= pressure.max_exchanges:
            raise _too_many(pressure.max_exchanges)
        pressure.exchanges += 1
        self._working = True

    def rest(self) -> None:
        """Give the place back: the app works now."""
        if self._working:
            self._working = False
            self._pressure.exchanges -= 1

    def hold(self, size: int) -> None:
        """Note bytes of the request that are kept. Raises ``Overloaded`` if there is no room for them."""
        self._take(size)
        self._request += size

    def hold_answer(self, size: int) -> None:
        """Note bytes of the answer that are kept. Raises ``Overloaded`` if there is no room for them."""
        self._take(size)
        self._answer += size

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold bytes for the length of a block. Raises ``Overloaded`` if there is no room for them."""
        self._take(size)
        try:
            yield
        finally:
            self._pressure.bytes -= size

    def drop(self) -> None:
        """The request's bytes are kept no longer."""
        self._pressure.bytes -= self._request
        self._request = 0

    def release_answer(self, size: int) -> None:
        """So many bytes of the answer have gone out."""
        size = min(size, self._answer)
        self._pressure.bytes -= size
        self._answer -= size

    def drop_answer(self) -> None:
        """The answer's bytes are kept no longer."""
        self._pressure.bytes -= self._answer
        self._answer = 0

    def close(self) -> None:
        """Give everything back."""
        self.rest()
        self.drop()
        self.drop_answer()

    def _take(self, size: int) -> None:
        pressure = self._pressure
        if pressure.bytes + size > pressure.max_bytes:
            raise _too_much(pressure.max_bytes)
        pressure.bytes += size


def _too_many(most: int) -> Overloaded:
    return Overloaded(f"{most} requests are being inspected", mend="try again, or raise limits.max_exchanges")


def _too_much(most: int) -> Overloaded:
    return Overloaded(
        f"bodies and answers of {most} bytes are being held", mend="try again, or raise limits.max_buffered_bytes"
    )
