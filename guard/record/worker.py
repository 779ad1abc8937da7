"""The writer thread: takes what is queued, hands it to the ``Writer`` as one batch, and answers whoever waits.

It lives until the log is closed, whatever fails: a thread that died would leave its waiters waiting for ever.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

from guard.errors import GuardError, KeyInvalid, LogUnavailable
from guard.record.anchoring.couriers import Anchoring, AnchorState, close_all
from guard.record.canonical import NotCanonical
from guard.record.handover import Answers, Entry, Port
from guard.record.segment import MAX_BATCH_RECORDS
from guard.record.slot import Slot
from guard.record.upkeep import Clock, Suppressed
from guard.record.writer import Writer
from guard.record.writers import Register
from guard.telemetry import get_logger
from guard.types import Receipt

_log = get_logger("guard.record")

Counters: TypeAlias = Callable[[], Mapping[str, int]]


class Worker:
    """Owns a slot, its writer and the thread that works for them."""

    def __init__(
        self,
        slot: Slot,
        writer: Writer,
        *,
        strict: bool,
        heartbeat_seconds: float,
        counters: Counters | None,
        suppressed: Suppressed,
        register: Register,
        anchorings: Sequence[Anchoring] = (),
    ) -> None:
        self.writer = writer
        self.failure: LogUnavailable | None = None
        self._slot = slot
        self._strict = strict
        self._heartbeat_seconds = heartbeat_seconds
        self._counters = counters
        self._suppressed = suppressed
        self._register = register
        self._anchorings = anchorings
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._clock = Clock(heartbeat_seconds)
        self._appended = 0
        # A daemon: a process that exits without closing the log leaves it as a kill would.
        self._thread = threading.Thread(target=self._run, name=f"guard-log-{slot.origin}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        for anchoring in self._anchorings:
            anchoring.start()
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

    @property
    def anchors(self) -> tuple[AnchorState, ...]:
        """How each way out of checkpoints fares."""
        return tuple(state for anchoring in self._anchorings for state in anchoring.states())

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
            close_all(self._anchorings)
            self.writer.retire()
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
        for entry, answer in zip_longest(batch, answers or ()):
            told = answer if isinstance(answer, Receipt) else self._refusal(answer)
            by_port.setdefault(entry.port, []).append((entry.waiter, told))
        for port, resolved in by_port.items():
            port.answer(resolved)

    def _refusal(self, error: NotCanonical | None) -> LogUnavailable:
        if error is None:
            return again(self.failure)
        return LogUnavailable(f"the record was refused: {error}", mend="report this: a record must fit its schema")

    def _upkeep(self) -> None:
        """What is due beside the records: sync (buffered), checkpoint file, heartbeat, opening after a failure."""
        now, clock, writer = time.monotonic(), self._clock, self.writer
        try:
            if not writer.healthy:
                if now >= clock.reopen_at:
                    self._reopen()
                return
            writer.tidy()
            if now >= clock.heartbeat_at:
                counters = self._count()
                writer.commit([*self._suppressed.due(counters), {"kind": "heartbeat", "counters": counters}])
                self._suppressed.told(counters)
                clock.heartbeat_at = now + self._heartbeat_seconds
                clock.committed(synced=True)
                self._turn_key()
            if now >= clock.sync_at:
                writer.sync()
                clock.sync_at = math.inf
            if now >= clock.publish_at and clock.sync_at == math.inf:
                writer.publish()
                clock.publish_at = math.inf
        except Exception as error:  # noqa: BLE001 - the thread must live to say why nothing can be recorded
            self._fail(error)

    def _turn_key(self) -> None:
        """Take up a key that was rotated, or that a new day asks for."""
        try:
            self.writer.turn()
        except KeyInvalid as error:
            # The key that signs now is in memory: what cannot be read on disk stops the next opening, not this log.
            _log.warning("the signing key stays, for the next cannot be used", error=str(error))

    def _close(self) -> None:
        try:
            if not self.writer.healthy:
                self._reopen()
            counters = self._count()
            self.writer.close(counters, self._suppressed.due(counters))
            self._suppressed.told(counters)
            self._register.enter("closed", self.writer.checkpoint, self.writer.boot)
        except Exception as error:  # noqa: BLE001 - told by ``SignedLog.stop``
            self._fail(error)

    def _reopen(self) -> None:
        self.writer.open()
        self.failure = None
        self._clock.opened()

    def _count(self) -> dict[str, int]:
        own = {"appended": self._appended, "queued": self.queued}
        for anchoring in self._anchorings:
            own |= {name: own.get(name, 0) + count for name, count in anchoring.counters().items()}
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
