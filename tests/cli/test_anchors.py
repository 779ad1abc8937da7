"""Anchors as their operator meets them: ``guard doctor``, ``guard log anchors`` and the guard's health."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.cli import main
from guard.cli.diagnosis.anchors import check_anchors
from guard.cli.diagnosis.check import Check
from guard.config import GuardConfig, load_config
from guard.health import report
from guard.record.anchoring.store import AnchorStore
from guard.record.cosignature import CosignerKey, cosign
from guard.record.note import VerifierKey, split_note
from guard.record.trust import Trust
from guard.runtime import Runtime
from guard.witness.rules import Witness
from guard.witness.state import WitnessState
from tests.components import require_package
from tests.record.logs import KEY, ORIGIN, Opened, copy_of, decision
from tests.record.test_cosignature import OTHER, WITNESS
from tests.witness.logs import body
from tests.witness.serving import post, serving


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no GUARD_* of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)


class Beside:
    """A witness that listens, and a configuration that names it."""

    def __init__(self, address: str, vkey: str) -> None:
        self.address, self.vkey = address, vkey

    def config(self, vkey: str = "") -> GuardConfig:
        return load_config(record={"witnesses": [{"url": self.address, "vkey": vkey or self.vkey}]})

    def checks(self, vkey: str = "") -> list[Check]:
        return list(check_anchors(self.config(vkey)))


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    state = WitnessState(tmp_path / "w", "witness.example/w1")
    with serving(Witness(state, Trust.of([VerifierKey.of(KEY.signer(ORIGIN))]).keys)) as address:
        yield Beside(address, state.key.encode())
    state.close()


def test_doctor_says_nothing_of_what_is_not_configured() -> None:
    """No way out is no fault; verification says each time what it leaves unproven."""
    assert list(check_anchors(load_config())) == []


def test_a_log_that_is_not_there_has_no_anchors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, as of every word of the log: a wrong path is no log without anchors."""
    assert main(["log", "anchors", "--dir", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith("error: there is no log here")


def test_doctor_looks_at_the_directory(tmp_path: Path) -> None:
    """A mount that is missing is a problem with its place."""
    (missing,) = check_anchors(load_config(record={"anchors": {"directory": "mnt"}}))
    assert (missing.verdict, missing.where) == ("problem", "mnt")
    (tmp_path / "mnt").mkdir()
    (there,) = check_anchors(load_config(record={"anchors": {"directory": "mnt"}}))
    assert there.verdict == "ok"


def checked(capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, list[str], list[str]]:
    """Exit code of ``guard check``, and the places and sentences of its errors and warnings."""
    Path("guard.toml").write_text(text)
    code = main(["check", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert all(remark["mend"] for remark in said["errors"])
    told = {
        level: [f"{remark['where']}: {remark['message']}" for remark in said[level] if "record" in remark["where"]]
        for level in ("errors", "warnings")
    }
    return code, told["errors"], told["warnings"]


def test_check_tells_files_that_do_not_read_and_witnesses_that_count_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would stop the start, with the line of its key; a token that others may read; a witness named twice."""
    require_package("rfc3161-client")
    code, errors, _ = checked(
        capsys, '[record.anchors]\ntimestamp_url = "http://tsa"\ntimestamp_roots_file = "none.pem"\n'
    )
    assert (code, len(errors)) == (1, 1)
    assert errors[0].startswith("guard.toml:3 (record.anchors.timestamp_roots_file): ")
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "token").chmod(0o644)
    code, errors, warnings = checked(capsys, '[record.anchors]\nhttp_url = "https://siem"\nhttp_token_file = "token"\n')
    assert (code, errors, len(warnings), "open to others (mode 0644)" in warnings[0]) == (0, [], 1, True)
    entry = f'[[record.witnesses]]\nurl = "http://w"\nvkey = "{CosignerKey.of(WITNESS).encode()}"\n'
    code, errors, warnings = checked(capsys, entry * 2)
    assert (code, errors, len(warnings)) == (0, [], 1)
    assert warnings[0].startswith("guard.toml:6 (record.witnesses[1].vkey): ")
    code, errors, _ = checked(capsys, entry.replace("w1+", "w9+"))
    assert (code, "does not belong to the name" in errors[0]) == (1, True)


def test_doctor_asks_the_witness(tmp_path: Path, beside: Beside) -> None:
    """Nothing yet, well, another key than configured, more than the log has, away: each has its verdict."""
    (nothing,) = beside.checks()
    assert (nothing.verdict, "cosigned nothing" in nothing.what) == ("warning", True)
    opened = Opened(tmp_path / ".guard" / "log")
    opened.kill()
    older = copy_of(tmp_path / ".guard", tmp_path / "older")
    opened = Opened(tmp_path / ".guard" / "log")
    opened.commit(decision(1))
    opened.writer.publish()
    assert post(beside.address, body(0, [], opened.writer.note))[0] == 200
    opened.kill()
    (well,) = beside.checks()
    assert (well.verdict, well.check) == ("ok", "witness witness.example/w1")
    (false,) = beside.checks(CosignerKey.of(OTHER).encode())
    assert (false.verdict, "not cosigned by the configured key" in false.what) == ("problem", True)
    (tmp_path / ".guard").rename(tmp_path / "gone")
    older.rename(tmp_path / ".guard")
    (back,) = beside.checks()
    assert (back.verdict, "rolled back or forked" in back.what) == ("problem", True)
    beside.address = "http://127.0.0.1:1"
    (away,) = beside.checks()
    assert (away.verdict, bool(away.mend)) == ("warning", True)


def test_anchors_are_listed_with_who_cosigned_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Size, known witnesses with their times, a count of unknown lines, stamps and evidence; a note that does not read
    is told apart."""
    opened = Opened(tmp_path / "log")
    checkpoint, note = opened.writer.checkpoint, opened.writer.note
    opened.close()
    assert main(["log", "anchors", "--dir", "log"]) == 0
    assert "no anchor lies beside" in capsys.readouterr().err
    text = split_note(note)[0]
    store = AnchorStore(opened.slot.path / "anchors")
    store.add(checkpoint, note + cosign(text, WITNESS, seconds=1_700_000_000) + cosign(text, OTHER))
    store.add_stamp(checkpoint, b"stamp")
    store.add_evidence(checkpoint, note)
    (opened.slot.path / "anchors" / "999.note").write_text("noise")
    trust = tmp_path / "trust"
    trust.write_text(f"{VerifierKey.of(KEY.signer(ORIGIN)).encode()}\nwitness {CosignerKey.of(WITNESS).encode()}\n")
    assert main(["log", "anchors", "--dir", "log", "--trust", "trust"]) == 0
    told = capsys.readouterr()
    assert "999.note" in told.err
    lines = told.out.splitlines()
    assert len(lines) == 2
    assert any("CONTRADICTS" in line for line in lines)
    assert any(
        "witness.example/w1 at 2023-11-14T22:13:20Z  1 by witnesses that are not known here  time-stamp" in line
        for line in lines
    )
    assert main(["log", "anchors", "--dir", "log", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert sorted((one["others"], one["evidence"]) for one in listed) == [(0, True), (2, False)]


def test_health_is_degraded_while_checkpoints_do_not_leave(tmp_path: Path) -> None:
    """Requests go on, ready stays 200, and whoever looks is told which way fails."""
    config = load_config(record={"anchors": {"directory": tmp_path / "mnt"}}, detectors={"enabled": ["secrets"]})

    async def look() -> None:
        runtime = Runtime(config)
        await runtime.start()
        try:
            await asyncio.to_thread(_until_failing, runtime)
            health = report(runtime)
            assert (health.status, health.log is not None and health.log.writable) == ("degraded", True)
            assert health.log is not None
            way, of_list = health.log.anchors
            assert of_list.name == "list of writers: directory"
            assert (way.name, way.error_code) == ("directory", "anchor_failed")
            assert str(tmp_path) not in repr(health)
        finally:
            await runtime.stop()

    asyncio.run(look())


def _until_failing(runtime: Runtime) -> None:
    while True:
        log = report(runtime).log
        if log is not None and log.anchors and log.anchors[0].failures:
            return
        time.sleep(0.01)
