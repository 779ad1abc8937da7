"""The threads of anchoring: one that chooses the checkpoints that are due, and one for each way out.

A courier holds the newest anchor only: one that it could not deliver is superseded, for the newer checkpoint covers the
older one's records too. So nothing queues up, however long a way is blocked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from guard.errors import GuardError
from guard.record.anchoring.failing import AnchorContradicts
from guard.record.anchoring.sinks import Anchor, Sink
from guard.record.anchoring.store import AnchorStore
from guard.telemetry import get_logger
from guard.types import Checkpoint

_log = get_logger("guard.anchoring")
_RETRY_SECONDS: Final = 1.0


class AnchorState(msgspec.Struct, frozen=True, kw_only=True):
    """How one way out fares. ``size`` is that of the last checkpoint that arrived, ``failures`` how often it failed
    since; ``error_code`` is ``""`` unless the last attempt failed."""

    name: str
    size: int = 0
    failures: int = 0
    error_code: str = ""


class Mailbox:
    """Holds one anchor, the newest, for a thread that may wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: Anchor | None = None
        self._taken: Anchor | None = None
        self._closed = False

    def put(self, anchor: Anchor) -> None:
        """Replace what is there. Never waits for more than the exchange of a reference."""
        with self._changed:
            self._newest = anchor
            self._changed.notify_all()

    def close(self) -> None:
        """Let the thread end once what is there is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> Anchor | None:
        """The next anchor that was not taken yet, waiting for it; ``None`` once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not self._taken or self._closed)
            if self._newest is self._taken:
                return None
            self._taken = self._newest
            return self._taken

    def pause(self, until: float) -> None:
        """Wait until a moment of ``time.monotonic``, or until the box closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, timeout=max(0.0, until - time.monotonic()))

    def again(self, seconds: float) -> Anchor | None:
        """After a failure: the anchor to try next, at once if a newer one comes, else the same one after ``seconds``.
        ``None`` once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not self._taken or self._closed, timeout=seconds)
            if self._closed and self._newest is self._taken:
                return None
            self._taken = self._newest
            return self._taken


class Courier:
    """Carries anchors to one sink, in a thread of its own."""

    def __init__(self, sink: Sink, store: AnchorStore, *, max_retry_seconds: float, label: str = "") -> None:
        self.state = AnchorState(name=label + sink.name)
        self.box = Mailbox()
        self.delivered = self.failed = 0
        self.contradicted = False
        self._sink = sink
        self._store = store
        self._max_retry_seconds = max_retry_seconds
        # A daemon: a process that ends does not wait for somebody else's network.
        self.thread = threading.Thread(target=self._run, name=f"guard-anchor {self.state.name}", daemon=True)

    def _run(self) -> None:
        anchor = self.box.take()
        retry_seconds = _RETRY_SECONDS
        while anchor is not None:
            try:
                self._sink.deliver(anchor)
            except AnchorContradicts as error:
                self._contradict(error)
                return
            except Exception as error:  # noqa: BLE001 - whatever fails outside must be told, and tried again
                self._fail(error)
                anchor = self.box.again(min(retry_seconds, self._max_retry_seconds))
                retry_seconds *= 2
            else:
                self._arrive(anchor)
                retry_seconds = _RETRY_SECONDS
                anchor = self.box.take()

    def _arrive(self, anchor: Anchor) -> None:
        if self.state.failures:
            _log.info("checkpoints are anchored again", what=self.state.name, size=anchor.checkpoint.size)
        self.delivered += 1
        self.state = AnchorState(name=self.state.name, size=anchor.checkpoint.size)

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        if not self.state.failures:
            known = str(error) if isinstance(error, GuardError | OSError | ValueError) else ""
            _log.warning(
                "a checkpoint could not be anchored; it is tried again, and requests go on",
                what=self.state.name,
                exception=type(error).__name__,
                error=known,
            )
        code = error.code if isinstance(error, GuardError) else "anchor_failed"
        self.state = msgspec.structs.replace(self.state, failures=self.state.failures + 1, error_code=code)

    def _contradict(self, error: AnchorContradicts) -> None:
        """Keep the evidence where the next start finds it, and refuses. This courier has done its work."""
        self.failed += 1
        self.contradicted = True
        self.state = msgspec.structs.replace(self.state, failures=self.state.failures + 1, error_code=error.code)
        try:
            kept = str(self._store.add_evidence(error.checkpoint, error.note))
        except OSError as failure:
            kept = f"nowhere: {failure}"
        _log.error(
            "an anchor contradicts the log: it was rolled back or forked",
            what=self.state.name,
            error=str(error),
            file=kept,
        )


class Anchoring:
    """Anchors the checkpoints of one origin while it is open.

    ``publish`` is called by the log's writer for each published checkpoint and never waits. The first is anchored at
    once, then the newest every ``every_seconds``, then the last one when the log closes.
    """

    def __init__(
        self,
        store: AnchorStore,
        sinks: Sequence[Sink],
        *,
        every_seconds: float,
        closing_seconds: float,
        label: str = "",
    ) -> None:
        """``label`` goes before the names of the ways."""
        self._store = store
        self._couriers = [Courier(sink, store, max_retry_seconds=every_seconds, label=label) for sink in sinks]
        self._every_seconds = every_seconds
        self._closing_seconds = closing_seconds
        self._box = Mailbox()
        self._unkept = 0
        self._thread = threading.Thread(target=self._run, name="guard-anchoring", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        for courier in self._couriers:
            courier.thread.start()
        self._thread.start()

    def publish(self, checkpoint: Checkpoint, note: str) -> None:
        """Take note of a checkpoint that is durable and published. Before ``start`` too."""
        self._box.put(Anchor(checkpoint, note))

    def close(self) -> None:
        """Anchor the last checkpoint; returns when that is done, or after ``closing_seconds``."""
        close_all([self])

    def states(self) -> tuple[AnchorState, ...]:
        """How each way out fares. From any thread."""
        return tuple(courier.state for courier in self._couriers)

    def counters(self) -> dict[str, int]:
        """For the heartbeats: what arrived, what failed and what contradicted the log since the log was opened; none
        that is zero."""
        counts = {
            "anchors_delivered": sum(courier.delivered for courier in self._couriers),
            "anchors_failed": sum(courier.failed for courier in self._couriers) + self._unkept,
            "anchors_contradicting": sum(courier.contradicted for courier in self._couriers),
        }
        return {name: count for name, count in counts.items() if count}

    def _run(self) -> None:
        while (anchor := self._box.take()) is not None:
            due = time.monotonic() + self._every_seconds
            try:
                self._store.add(anchor.checkpoint, anchor.note)
            except (OSError, ValueError) as error:
                self._unkept += 1
                _log.warning("the local copy of a checkpoint could not be kept", error=str(error))
            for courier in self._couriers:
                courier.box.put(anchor)
            self._box.pause(due)


def close_all(anchorings: Sequence[Anchoring]) -> None:
    """Anchor the last checkpoint of each at the same time; returns when that is done, or after the longest of their
    closing times."""
    end = time.monotonic() + max((each._closing_seconds for each in anchorings), default=0.0)
    for each in anchorings:
        each._box.close()
    for each in anchorings:
        each._thread.join(max(0.0, end - time.monotonic()))
    couriers = [courier for each in anchorings for courier in each._couriers]
    for courier in couriers:
        courier.box.close()
    for courier in couriers:
        courier.thread.join(max(0.0, end - time.monotonic()))
