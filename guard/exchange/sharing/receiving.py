"""What the others learned, read from the stream in a thread and taught to this process's model, in small slices."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from guard.errors import place_of
from guard.exchange.sharing.lessons import Lesson, from_elsewhere, unpack
from guard.exchange.sharing.pausing import Backoff
from guard.exchange.sharing.sealing import Seal, SealBroken
from guard.exchange.sharing.snapshots import Snapshots, SnapshotUnusable, Standing, with_own
from guard.exchange.sharing.store import BEGINNING, Message, Store, StoreFailed, after, place_at
from guard.exchange.sharing.telling import Complaints, Link
from guard.telemetry import get_logger
from guard.types import BehaviourModel, Remembering

MOST_SENDERS: Final = 4096
"""Senders whose numbers are remembered; each start of a process is one."""
SETTLED_S: Final = 3600.0
"""A replica that could not begin with the shared snapshot leaves none of its own for so long."""
_SLICE_S: Final = 0.001
_REST_S: Final = 0.00025
"""The interpreter is asked for so long at most, then left to whoever waits, first of all the event loop."""
_COVERED: Final = 0.4
"""Of the messages that the stream holds; then the next snapshot is due."""
_LEAST_TURN_S: Final = 30
_WAIT_MS: Final = 250
_MOST_READ: Final = 16
_BREATH_S: Final = 0.02
"""Between two reads: many replicas would wake this one for each message."""

_log = get_logger("guard.sharing")

Model = Callable[[], BehaviourModel | None]


class Receiver:
    """Reads, opens, teaches; now and then leaves a snapshot."""

    def __init__(
        self,
        store: Store,
        seal: Seal,
        link: Link,
        model: Model,
        *,
        since_s: float | None,
        snapshot_seconds: int,
        stream_messages: int,
        taught: Callable[[], int],
    ) -> None:
        """``since_s``: when what the model knows was written down, ``None`` where it knows nobody. ``taught``: the
        number of this process's own next lesson. ``snapshot_seconds``: 0 for no snapshots.
        ``stream_messages``: so many the stream holds."""
        self.received = self.missed = self.refused = self.ahead = self.snapshots = 0
        self.ready = threading.Event()
        """Set once the newest snapshot is taken over, or cannot be."""
        self._store = store
        self._seal = seal
        self._link = link
        self._model = model
        self._since_s = since_s
        self._snapshot_seconds = snapshot_seconds
        self._stream_messages = stream_messages
        self._taught = taught
        self._snapshots = Snapshots(store, seal)
        self._complaints = Complaints()
        self._place: bytes | None = None
        self._read_there = False
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._began = time.monotonic()
        self._informed = False
        self._looked = self._began
        self._read_since = 0
        self._next_look = self._began + self._look_in()
        self._leaving: threading.Thread | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guard-sharing-receives", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Let the thread end, after a read that waits."""
        self._stop.set()

    def join(self, until: float) -> None:
        """Wait for that, until a moment of ``time.monotonic``."""
        self._thread.join(max(0.0, until - time.monotonic()))

    # --- where to read ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        backoff, sure = Backoff(), False
        while not self._stop.is_set():
            try:
                if not sure:
                    place = self._sure_place()
                messages = self._store.read(place, most=_MOST_READ, wait_ms=_WAIT_MS)
                sure = True
                self._link.worked("receiving")
                self._read_since += len(messages)
                for message in messages:
                    self._place = place = message.place
                    self._read_there = True
                    self._take(message)
                if len(messages) < _MOST_READ:
                    self._leave_snapshot()
            except Exception as error:  # noqa: BLE001 - whatever fails must be told, and does not end the sharing
                self._fail(error)
                sure = False
                self._stop.wait(backoff.next_s())
            else:
                backoff.clear()
                self._stop.wait(_BREATH_S)

    def _fail(self, error: Exception) -> None:
        known = isinstance(error, StoreFailed)
        self._link.failed("receiving", str(error) if known else f"{type(error).__name__} at {place_of(error)}")
        if self._place is None:
            # No snapshot is taken over later: by then this process has learned by itself.
            self._place = BEGINNING if self._since_s is None else place_at(self._since_s)
        self.ready.set()

    def _sure_place(self) -> bytes:
        """Where to go on reading: in the first place after the snapshot. A server that lost its stream, or whose clock
        went back, has a newest message before what was read: then all of it is read; numbers tell what is known."""
        if self._place is None:
            self._place = self._first_place()
        newest = self._store.newest()
        if newest is None:
            self._place = BEGINNING
        elif after(self._place, newest.place):
            self._place = BEGINNING if self._read_there else newest.place
        self.ready.set()
        return self._place

    def _first_place(self) -> bytes:
        model = self._model()
        if self._snapshot_seconds and isinstance(model, Remembering) and isinstance(model, BehaviourModel):
            standing = None
            try:
                standing = self._snapshots.take(model.info, model)
            except SnapshotUnusable as error:
                _log.warning(
                    "the shared snapshot of behaviour cannot be used: another takes its place", error=str(error)
                )
            self._informed = True
            if standing is not None:
                self._seen = OrderedDict(standing.seen)
                self._read_there = True
                return standing.place
        return BEGINNING if self._since_s is None else place_at(self._since_s)

    # --- what is read -------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if self._seal.sealed_here(message.envelope):
            return
        try:
            opened = self._seal.open(b"L", message.envelope)
            lessons = unpack(opened.data)
        except SealBroken as error:
            self._refuse(error, foreign=error.foreign)
            return
        except ValueError as error:
            self._refuse(error, foreign=False)
            return
        expected = self._seen.pop(opened.sender, None)
        end = opened.number + len(lessons)
        self._seen[opened.sender] = end if expected is None else max(end, expected)
        if len(self._seen) > MOST_SENDERS:
            self._seen.popitem(last=False)
        if expected is not None:
            if opened.number > expected:
                self._miss(opened.number - expected)
            lessons = lessons[max(0, expected - opened.number) :]
        self._teach(lessons)

    def _teach(self, lessons: Sequence[Lesson]) -> None:
        model = self._model()
        if model is None:
            return
        settle = getattr(model, "settle", None)
        now_s, held = time.time(), time.perf_counter()
        for given in lessons:
            (event, outcome), cut = from_elsewhere(given, now_s)
            if cut:
                self._clamp()
            try:
                if outcome is None:
                    model.learn(event, "allow")
                elif settle is not None:
                    settle(event, outcome)
            except Exception as error:  # noqa: BLE001 - a model is not ours; what it raises must not end the sharing
                mend = "report it to the author of the behaviour model"
                self._complaints.add(
                    "a behaviour model fails with what others learned",
                    f"{type(error).__name__} at {place_of(error)}",
                    mend,
                )
            else:
                self.received += 1
            if time.perf_counter() - held > _SLICE_S:
                if self._stop.is_set():
                    return
                time.sleep(_REST_S)
                held = time.perf_counter()

    def _refuse(self, error: Exception, *, foreign: bool) -> None:
        self.refused += 1
        if foreign:
            what = "what another replica learned does not open here"
            mend = "give all replicas one pseudonym key (state_directory/keys), or each deployment a name of its own"
        else:
            what = "something in the shared stream is no message of a guard"
            mend = "look who writes there, and let nobody but the guards"
        self._complaints.add(what, str(error), mend)

    def _miss(self, count: int) -> None:
        self.missed += count
        what = "lessons of other replicas never came: this replica judges without them"
        mend = "was the server away for long? else raise detectors.sharing.stream_messages"
        self._complaints.add(what, "the stream was cut before they were read, or their queue ran over", mend, count)

    def _clamp(self) -> None:
        self.ahead += 1
        mend = "let all machines keep their clocks by NTP"
        self._complaints.add("the clock of another replica is ahead: its times are cut", "", mend)

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def _look_in(self) -> float:
        return min(60.0, self._snapshot_seconds) * (0.5 + 0.5 * random.random())  # noqa: S311 - no secret is drawn

    def _turn_seconds(self, now: float) -> int:
        """How far snapshots lie apart: a busy stream must not be cut before the next one covers it."""
        rate = self._read_since / max(now - self._looked, 1.0)
        covered = int(_COVERED * self._stream_messages / rate) if rate else self._snapshot_seconds
        self._looked, self._read_since = now, 0
        return min(self._snapshot_seconds, max(_LEAST_TURN_S, covered))

    def _leave_snapshot(self) -> None:
        """Leave a snapshot if it is this replica's turn, once all that came is taught: from another thread, since it
        is large. What this process itself learns during the dump may count twice with newcomers."""
        now = time.monotonic()
        if not self._snapshot_seconds or now < self._next_look:
            return
        self._next_look = now + self._look_in()
        seconds, model = self._turn_seconds(now), self._model()
        informed = self._informed or now - self._began > SETTLED_S
        busy = self._leaving is not None and self._leaving.is_alive()
        if not informed or busy or not isinstance(model, Remembering) or not isinstance(model, BehaviourModel):
            return
        if not self._snapshots.my_turn(model.info, seconds):
            return
        standing = with_own(Standing(self._place or BEGINNING, dict(self._seen)), self._seal.sender, self._taught())
        arguments = (model, model.dump(), standing)
        self._leaving = threading.Thread(target=self._leave, args=arguments, name="guard-sharing-leaves", daemon=True)
        self._leaving.start()

    def _leave(self, model: BehaviourModel, data: bytes, standing: Standing) -> None:
        try:
            self._snapshots.leave(model.info, data, standing)
        except (SnapshotUnusable, StoreFailed) as error:
            mend = "newcomers begin with what they remember themselves; lower max_principals, or look at the server"
            self._complaints.add("no snapshot of behaviour could be shared", str(error), mend)
        else:
            self.snapshots += 1
