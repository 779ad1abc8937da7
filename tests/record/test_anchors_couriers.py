"""Couriers: the writer never waits, nothing queues up, a failure is counted and told, the last checkpoint is tried."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from queue import Queue

import pytest

from guard.record.anchoring.couriers import Anchoring, AnchorState
from guard.record.anchoring.failing import AnchorContradicts, AnchorFailed
from guard.record.anchoring.sinks import Anchor
from guard.record.anchoring.store import AnchorStore
from tests.record.test_anchors_ways import anchor


class Way:
    """A way out that the test opens and blocks."""

    def __init__(self, name: str = "way") -> None:
        self.name = name
        self.came: Queue[int] = Queue()
        self.open = threading.Event()
        self.open.set()
        self.fail: Exception | None = None

    def deliver(self, anchor: Anchor) -> None:
        self.came.put(anchor.checkpoint.size)
        assert self.open.wait(20)
        if self.fail is not None:
            raise self.fail


def make(directory: Path, *ways: Way, every_seconds: float = 0.001, closing_seconds: float = 20) -> Anchoring:
    """Anchoring that is running."""
    anchoring = Anchoring(
        AnchorStore(directory), list(ways), every_seconds=every_seconds, closing_seconds=closing_seconds
    )
    anchoring.start()
    return anchoring


def offer(anchoring: Anchoring, size: int) -> None:
    """A checkpoint of this size is published."""
    one = anchor(size)
    anchoring.publish(one.checkpoint, one.note)


def until(anchoring: Anchoring, place: int, wanted: AnchorState) -> None:
    """Wait for another thread's work; the test's own timeout bounds it."""
    while anchoring.states()[place] != wanted:
        time.sleep(0.005)


def test_a_blocked_way_holds_nobody_and_gathers_nothing(tmp_path: Path) -> None:
    """While one way hangs, offers return, the other way goes on, and afterwards only the newest is carried."""
    blocked, free = Way("blocked"), Way("free")
    blocked.open.clear()
    anchoring = make(tmp_path, blocked, free)
    for size in range(1, 200):
        offer(anchoring, size)
    assert blocked.came.get(timeout=20) >= 1
    until(anchoring, 1, AnchorState(name="free", size=199))
    blocked.open.set()
    until(anchoring, 0, AnchorState(name="blocked", size=199))
    anchoring.close()
    assert blocked.came.qsize() <= 1
    assert anchoring.counters()["anchors_delivered"] >= 2
    assert (tmp_path / "199.note").read_text() == anchor(199).note


def test_at_most_one_every_few_seconds_and_always_the_last(tmp_path: Path) -> None:
    """The first is carried at once; what comes within the interval is superseded; closing carries the last."""
    way = Way()
    anchoring = make(tmp_path, way, every_seconds=3600)
    offer(anchoring, 1)
    assert way.came.get(timeout=20) == 1
    for size in range(2, 50):
        offer(anchoring, size)
    assert way.came.empty()
    anchoring.close()
    assert way.came.get(timeout=20) == 49
    assert way.came.empty()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.note", "49.note"]


def test_closing_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    """A way that hangs costs the closing seconds, and the thread is left behind."""
    way = Way()
    way.open.clear()
    anchoring = make(tmp_path, way, closing_seconds=0.1)
    offer(anchoring, 1)
    assert way.came.get(timeout=20) == 1
    anchoring.close()
    assert anchoring.states() == (AnchorState(name="way"),)
    way.open.set()


def test_a_failure_is_told_once_counted_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning for a streak; the heartbeat's counters count each attempt; the way recovers by itself."""
    way = Way()
    way.fail = AnchorFailed("down")
    anchoring = make(tmp_path, way)
    with caplog.at_level(logging.INFO, logger="guard.anchoring"):
        offer(anchoring, 1)
        for _ in range(3):
            assert way.came.get(timeout=20) == 1
        assert anchoring.states()[0].error_code == "anchor_failed"
        way.fail = None
        until(anchoring, 0, AnchorState(name="way", size=1))
        anchoring.close()
    counters = anchoring.counters()
    assert counters["anchors_delivered"] == 1
    assert counters["anchors_failed"] >= 3
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "down" in caplog.text


def test_an_error_of_any_kind_is_survived(tmp_path: Path) -> None:
    """A defect in one way is a failure of that way."""
    way = Way()
    way.fail = RuntimeError("a defect")
    anchoring = make(tmp_path, way)
    offer(anchoring, 1)
    assert way.came.get(timeout=20) == 1
    assert way.came.get(timeout=20) == 1
    way.fail = None
    until(anchoring, 0, AnchorState(name="way", size=1))
    anchoring.close()


def test_a_contradiction_is_kept_told_and_final(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The note that contradicts the log lies where the next start finds it; nothing more goes that way."""
    way, held = Way(), anchor(77, b"h" * 32)
    way.fail = AnchorContradicts("it has seen more", held.checkpoint, held.note)
    anchoring = make(tmp_path, way)
    offer(anchoring, 5)
    until(anchoring, 0, AnchorState(name="way", failures=1, error_code="anchor_contradicts"))
    offer(anchoring, 6)
    anchoring.close()
    assert (tmp_path / "77.68686868.note").read_text() == held.note
    assert way.came.qsize() == 1
    assert anchoring.counters() == {"anchors_failed": 1, "anchors_contradicting": 1}
    assert [record.levelname for record in caplog.records if record.name == "guard.anchoring"] == ["ERROR"]


def test_a_local_copy_that_cannot_be_kept_stops_nothing(tmp_path: Path) -> None:
    """The ways out matter more than the copy; the failure is counted."""
    (tmp_path / "file").write_text("")
    way = Way()
    anchoring = make(tmp_path / "file", way)
    offer(anchoring, 1)
    until(anchoring, 0, AnchorState(name="way", size=1))
    anchoring.close()
    assert anchoring.counters() == {"anchors_delivered": 1, "anchors_failed": 1}
