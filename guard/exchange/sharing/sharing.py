"""Sharing as the guard holds it: told of each lesson on the event loop, started and stopped with the guard."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from guard.config.sharing import SharingConfig
from guard.exchange.sharing.receiving import Model, Receiver
from guard.exchange.sharing.sealing import Seal
from guard.exchange.sharing.sending import Sender
from guard.exchange.sharing.store import Store
from guard.exchange.sharing.telling import Link, SharingState
from guard.keyed import KeyedHash
from guard.telemetry import get_logger
from guard.types import BehaviourEvent, BehaviourOutcome

START_SECONDS: Final = 3.0
"""How long a start waits for the shared snapshot."""
STOP_SECONDS: Final = 2.0
"""How long a stop takes at most."""

_log = get_logger("guard.sharing")


class Sharing:
    """Shares what one process's behaviour model learns. Never raises for the server: a guard that cannot share says so
    and decides by what it learned itself."""

    def __init__(self, config: SharingConfig, model: Model, *, snapshot_seconds: int) -> None:
        """``model`` gives the one that decides now. Opens nothing. Raises ``ConfigError`` without the library."""
        self._config = config
        self._model = model
        self._snapshot_seconds = snapshot_seconds
        self._store = Store(config)
        self._link = Link(config.url)
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None

    async def start(self, keyed: KeyedHash, since_s: float | None) -> None:
        """Begin to share: in this process, so after a fork. Returns when the shared snapshot is taken over, or after
        ``START_SECONDS``. ``since_s``: when what the model knows was written down, ``None`` where it knows nobody."""
        seal = Seal(keyed, self._config.name)
        sender = Sender(self._store, seal, self._link)
        receiver = Receiver(
            self._store,
            seal,
            self._link,
            self._model,
            since_s=since_s,
            snapshot_seconds=self._snapshot_seconds,
            stream_messages=self._config.stream_messages,
            taught=lambda: sender.taught,
        )
        self._sender, self._receiver = sender, receiver
        sender.start()
        receiver.start()
        if not await asyncio.to_thread(receiver.ready.wait, START_SECONDS):
            _log.warning("the shared snapshot of behaviour is not here yet: requests are served", seconds=START_SECONDS)

    async def stop(self) -> None:
        """Send what waits, and let the server go: within ``STOP_SECONDS``."""
        sender, receiver = self._sender, self._receiver
        self._sender = self._receiver = None
        if sender is not None and receiver is not None:
            await asyncio.to_thread(_close, sender, receiver)
            self._store.close()

    def learned(self, event: BehaviourEvent, outcome: BehaviourOutcome | None = None) -> None:
        """Share that the model learned from an event that was let in, or what came of one. On the event loop; never
        waits."""
        if self._sender is not None:
            self._sender.put(event, outcome)

    def state(self) -> SharingState:
        """How it fares. From any thread."""
        sender, receiver = self._sender, self._receiver
        if sender is None or receiver is None:
            return SharingState()
        return SharingState(
            failures=self._link.failures,
            last_error=self._link.last_error,
            failed=self._link.failed_in_all,
            sent=sender.sent,
            received=receiver.received,
            queued=sender.queued,
            dropped=sender.dropped,
            missed=receiver.missed,
            refused=receiver.refused,
            ahead=receiver.ahead,
            snapshots=receiver.snapshots,
        )

    def counters(self) -> dict[str, int]:
        """For the heartbeats; none that is zero. From any thread."""
        state = self.state()
        names = ("sent", "received", "dropped", "missed", "refused", "ahead", "snapshots", "failed")
        return {f"sharing_{name}": count for name in names if (count := getattr(state, name))}


def _close(sender: Sender, receiver: Receiver) -> None:
    until = time.monotonic() + STOP_SECONDS
    sender.close()
    receiver.close()
    sender.join(until)
    receiver.join(until)
