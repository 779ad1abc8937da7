"""The signed log as an exchange uses it: durable before it is acknowledged, bounded, closed when it cannot write."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.errors import LogUnavailable
from guard.record.build import Standing
from guard.record.log import SignedLog
from guard.record.segment import list_segments, read_batches
from guard.record.verify import verify
from guard.types import RecordLog
from tests.record.logs import ENGINE, KEY, NAME, ORIGIN, decision, outcome

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]


def make(directory: Path, **options: Any) -> SignedLog:
    """A log that is not started."""
    return SignedLog(directory, name=NAME, signer=KEY.signer, **options)


def records_of(directory: Path) -> list[dict[str, Any]]:
    """Every record of the first origin that a commit covers."""
    return [
        json.loads(line)
        for segment in list_segments(directory / ORIGIN / "seg")
        for batch in read_batches(segment.path)
        if batch.commit is not None
        for line in batch.records
    ]


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's work; the test's own timeout bounds it."""
    while not condition():
        time.sleep(0.01)


class Gate:
    """Holds ``os.fdatasync`` of a writer thread until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.synced = 0
        self._sync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._wait)

    def _wait(self, fd: int) -> None:
        self.reached.set()
        assert self.opened.wait(20)
        self._sync(fd)
        self.synced += 1


async def test_a_receipt_comes_after_the_fdatasync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strict mode: while the disk has not answered, nobody is told that the record is durable."""
    log = make(tmp_path)
    await log.start()
    gate = Gate(monkeypatch)
    waiting = asyncio.create_task(log.append(decision(0)))
    assert await asyncio.to_thread(gate.reached.wait, 20)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert gate.synced == 0
    gate.opened.set()
    receipt = await waiting
    assert gate.synced == 1
    assert (receipt.seq, receipt.id) == (1, decision(0)["id"])
    await log.stop()


async def test_what_waits_together_is_committed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Group commit: records that queue up behind one fdatasync share the next, in the order of their coming."""
    log = make(tmp_path)
    await log.start()
    gate = Gate(monkeypatch)
    first = asyncio.create_task(log.append(decision(0)))
    assert await asyncio.to_thread(gate.reached.wait, 20)
    rest = [asyncio.create_task(log.append(decision(number))) for number in range(1, 21)]
    await asyncio.sleep(0)
    gate.opened.set()
    receipts = await asyncio.gather(first, *rest)
    assert [receipt.seq for receipt in receipts] == list(range(1, 22))
    assert gate.synced == 2
    await log.stop()
    assert verify(tmp_path).exit_code == 0
    assert [record["id"] for record in records_of(tmp_path)[1:22]] == [decision(number)["id"] for number in range(21)]


async def test_concurrent_appends_lose_and_swap_nothing(tmp_path: Path) -> None:
    """Many tasks at once: every receipt names the place where its record stands."""
    log = make(tmp_path, segment_records=16)
    assert isinstance(log, RecordLog)
    await log.start()

    async def exchange(number: int) -> None:
        receipt = await log.append(decision(number))
        placed[receipt.seq] = receipt.id
        receipt = await log.append(outcome(number))
        placed[receipt.seq] = receipt.id

    placed: dict[int, str] = {}
    await asyncio.gather(*(exchange(number) for number in range(100)))
    await log.stop()
    records = records_of(tmp_path)
    assert {record["seq"]: record["id"] for record in records[1:-1]} == placed
    report = verify(tmp_path)
    assert (report.exit_code, report.origins[0].size) == (0, 202)
    assert report.origins[0].accounts.unanswered_total == 0


async def test_nothing_happens_before_start_and_nothing_after_stop(tmp_path: Path) -> None:
    """The constructor touches no file; a log that is not started refuses by name; it can be started again."""
    log = make(tmp_path / "log")
    assert not (tmp_path / "log").exists()
    assert log.failure is not None
    with pytest.raises(LogUnavailable, match="not started"):
        await log.append(decision(0))
    await log.stop()
    for number in range(2):
        await log.start()
        await log.start()
        assert log.failure is None
        assert log.directory == tmp_path / "log" / ORIGIN
        await log.append(decision(number))
        await log.stop()
    with pytest.raises(LogUnavailable, match="not started"):
        await log.append(decision(9))
    kinds = [record["kind"] for record in records_of(tmp_path / "log")]
    assert kinds == ["open", "decision", "close"] * 2
    assert verify(tmp_path / "log").exit_code == 0


async def test_the_open_record_tells_who_writes_and_how(tmp_path: Path) -> None:
    """Configuration digest, software version, mode and key stand in the log itself."""
    log = make(
        tmp_path,
        mode="buffered",
        standing=lambda: Standing("cd" * 32, ENGINE),
        software_version="1.2.3",
        heartbeat_seconds=5,
    )
    await log.start()
    await log.stop()
    opening = records_of(tmp_path)[0]
    assert opening["software"] == {"name": "policy-guard", "version": "1.2.3"}
    assert (opening["config_digest"], opening["mode"], opening["loss_window_ms"]) == ("cd" * 32, "buffered", 100)
    assert opening["heartbeat_ms"] == 5000
    assert opening["key"] == (tmp_path / ORIGIN / "log.vkey").read_text().strip()


async def test_a_full_queue_holds_back_and_then_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past ``queue_records`` a caller waits; if no room comes, it is told so, and what was queued is still written."""
    log = make(tmp_path, queue_records=3, queue_timeout_seconds=0.05)
    await log.start()
    gate = Gate(monkeypatch)
    queued = [asyncio.create_task(log.append(decision(number))) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(LogUnavailable, match="stayed full"):
        await log.append(decision(3))
    gate.opened.set()
    await asyncio.gather(*queued)
    await log.append(decision(4))
    await log.stop()
    assert [record["id"] for record in records_of(tmp_path)[1:-1]] == [decision(n)["id"] for n in (0, 1, 2, 4)]


async def test_room_in_the_queue_lets_the_next_one_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure ends when the writer has written."""
    log = make(tmp_path, queue_records=1, queue_timeout_seconds=20)
    await log.start()
    gate = Gate(monkeypatch)
    tasks = [asyncio.create_task(log.append(decision(number))) for number in range(4)]
    await asyncio.sleep(0)
    gate.opened.set()
    assert [receipt.seq for receipt in await asyncio.gather(*tasks)] == [1, 2, 3, 4]
    await log.stop()


async def test_a_caller_that_goes_away_leaves_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled append harms nobody: its record is in the log, the others get their receipts."""
    log = make(tmp_path)
    await log.start()
    gate = Gate(monkeypatch)
    gone, stays = (asyncio.create_task(log.append(decision(number))) for number in range(2))
    assert await asyncio.to_thread(gate.reached.wait, 20)
    gone.cancel()
    gate.opened.set()
    assert (await stays).seq == 2
    await log.stop()
    assert decision(0)["id"] in {record["id"] for record in records_of(tmp_path)}


async def test_a_failed_write_is_told_to_every_waiter_and_to_all_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails: every waiter of the batch and every later caller hears it; fdatasync is not tried again."""
    log = make(tmp_path)
    await log.start()
    calls: list[int] = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    answers = await asyncio.gather(*(log.append(decision(n)) for n in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LogUnavailable] * 3
    with pytest.raises(LogUnavailable, match="No space left") as caught:
        await log.append(decision(4))
    assert caught.value.where == str(tmp_path / ORIGIN)
    assert log.failure is not None
    assert len(set(calls)) == len(calls)
    monkeypatch.undo()
    await log.stop()
    assert verify(tmp_path).exit_code == 0
    assert [record["kind"] for record in records_of(tmp_path)][-1] == "close"


async def test_a_failing_signer_closes_the_log(tmp_path: Path) -> None:
    """Whatever fails in the writer thread reaches the callers; nobody waits for ever."""

    class Broken:
        def __init__(self, origin: str) -> None:
            self._signer = KEY.signer(origin)
            self.broken = False

        @property
        def name(self) -> str:
            return self._signer.name

        @property
        def public_key(self) -> bytes:
            return self._signer.public_key

        def sign(self, message: bytes) -> bytes:
            if self.broken:
                raise RuntimeError("the key service is away")
            return self._signer.sign(message)

    signers: list[Broken] = []

    def signer(origin: str) -> Broken:
        signers.append(Broken(origin))
        return signers[-1]

    log = SignedLog(tmp_path, name=NAME, signer=signer)
    await log.start()
    signers[0].broken = True
    with pytest.raises(LogUnavailable, match="key service is away"):
        await log.append(decision(0))
    signers[0].broken = False
    await log.stop()
    assert verify(tmp_path).exit_code == 0


async def test_what_lies_outside_the_schema_stays_outside_the_log(tmp_path: Path) -> None:
    """A caller's slip: unknown fields are left out and said, a record that cannot be is refused without its values, the
    log's own kinds are its own; the log goes on."""
    log = make(tmp_path)
    await log.start()
    assert (await log.append({**decision(0), "prompt": "my secret prompt"})).seq == 1
    with pytest.raises(LogUnavailable, match="refused") as caught:
        await log.append({**decision(1), "duration_us": "my secret duration"})
    assert "my secret" not in str(caught.value)
    for kind in ("close", "suppressed", "writer"):
        with pytest.raises(LogUnavailable, match="made by the log itself"):
            await log.append({"kind": kind, "counters": {}})
    assert (await log.append(decision(2))).seq == 2
    await log.stop()
    assert records_of(tmp_path)[1]["dropped"] == ["*"]
    assert b"my secret" not in (tmp_path / ORIGIN / "seg" / "000000.jsonl").read_bytes()


async def test_the_log_beats_with_the_counters_it_is_given(tmp_path: Path) -> None:
    """Heartbeats come without traffic and hold the counters; a broken counter is said, not silent."""
    counted = iter([{"excluded_requests": 7}, {"excluded_requests": "many"}])

    def counters() -> dict[str, Any]:
        return next(counted)  # then StopIteration: a counter that is broken

    log = make(tmp_path, heartbeat_seconds=0.02, counters=counters)
    await log.start()
    await asyncio.to_thread(until, lambda: log.checkpoint is not None and log.checkpoint.size >= 5)
    await log.stop()
    beats = [record["counters"] for record in records_of(tmp_path) if record["kind"] == "heartbeat"]
    assert beats[0] == {"excluded_requests": 7, "appended": 0, "queued": 0}
    assert beats[1] == {"counters_failed": 1, "appended": 0, "queued": 0}
    assert beats[2] == {"counters_failed": 1, "appended": 0, "queued": 0}


async def test_what_is_counted_instead_of_recorded_is_told_once(tmp_path: Path) -> None:
    """Requests at excluded routes or shed at the door have no record: ``suppressed`` says how many since the last time,
    with the heartbeats and before the close; a restart of the log tells none of them twice; other counters are none."""
    counts = {"excluded_requests": 7, "overloaded": 2, "health_requests": 9, "unrecorded": 0}
    log = make(tmp_path, heartbeat_seconds=0.02, counters=lambda: dict(counts))
    await log.start()
    await asyncio.to_thread(until, lambda: log.checkpoint is not None and log.checkpoint.size >= 4)
    counts["overloaded"] = 5
    await log.stop()
    counts["unrecorded"] = 1
    await log.start()
    await log.stop()
    told = [record for record in records_of(tmp_path) if record["kind"] == "suppressed"]
    assert [record["counts"] for record in told] == [
        {"excluded_requests": 7, "overloaded": 2},
        {"overloaded": 3},
        {"unrecorded": 1},
    ]
    assert [record["since_us"] for record in told] == sorted(record["since_us"] for record in told)
    assert verify(tmp_path).exit_code == 0


async def test_buffered_mode_syncs_within_its_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffered mode acknowledges what the kernel has, and syncs soon after without being asked."""
    log = make(tmp_path, mode="buffered")
    await log.start()
    gate = Gate(monkeypatch)
    assert (await log.append(decision(0))).seq == 1
    assert gate.synced == 0
    gate.opened.set()
    assert await asyncio.to_thread(gate.reached.wait, 20)
    await log.stop()
    assert verify(tmp_path).exit_code == 0


async def test_the_checkpoint_file_follows_by_itself(tmp_path: Path) -> None:
    """Off the hot path the checkpoint file catches up with the last commit."""
    log = make(tmp_path)
    await log.start()
    checkpoint = tmp_path / ORIGIN / "checkpoint"
    assert checkpoint.read_text().splitlines()[1] == "1"
    await log.append(decision(0))
    await asyncio.to_thread(until, lambda: checkpoint.read_text().splitlines()[1] == "2")
    await log.stop()


async def test_two_event_loops_share_a_log(tmp_path: Path) -> None:
    """Callers on another loop, in another thread, get their own receipts."""
    log = make(tmp_path)
    await log.start()
    elsewhere = await asyncio.to_thread(lambda: asyncio.run(_append(log, 1)))
    assert (elsewhere, await _append(log, 2)) == (1, 2)
    await log.stop()


async def _append(log: SignedLog, number: int) -> int:
    return (await log.append(decision(number))).seq


async def test_a_forked_child_does_not_write_its_parents_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was forked after the log was opened has no writer thread, and is told so."""
    log = make(tmp_path)
    await log.start()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LogUnavailable, match="forked"):
            await log.append(decision(0))
    await log.stop()


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A directory that cannot be made is an outage with a place and a remedy, not a traceback of the system."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnavailable, match="cannot be written") as caught:
        await make(tmp_path / "file" / "log").start()
    assert caught.value.mend


def run(*arguments: str) -> subprocess.Popen[str]:
    """A process that writes a log of its own."""
    command = [sys.executable, "-m", "tests.record.killed_writer", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_file_size_limit_closes_the_log_and_lifting_it_opens_it_again(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, the same way as a full disk: refused until there is room, then on in a new segment."""
    with run(str(tmp_path), "30000") as process:
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
    durable, reason = said[0].split(" ", 1)
    assert "cannot be written" in reason
    assert said[1:] == ["still closed", "open again"]
    report = verify(tmp_path)
    assert report.exit_code == 0, report.lines()
    assert report.origins[0].accounts.records["decision"] == int(durable) + 1
    assert report.origins[0].accounts.records["recovery"] == 1
