"""The benchmark of streams runs, and counts what leaks."""

from __future__ import annotations

import pytest

pytest.importorskip("presidio_analyzer")


def test_values_leak_only_where_pieces_are_looked_at_alone() -> None:
    """Every way sees the same text; live holds back a word, buffered all of it."""
    from benchmarks import stream

    rows = {(row["way"], row["pieces"]): row for row in stream.measure(sentences=12)}
    assert {way for way, _ in rows} == {"live", "buffered", "presidio per piece"}
    for cut in ("words", "1-8 characters"):
        assert (rows["live", cut]["leaked"], rows["buffered", cut]["leaked"]) == (0, 0)
        assert rows["presidio per piece", cut]["leaked"] > 0
        assert rows["live", cut]["held_p50"] < rows["buffered", cut]["held_p50"]


def test_a_client_judges_when_bytes_and_texts_arrive() -> None:
    """The times are from the making of an event to its arrival; an event that came in two counts from its last half."""
    from benchmarks.stream_wire import Arrived, judged

    arrived = [Arrived(11, 0, ""), Arrived(23, 1, " a"), Arrived(34, 2, " b"), Arrived(38, 2, "c"), Arrived(41, 3, "")]
    heard = judged(11, arrived, [10, 20, 30, 40])
    assert (heard.first_byte, heard.first_text, heard.late, heard.said) == (1, 3, [3, 8], " a bc")
