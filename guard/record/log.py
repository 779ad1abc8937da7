"""The signed log of one process: records queue up, one writer thread makes them durable in batches (group commit).

Nothing happens in the constructor: ``start`` takes the first free origin ``<name>-<n>``, so a server that forks its
workers gets one origin each. Whatever is queued when the writer turns to it becomes one batch under one signature and
one fdatasync; a single waiting record pays for no timer.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from guard.errors import LogUnavailable
from guard.record.parts import Standing
from guard.record.schema import OWN_KINDS
from guard.record.worker import LOSS_WINDOW_MS, Counters, Entry, Port, Waiter, Worker, again, unavailable
from guard.record.writer import BootFacts, Durability, Slot, Writer
from guard.types import Checkpoint, DecisionRecord, Receipt, Signer


class LogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a log fares. ``size`` is the number of records under the last checkpoint, which is at most a heartbeat old
    while all is well; ``error_code`` is ``""`` while records can be written."""

    writable: bool
    queued: int = 0
    size: int = 0
    checkpoint_age_seconds: float = 0.0
    error_code: str = ""


class SignedLog:
    """Implements ``guard.types.RecordLog`` on files.

    ``signer`` makes the signer of the origin that this process gets (``LogKeys.signer``). ``standing`` (asked from the
    writer thread whenever the log is opened) and ``software_version`` go into the ``open`` record. ``queue_records``
    bounds what each event loop has queued; a full queue holds the caller back for ``queue_timeout_seconds``, then
    ``LogUnavailable``. ``counters`` is called from the writer thread for each heartbeat.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        signer: Callable[[str], Signer],
        mode: Durability = "strict",
        segment_records: int = 65_536,
        queue_records: int = 10_000,
        queue_timeout_seconds: float = 1.0,
        heartbeat_seconds: float = 60.0,
        standing: Callable[[], Standing] = Standing,
        software_version: str = "",
        counters: Counters | None = None,
    ) -> None:
        self._directory = directory
        self._name = name
        self._make_signer = signer
        self._strict = mode == "strict"
        self._facts = BootFacts(
            standing=standing,
            software_version=software_version,
            mode=mode,
            loss_window_ms=0 if self._strict else LOSS_WINDOW_MS,
            heartbeat_ms=round(heartbeat_seconds * 1000),
        )
        self._segment_records = segment_records
        self._queue_records = queue_records
        self._queue_timeout_seconds = queue_timeout_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._counters = counters
        self._ports: dict[asyncio.AbstractEventLoop, Port] = {}
        self._gate = threading.Lock()
        self._worker: Worker | None = None
        self._pid = 0

    @property
    def directory(self) -> Path | None:
        """Where this process writes; ``None`` unless started."""
        return self._worker.writer.directory if self._worker else None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last commit; ``None`` unless started."""
        return self._worker.writer.checkpoint if self._worker else None

    @property
    def failure(self) -> LogUnavailable | None:
        """Why nothing can be recorded now; ``None`` while all is well."""
        return self._worker.failure if self._worker else again(None)

    def status(self) -> LogStatus:
        """How the log fares now. From any thread."""
        worker = self._worker
        if worker is None:
            return LogStatus(writable=False, error_code=LogUnavailable.code)
        failure = worker.failure
        return LogStatus(
            writable=failure is None,
            queued=worker.queued,
            size=worker.writer.checkpoint.size,
            checkpoint_age_seconds=max(0.0, worker.committed_seconds),
            error_code="" if failure is None else failure.code,
        )

    async def start(self) -> None:
        """Take an origin, recover it and open it; a started log stays as it is.

        Raises ``LogTampered``, ``LogLocked``, ``KeyInvalid`` or ``LogUnavailable``.
        """
        if self._worker is None:
            self._worker = await asyncio.to_thread(self._open)

    async def append(self, record: DecisionRecord) -> Receipt:
        """Queue a record; returns when it is durable (strict) or written (buffered). Raises ``LogUnavailable``.

        The record holds the fields of its kind in ``guard.record.schema``; the writer fills in the others, and an
        ``id`` if it has none. A caller that is cancelled while it waits leaves the record in the log.
        """
        if record.get("kind") in OWN_KINDS:
            raise LogUnavailable(f"{record['kind']} records are made by the log itself")
        port = self._port()
        if port.room.locked():
            await self._wait_for_room(port)
        else:
            await port.room.acquire()
        waiter: Waiter = port.loop.create_future()
        with self._gate:
            worker = self._worker
            if worker is None or worker.failure is not None:
                port.room.release()
                raise again(worker.failure if worker else None)
            worker.put(Entry(record, waiter, port))
        return await waiter

    async def stop(self) -> None:
        """Write what is queued and a ``close`` record, publish the checkpoint, let go of the origin.

        Raises ``LogUnavailable`` if that could not be written.
        """
        with self._gate:
            worker, self._worker = self._worker, None
            if worker is None:
                return
            worker.finish()
        await asyncio.to_thread(worker.join)
        self._ports.clear()
        if worker.failure is not None:
            raise again(worker.failure)

    def _open(self) -> Worker:
        try:
            slot = Slot(self._directory, self._name)
        except OSError as error:
            raise unavailable(error, self._directory) from error
        signer = self._make_signer(slot.origin)
        writer = Writer(slot.path, signer, self._facts, segment_records=self._segment_records)
        try:
            writer.open()
        except BaseException as error:
            slot.release()
            if isinstance(error, OSError):
                raise unavailable(error, slot.path) from error
            raise
        worker = Worker(
            slot,
            writer,
            strict=self._strict,
            heartbeat_seconds=self._heartbeat_seconds,
            counters=self._counters,
        )
        self._pid = os.getpid()
        worker.start()
        return worker

    def _port(self) -> Port:
        worker = self._worker
        if worker is None or worker.failure is not None:
            raise again(worker.failure if worker else None)
        if self._pid != os.getpid():
            raise LogUnavailable(
                "this process was forked after the log was opened", mend="start the log in each worker process"
            )
        loop = asyncio.get_running_loop()
        port = self._ports.get(loop)
        if port is None:
            self._ports = {known: port for known, port in self._ports.items() if not known.is_closed()}
            port = self._ports[loop] = Port(loop, self._queue_records)
        return port

    async def _wait_for_room(self, port: Port) -> None:
        try:
            async with asyncio.timeout(self._queue_timeout_seconds):
                await port.room.acquire()
        except TimeoutError:
            raise LogUnavailable(
                f"the queue of the log stayed full ({self._queue_records} records) for "
                f"{self._queue_timeout_seconds:g} s",
                mend="give the log a faster disk, or admit fewer requests",
            ) from None
