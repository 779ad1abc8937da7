"""The writer thread: takes what is queued, hands it to the ``Writer`` as one batch, and answers whoever waits.

It lives until the log is closed, whatever fails: a thread that died would leave its waiters waiting for ever.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

import msgspec

from guard.errors import GuardError, LogUnavailable
from guard.record.canonical import NotCanonical
from guard.record.segment import MAX_BATCH_RECORDS
from guard.record.writer import Slot, Writer
from guard.types import DecisionRecord, Receipt

LOSS_WINDOW_MS: Final = 100
"""Buffered mode: the longest time between a record's acknowledgement and its fdatasync."""

_PUBLISH_SECONDS: Final = 1.0
_REOPEN_SECONDS: Final = 1.0
_REOPEN_MAX_SECONDS: Final = 30.0

Waiter: TypeAlias = "asyncio.Future[Receipt]"
Answers: TypeAlias = "list[tuple[Waiter, Receipt | Exception]]"
Counters: TypeAlias = Callable[[], Mapping[str, int]]


class Entry(msgspec.Struct, frozen=True):
    """A queued record and who waits for it."""

    record: DecisionRecord
    waiter: Waiter
    port: Port


class Port:
    """One event loop's side of the log: bounds what it may queue, and takes the answers of a batch in one call."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue_records: int) -> None:
        self.loop = loop
        self.room = asyncio.Semaphore(queue_records)

    def answer(self, answers: Answers) -> None:
        """Called from the writer thread."""
        try:
            self.loop.call_soon_threadsafe(self._resolve, answers)
        except RuntimeError:
            # The loop is closed: nobody waits there any more.
            return

    def _resolve(self, answers: Answers) -> None:
        for waiter, answer in answers:
            self.room.release()
            if waiter.done():
                continue
            if isinstance(answer, Exception):
                waiter.set_exception(answer)
            else:
                waiter.set_result(answer)


class Worker:
    """Owns a slot, its writer and the thread that works for them."""

    def __init__(
        self, slot: Slot, writer: Writer, *, strict: bool, heartbeat_seconds: float, counters: Counters | None
    ) -> None:
        self.writer = writer
        self.failure: LogUnavailable | None = None
        self._slot = slot
        self._strict = strict
        self._heartbeat_seconds = heartbeat_seconds
        self._counters = counters
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._clock = _Clock(heartbeat_seconds)
        self._appended = 0
        # A daemon: a process that exits without closing the log leaves it as a kill would.
        self._thread = threading.Thread(target=self._run, name=f"guard-log-{slot.origin}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue a record; not after ``finish``."""
        self._queue.put(entry)

    def finish(self) -> None:
        """Let the thread close the log once everything queued is written."""
        self._queue.put(None)

    @property
    def queued(self) -> int:
        """How many records wait for the thread."""
        return self._queue.qsize()

    @property
    def committed_seconds(self) -> float:
        """How long ago the last commit was written: at most a heartbeat while all is well."""
        return time.monotonic() - self._clock.committed_at

    def join(self) -> None:
        """Wait for the thread's end."""
        self._thread.join()

    def _run(self) -> None:
        try:
            running = True
            while running:
                batch: list[Entry] = []
                wait_seconds = self._clock.wait_seconds(healthy=self.writer.healthy)
                running = _take(self._queue, batch, wait_seconds, self.writer.room)
                if batch:
                    self._commit(batch)
                if running:
                    self._upkeep()
            self._close()
        finally:
            self._slot.release()

    def _commit(self, batch: list[Entry]) -> None:
        answers: list[Receipt | NotCanonical] | None = None
        if self.writer.healthy:
            try:
                # What decides must be known after a crash too: a reload is acknowledged when durable, in every mode.
                sync = self._strict or any(entry.record.get("kind") == "config" for entry in batch)
                answers = self.writer.commit([entry.record for entry in batch], sync=sync)
                self._clock.committed(synced=sync)
                self._appended += len(batch)
            except Exception as error:  # noqa: BLE001 - whatever fails here, nobody may wait for ever
                self._fail(error)
        by_port: dict[Port, Answers] = {}
        for number, entry in enumerate(batch):
            answer = self._answer_of(None if answers is None else answers[number])
            by_port.setdefault(entry.port, []).append((entry.waiter, answer))
        for port, resolved in by_port.items():
            port.answer(resolved)

    def _answer_of(self, answer: Receipt | NotCanonical | None) -> Receipt | Exception:
        if isinstance(answer, Receipt):
            return answer
        if answer is None:
            return again(self.failure)
        return LogUnavailable(f"the record was refused: {answer}", mend="report this: a record must fit its schema")

    def _upkeep(self) -> None:
        """What is due beside the records: sync (buffered), checkpoint file, heartbeat, opening after a failure."""
        now, clock, writer = time.monotonic(), self._clock, self.writer
        try:
            if not writer.healthy:
                if now >= clock.reopen_at:
                    self._reopen()
                return
            if now >= clock.heartbeat_at:
                writer.commit([{"kind": "heartbeat", "counters": self._count()}])
                clock.heartbeat_at = now + self._heartbeat_seconds
                clock.committed(synced=True)
            if now >= clock.sync_at:
                writer.sync()
                clock.sync_at = math.inf
            if now >= clock.publish_at and clock.sync_at == math.inf:
                writer.publish()
                clock.publish_at = math.inf
        except Exception as error:  # noqa: BLE001 - the thread must live to say why nothing can be recorded
            self._fail(error)

    def _close(self) -> None:
        try:
            if not self.writer.healthy:
                self._reopen()
            self.writer.close(self._count())
        except Exception as error:  # noqa: BLE001 - told by ``SignedLog.stop``
            self._fail(error)

    def _reopen(self) -> None:
        self.writer.open()
        self.failure = None
        self._clock.reopen_delay = _REOPEN_SECONDS

    def _count(self) -> dict[str, int]:
        own = {"appended": self._appended, "queued": self.queued}
        try:
            given = {} if self._counters is None else self._counters()
            return {**{ascii(name)[1:-1]: int(count) for name, count in given.items()}, **own}
        except Exception:  # noqa: BLE001 - a broken counter must not silence the heartbeat; the record says so
            return {**own, "counters_failed": 1}

    def _fail(self, error: Exception) -> None:
        self.writer.poison()
        self._clock.failed()
        if isinstance(error, OSError):
            self.failure = unavailable(error, self.writer.directory)
        elif isinstance(error, GuardError):
            self.failure = LogUnavailable(error.what, where=error.where, mend=error.mend)
        else:
            self.failure = LogUnavailable(
                f"the writer of the log failed ({type(error).__name__}: {error})",
                where=str(self.writer.directory),
                mend="look at the signer and the disk; the log opens again by itself when they work",
            )


class _Clock:
    """When the writer thread must wake up by itself: values of ``time.monotonic()``, infinity for never."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self.heartbeat_at = time.monotonic() + heartbeat_seconds
        self.sync_at = self.publish_at = math.inf
        self.reopen_at = 0.0
        self.committed_at = time.monotonic()
        self.reopen_delay = _REOPEN_SECONDS

    def committed(self, *, synced: bool) -> None:
        """A batch was written."""
        now = self.committed_at = time.monotonic()
        self.publish_at = min(self.publish_at, now + _PUBLISH_SECONDS)
        self.sync_at = math.inf if synced else min(self.sync_at, now + LOSS_WINDOW_MS / 1000)

    def failed(self) -> None:
        """Nothing can be written; try again, ever more rarely."""
        self.sync_at = self.publish_at = math.inf
        self.reopen_at = time.monotonic() + self.reopen_delay
        self.reopen_delay = min(self.reopen_delay * 2, _REOPEN_MAX_SECONDS)

    def wait_seconds(self, *, healthy: bool) -> float:
        """How long the queue may be waited for."""
        due = min(self.heartbeat_at, self.sync_at, self.publish_at) if healthy else self.reopen_at
        return max(due - time.monotonic(), 0.0)


def _take(queue: SimpleQueue[Entry | None], batch: list[Entry], timeout: float, room: int) -> bool:
    """Fill ``batch`` with what is queued, waiting for the first entry. False once the log is to be closed."""
    try:
        entry = queue.get(timeout=timeout) if timeout > 0 else queue.get_nowait()
        limit = min(room, MAX_BATCH_RECORDS)
        while entry is not None:
            batch.append(entry)
            if len(batch) >= limit:
                return True
            entry = queue.get_nowait()
    except Empty:
        return True
    return False


def unavailable(error: OSError, where: Path) -> LogUnavailable:
    """The error for callers when a file operation failed."""
    return LogUnavailable(
        f"the log cannot be written ({error.strerror or error})",
        where=str(where),
        mend="make room on the disk and check its permissions; the log opens again by itself",
    )


def again(error: LogUnavailable | None) -> LogUnavailable:
    """A fresh exception for each caller: a raised one carries its traceback. ``None``: the log is not started."""
    if error is None:
        return LogUnavailable("the log is not started", mend="await log.start() first")
    return LogUnavailable(error.what, where=error.where, mend=error.mend)
