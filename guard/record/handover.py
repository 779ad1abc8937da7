"""Between the event loops that append and the writer's thread: what is queued, how much of it, and the answers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeAlias

import msgspec

from guard.types import DecisionRecord, Receipt

Waiter: TypeAlias = "asyncio.Future[Receipt]"
Answers: TypeAlias = "list[tuple[Waiter, Receipt | Exception]]"


class Entry(msgspec.Struct, frozen=True):
    """A queued record and who waits for it."""

    record: DecisionRecord
    waiter: Waiter
    port: Port


class Port:
    """One event loop's side of the log: bounds what it may queue, and takes the answers of a batch in one call.

    ``take``, ``wait`` and what they count belong to the loop's thread, ``answer`` to the writer's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, queue_records: int) -> None:
        self.loop = loop
        self.queue_records = queue_records
        self._room = queue_records
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a place in the queue, if one is free and nobody waits for it."""
        if self._room <= 0 or self._waiting:
            return False
        self._room -= 1
        return True

    def give(self, places: int) -> None:
        """Give places back, first to those who wait, in the order of their coming."""
        self._room += places
        while self._waiting and self._room > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._room -= 1

    async def wait(self, timeout_seconds: float) -> None:
        """Wait for a place. Raises ``TimeoutError``."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give(1)  # the place came in the moment in which the caller left
            raise

    def answer(self, answers: Answers) -> None:
        """Called from the writer thread."""
        try:
            self.loop.call_soon_threadsafe(self._resolve, answers)
        except RuntimeError:
            # The loop is closed: nobody waits there any more.
            return

    def _resolve(self, answers: Answers) -> None:
        self.give(len(answers))
        for waiter, answer in answers:
            if waiter.done():
                continue
            if isinstance(answer, Exception):
                waiter.set_exception(answer)
            else:
                waiter.set_result(answer)
