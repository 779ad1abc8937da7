"""Bytes changed and files cut anywhere: detected, and the first bad record named."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from guard.record.note import VerifierKey
from guard.record.report import Damage
from guard.record.trust import Trust
from guard.testing.adversary import Bench
from guard.testing.adversary_log import Log
from tests.record.logs import KEY, ORIGIN, decision, outcome, twelve_records, write_closed

TRUST = Trust.of([VerifierKey.of(KEY.signer(ORIGIN))])


def bench_of(log: Path, scratch: Path) -> Bench:
    """A bench over the whole log."""
    scratch.mkdir()
    return Bench(Log.read(log), TRUST, KEY.signer, scratch)


def three_hundred(directory: Path) -> Path:
    """A closed log of 300 records in commits of one to seven, over four segments."""
    records = [record for number in range(149) for record in (decision(number), outcome(number))]
    batches, random = [], Random(7)
    while records:
        count = random.randrange(1, 8)
        batches.append(records[:count])
        del records[:count]
    return write_closed(directory, batches, segment_records=80)


def expected_place(files: dict[str, bytes], name: str, at: int) -> tuple[str, int | None, int | None]:
    """File, line and record of a byte; the two small files have no lines."""
    if not name.startswith("seg/"):
        return name, None, None
    line = files[name].count(b"\n", 0, at) + 1
    text = files[name].split(b"\n")[line - 1]
    return name, line, None if text.startswith(b'{"commit":') else json.loads(text)["seq"]


def assert_named(damage: Damage, place: tuple[str, int | None, int | None]) -> None:
    """The damage stands where the byte is. A commit line is named with the number of records before it."""
    name, line, seq = place
    assert (damage.file, damage.line) == (name, line)
    assert seq is None or damage.seq == seq


def flip(data: bytes, at: int, mask: int) -> bytes:
    """One byte changed."""
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


def flips_and_cuts(bench: Bench, count: int, *, anchored: bool, seed: int) -> None:
    """``count`` changed bytes and as many cuts, chosen by ``seed``: each exits 1 and is named where it is."""
    random = Random(seed)
    files = bench.log.files()
    names = sorted(files)
    weights = [len(files[name]) for name in names]
    for name in random.choices(names, weights, k=count):
        at = random.randrange(len(files[name]))
        report = bench.verify(
            {**files, name: flip(files[name], at, random.randrange(1, 256))}, TRUST, anchored=anchored
        )
        assert report.exit_code == 1, (name, at)
        assert_named(report.origins[0].damages[0], expected_place(files, name, at))
    segments = sorted(name for name in names if name.startswith("seg/"))
    starts = dict(zip(segments, _starts(bench.log), strict=True))
    for name in random.choices(segments, k=count):
        at = random.randrange(len(files[name]))
        report = bench.verify({**files, name: files[name][:at]}, TRUST, anchored=anchored)
        assert report.exit_code == 1, (name, at)
        damage = report.origins[0].damages[0]
        assert damage.seq is not None
        assert damage.seq <= _records_before(files[name], at, starts[name]), (name, at)
        assert damage.seq >= starts[name]


def _starts(log: Log) -> list[int]:
    """The number of records before each segment."""
    counts = [sum(len(group.records) for group in groups) for groups in log.segments]
    return [sum(counts[:number]) for number in range(len(counts))]


def _records_before(data: bytes, at: int, start: int) -> int:
    """How many records end before byte ``at``."""
    whole = data[:at].split(b"\n")[:-1]
    return start + sum(not line.startswith(b'{"commit":') for line in whole)


@pytest.mark.parametrize("anchored", [False, True], ids=["without-anchor", "with-anchor"])
def test_bytes_changed_and_cuts_made_at_random_are_found_and_named(tmp_path: Path, anchored: bool) -> None:
    """A hundred of each in a log of 300 records."""
    bench = bench_of(three_hundred(tmp_path / "log"), tmp_path / "scratch")
    assert (bench.log.size, len(bench.log.segments)) == (300, 4)
    flips_and_cuts(bench, 50, anchored=anchored, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("anchored", [False, True], ids=["without-anchor", "with-anchor"])
def test_two_thousand_of_a_log_of_three_hundred_records(tmp_path: Path, anchored: bool) -> None:
    """1,000 changed bytes and 1,000 cuts, seeded: each detected and named, with an anchor and without."""
    bench = bench_of(three_hundred(tmp_path / "log"), tmp_path / "scratch")
    flips_and_cuts(bench, 1000, anchored=anchored, seed=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_cut_of_every_segment_is_found(tmp_path: Path) -> None:
    """A twelve-record log cut at every byte of both segments: never whole, and the first missing record is named."""
    bench = bench_of(twelve_records(tmp_path / "log"), tmp_path / "scratch")
    files = bench.log.files()
    for name, start in zip(("seg/000000.jsonl", "seg/000001.jsonl"), _starts(bench.log), strict=True):
        for at in range(len(files[name])):
            report = bench.verify({**files, name: files[name][:at]}, TRUST, anchored=False)
            damage = report.origins[0].damages[0]
            assert (report.exit_code, damage.seq is not None) == (1, True), (name, at)
            assert start <= (damage.seq or 0) <= _records_before(files[name], at, start), (name, at)
