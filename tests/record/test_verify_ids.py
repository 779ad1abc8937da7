"""Unique ids in constant memory: exact, whatever the order in which ids come."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record import unique
from guard.record.unique import Ids
from guard.record.verify import verify
from tests.record.logs import ORIGIN, decision, outcome, write_closed

SMALL_IDS = st.lists(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4), max_size=30)


def first_repeated(batches: list[list[str]]) -> str | None:
    """The first id that stands twice, by remembering them all."""
    seen: set[str] = set()
    for one in (one for batch in batches for one in batch):
        if one in seen:
            return one
        seen.add(one)
    return None


@given(SMALL_IDS)
def test_no_repeated_id_escapes_both_readings(batches: list[list[str]]) -> None:
    """Either the first reading names it, or it is among the suspects that the second reading looks for."""
    ids = Ids(remembered=4)
    wanted = first_repeated(batches)
    for batch in batches:
        if ids.repeated(batch) is not None:
            assert first_repeated(batches) is not None
            return
        ids.take(batch)
    assert wanted is None or wanted in ids.suspects


@given(st.lists(st.text("abc", min_size=2, max_size=3), unique=True, max_size=60))
def test_no_id_is_called_repeated_that_is_not(names: list[str]) -> None:
    """No false alarm, in any order, and none with too few places for suspects: then their number is said."""
    ids = Ids(remembered=4, max_suspects=2)
    for one in names:
        assert ids.repeated([one]) is None
        ids.take([one])
    assert len(ids.suspects) <= 2
    assert ids.unproven <= max(len(names) - 4, 0)


def test_ids_in_their_order_need_no_second_reading() -> None:
    """UUIDv7 come nearly sorted: what is remembered stays bounded, and nothing is suspected."""
    ids = Ids(remembered=100)
    for number in range(0, 10_000, 10):
        # As under load: within a moment, ids are a little out of order.
        batch = [f"{number + offset:08}" for offset in (3, 1, 0, 2, 5, 4, 9, 7, 8, 6)]
        assert ids.repeated(batch) is None
        ids.take(batch)
    assert (ids.suspects, ids.unproven) == (set(), 0)
    assert len(ids._newest) + len(ids._before) <= 200


def test_an_old_id_is_found_by_the_second_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack 5 from afar: signed by the key, and long forgotten when it stands there again. Both records are named."""
    batches = [[decision(number), outcome(number)] for number in range(40)]
    log = write_closed(tmp_path / "log", [*batches, [decision(2)]], segment_records=30)
    monkeypatch.setattr(unique.Ids.__init__, "__defaults__", (8, 1000))
    report = verify(log)
    (damage,) = report.origins[0].damages
    assert (report.exit_code, damage.step, damage.seq, damage.file) == (1, "ids", 81, "seg/000002.jsonl")
    assert damage.what.endswith("stands in the log already, in record 5")
    assert damage.line is not None
    line = (log / damage.file).read_bytes().split(b"\n")[damage.line - 1]
    assert b'"seq":81,' in line


def test_ids_out_of_order_are_proven_or_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back leaves ids that sort before others: the second reading proves them; where they are too
    many for it, the report says how many are not proven."""
    batches = [[decision(number), outcome(number)] for number in reversed(range(40))]
    log = write_closed(tmp_path / "log", batches)
    monkeypatch.setattr(unique.Ids.__init__, "__defaults__", (8, 1000))
    (origin,) = verify(log).origins
    assert (origin.status, origin.ids_unproven) == ("whole", 0)
    monkeypatch.setattr(unique.Ids.__init__, "__defaults__", (8, 3))
    (origin,) = verify(log).origins
    assert origin.status == "whole"
    assert origin.ids_unproven > 0
    assert any(f"{origin.ids_unproven} ids are unique" in said for said in origin.not_proven)
    assert origin.origin == ORIGIN
