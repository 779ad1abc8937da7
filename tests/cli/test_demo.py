"""``guard demo --once``: the script plays, and what it claims is in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.cli import main
from guard.cli.demo_script import SCENES
from guard.record.verify import verify
from guard.testing.records import read_records

EXPECTED = [200, 200, 200, 200, 403, 403, 403, 403, 400, 401]


def test_the_demo_plays_and_leaves_a_log_that_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every scene shows what its title says, twice in a row, and no value of the script is in the log."""
    directory = tmp_path / "demo"
    for _ in range(2):
        assert main(["demo", "--once", "--dir", str(directory)]) == 0
        shown = capsys.readouterr().out
        verdicts = [line.split()[1:3] for line in shown.splitlines() if line[:2].strip().isdigit()]
        assert [int(status) for _, status in verdicts[:-1]] == EXPECTED
        assert verdicts[-1] == ["DENY", "403"], "the burst is stopped"
        for rule in ("PII-002", "SEC-001", "SEC-002", "MOD-001", "BEH-001"):
            assert f"{rule}: " in shown
        assert "jane.roe@northwind-traders.com" in shown
        assert "<EMAIL_ADDRESS_1_" in shown
    assert verify(directory / "log").exit_code == 0
    rules = {why["rule"] for record in read_records(directory, "decision") for why in record["why"]}
    assert {"PII-002", "SEC-001", "MOD-001", "BEH-001"} <= rules
    log = b"".join(file.read_bytes() for file in (directory / "log").rglob("*") if file.is_file())
    for value in (b"jane.roe", b"4111 1111", b"AKIA", b"acme-app", b"stolen"):
        assert value not in log


def test_the_demo_into_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that says where, no traceback, exit code 1."""
    (tmp_path / "file").write_text("")
    assert main(["demo", "--once", "--dir", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_every_scene_has_a_title_of_its_own() -> None:
    """A reader can refer to a scene."""
    assert len({scene.title for scene in SCENES}) == len(SCENES) == len(EXPECTED) + 1
