"""The benchmark of the log measures what it says: same records, same load, logs that verify."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path

import pytest

from benchmarks import log


def test_a_short_run_compares_the_modes_with_the_naive_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON object: each log under each load, the ratio, and what it costs to read the log back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["log", "--json", "--rounds", "1", "--seconds", "0.05"])
    log.main()
    result = json.loads(capsys.readouterr().out)
    assert set(result["load"]) == {"1", "16", "64"} == set(result["strict_over_naive"])
    for by in result["load"].values():
        assert set(by) == {"strict", "buffered", "naive"}
        for figures in by.values():
            assert figures["records_per_s"] > 0
            assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert result["read"]["records"] >= 2
    assert list(tmp_path.iterdir()) == []


def test_the_naive_log_keeps_records_that_verify(tmp_path: Path) -> None:
    """The baseline does its work: each line is a record and a signature over it."""
    naive = log.NaiveLog(tmp_path)
    made = log.records()

    async def write() -> None:
        await naive.start()
        for _ in range(3):
            await naive.append(next(made))
        await naive.stop()

    asyncio.run(write())
    lines = (tmp_path / "naive.jsonl").read_bytes().splitlines()
    assert len(lines) == 3
    for line in lines:
        record, _, signature = line.rpartition(b" ")
        naive._key.public_key().verify(base64.b64decode(signature), record)
        assert json.loads(record)["kind"] == "decision"
