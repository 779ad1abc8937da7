"""SIGKILL in a loop: two processes write under load and are killed at random moments, again and again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from guard.record.segment import list_segments, read_batches
from guard.record.verify import verify
from tests.record.logs import NAME, ORIGIN, Opened

ROOT = Path(__file__).resolve().parents[2]
ORIGINS = (ORIGIN, f"{NAME}-1")
LIST = f"{NAME}-writers"


class Victim:
    """A writer process, and what it was told is durable: (origin, seq) -> id."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-m", "tests.record.killed_writer", str(directory)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.acknowledged: dict[tuple[str, int], str] = {}
        self._grown = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = line.split()
            # The last line may have been cut by the kill.
            if len(words) == 3 and len(words[2]) == 36:
                with self._grown:
                    self.acknowledged[words[0], int(words[1])] = words[2]
                    self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def wait(self, count: int) -> None:
        """Until so many records are acknowledged."""
        with self._grown:
            assert self._grown.wait_for(lambda: len(self.acknowledged) >= count or self._ended, 60)
            assert not self._ended, "the writer ended by itself"

    def kill(self) -> None:
        """SIGKILL, and everything that was said before it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def standing(directory: Path) -> dict[tuple[str, int], str]:
    """What the logs hold: (origin, seq) -> id, of the records that a commit covers."""
    found: dict[tuple[str, int], str] = {}
    for origin in ORIGINS:
        for segment in list_segments(directory / origin / "seg"):
            for batch in read_batches(segment.path):
                for line in batch.records if batch.commit else []:
                    record: dict[str, Any] = json.loads(line)
                    found[origin, record["seq"]] = record["id"]
    return found


def kill_in_a_loop(directory: Path, kills: int, seed: int) -> int:
    """Two writers a round, both killed; returns how many records were acknowledged in all."""
    chance = random.Random(seed)
    acknowledged: dict[tuple[str, int], str] = {}
    torn = 0
    for number in range(kills // 2):
        victims = [Victim(directory), Victim(directory)]
        for victim in victims:
            victim.wait(chance.choice((1, 2, 10, 50, 90)))
        for victim in victims:
            victim.kill()
            assert not acknowledged.keys() & victim.acknowledged.keys()
            acknowledged |= victim.acknowledged
        report = verify(directory)
        assert report.exit_code in {0, 2}, (number, report.lines())
        assert {origin.origin for origin in report.origins} <= {*ORIGINS, LIST}
        torn += report.status == "torn"
        for origin in report.origins:
            assert origin.status != "torn" or origin.damages[0].seq is not None, origin
        held = standing(directory)
        assert {key: held.get(key) for key in acknowledged} == acknowledged
    for _ in range(2):
        with Opened(directory), Opened(directory):
            pass
    report = verify(directory)
    assert report.exit_code == 0, report.lines()
    return len(acknowledged)


def test_two_writers_killed_a_few_times_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    """SIGKILL under load, eight times: each log verifies or has a torn tail by name, the next start recovers, and every
    acknowledged record is where its receipt said."""
    assert kill_in_a_loop(tmp_path, 8, 2026) >= 8


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_two_writers_killed_two_hundred_times_lose_nothing_that_they_acknowledged(tmp_path: Path, seed: int) -> None:
    """The same, fifty times on the same two logs, four times over."""
    assert kill_in_a_loop(tmp_path, 50, seed) >= 300
