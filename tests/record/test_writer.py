"""The writer: batches, slots, segments, failed writes, and recovery from whatever a crash left behind."""

from __future__ import annotations

import json
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from guard.errors import KeyInvalid, LogTampered
from guard.record.canonical import NotCanonical, parse
from guard.record.note import VerifierKey, open_note, parse_checkpoint
from guard.record.segment import MAX_RECORD_BYTES, commit_note, list_segments, read_batches
from guard.record.tree import leaf_hash, root_of
from guard.record.verify import verify
from guard.types import Receipt
from tests.record.logs import KEY, ORIGIN, OTHER_KEY, Opened, decision, outcome


def lines_of(log: Path) -> list[bytes]:
    """Every record line of an origin."""
    return [
        line for segment in list_segments(log / "seg") for batch in read_batches(segment.path) for line in batch.records
    ]


def test_a_batch_is_chained_hashed_and_signed_as_documented(tmp_path: Path) -> None:
    """Records are canonical lines with seq and prev; the commit line is a checkpoint note over all leaves so far."""
    opened = Opened(tmp_path)
    receipts = opened.writer.commit([decision(0), outcome(0)])
    opened.kill()
    lines = lines_of(opened.slot.path)
    records = [parse(line) for line in lines]
    assert [record["seq"] for record in records] == [0, 1, 2]
    assert [record["prev"] for record in records[1:]] == [sha256(line).hexdigest() for line in lines[:-1]]
    assert receipts == [Receipt(1, decision(0)["id"]), Receipt(2, records[2]["id"])]
    assert {record["origin"] for record in records} == {ORIGIN}
    *_, last = read_batches(opened.slot.path / "seg" / "000000.jsonl")
    note = open_note(commit_note(last.commit or b""), VerifierKey.of(KEY.signer(ORIGIN)))
    checkpoint = parse_checkpoint(note)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 3)
    assert checkpoint.root == root_of([leaf_hash(line) for line in lines])


def test_files_are_private(tmp_path: Path) -> None:
    """Directories have mode 0700, files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        with Opened(tmp_path / "log") as opened:
            opened.commit(decision(0))
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_file()} == {0o600}


def test_a_second_writer_gets_the_next_origin(tmp_path: Path) -> None:
    """Origins are slots: taken while a writer lives, free again afterwards."""
    first, second = Opened(tmp_path), Opened(tmp_path)
    assert [first.slot.origin, second.slot.origin] == ["policy-guard-0", "policy-guard-1"]
    first.close()
    third = Opened(tmp_path)
    assert third.slot.origin == "policy-guard-0"
    third.close()
    second.close()
    assert verify(tmp_path).exit_code == 0


def test_a_restart_goes_on_with_the_same_log(tmp_path: Path) -> None:
    """A new boot continues seq and prev in a segment of its own."""
    with Opened(tmp_path) as opened:
        opened.commit(decision(0), outcome(0))
    with Opened(tmp_path) as opened:
        assert opened.writer.commit([decision(1)])[0] == Receipt(5, decision(1)["id"])
        opened.commit(outcome(1))
    report = verify(tmp_path)
    assert (report.exit_code, report.origins[0].size, report.origins[0].accounts.boots) == (0, 8, 2)


def test_segments_roll_over(tmp_path: Path) -> None:
    """A full segment is followed by the next; recovery and verification go through all of them."""
    opened = Opened(tmp_path, segment_records=4)
    for number in range(10):
        opened.commit(decision(number), outcome(number))
    opened.kill()
    assert len(list_segments(opened.slot.path / "seg")) == 5
    with Opened(tmp_path, segment_records=4) as again:
        assert again.writer.checkpoint.size == 22
    assert verify(tmp_path).exit_code == 0


def test_a_record_without_canonical_form_or_schema_is_left_out(tmp_path: Path) -> None:
    """One bad record takes nothing down: its place in the answer holds the error, the others are committed."""
    with Opened(tmp_path) as opened:
        answers = opened.writer.commit(
            [
                decision(0, policy_input={**decision(0)["policy_input"], "score": 0.5}),
                decision(1),
                {**decision(2), "why": None},
                {"kind": "diary"},
            ]
        )
    assert [type(answer) for answer in answers] == [NotCanonical, Receipt, NotCanonical, NotCanonical]
    assert answers[1] == Receipt(1, decision(1)["id"])
    assert verify(tmp_path).exit_code == 0


def test_a_field_that_the_schema_does_not_name_is_left_out(tmp_path: Path) -> None:
    """Masking fails closed: unknown fields never reach the log, nor do their names; the record says where they were."""
    strange = {**decision(1), "raw text": "raw text", "who": {**decision(1)["who"], "name": "raw text"}}
    strange["why"] = [{**decision(1, effect="deny")["why"][0], "prompt": "raw text"}]
    with Opened(tmp_path) as opened:
        answers = opened.writer.commit([strange])
    assert answers == [Receipt(1, decision(1)["id"])]
    line = lines_of(opened.slot.path)[1]
    assert b"raw text" not in line
    assert json.loads(line)["dropped"] == ["*", "who.*", "why.*"]
    assert "truncated" not in json.loads(line)
    assert verify(tmp_path).exit_code == 0


def test_a_long_record_is_capped_and_says_so(tmp_path: Path) -> None:
    """Past 65,535 bytes the largest parts are cut, and the record names them; who, what and effect stay."""
    document = {**decision(0)["policy_input"], "findings": [{"pointer": "/x" * 40}] * 3000}
    with Opened(tmp_path) as opened:
        opened.commit(decision(0, policy_input=document))
    line = lines_of(opened.slot.path)[1]
    record = json.loads(line)
    assert len(line) <= MAX_RECORD_BYTES
    assert (record["truncated"], record["dropped"], record["policy_input"]) == (True, ["policy_input"], {})
    assert record["decision"]["effect"] == "allow"
    assert verify(tmp_path).exit_code == 0


def test_a_long_list_loses_its_second_half_first(tmp_path: Path) -> None:
    """Of a list that is too long its beginning stays."""
    skipped = [{"pointer": f"/messages/{number}/content/{'x' * 80}", "reason": "limit"} for number in range(900)]
    record = decision(0)
    record["coverage"] = {"inspected": 0, "skipped": skipped, "incomplete": []}
    with Opened(tmp_path) as opened:
        opened.commit(record)
    kept = json.loads(lines_of(opened.slot.path)[1])
    assert kept["dropped"] == ["coverage.skipped"]
    assert kept["coverage"]["skipped"] == skipped[:450]


def test_a_record_that_is_too_long_even_so_is_refused(tmp_path: Path) -> None:
    """What may not be dropped is never cut in silence."""
    with Opened(tmp_path) as opened:
        (answer,) = opened.writer.commit([{**decision(0), "config_digest": "x" * 70_000}])
    assert isinstance(answer, NotCanonical)


def test_every_torn_tail_is_recovered_and_quarantined(tmp_path: Path) -> None:
    """Cut anywhere in the last batch: the tail moves aside under its digest, a recovery record names it, nothing is
    lost that was committed."""
    opened = Opened(tmp_path / "log")
    opened.commit(decision(0))
    opened.commit(outcome(0), decision(1))
    opened.kill()
    segment = opened.slot.path / "seg" / "000000.jsonl"
    data = segment.read_bytes()
    last = list(read_batches(segment))[-1]
    for cut in [*range(last.start + 1, last.end, 97), last.end - 1]:
        for file in (opened.slot.path / "seg").iterdir():
            file.unlink()
        segment.write_bytes(data[:cut])
        (opened.slot.path / "checkpoint").unlink()
        tail = data[last.start : cut]
        with Opened(tmp_path / "log") as again:
            recovery = json.loads(lines_of(opened.slot.path)[3])
        assert (recovery["kind"], recovery["dropped_bytes"]) == ("recovery", len(tail))
        assert recovery["sha256"] == sha256(tail).hexdigest()
        assert (opened.slot.path / "seg" / recovery["file"]).read_bytes() == tail
        assert segment.read_bytes() == data[: last.start]
        report = verify(tmp_path / "log")
        assert (report.exit_code, report.origins[0].size) == (0, 5), report.lines()
        assert again.writer.checkpoint.size == 5


def test_a_start_that_was_torn_leaves_its_number_to_the_next(tmp_path: Path) -> None:
    """A segment with no commit at all moves aside whole."""
    opened = Opened(tmp_path)
    opened.kill()
    (opened.slot.path / "seg" / "000001.jsonl").write_bytes(b'{"boot":"half')
    with Opened(tmp_path):
        assert [segment.number for segment in list_segments(opened.slot.path / "seg")] == [0, 1]
    assert verify(tmp_path).exit_code == 0
    assert len(list((opened.slot.path / "seg").glob("000001.*.torn"))) == 1


def test_a_log_below_its_checkpoint_is_not_continued(tmp_path: Path) -> None:
    """Attack: records cut off at a commit. The writer refuses to cover it up."""
    with Opened(tmp_path) as opened:
        opened.commit(decision(0))
    segment = opened.slot.path / "seg" / "000000.jsonl"
    batches = list(read_batches(segment))
    segment.write_bytes(segment.read_bytes()[: batches[1].start])
    with pytest.raises(LogTampered, match="below its own checkpoint of 3"):
        Opened(tmp_path)


@pytest.mark.parametrize("which", ["middle", "checkpoint", "older segment", "missing segment"])
def test_a_damaged_log_is_not_continued(tmp_path: Path, which: str) -> None:
    """Attack: an altered record before a commit, checkpoint or older segment is refused, not taken for a crash."""
    opened = Opened(tmp_path, segment_records=3)
    for number in range(4):
        opened.commit(decision(number))
    opened.kill()
    segments = [segment.path for segment in list_segments(opened.slot.path / "seg")]
    if which == "missing segment":
        segments[0].unlink()
    else:
        target = {"middle": segments[-1], "checkpoint": opened.slot.path / "checkpoint"}.get(which, segments[0])
        data = target.read_bytes()
        target.write_bytes(data.replace(b"allow", b"deny!", 1) if which != "checkpoint" else b"x" + data)
    with pytest.raises(LogTampered):
        Opened(tmp_path)


def test_a_log_of_another_key_is_not_continued(tmp_path: Path) -> None:
    """A changed signing key is said, not papered over."""
    Opened(tmp_path).close()
    with pytest.raises(KeyInvalid, match="another signing key"):
        Opened(tmp_path, key=OTHER_KEY)


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes a part of a write without an error; the rest follows."""
    opened = Opened(tmp_path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:100]))
    opened.commit(decision(0), outcome(0))
    monkeypatch.undo()
    opened.close()
    assert verify(tmp_path).exit_code == 0


def test_a_failed_sync_poisons_the_writer_and_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync nothing of the batch counts, even if it can be read back: it moves aside, and the log
    goes on in a new segment."""
    opened = Opened(tmp_path)
    calls: list[int] = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output"):
        opened.writer.commit([decision(0)])
    with pytest.raises(OSError, match="not open"):
        opened.writer.commit([decision(1)])
    monkeypatch.undo()
    assert len(calls) == 1
    opened.writer.open()
    opened.commit(decision(1), outcome(1))
    opened.close()
    records = [json.loads(line) for line in lines_of(opened.slot.path)]
    assert [record["kind"] for record in records] == ["open", "open", "recovery", "decision", "outcome", "close"]
    assert [segment.number for segment in list_segments(opened.slot.path / "seg")] == [0, 1]
    assert verify(tmp_path).exit_code == 0
