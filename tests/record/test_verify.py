"""Verification: what was changed is found and named, what was torn is told apart, what is not proven is said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.record.note import VerifierKey
from guard.record.recovery import GENESIS
from guard.record.segment import list_segments, read_batches
from guard.record.verify import UsageError, main, read_trust, verify
from tests.record.logs import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    Opened,
    copy_of,
    decision,
    outcome,
    twelve_records,
    write_closed,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A cleanly closed log of twelve records: the directory of its one origin."""
    return twelve_records(tmp_path / "log")


def files_of(log: Path) -> list[Path]:
    """Every file that says something."""
    return [*(segment.path for segment in list_segments(log / "seg")), log / "checkpoint", log / "log.vkey"]


def places(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Offset, line number (from 1) and line of every byte, its newline included."""
    offset = 0
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        for within in range(len(line) + 1):
            yield offset + within, number, line
        offset += len(line) + 1


def flip_and_check(log: Path, step: int, mask: int) -> int:
    """Change every ``step``-th byte in turn; each change must be found and its record named. Returns how many."""
    tried = 0
    for file in files_of(log):
        data = file.read_bytes()
        for offset, number, line in places(data):
            # The small files are looked at byte by byte in any case.
            if offset % step and file.suffix == ".jsonl":
                continue
            file.write_bytes(data[:offset] + bytes((data[offset] ^ mask,)) + data[offset + 1 :])
            report = verify(log)
            tried += 1
            where = f"{file.name} byte {offset}"
            assert report.exit_code == 1, where
            first = report.origins[0].damages[0]
            if file.suffix != ".jsonl":
                assert first.file == file.name, where
            else:
                assert (first.file, first.line) == (f"seg/{file.name}", number), where
                if not line.startswith(b'{"commit":'):
                    assert first.seq == json.loads(line)["seq"], where
        file.write_bytes(data)
    return tried


def test_a_cleanly_closed_log_is_whole_and_says_what_it_does_not_prove(log: Path) -> None:
    """An honest log exits 0; without trust file and anchor, origin and the end are named as unproven."""
    report = verify(log.parent)
    (origin,) = report.origins
    assert (report.exit_code, origin.status, origin.size) == (0, "whole", 12)
    assert origin.damages == []
    assert origin.accounts.records == {"open": 1, "decision": 6, "outcome": 4, "close": 1}
    assert (origin.accounts.commits, origin.accounts.segments, origin.accounts.unanswered_total) == (7, 2, 0)
    assert [sentence.split(":")[0] for sentence in origin.not_proven[:2]] == ["origin", "completeness at the end"]
    key = VerifierKey.of(KEY.signer(ORIGIN)).encode()
    assert origin.proven == [f"records 0 to 11 are complete, in order and unaltered under the key {key}"]


def test_a_changed_byte_is_found_and_its_record_named(log: Path) -> None:
    """Attack 1: bytes changed one at a time (a sample of the segments; all of ``checkpoint`` and ``log.vkey``)."""
    assert flip_and_check(log, step=29, mask=0x01) > 700


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_changed_byte_is_found_and_its_record_named(log: Path, mask: int) -> None:
    """Attack 1: every byte of a twelve-record log, in three ways of changing it."""
    assert flip_and_check(log, step=1, mask=mask) == sum(file.stat().st_size for file in files_of(log))


@pytest.mark.slow
def test_every_cut_of_the_last_batch_is_torn_or_tampered(tmp_path: Path) -> None:
    """A log killed while writing: cut anywhere in its last batch it is a torn tail, and the rest verifies."""
    opened = Opened(tmp_path / "log")
    opened.commit(decision(0))
    opened.writer.publish()
    opened.commit(outcome(0, policy_input=None), decision(1, policy_input=None))
    opened.kill()
    segment = opened.slot.path / "seg" / "000000.jsonl"
    data = segment.read_bytes()
    last = list(read_batches(segment))[-1]
    for cut in range(last.start + 1, last.end):
        segment.write_bytes(data[:cut])
        report = verify(opened.slot.path)
        assert (report.exit_code, report.status, report.origins[0].size) == (2, "torn", 2), cut
        assert report.origins[0].damages[0].seq is not None
    for cut in (last.start - 1, 1):
        segment.write_bytes(data[:cut])
        assert verify(opened.slot.path).exit_code == 1


def test_a_log_cut_below_its_checkpoint_is_tampered(log: Path) -> None:
    """Attack 4: records cut off at a commit, below what the checkpoint states, are missed."""
    segment = files_of(log)[1]
    batches = list(read_batches(segment))
    segment.write_bytes(segment.read_bytes()[: batches[-1].start])
    report = verify(log)
    assert report.exit_code == 1
    assert "ends at 11 records, its checkpoint states 12" in str(report.origins[0].damages[0])


def test_a_cut_at_a_commit_with_the_checkpoint_rolled_back_is_said_to_be_unprovable(log: Path) -> None:
    """Attack 7: an older state, validly signed, does not show without an anchor; the report says so."""
    segment = files_of(log)[1]
    batches = list(read_batches(segment))
    segment.write_bytes(segment.read_bytes()[: batches[-1].start])
    note = json.loads(batches[-2].commit or b"")["commit"]
    (log / "checkpoint").write_text(note, encoding="utf-8")
    report = verify(log)
    assert report.exit_code == 0
    assert any("rollback" in sentence for sentence in report.origins[0].not_proven)
    assert any("not closed" in notice for notice in report.origins[0].notices)


def rewrite(log: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Replace the lines of the first segment."""
    segment = files_of(log)[0]
    lines = change(segment.read_bytes().split(b"\n")[:-1])
    segment.write_bytes(b"\n".join(lines) + b"\n")


def first_damage(log: Path) -> tuple[int, int | None]:
    """Exit code and the first bad record."""
    report = verify(log)
    return report.exit_code, report.origins[0].damages[0].seq if report.origins[0].damages else None


def test_a_deleted_record_is_missed(log: Path) -> None:
    """Attack 2: without record 3, the record in its place is named."""
    rewrite(log, lambda lines: [line for line in lines if b'"seq":3,' not in line])
    assert first_damage(log) == (1, 3)


def test_reordered_records_are_noticed(log: Path) -> None:
    """Attack 3: two records of one commit change places."""
    rewrite(log, lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]])
    assert first_damage(log) == (1, 2)


def test_a_duplicated_record_is_noticed(log: Path) -> None:
    """Attack 5: a record stands twice."""
    rewrite(log, lambda lines: [*lines[:3], lines[2], *lines[3:]])
    assert first_damage(log)[0] == 1


def test_a_repeated_id_is_noticed(tmp_path: Path) -> None:
    """Attack 5: a second record under an id that the log holds already, although signed."""
    write_closed(tmp_path / "log", [[decision(0)], [decision(0)]])
    assert first_damage(tmp_path / "log" / ORIGIN) == (1, 2)


def test_an_injected_field_is_noticed(log: Path) -> None:
    """Attack 10: a field that the schema does not know, in canonical place."""
    rewrite(log, lambda lines: [line.replace(b'{"boot"', b'{"aaa":1,"boot"') for line in lines])
    assert first_damage(log) == (1, 0)


def test_a_repeated_key_is_noticed(log: Path) -> None:
    """Attack 10: a JSON key given twice, which readers resolve differently."""
    rewrite(log, lambda lines: [lines[0].replace(b'"kind":"open"', b'"kind":"close","kind":"open"'), *lines[1:]])
    assert first_damage(log) == (1, 0)


def test_a_commit_of_another_log_is_noticed(tmp_path: Path, log: Path) -> None:
    """Attack 9: the commit of another log, or its checkpoint, does not serve here."""
    other = write_closed(tmp_path / "other", [[decision(7)]], key=OTHER_KEY)
    (log / "checkpoint").write_bytes((other / "checkpoint").read_bytes())
    assert first_damage(log) == (1, None)


def test_a_log_under_a_substituted_key_is_noticed_by_who_knows_the_key(tmp_path: Path) -> None:
    """Attack 8: a whole log rewritten under another key is whole in itself; the trust file tells."""
    forged = write_closed(tmp_path / "log", [[decision(0)], [outcome(0)]], key=OTHER_KEY)
    assert verify(forged).exit_code == 0
    genuine = VerifierKey.of(KEY.signer(ORIGIN))
    report = verify(forged, trust=[genuine])
    assert report.exit_code == 1
    assert "not the trusted one" in str(report.origins[0].damages[0])
    assert verify(forged, trust=[VerifierKey.of(KEY.signer("elsewhere-0"))]).exit_code == 1


def test_a_trust_file_proves_the_origin(tmp_path: Path, log: Path) -> None:
    """With the key in a trust file, origin is among what is proven."""
    trust = tmp_path / "trust"
    trust.write_text(f"# our gateway\n{VerifierKey.of(KEY.signer(ORIGIN)).encode()}\n", encoding="utf-8")
    report = verify(log, trust=read_trust(trust))
    assert report.exit_code == 0
    assert any("trust file" in sentence for sentence in report.origins[0].proven)
    assert not any(sentence.startswith("origin") for sentence in report.origins[0].not_proven)


def test_a_missing_segment_is_missed(log: Path) -> None:
    """Attack 2: a whole segment is gone."""
    (log / "seg" / "000000.jsonl").unlink()
    assert first_damage(log) == (1, 0)


def test_all_segments_gone_is_tampering(log: Path) -> None:
    """A checkpoint without a log was not left by a crash."""
    for segment in list_segments(log / "seg"):
        segment.path.unlink()
    assert first_damage(log) == (1, 0)


@pytest.mark.parametrize("name", ["checkpoint", "log.vkey"])
def test_a_missing_file_is_missed(log: Path, name: str) -> None:
    """The checkpoint and the key belong to a log that holds records."""
    (log / name).unlink()
    assert verify(log).exit_code == 1


def test_bytes_after_a_close_are_tampering(log: Path) -> None:
    """Nobody writes into a segment that was closed."""
    segment = files_of(log)[1]
    segment.write_bytes(segment.read_bytes() + b'{"boot":')
    assert first_damage(log) == (1, 12)


def test_bytes_in_a_new_segment_after_a_close_are_a_torn_start(log: Path) -> None:
    """A process killed while it opened the log anew leaves a torn segment of its own."""
    (log / "seg" / "000002.jsonl").write_bytes(b'{"boot":')
    assert first_damage(log) == (2, 12)


def test_unwritten_blocks_in_the_last_batch_are_torn_and_elsewhere_tampering(tmp_path: Path) -> None:
    """A power failure may leave zeros before a commit that was never synced, but not before an older one."""
    opened = Opened(tmp_path / "log")
    opened.commit(decision(0))
    opened.commit(decision(1))
    opened.kill()
    segment = opened.slot.path / "seg" / "000000.jsonl"
    data = segment.read_bytes()
    *_, middle, last = read_batches(segment)
    zeros = b"\x00" * 100
    segment.write_bytes(data[: last.start + 50] + zeros + data[last.start + 150 :])
    assert first_damage(opened.slot.path) == (2, 2)
    segment.write_bytes(data[: middle.start + 50] + zeros + data[middle.start + 150 :])
    assert first_damage(opened.slot.path) == (1, 1)


def test_a_decision_without_outcome_is_named_and_no_tampering(tmp_path: Path) -> None:
    """A log that was killed between decision and outcome names the decision; a denied one needs no outcome."""
    opened = Opened(tmp_path / "log")
    opened.commit(decision(0), decision(1), decision(2, effect="deny"))
    opened.commit(outcome(0))
    opened.kill()
    report = verify(tmp_path / "log")
    assert report.exit_code == 0
    assert report.origins[0].accounts.unanswered == [decision(1)["id"]]
    assert any("missing outcomes: 1" in line for line in report.lines())


def test_several_boots_are_told_apart(tmp_path: Path) -> None:
    """A kill between two boots is a notice; each boot begins a segment."""
    opened = Opened(tmp_path / "log")
    opened.commit(decision(0), outcome(0))
    opened.kill()
    log = write_closed(tmp_path / "log", [[decision(1), outcome(1)]])
    report = verify(log)
    accounts = report.origins[0].accounts
    assert (report.exit_code, accounts.boots, accounts.boots_unclosed, accounts.segments) == (0, 2, 1, 2)


def test_a_log_in_which_a_boot_goes_on_after_its_close_is_tampered(tmp_path: Path) -> None:
    """A key holder's slip: records after a close without an open are not what any writer makes."""
    opened = Opened(tmp_path / "log")
    opened.commit({"kind": "close", "counters": {}})
    opened.commit(decision(0))
    opened.kill()
    assert first_damage(opened.slot.path) == (1, 2)


def test_an_anchor_that_is_required_and_missing_is_incomplete(log: Path) -> None:
    """``--require-anchor`` turns the warning into exit code 2."""
    assert verify(log, require_anchor=True).exit_code == 2
    assert "anchor is required" in verify(log, require_anchor=True).lines()[-1]


def test_what_is_no_log_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, with what, where and how to mend it."""
    with pytest.raises(UsageError, match="no log here"):
        verify(tmp_path)
    assert main([str(tmp_path)]) == 3
    assert main([str(tmp_path), "--trust", str(tmp_path / "none")]) == 3
    assert main(["--unknown"]) == 3
    empty = tmp_path / "trust"
    empty.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(UsageError, match="names no key"):
        read_trust(empty)
    assert str(tmp_path) in capsys.readouterr().err


def test_the_module_runs_alone_and_light(log: Path) -> None:
    """An auditor runs it without web framework, detectors or configuration."""
    command = [sys.executable, "-m", "guard.record.verify", str(log), "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    report: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, report["status"], report["exit_code"]) == (0, "whole", 0)
    assert report["origins"][0]["accounts"]["records"]["decision"] == 6
    assert done.stderr == b""
    code = (
        "import sys, guard.record.verify;"
        "heavy = {'starlette', 'presidio_analyzer', 'sklearn', 'pydantic', 'structlog', 'typer', 'rich'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=30)
    assert alone.returncode == 0, alone.stderr


def test_the_first_record_has_no_predecessor(log: Path) -> None:
    """``prev`` of record 0 is 64 zeros; of every other, the SHA-256 of the line before."""
    first = next(read_batches(files_of(log)[0])).records[0]
    assert json.loads(first)["prev"] == GENESIS == "0" * 64


def test_two_origins_are_verified_side_by_side(tmp_path: Path) -> None:
    """Several workers are several logs; the worst of them tells the exit code."""
    first, second = Opened(tmp_path / "log"), Opened(tmp_path / "log")
    first.commit(decision(0), outcome(0))
    first.close()
    second.close()
    assert [origin.origin for origin in verify(tmp_path / "log").origins] == ["policy-guard-0", "policy-guard-1"]
    damaged = copy_of(tmp_path / "log", tmp_path / "copy")
    (damaged / "policy-guard-1" / "checkpoint").unlink()
    (damaged / "policy-guard-1" / "seg" / "000000.jsonl").write_bytes(b"")
    report = verify(damaged)
    assert [origin.status for origin in report.origins] == ["whole", "torn"]
    assert report.exit_code == 2
