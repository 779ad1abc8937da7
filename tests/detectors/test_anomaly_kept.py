"""What was learned, on its way to the disk: beside a stop, and with a model that cannot tell what it learned."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from guard.exchange.remembering import Keeper
from tests.detectors.test_anomaly_in_guard import Listening, learned_in

pytestmark = pytest.mark.anyio

OFTEN = 0.001
"""Seconds between two snapshots."""


class Slow(Listening):
    """Its first snapshot takes until it may end; counts how many are taken at once."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end, self.again = threading.Event(), threading.Event(), threading.Event()
        self.at_once = self.most_at_once = self.taken = 0

    def dump(self) -> bytes:
        """The number of the snapshot."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.taken += 1
        number = self.taken
        (self.again if number > 1 else self.begun).set()
        if number == 1:
            self.may_end.wait(10)
        self.at_once -= 1
        return b"%d" % number

    def restore(self, data: bytes) -> None:
        """Nothing to take."""


async def test_a_stop_waits_for_the_snapshot_that_is_under_way(tmp_path: Path) -> None:
    """Two threads never write one file: what the stop writes is whole, and the last."""
    model = Slow()
    keeper = Keeper(tmp_path, "guard", OFTEN, lambda: model)  # type: ignore[arg-type]
    await keeper.start()
    await asyncio.to_thread(model.begun.wait, 10)
    stopping = asyncio.ensure_future(keeper.stop())
    await asyncio.to_thread(model.again.wait, 0.2)
    model.may_end.set()
    await stopping
    assert model.most_at_once == 1
    assert [path.read_bytes() for path in learned_in(tmp_path)] == [b"%d" % model.taken]
    assert model.taken >= 2


class Mute(Slow):
    """Cannot tell what it learned, twice."""

    def dump(self) -> bytes:
        """Raises at first."""
        self.taken += 1
        if self.taken <= 2:
            raise RuntimeError("jane@corp.com")
        self.again.set()
        return b"at last"


async def test_a_model_that_fails_to_tell_is_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is told in the log, without its message; the next snapshot is taken, and the stop goes well."""
    model = Mute()
    keeper = Keeper(tmp_path, "guard", OFTEN, lambda: model)  # type: ignore[arg-type]
    await keeper.start()
    assert await asyncio.to_thread(model.again.wait, 10)
    await keeper.stop()
    assert [path.read_bytes() for path in learned_in(tmp_path)] == [b"at last"]
    assert "cannot be written" in caplog.text
    assert "jane" not in caplog.text
