"""Honest logs with simulated crashes, to see that verification raises no false alarm.

``python -m tests.record.honest [--logs 10000] [--seed 1]``: so many log directories of one to three writers, each with
some openings, which end in order or in a crash: the last write cut anywhere, replaced by zeros or garbage from there
on, the checkpoint and frontier files left as they were before, an entry in the list of writers torn or never made.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from guard.record.boot import BootFacts
from guard.record.slot import Slot
from guard.record.verify import verify
from guard.record.writer import Writer
from guard.record.writers import Register
from tests.record.logs import KEY, NAME, decision, outcome

_BESIDE = ("checkpoint", "frontier")


class Crashed(Exception):
    """The simulated process is dead."""


class Process:
    """One simulated life of a writer process."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self._chance = chance
        self._slot = Slot(directory, NAME)
        self._register = Register(directory, NAME, KEY.signer, "0.1.0")
        facts = BootFacts(software_version="0.1.0", writers=self._register.origin)
        signer = KEY.signer(self._slot.origin)
        self._writer = Writer(self._slot.path, signer, facts, segment_records=chance.choice((16, 40, 65_536)))
        self._pending: list[int] = []

    def live(self, first: int) -> bool:
        """Write some batches. Whether it ended in order."""
        try:
            self._open()
            for number in range(first, first + self._chance.randrange(6)):
                self._commit(number)
            if self._chance.random() < 0.5:
                self._writer.close({})
                self._enter("closed")
                return True
            self._crash_in_a_write()
        except Crashed:
            self._writer.poison()
        finally:
            self._slot.release()
        return False

    def _open(self) -> None:
        before = self._beside(self._slot.path)
        self._writer.open()
        if self._chance.random() < 0.15:
            # Killed behind the first commit: nothing was published, nobody entered.
            self._restore(self._slot.path, before)
            raise Crashed
        if self._chance.random() < 0.1:
            raise Crashed
        self._enter("opened")

    def _enter(self, event: Literal["opened", "closed"]) -> None:
        listed = self._slot.path.with_name(self._register.origin)
        before = self._beside(listed)
        self._register.enter(event, self._writer.checkpoint, self._writer.boot)
        if self._chance.random() < 0.1:
            path = max((listed / "seg").glob("*.jsonl"))
            cut = self._chance.randrange(path.stat().st_size)
            path.write_bytes(path.read_bytes()[:cut] + self._rest(100))
            self._restore(listed, before)
            raise Crashed

    def _commit(self, number: int) -> None:
        records = [decision(number, policy_input=None, effect=self._chance.choice(("allow", "deny")))]
        del records[0]["id"]
        records += [outcome(number, policy_input=None) for _ in range(self._chance.randrange(3))]
        self._writer.commit(records[: self._writer.room])
        if self._chance.random() < 0.4:
            self._writer.tidy()
            self._writer.publish()

    def _crash_in_a_write(self) -> None:
        """The last commit reached the disk in part; nobody was told of it, and nothing published it."""
        beside = self._beside(self._slot.path)
        segments = sorted((self._slot.path / "seg").glob("*.jsonl"))
        size = segments[-1].stat().st_size
        self._commit_unpublished()
        path = max((self._slot.path / "seg").glob("*.jsonl"))
        start = size if path == segments[-1] else 0
        data = path.read_bytes()
        cut = self._chance.randrange(start, len(data) + 1)
        path.write_bytes(data[:cut] + self._rest(len(data) - cut))
        self._restore(self._slot.path, beside)
        raise Crashed

    def _commit_unpublished(self) -> None:
        records = [decision(0, policy_input=None), outcome(0, policy_input=None)]
        for record in records:
            record.pop("id", None)
        self._writer.commit(records[: self._writer.room])

    def _rest(self, unwritten: int) -> bytes:
        """What a power cut left instead of the rest of a write."""
        return self._chance.choice((b"", b"\x00" * unwritten, self._chance.randbytes(self._chance.randrange(300))))

    @staticmethod
    def _beside(origin: Path) -> dict[str, bytes]:
        return {name: (origin / name).read_bytes() for name in _BESIDE if (origin / name).exists()}

    @staticmethod
    def _restore(origin: Path, beside: dict[str, bytes]) -> None:
        for name in _BESIDE:
            (origin / name).unlink(missing_ok=True)
            if name in beside:
                (origin / name).write_bytes(beside[name])


def one(directory: Path, seed: int) -> tuple[int, list[str]]:
    """One honest log directory: the exit code of its verification, and what it says.

    Torn tails are allowed (2) only where the last life of some writer was a crash.
    """
    chance = random.Random(seed)
    crashed = False
    for life in range(chance.randint(1, 6)):
        others = [Process(directory, chance) for _ in range(chance.choice((1, 1, 2, 3)))]
        ended = [process.live(100 * life) for process in others]
        crashed = crashed or not all(ended)
    report = verify(directory)
    code = report.exit_code
    return (code if crashed or code == 0 else 1), report.lines()


def false_alarms(logs: int, seed: int, directory: Path) -> list[tuple[int, list[str]]]:
    """Seeds of honest logs that were called tampered, and what was said of them."""
    found: list[tuple[int, list[str]]] = []
    for number in range(seed, seed + logs):
        here = directory / str(number)
        code, lines = one(here, number)
        if code not in (0, 2):
            found.append((number, lines))
        shutil.rmtree(here)
    return found


def main() -> int:
    """The command line; 1 if there was a false alarm."""
    parser = argparse.ArgumentParser(prog="python -m tests.record.honest", description="Honest logs, false alarms.")
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = false_alarms(options.logs, options.seed, Path(directory))
    for number, lines in found:
        sys.stdout.write(f"seed {number}:\n" + "\n".join(lines) + "\n")
    sys.stdout.write(f"{len(found)} false alarms in {options.logs} honest logs\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
