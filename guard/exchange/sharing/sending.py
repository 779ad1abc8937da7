"""What was learned here, on its way to the others: a bounded queue and a thread that carries it off in batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from guard.exchange.sharing.lessons import MOST_LESSONS, Lesson, pack
from guard.exchange.sharing.pausing import Backoff
from guard.exchange.sharing.sealing import Seal
from guard.exchange.sharing.store import Store, StoreFailed
from guard.exchange.sharing.telling import Link
from guard.telemetry import get_logger
from guard.types import BehaviourEvent, BehaviourOutcome

GATHER_S: Final = 0.1
"""Lessons of so long go together."""
MOST_QUEUED: Final = 10_000
"""Lessons that wait for the server; past it the oldest are dropped. Some 15 MB."""
_MOST_AT_ONCE: Final = 8 * MOST_LESSONS

_log = get_logger("guard.sharing")


class Sender:
    """Takes lessons from the event loop and never lets it wait."""

    def __init__(self, store: Store, seal: Seal, link: Link, *, queue: int = MOST_QUEUED) -> None:
        self.sent = 0
        self.dropped = 0
        self._store = store
        self._seal = seal
        self._link = link
        self.taught = 0
        """Lessons that were put so far: the number of the next one."""
        self._queue: deque[tuple[int, Lesson]] = deque(maxlen=queue)
        self._next = 0
        self._unsent = 0
        self._news = threading.Event()
        self._stop = threading.Event()
        # A daemon: a process that ends does not wait for somebody else's network.
        self._thread = threading.Thread(target=self._run, name="guard-sharing-sends", daemon=True)

    @property
    def queued(self) -> int:
        """Lessons that wait."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def put(self, event: BehaviourEvent, outcome: BehaviourOutcome | None = None) -> None:
        """Queue a lesson. From the thread of the event loop only; takes a microsecond."""
        self._queue.append((self.taught, (event, outcome)))
        self.taught += 1
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Let the thread send what waits, once, and end."""
        self._stop.set()
        self._news.set()

    def join(self, until: float) -> None:
        """Wait for that, until a moment of ``time.monotonic``."""
        self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait()
            self._stop.wait(GATHER_S)
            self._news.clear()
            while self._queue and self._carry():
                pass
        if self._queue:
            self._carry()
        if self._queue or self._unsent:
            _log.warning("what was learned last could not be shared", count=len(self._queue) + self._unsent)

    def _carry(self) -> bool:
        """Send a batch, however often it takes; whether to go on. The same envelopes each time: a server that took
        them, and could not say so, has them twice, and their numbers tell."""
        runs = self._drain()
        count, backoff = sum(len(lessons) for _, lessons in runs), Backoff()
        try:
            envelopes = [self._seal.seal(b"L", number, pack(lessons)) for number, lessons in runs]
        except (ValueError, TypeError, OverflowError) as error:
            self.dropped += count
            _log.error("what was learned cannot be written down: it is not shared", count=count, error=str(error))
            return True
        while True:
            try:
                self._store.add(envelopes)
            except StoreFailed as error:
                self._link.failed("sending", str(error))
                if self._stop.wait(backoff.next_s()):
                    self._unsent += count
                    return False
            else:
                self._link.worked("sending")
                self.sent += count
                return True

    def _drain(self) -> list[tuple[int, list[Lesson]]]:
        """Lessons from the queue, in messages of consecutive numbers; what is missing between them was dropped."""
        runs: list[tuple[int, list[Lesson]]] = []
        for _ in range(_MOST_AT_ONCE):
            try:
                number, lesson = self._queue.popleft()
            except IndexError:
                break
            if number != self._next or not runs or len(runs[-1][1]) >= MOST_LESSONS:
                self.dropped += number - self._next
                runs.append((number, []))
            runs[-1][1].append(lesson)
            self._next = number + 1
        return runs
