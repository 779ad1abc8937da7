"""What a started guard sets in its process, and what it leaves as the owner has it."""

from __future__ import annotations

import gc
import platform
import sys
from collections.abc import Iterator

import pytest

from guard.process import map_large_blocks, spare_collections, take_turns


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these thresholds")
def test_large_blocks_are_mapped_whatever_was_freed_before() -> None:
    """The thresholds stay where they begin, so that the memory of a large body goes back when it is freed."""
    assert map_large_blocks({"MALLOC_ARENA_MAX": "2"})


@pytest.mark.parametrize("chosen", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_an_allocator_that_the_owner_chose_stays(chosen: str) -> None:
    """Somebody who tunes or replaces the allocator knows better than the guard."""
    assert not map_large_blocks({chosen: "1"})
