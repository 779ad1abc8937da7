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
from guard.record.anchoring.couriers import Anchoring, AnchorState
from guard.record.anchoring.plan import AnchorPlan
from guard.record.boot import BootFacts, Durability
from guard.record.handover import Entry, Port, Waiter
from guard.record.parts import Standing
from guard.record.schema import OWN_KINDS
from guard.record.sign import SigningKeys
from guard.record.slot import Slot
from guard.record.upkeep import LOSS_WINDOW_MS, Suppressed
from guard.record.worker import Counters, Worker, again, unavailable
from guard.record.writer import Writer
from guard.record.writers import Register
from guard.types import Checkpoint, DecisionRecord, Receipt, Signer


class LogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a log fares. ``size`` is the number of records under the last checkpoint, which is at most a heartbeat old
    while all is well; ``error_code`` is ``""`` while records can be written. ``anchors`` are the ways on which
    checkpoints leave, none where nothing is configured."""

    writable: bool
    queued: int = 0
    size: int = 0
    checkpoint_age_seconds: float = 0.0
    error_code: str = ""
    anchors: tuple[AnchorState, ...] = ()


class SignedLog:
    """Implements ``guard.types.RecordLog`` on files.

    ``signer`` gives the signing keys of the origin that this process gets (``DeploymentKeys.origin``), or one signer.
    ``standing`` (asked from the writer thread whenever the log is opened) and ``software_version`` go into the ``open``
    record. ``queue_records`` bounds what each event loop has queued; a full queue holds the caller back for
    ``queue_timeout_seconds``, then ``LogUnavailable``. ``counters`` is called from the writer thread for each
    heartbeat. ``anchors`` says where checkpoints go, which no caller ever waits for.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        signer: Callable[[str], Signer | SigningKeys],
        mode: Durability = "strict",
        segment_records: int = 65_536,
        queue_records: int = 10_000,
        queue_timeout_seconds: float = 1.0,
        heartbeat_seconds: float = 60.0,
        standing: Callable[[], Standing] = Standing,
        software_version: str = "",
        counters: Counters | None = None,
        anchors: AnchorPlan | None = None,
    ) -> None:
        self._directory = directory
        self._name = name
        self._make_signer = signer
        self._strict = mode == "strict"
        self._register = Register(directory, name, signer, software_version)
        self._facts = BootFacts(
            standing=standing,
            software_version=software_version,
            mode=mode,
            loss_window_ms=0 if self._strict else LOSS_WINDOW_MS,
            heartbeat_ms=round(heartbeat_seconds * 1000),
            writers=self._register.origin,
        )
        self._segment_records = segment_records
        self._queue_records = queue_records
        self._queue_timeout_seconds = queue_timeout_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._counters = counters
        self._suppressed = Suppressed()
        self._anchors = anchors if anchors is not None and anchors.anywhere else None
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
            anchors=worker.anchors,
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
        if not port.take():
            await self._wait_for_room(port)
        waiter: Waiter = port.loop.create_future()
        with self._gate:
            worker = self._worker
            if worker is None or worker.failure is not None:
                port.give(1)
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
            anchorings = self._anchorings(writer)
            writer.open()
            self._register.enter("opened", writer.checkpoint, writer.boot)
        except BaseException as error:
            writer.poison()
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
            suppressed=self._suppressed,
            register=self._register,
            anchorings=anchorings,
        )
        self._pid = os.getpid()
        worker.start()
        return worker

    def _anchorings(self, writer: Writer) -> list[Anchoring]:
        """Of the log and of the list of writers, where checkpoints leave at all; each takes what is published."""
        if self._anchors is None:
            return []
        register = self._register
        own = self._anchors.open(writer.directory, lambda: writer.keys, writer.publish_cosigned)
        of_list = self._anchors.open_list(register.path, lambda: register.keys)
        writer.on_publish = own.publish
        register.on_publish = of_list.publish
        return [own, of_list]

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
            await port.wait(self._queue_timeout_seconds)
        except TimeoutError:
            raise LogUnavailable(
                f"the queue of the log stayed full ({self._queue_records} records) for "
                f"{self._queue_timeout_seconds:g} s",
                mend="give the log a faster disk, or admit fewer requests",
            ) from None
