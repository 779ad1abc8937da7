"""Recovery: whatever a crash leaves, the next opening goes on from the last commit, and says what it dropped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from guard.errors import LogTampered
from guard.record.frontier import FILE
from guard.record.note import VerifierKey
from guard.record.segment import list_segments, read_batches
from guard.record.verify import verify
from tests.record.logs import ORIGIN, OTHER_KEY, Opened, decision, outcome, twelve_records
from tests.record.test_tiles import files_below, lines_of

SEGMENT = "seg/000000.jsonl"


def twelve_in_one(directory: Path) -> Path:
    """Twelve records in five commits of one segment, as a killed writer leaves them."""
    opened = Opened(directory)
    opened.commit(*(decision(number, policy_input=None) for number in range(3)))
    opened.commit(outcome(0, policy_input=None))
    opened.commit(*(outcome(number, policy_input=None) for number in (1, 2)))
    opened.commit(*(decision(number, policy_input=None) for number in range(3, 8)))
    opened.kill()
    (opened.slot.path / "checkpoint").unlink()
    assert len(lines_of(opened.slot.path)) == 12
    return opened.slot.path


def torn_at(origin: Path, data: bytes, cut: int, tail: bytes) -> None:
    """Put the log back to where a writer was killed after ``cut`` bytes, with ``tail`` instead of what followed."""
    key = (origin / "log.vkey").read_bytes()
    shutil.rmtree(origin)
    (origin / "seg").mkdir(parents=True)
    (origin / "log.vkey").write_bytes(key)
    (origin / SEGMENT).write_bytes(data[:cut] + tail)


def hold(origin: Path, data: bytes, kept: int, records: int, dropped: bytes) -> None:
    """Open the log and hold what recovery did against what it must do."""
    with Opened(origin.parent) as again:
        assert again.writer.checkpoint.size == records + (2 if dropped else 1)
    expected = data[:kept]
    segments = [segment.path.read_bytes() for segment in list_segments(origin / "seg")]
    assert (segments[0] == expected) if kept else (len(segments) == 1)
    said = [json.loads(line) for line in lines_of(origin)][records:]
    assert [record["kind"] for record in said] == ["open", *(["recovery"] if dropped else []), "close"]
    assert said[0]["resumed_at"] == records
    if dropped:
        assert (said[1]["dropped_bytes"], said[1]["sha256"]) == (len(dropped), sha256(dropped).hexdigest())
        assert (origin / "seg" / said[1]["file"]).read_bytes() == dropped
    assert len(list((origin / "seg").glob("*.torn"))) == (1 if dropped else 0)
    report = verify(origin)
    assert report.exit_code == 0, report.lines()


def commits(data: bytes, path: Path) -> Iterator[tuple[int, int]]:
    """Offset and number of records behind each commit."""
    path.write_bytes(data)
    records = 0
    yield 0, 0
    for batch in read_batches(path):
        records += len(batch.records)
        yield batch.end, records


def cuts_and_checks(tmp_path: Path, step: int, tail: bytes) -> int:
    """Cut at every ``step``-th byte, and at each commit and the bytes beside it."""
    origin = twelve_in_one(tmp_path / "log")
    data = (origin / SEGMENT).read_bytes()
    ends = list(commits(data, tmp_path / "copy"))
    near = {end + beside for end, _ in ends for beside in (-1, 0, 1)}
    tried = 0
    for cut in range(len(data) + 1):
        if cut % step and cut not in near:
            continue
        kept, records = max((end, count) for end, count in ends if end <= cut)
        torn_at(origin, data, cut, tail)
        hold(origin, data, kept, records, data[kept:cut] + tail)
        tried += 1
    return tried


@pytest.mark.parametrize("tail", [b"", b"\x00" * 512, b'{"boot":"half'], ids=["cut", "zeros", "garbage"])
def test_recovery_is_exact_wherever_a_write_was_torn(tmp_path: Path, tail: bytes) -> None:
    """A twelve-record log torn at a sample of its bytes: kept is exactly the last commit, dropped exactly the rest."""
    assert cuts_and_checks(tmp_path, 331, tail) > 40


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_recovery_is_exact_at_every_byte(tmp_path: Path) -> None:
    """Torn at every byte of a twelve-record log, one after the other."""
    assert cuts_and_checks(tmp_path, 1, b"") > 12_000


def test_a_crash_in_the_middle_of_a_recovery_is_recovered(tmp_path: Path) -> None:
    """The torn bytes were copied aside, the segment not yet cut: the next opening does it again, and once."""
    origin = twelve_in_one(tmp_path / "log")
    data = (origin / SEGMENT).read_bytes()
    kept, records = list(commits(data, tmp_path / "copy"))[-2]
    torn_at(origin, data, len(data) - 5, b"")
    tail = data[kept:-5]
    (origin / "seg" / f"000000.{sha256(tail).hexdigest()[:16]}.torn").write_bytes(tail[:100])
    hold(origin, data, kept, records, tail)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A closed origin of several segments, whose last opening left a frontier."""
    for start in range(0, 900, 300):
        with Opened(tmp_path / "log", segment_records=128) as opened:
            for number in range(start, start + 300, 30):
                opened.commit(*(decision(each, policy_input=None) for each in range(number, number + 30)))
    return opened.slot.path


def test_an_opening_reads_from_the_frontier_on(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old segments are not read again, however many there are; seq, prev, tree and tiles go on without a seam."""
    read: list[int] = []

    def counting(path: Path, **options: int) -> Iterator[object]:
        read.append(int(path.stem))
        return read_batches(path, **options)

    frontier = json.loads((many / FILE).read_bytes())
    newest = list_segments(many / "seg")[-1].number
    assert frontier["segment"] == newest > 5
    monkeypatch.setattr("guard.record.recovery.read_batches", counting)
    with Opened(many.parent) as again:
        assert read == [newest]
        again.commit(*(decision(each, policy_input=None) for each in range(1000, 1300)))
    size = len(lines_of(many))
    assert again.writer.checkpoint.size == size == 1208
    assert len([path for path in files_below(many) if path.startswith("tile/0/")]) == size // 256
    assert verify(many).exit_code == 0


@pytest.mark.parametrize("how", ["missing", "garbage", "altered", "older", "of no segment"])
def test_a_frontier_is_not_believed(many: Path, how: str) -> None:
    """Missing, damaged, forged or old: the root must be the signed one, else everything is read, as if it were not."""
    path = many / FILE
    stored = json.loads(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "garbage":
        path.write_bytes(b"\x00" * 300)
    elif how == "altered":
        path.write_bytes(json.dumps({**stored, "rows": [stored["rows"][0], *stored["rows"][:-1]]}).encode())
    elif how == "older":
        path.write_bytes(json.dumps({**stored, "segment": stored["segment"] - 1}).encode())
    else:
        path.write_bytes(json.dumps({**stored, "segment": 99}).encode())
    size = len(lines_of(many))
    with Opened(many.parent) as again:
        assert again.writer.checkpoint.size == size + 1
    assert json.loads(path.read_bytes())["size"] == size
    assert verify(many).exit_code == 0


def test_a_frontier_under_another_key_is_not_believed(many: Path) -> None:
    """Attack: a frontier that names a key of the attacker's. The log's own commits are not signed by it."""
    path = many / FILE
    stored = json.loads(path.read_bytes())
    stored["keys"][-1]["key"] = VerifierKey.of(OTHER_KEY.signer(ORIGIN)).encode()
    path.write_bytes(json.dumps(stored).encode())
    with Opened(many.parent):
        pass
    assert verify(many).exit_code == 0


@pytest.mark.parametrize("records", [255, 300], ids=["a full tile", "a row"])
def test_a_frontier_behind_an_altered_record_is_not_believed(tmp_path: Path, records: int) -> None:
    """Attack: the last record before the frontier is altered, so that the next would name its hash as ``prev``. Also
    where that record ends a full tile: then everything is read, and the writer does not go on."""
    opened = Opened(tmp_path / "log")
    opened.commit(*(decision(number, policy_input=None) for number in range(records)))
    opened.kill()
    with Opened(tmp_path / "log"):
        pass
    origin = opened.slot.path
    assert json.loads((origin / FILE).read_bytes())["size"] == records + 1
    first = origin / SEGMENT
    data = first.read_bytes()
    at = data.rindex(b'"allow"')
    first.write_bytes(data[:at] + b'"deny!"' + data[at + 7 :])
    with pytest.raises(LogTampered):
        Opened(tmp_path / "log")
    first.write_bytes(data)
    with Opened(tmp_path / "log"):
        pass
    assert verify(origin).exit_code == 0


def test_tiles_that_a_crash_took_are_made_again(many: Path) -> None:
    """A power cut may take tiles behind the frontier, or empty them; without a frontier all of them come again."""
    whole = files_below(many)
    (many / "tile/0/000").unlink()
    (many / "tile/0/001").write_bytes(b"")
    (many / FILE).unlink()
    with Opened(many.parent):
        pass
    assert {path: data for path, data in files_below(many).items() if path in whole} == whole


def test_damage_before_the_frontier_is_found_by_verification(many: Path) -> None:
    """The start does not read old segments; whoever alters one is found by ``guard log verify``."""
    first = many / SEGMENT
    first.write_bytes(first.read_bytes().replace(b'"allow"', b'"deny!"', 1))
    with Opened(many.parent):
        pass
    report = verify(many)
    assert report.exit_code == 1
    assert report.origins[0].damages[0].file == SEGMENT


def test_a_log_that_ends_below_its_checkpoint_is_refused_with_a_frontier_too(many: Path) -> None:
    """The last segment cut at a commit: below the checkpoint, so the writer does not go on."""
    last = list_segments(many / "seg")[-1].path
    batches = list(read_batches(last))
    last.write_bytes(last.read_bytes()[: batches[-1].start])
    with pytest.raises(LogTampered, match="below its own checkpoint"):
        Opened(many.parent)


def test_a_cleanly_closed_log_needs_no_recovery(tmp_path: Path) -> None:
    """No ``recovery`` record and no quarantine where nothing was torn."""
    origin = twelve_records(tmp_path / "log")
    with Opened(origin.parent):
        pass
    kinds = [json.loads(line)["kind"] for line in lines_of(origin)]
    assert kinds[12:] == ["open", "close"]
    assert not list(origin.glob("seg/*.torn"))
