"""What disk, clock and operator do to a log: it fails closed, says why, and goes on by itself where it can."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guard.errors import LogLocked, LogUnavailable
from guard.record import slot
from guard.record.log import SignedLog
from guard.record.verify import verify
from tests.record.killed_writer import wait_for_recovery
from tests.record.logs import KEY, NAME, ORIGIN, Opened, decision
from tests.record.test_log import records_of

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]


def make(directory: Path, **options: Any) -> SignedLog:
    """A log that is not started."""
    return SignedLog(directory, name=NAME, signer=KEY.signer, **options)


def raising(number: int) -> Callable[..., Any]:
    """Stands for a system call that fails."""

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@contextmanager
def read_only(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """While it lasts nothing can be written, created or renamed: the file system answers with this error."""
    opening = os.open

    def open_to_read(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(number, os.strerror(number), str(path))
        return opening(path, flags, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_to_read)
        for name in ("write", "fdatasync", "fsync", "mkdir"):
            patch.setattr(os, name, raising(number))
        yield


async def closes_and_opens_again(directory: Path, failing: Callable[[], Any], reason: str) -> None:
    """In the block of ``failing`` appends are refused with ``reason``; after it the same log goes on by itself."""
    log = make(directory)
    await log.start()
    await log.append(decision(0))
    with failing():
        with pytest.raises(LogUnavailable, match=reason) as caught:
            await log.append(decision(1))
        assert caught.value.code == "log_unavailable"
        assert caught.value.where == str(directory / ORIGIN)
        assert caught.value.mend
        with pytest.raises(LogUnavailable, match=reason):
            await log.append(decision(2))
        status = log.status()
        assert (status.writable, status.error_code) == (False, "log_unavailable")
    await asyncio.to_thread(wait_for_recovery, log)
    await log.append(decision(3))
    await log.stop()
    held = [record["id"] for record in records_of(directory) if record["kind"] == "decision"]
    assert held == [decision(number)["id"] for number in (0, 3)]
    report = verify(directory)
    assert report.exit_code == 0, report.lines()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOSPC], ids=os.strerror)
async def test_a_file_system_that_takes_nothing_closes_the_log_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Remounted read-only, without permission, over quota, full: refused with the system's words, then on again."""
    await closes_and_opens_again(tmp_path, lambda: read_only(monkeypatch, number), os.strerror(number))


async def test_an_io_error_of_fdatasync_closes_the_log_and_is_not_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO: the kernel may have dropped what it could not write, so that file is never synced, nor believed, again."""
    asked: list[int] = []

    @contextmanager
    def broken() -> Iterator[None]:
        def fail(fd: int) -> None:
            asked.append(os.fstat(fd).st_ino)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", fail)
            yield

    await closes_and_opens_again(tmp_path, broken, "Input/output error")
    assert len(set(asked)) == len(asked) >= 1


def test_a_full_disk_closes_the_log_and_room_opens_it_again(tmp_path: Path) -> None:
    """ENOSPC, the real thing: a file system of 512 KiB in a mount namespace of its own."""
    mount = f"mount -t tmpfs -o size=512k none {tmp_path} && exec {sys.executable} -m tests.record.full_disk {tmp_path}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("user namespaces with mounts are not available here")
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == [
        "log_unavailable the log cannot be written (No space left on device)",
        "still closed",
        "exit 0, True",
    ], done.stderr


async def test_a_log_that_is_removed_while_it_is_written_is_not_begun_anew(tmp_path: Path) -> None:
    """A removed segment still takes bytes and keeps none: the append is refused, and so are all until a restart."""
    log = make(tmp_path)
    await log.start()
    await log.append(decision(0))
    shutil.rmtree(tmp_path / ORIGIN)
    with pytest.raises(LogUnavailable, match="removed"):
        await log.append(decision(1))
    worker = log._worker
    assert worker is not None
    worker._clock.reopen_at = 0.0
    with pytest.raises(LogUnavailable):
        await log.stop()
    assert not (tmp_path / ORIGIN / "seg").exists()
    report = verify(tmp_path)
    assert report.exit_code == 1
    assert any(ORIGIN in line for line in report.lines())


async def test_a_log_that_is_moved_away_while_it_is_written_is_noticed(tmp_path: Path) -> None:
    """The segment lives on elsewhere, so appends are durable; the next checkpoint finds its place gone."""
    log = make(tmp_path)
    await log.start()
    (tmp_path / ORIGIN).rename(tmp_path / "elsewhere")
    await log.append(decision(0))
    with pytest.raises(LogUnavailable):
        await log.stop()
    assert not (tmp_path / ORIGIN / "seg").exists()


async def test_a_wall_clock_that_is_set_back_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ts_us`` is the wall clock as it was, ``mono_us`` decides: the log verifies, and says that the clock stepped."""
    log = make(tmp_path)
    await log.start()
    await log.append(decision(0))
    now = time.time_ns()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
        await log.append(decision(1))
    await log.append(decision(2))
    await log.stop()
    report = verify(tmp_path / ORIGIN)
    assert report.exit_code == 0, report.lines()
    assert any("clock stepped back" in line for line in report.lines())
    monotonic = [record["mono_us"] for record in records_of(tmp_path)]
    assert monotonic == sorted(monotonic)


async def test_where_every_slot_is_held_the_start_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer lock is never shared or broken: with no slot free there is no start, and no file is touched."""
    monkeypatch.setattr(slot, "_MAX_SLOTS", 1)
    held = Opened(tmp_path)
    before = (tmp_path / ORIGIN / "seg" / "000000.jsonl").read_bytes()
    with pytest.raises(LogLocked, match="already write") as caught:
        await make(tmp_path).start()
    assert caught.value.mend
    held.close()
    assert (tmp_path / ORIGIN / "seg" / "000000.jsonl").read_bytes().startswith(before)
    log = make(tmp_path)
    await log.start()
    await log.stop()


async def test_a_list_of_writers_that_cannot_be_written_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No entry, no record: the start fails with a place and a remedy, and lets go of the origin."""
    (tmp_path / f"{NAME}-writers").write_text("in the way")
    with pytest.raises(LogUnavailable, match="cannot be written") as caught:
        await make(tmp_path).start()
    assert caught.value.mend
    (tmp_path / f"{NAME}-writers").unlink()
    log = make(tmp_path)
    await log.start()
    assert log.directory == tmp_path / ORIGIN
    await log.append(decision(0))
    await log.stop()
    report = verify(tmp_path)
    assert report.exit_code == 0, report.lines()
