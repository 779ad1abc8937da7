"""The list of writers: a whole origin that is gone, one of another deployment, and a list that was rolled back."""

from __future__ import annotations

import fcntl
import shutil
import threading
from pathlib import Path

import pytest

from guard.errors import LogLocked
from guard.record import writers
from guard.record.log import SignedLog
from guard.record.verify import verify
from guard.record.writers import Register, is_list, read_writers
from guard.types import Checkpoint
from tests.record.logs import KEY, NAME, ORIGIN, OTHER_KEY, Opened, decision, outcome

pytestmark = pytest.mark.anyio
LIST = f"{NAME}-writers"
SECOND = f"{NAME}-1"


def make(directory: Path) -> SignedLog:
    """The log of one process."""
    return SignedLog(directory, name=NAME, signer=KEY.signer)


async def run(directory: Path, *numbers: int) -> list[Path]:
    """Two processes' logs, side by side, closed in order; returns their directories."""
    logs = [make(directory), make(directory)]
    for log in logs:
        await log.start()
    paths = [log.directory for log in logs if log.directory is not None]
    for number in numbers:
        await logs[number % 2].append(decision(number))
        await logs[number % 2].append(outcome(number))
    for log in logs:
        await log.stop()
    return paths


def said(directory: Path) -> tuple[int, str]:
    """Exit code and everything that verification says."""
    report = verify(directory)
    return report.exit_code, "\n".join(report.lines())


async def test_each_writer_is_entered_when_it_opens_and_when_it_closes(tmp_path: Path) -> None:
    """Entries name origin, boot, size and root; the list is a log of its own that verifies like any other."""
    await run(tmp_path, 0, 1, 2)
    listed = read_writers(tmp_path)
    assert (set(listed.lists), set(listed.origins)) == ({LIST}, {ORIGIN, SECOND})
    entries = listed.entries(ORIGIN)
    assert [(entry.event, entry.size) for entry in entries] == [("opened", 1), ("closed", 6)]
    assert len({entry.writer_boot for entry in entries}) == 1
    report = verify(tmp_path)
    assert report.exit_code == 0, report.lines()
    by_name = {origin.origin: origin for origin in report.origins}
    assert by_name[LIST].accounts.records == {"open": 4, "writer": 4, "close": 4}
    assert entries[1].root == by_name[ORIGIN].root
    assert is_list(LIST)
    assert not is_list(ORIGIN)


async def test_a_restart_and_a_kill_leave_no_false_alarm(tmp_path: Path) -> None:
    """Boots follow each other; a process killed between its open record and its entry has no more than that record."""
    await run(tmp_path, 0)
    await run(tmp_path, 1, 2)
    Opened(tmp_path).kill()
    code, text = said(tmp_path)
    assert code == 0, text


async def test_the_removal_of_a_whole_origin_is_noticed(tmp_path: Path) -> None:
    """Attack 12: one worker's log is deleted, everything else verifies; the list names what is missing."""
    _, second = await run(tmp_path, 0, 1)
    shutil.rmtree(second)
    assert read_writers(tmp_path).missing([ORIGIN]) == [SECOND]
    code, text = said(tmp_path)
    assert code == 1
    assert SECOND in text


async def test_the_removal_of_the_list_is_noticed(tmp_path: Path) -> None:
    """Attack 12, the list with it: each boot names the list in which it was entered."""
    _, second = await run(tmp_path, 0, 1)
    shutil.rmtree(second)
    shutil.rmtree(tmp_path / LIST)
    code, text = said(tmp_path)
    assert code == 1
    assert "that list is not here" in text


async def test_a_list_that_was_rolled_back_is_noticed(tmp_path: Path) -> None:
    """Attack 12, the list as it was before the second worker came: the first one's later boot is not in it."""
    log = make(tmp_path)
    await log.start()
    await log.stop()
    shutil.copytree(tmp_path / LIST, tmp_path / "kept")
    _, second = await run(tmp_path, 0, 1)
    shutil.rmtree(second)
    shutil.rmtree(tmp_path / LIST)
    (tmp_path / "kept").rename(tmp_path / LIST)
    code, text = said(tmp_path)
    assert code == 1
    assert "rolled back" in text


async def test_an_origin_that_was_rolled_back_is_noticed(tmp_path: Path) -> None:
    """Attack 7 on one origin alone: the list saw it at more records than it holds now."""
    first, _ = await run(tmp_path, 0)
    shutil.copytree(first, tmp_path / "kept")
    await run(tmp_path, 2, 4)
    shutil.rmtree(first)
    (tmp_path / "kept").rename(first)
    code, text = said(tmp_path)
    assert code == 1
    assert "the log ends at 4 records" in text


async def test_a_log_of_another_deployment_is_noticed(tmp_path: Path) -> None:
    """Attack 12, spliced: an origin of the same name and key, but another run, takes the place of the real one."""
    first, _ = await run(tmp_path / "here", 0, 2)
    other, _ = await run(tmp_path / "there", 0, 4)
    shutil.rmtree(first)
    shutil.copytree(other, first)
    code, text = said(tmp_path / "here")
    assert code == 1
    assert "never was in the state" in text


async def test_a_write_that_fails_and_heals_needs_no_new_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same process opens its log again: that boot was entered before it failed, and verifies."""
    log = make(tmp_path)
    await log.start()
    worker = log._worker
    assert worker is not None
    worker.writer.poison()
    await log.stop()
    code, text = said(tmp_path)
    assert code == 0, text
    assert [entry.event for entry in read_writers(tmp_path).entries(ORIGIN)] == ["opened", "closed"]


async def test_a_list_under_another_key_is_not_continued(tmp_path: Path) -> None:
    """Whoever starts with another key does not write into this list, and takes no origin of it."""
    await run(tmp_path, 0)
    stranger = SignedLog(tmp_path, name=NAME, signer=OTHER_KEY.signer)
    with pytest.raises(Exception, match="key"):
        await stranger.start()
    assert said(tmp_path)[0] == 0


def test_a_list_that_somebody_holds_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process that holds the list's lock does not hang the others for ever."""
    monkeypatch.setattr(writers, "_LOCK_SECONDS", 0.05)
    register = Register(tmp_path, NAME, KEY.signer)
    (tmp_path / LIST).mkdir()
    with (tmp_path / LIST / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LogLocked, match="holds the list of writers") as caught:
            register.enter("opened", Checkpoint(ORIGIN, 1, b"\x00" * 32), "0" * 16)
    assert caught.value.mend


def test_entries_of_many_processes_follow_each_other(tmp_path: Path) -> None:
    """The lock orders them: no entry is lost, and the list verifies."""
    register = Register(tmp_path, NAME, KEY.signer)

    def enter(number: int) -> None:
        register.enter("opened", Checkpoint(f"{NAME}-{number}", 1, bytes([number]) * 32), f"{number:016x}")

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_writers(tmp_path).origins == {f"{NAME}-{number}" for number in range(12)}
    assert verify(tmp_path / LIST).exit_code == 0


def test_where_there_is_no_list_nothing_is_missing(tmp_path: Path) -> None:
    """An older log, or no log at all: an empty statement, no alarm."""
    assert read_writers(tmp_path / "none").lists == frozenset()
    assert read_writers(tmp_path).missing([ORIGIN]) == []
