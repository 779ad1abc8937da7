"""What the guard asks of the interpreter so that busy threads hold nobody up."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from guard.workers import spare_collections, take_turns


@pytest.fixture
def interval() -> Iterator[None]:
    """The switch interval as it was."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("interval")
def test_threads_hand_over_after_a_millisecond() -> None:
    """The interpreter's own five milliseconds become one."""
    sys.setswitchinterval(0.005)
    take_turns()
    assert sys.getswitchinterval() == pytest.approx(0.001)


@pytest.mark.usefixtures("interval")
@pytest.mark.parametrize("chosen", [0.0005, 0.002, 0.05])
def test_what_the_owner_has_set_stays(chosen: float) -> None:
    """A switch interval that somebody chose is not touched."""
    sys.setswitchinterval(chosen)
    take_turns()
    assert sys.getswitchinterval() == pytest.approx(chosen)


def test_what_a_started_process_holds_is_spared_once() -> None:
    """The second start of a guard in a process freezes nothing more: what a stopped guard leaves can be collected."""
    spare_collections()
    frozen = gc.get_freeze_count()
    assert frozen > 0
    kept = [[number] for number in range(1000)]
    spare_collections()
    assert gc.get_freeze_count() <= frozen
    assert len(kept) == 1000
