"""``guard log verify``: the steps that a person sees, the object that a program reads, the exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from guard.record.report import STEPS
from guard.testing.adversary_log import Log
from tests.record.logs import KEY, ORIGIN, Opened, decision, outcome, twelve_records


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A cleanly closed log of twelve records: the log directory."""
    return twelve_records(tmp_path / "log").parent


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of ``guard log verify``."""
    code = main(["log", "verify", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def steps_in(out: str) -> dict[int, tuple[str, str]]:
    """Number, name and mark of each step in the text."""
    rows = [line.split() for line in out.splitlines() if line.lstrip()[:1].isdigit()]
    return {int(row[0][:-1]): (row[1], row[2]) for row in rows}


def test_the_steps_are_shown_with_their_numbers(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thirteen steps in order, each with what became of it; nothing is checked in silence."""
    code, out, err = run(str(log), capsys=capsys)
    assert (code, err) == (0, "")
    marks = dict(steps_in(out).values())
    assert list(steps_in(out)) == list(range(1, 14))
    assert tuple(marks) == STEPS
    assert {name for name, mark in marks.items() if mark != "ok"} == {"anchors", "writers"}
    assert out.splitlines()[0].startswith(f"WHOLE: {ORIGIN}, 12 records verified")
    assert "warning: no anchor" in out


def test_the_step_that_fails_first_is_named_with_seq_file_and_line(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed record: step 4, its number, its segment and its line."""
    segment = log / ORIGIN / "seg" / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"operation":"chat"', b'"operation":"chap"', 1))
    code, out, _ = run(str(log), capsys=capsys)
    assert code == 1
    assert "first bad: record 6, seg/000001.jsonl line 1: " in out
    assert [name for name, mark in steps_in(out).values() if mark == "FAILED"] in (["records"], ["commits"])
    assert "as far as the log verifies" in out


def test_the_object_for_programs_is_stable(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The keys that ``docs/verify.md`` names, at every level."""
    code, out, _ = run(str(log), "--json", capsys=capsys)
    report: dict[str, Any] = json.loads(out)
    assert code == report["exit_code"] == 0
    assert set(report) == {"directory", "status", "exit_code", "damages", "not_proven", "steps", "origins"}
    (origin,) = report["origins"]
    assert set(origin) == {
        "origin", "directory", "status", "damages", "size", "root", "key", "trusted", "keys", "grounds", "anchored",
        "anchored_size", "anchors", "evidence", "ids_unproven", "accounts", "notices", "steps", "proven", "not_proven",
    }  # fmt: skip
    assert [step["number"] for step in origin["steps"] + report["steps"]] == list(range(1, 14))
    assert set(origin["steps"][0]) == {"number", "name", "result", "said"}
    (log / ORIGIN / "checkpoint").unlink()
    code, out, _ = run(str(log), "--json", capsys=capsys)
    (damage,) = json.loads(out)["origins"][0]["damages"]
    assert code == 1
    assert damage == {
        "what": "the checkpoint file is missing",
        "file": "checkpoint",
        "line": None,
        "seq": None,
        "step": "checkpoint",
    }


def test_anchors_are_given_by_hand(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--anchor`` more than once; ``--require-anchor`` alone exits 2, and one that does not read 3."""
    state = Log.read(log / ORIGIN, 7)
    one, other = tmp_path / "one.note", tmp_path / "other.note"
    one.write_text(state.checkpoint, encoding="utf-8")
    other.write_bytes((log / ORIGIN / "checkpoint").read_bytes())
    assert run(str(log), "--require-anchor", capsys=capsys)[0] == 2
    code, out, _ = run(str(log), "--require-anchor", "--anchor", str(one), "--anchor", str(other), capsys=capsys)
    assert (code, "2 agree, the largest at 12 records" in out) == (0, True)
    code, out, err = run(str(log), "--anchor", str(tmp_path / "none"), capsys=capsys)
    assert (code, out) == (3, "")
    assert "the anchor does not read" in err
    code, _, err = run("--proof", str(one), "--anchor", str(one), capsys=capsys)
    assert (code, "not of --proof" in err) == (3, True)


def test_a_fork_prints_both_notes(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The evidence stands in the text, line for line, so that it can be copied out."""
    copy = Log.read(log / ORIGIN)
    copy.rewrite(6, KEY.signer(ORIGIN), duration_us=1)
    anchor = tmp_path / "kept.note"
    anchor.write_text(copy.checkpoint, encoding="utf-8")
    code, out, _ = run(str(log), "--anchor", str(anchor), capsys=capsys)
    assert code == 1
    for note in (copy.checkpoint, (log / ORIGIN / "checkpoint").read_text(encoding="utf-8")):
        assert "".join(f"    | {line}\n" for line in note.splitlines()) in out


def test_what_is_no_tampering_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A killed writer, a decision without outcome and an outcome without decision: exit 0, and said in their steps."""
    opened = Opened(tmp_path / "log")
    opened.commit(decision(0), decision(1), outcome(7))
    opened.kill()
    code, out, _ = run(str(tmp_path / "log"), capsys=capsys)
    marks = dict(steps_in(out).values())
    assert code == 0
    assert (marks["pairs"], marks["boots"]) == ("note", "note")
    assert "2 allowed decisions have no outcome" in out
    assert "1 outcomes belong to no allowed decision before them, first 3" in out


def test_a_person_sees_a_bar_and_a_program_none(log: Path) -> None:
    """Progress goes to standard error, and only to a terminal."""
    command = [sys.executable, "-c", "import sys; from guard.cli import main; sys.exit(main(sys.argv[1:]))"]
    command += ["log", "verify", str(log), "--json"]
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}
        ) as seen:
            out, _ = seen.communicate(timeout=60)
        os.close(theirs)
        shown = os.read(ours, 65_536)
    finally:
        os.close(ours)
    assert (seen.returncode, json.loads(out)["status"]) == (0, "whole")
    assert b"verifying" in shown
    alone = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (alone.returncode, alone.stderr) == (0, b"")
