"""Terminals, pipes and what goes wrong between them: widths, readers that leave, disks that are full, interrupts."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from guard.cli import main
from guard.cli.terminal import hanging

RUN = [sys.executable, "-c", "import sys; from guard.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory that the demo left."""
    directory = tmp_path_factory.mktemp("state") / "demo"
    done = subprocess.run(
        [*RUN, "demo", "--json", "--dir", str(directory)], capture_output=True, check=True, timeout=60
    )
    told = json.loads(done.stdout)
    assert [scene["verdict"] for scene in told["scenes"]][:5] == ["ALLOW"] * 4 + ["DENY"]
    assert told["verification"]["status"] == "whole"
    return directory


def broken(state: Path, tmp_path: Path) -> Path:
    """A log with one changed byte."""
    segment = tmp_path / "log" / "policy-guard-0" / "seg" / "000000.jsonl"
    segment.parent.mkdir(parents=True)
    origin = state / "log" / "policy-guard-0"
    for name in ("log.vkey", "checkpoint"):
        (segment.parents[1] / name).write_bytes((origin / name).read_bytes())
    data = (origin / "seg" / segment.name).read_bytes()
    segment.write_bytes(data.replace(b'"effect":"deny"', b'"effect":"eeny"', 1))
    return tmp_path / "log"


def test_lines_fit_a_terminal_and_stay_whole_in_a_pipe() -> None:
    """Words wrap below the beginning of the text; a pipe gets one line, which can be searched."""
    text = "one two three four five six seven eight nine ten"
    screen = io.StringIO()
    hanging(Console(file=screen, force_terminal=True, width=30, color_system=None), "label ", text, indent=6)
    assert screen.getvalue().splitlines() == ["label one two three four five", "      six seven eight nine ten"]
    pipe = io.StringIO()
    hanging(Console(file=pipe, width=30, soft_wrap=True), "label ", text, indent=6)
    assert pipe.getvalue() == f"label {text}\n"


@pytest.mark.parametrize("inner", ["", "log", "log/policy-guard-0"])
def test_a_log_is_found_by_its_directory_its_origin_or_its_state(
    state: Path, inner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three names of one log are understood alike, by every command that reads."""
    place = str(state / inner)
    assert main(["log", "verify", place]) == 0
    assert capsys.readouterr().out.startswith("WHOLE: policy-guard-0, ")
    assert main(["log", "tail", "--dir", place, "-n", "1"]) == 0
    assert main(["log", "show", "last", "--dir", place]) == 0


def test_nothing_that_failed_otherwise_says_tampered(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 is a verdict: a broken configuration and a file that cannot be read are 3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text("[broken")
    assert main(["log", "verify"]) == 3
    assert "guard.toml" in capsys.readouterr().err
    log = broken(state, tmp_path)
    assert main(["log", "verify", str(log)]) == 1
    segment = log / "policy-guard-0" / "seg" / "000000.jsonl"
    segment.unlink()
    segment.mkdir()
    assert main(["log", "verify", str(log)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: the log cannot be read, so nothing was verified: ")
    assert str(segment) in error


def test_a_reader_that_leaves_hides_no_verdict(state: Path, tmp_path: Path) -> None:
    """``| head -1`` leaves no traceback, and the exit code stays that of the verification."""
    for log, expected in ((state, 0), (broken(state, tmp_path), 1)):
        with subprocess.Popen(
            [*RUN, "log", "verify", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(60) == expected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
@pytest.mark.parametrize(("arguments", "code"), [(["log", "verify"], 3), (["log", "tail", "--dir"], 1)])
def test_output_onto_a_full_disk_is_an_error_in_words(state: Path, arguments: list[str], code: int) -> None:
    """No traceback, and never the exit code of a success or of tampering."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*RUN, *arguments, str(state)], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == code
    assert done.stderr.startswith(b"error: ")
    assert b"Traceback" not in done.stderr


def test_an_interrupt_ends_quietly(state: Path) -> None:
    """Ctrl-C while following: exit 130 and one word."""
    command = [*RUN, "log", "tail", "-f", "-n", "1", "--json", "--dir", str(state)]
    restore = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command[2] = restore + command[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["kind"] == "close"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == "interrupted"
        assert process.wait(60) == 130


def test_the_recorded_input_evaluates_to_the_recorded_decision(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``log show --input`` gives the document as the policy saw it: fractions, not the record's thousandths."""
    main(["log", "tail", "--dir", str(state), "--rule", "PII-002", "--kind", "decision", "--json"])
    denied = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert main(["log", "show", denied["id"], "--dir", str(state), "--input"]) == 0
    document = capsys.readouterr().out
    assert json.loads(document)["findings"][0]["score"] == 1.0
    assert denied["policy_input"]["findings"][0]["score"] == 1000
    (tmp_path / "input.json").write_text(document)
    assert main(["policy", "eval", "-i", str(tmp_path / "input.json"), "data.guard.decision"]) == 0
    value = json.loads(capsys.readouterr().out)["result"][0]["expressions"][0]["value"]
    assert [reason["id"] for reason in value["reasons"]] == ["PII-002"]


def test_a_kind_that_no_record_has_is_a_usage_error(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error does not look like an empty log, and an empty answer says that it is one."""
    assert main(["log", "tail", "--dir", str(state), "--kind", "decisions"]) == 3
    assert main(["log", "tail", "--dir", str(state), "--rule", "NO-SUCH"]) == 0
    assert capsys.readouterr().err.endswith("warning: no record is such\n")


def test_the_demo_beside_a_log_that_was_changed(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not go on with a log that does not verify, and says why without a traceback."""
    directory = broken(state, tmp_path).parent
    shutil.copytree(state / "keys", directory / "keys")
    assert main(["demo", "--once", "--dir", str(directory)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "guard log verify" in error
