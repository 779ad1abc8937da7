"""The benchmark of streams runs, and counts what leaks."""

from __future__ import annotations

import pytest

pytest.importorskip("presidio_analyzer")


def test_values_leak_only_where_pieces_are_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way sees the same text; live holds back a word, buffered all of it."""
    from benchmarks import stream

    monkeypatch.setattr(stream, "SENTENCES", 12)
    rows = {(row["way"], row["pieces"]): row for row in stream.measure()}
    assert {way for way, _ in rows} == {"live", "buffered", "presidio per piece"}
    for cut in ("words", "1-8 characters"):
        assert (rows["live", cut]["leaked"], rows["buffered", cut]["leaked"]) == (0, 0)
        assert rows["presidio per piece", cut]["leaked"] > 0
        assert rows["live", cut]["held_p50"] < rows["buffered", cut]["held_p50"]
