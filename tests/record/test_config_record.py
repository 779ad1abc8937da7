"""Reloads on record: what decided before, what decides now, why one was refused; and decisions held against them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.cli import main
from guard.errors import LogUnavailable
from guard.record.build import Standing, config_record
from guard.record.log import LogStatus, SignedLog
from guard.record.segment import SegmentWriter
from guard.record.verify import verify
from guard.review.query import Filter, LogReader
from guard.review.reloads import explain_reload
from guard.types import Decision, DecisionRecord, DetectorInfo, EngineInfo
from tests.record.logs import ENGINE, KEY, NAME, Opened, decision

OLD = Standing("cd" * 32, ENGINE, "data.guard.decision", (DetectorInfo("pii", "1", "11" * 32),))
NEW = Standing(
    "ef" * 32,
    msgspec.structs.replace(ENGINE, revision="rev-8", digest="99" * 32),
    "data.guard.decision",
    (DetectorInfo("pii", "1", "22" * 32), DetectorInfo("secrets", "1", "33" * 32)),
)
REFUSED = ("policy_invalid", "policies/pii.rego:10")


def under(standing: Standing, number: int) -> DecisionRecord:
    """A decision that names a configuration and its policies."""
    said = Decision(stage="request", effect="deny", engine=standing.engine)
    return decision(number, decision=said, config_digest=standing.config_digest, http_status=403)


def report_of(directory: Path) -> tuple[int, list[str]]:
    """The exit code of verify, and its damages."""
    report = verify(directory)
    return report.exit_code, [str(damage) for origin in report.origins for damage in origin.damages]


async def write(log: SignedLog, *records: DecisionRecord) -> None:
    """A log of these records, one after another."""
    await log.start()
    for record in records:
        await log.append(record)
    await log.stop()


# --- the record -----------------------------------------------------------------------------------------------------


def test_an_applied_reload_names_both_configurations(tmp_path: Path) -> None:
    """Digest of the configuration, policies and detectors, before and after."""
    with Opened(tmp_path) as opened:
        opened.commit(config_record(OLD, NEW))
    (record,) = LogReader(tmp_path).records(Filter(kind="config"))
    assert (record["status"], record["error"]) == ("applied", None)
    assert record["before"] == {
        "config_digest": "cd" * 32,
        "policy": {
            "engine": "embedded", "version": "1", "revision": "rev-7", "digest": "ab" * 32,
            "entrypoint": "data.guard.decision",
        },
        "detectors": [{"name": "pii", "version": "1", "digest": "11" * 32}],
    }  # fmt: skip
    assert record["after"]["config_digest"] == "ef" * 32
    assert record["after"]["policy"]["revision"] == "rev-8"
    assert [detector["name"] for detector in record["after"]["detectors"]] == ["pii", "secrets"]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("policies/pii.rego:10", "policies/pii.rego:10"),
        ("", ""),
        ("x" * 300 + ".rego:7", "x" * 193 + ".rego:7"),
        ("caf\udce9.rego:1", "caf\\udce9.rego:1"),
    ],
    ids=["file and line", "none", "long", "no Unicode"],
)
def test_a_refused_reload_names_code_and_place(tmp_path: Path, where: str, kept: str) -> None:
    """Whatever the file is called, the record can be written; it has no field for a message."""
    with Opened(tmp_path) as opened:
        opened.commit(config_record(OLD, None, ("policy_invalid", where)))
    (record,) = LogReader(tmp_path).records(Filter(kind="config"))
    assert (record["status"], record["after"]) == ("refused", None)
    assert record["error"] == {"code": "policy_invalid", "where": kept}


def test_the_open_record_names_what_decides(tmp_path: Path) -> None:
    """Configuration, policies and whether the same process had the log open before."""
    opened = Opened(tmp_path)
    opened.writer.poison()
    opened.writer.open()
    opened.close()
    first, second = LogReader(tmp_path).records(Filter(kind="open"))
    for record in (first, second):
        assert (record["config_digest"], record["policy"]["digest"]) == ("cd" * 32, "ab" * 32)
    assert (first["reopened"], second["reopened"]) == (False, True)


# --- verification ---------------------------------------------------------------------------------------------------


def test_decisions_of_both_generations_stand_behind_an_applied_reload(tmp_path: Path) -> None:
    """Requests that are under way end under the configuration with which they began."""
    with Opened(tmp_path) as opened:
        opened.commit(under(OLD, 0), config_record(OLD, NEW), under(NEW, 1), under(OLD, 2))
    assert report_of(tmp_path) == (0, [])


@pytest.mark.parametrize(
    ("records", "seq"),
    [
        ([under(NEW, 0)], 1),
        ([under(NEW, 0), config_record(OLD, NEW)], 1),
        ([config_record(OLD, NEW, REFUSED), under(NEW, 0)], 2),
        ([config_record(NEW, OLD)], 1),
        ([under(msgspec.structs.replace(OLD, engine=NEW.engine), 0)], 1),
    ],
    ids=["unknown", "before its record", "refused", "a reload from nowhere", "unknown policies"],
)
def test_a_decision_under_what_no_record_names_is_damage(
    tmp_path: Path, records: list[DecisionRecord], seq: int
) -> None:
    """The signatures hold, and the log contradicts itself: it is named by its place, and all else is verified still."""
    with Opened(tmp_path) as opened:
        opened.commit(*records)
        opened.commit(under(OLD, 9))
    report = verify(tmp_path)
    (origin,) = report.origins
    assert (report.exit_code, origin.status, origin.size) == (1, "tampered", len(records) + 3)
    (damage,) = origin.damages
    assert (damage.seq, damage.file) == (seq, "seg/000000.jsonl")
    assert "no open or config record of its process names" in damage.what
    assert origin.accounts.contradictions_total == 1


def test_many_contradictions_are_counted(tmp_path: Path) -> None:
    """One is shown, and how many there are."""
    with Opened(tmp_path) as opened:
        opened.commit(*(under(NEW, number) for number in range(7)))
    report = verify(tmp_path)
    assert len(report.origins[0].damages) == 1
    assert "  7 records contradict those before them in this way" in report.lines()


def test_another_process_begins_anew(tmp_path: Path) -> None:
    """What an earlier process had applied says nothing about this one."""
    with Opened(tmp_path) as opened:
        opened.commit(config_record(OLD, NEW), under(NEW, 0))
    with Opened(tmp_path) as opened:
        opened.commit(under(NEW, 1))
    code, (damage,) = report_of(tmp_path)
    assert code == 1
    assert damage.startswith("record 5, ")


def test_a_log_that_was_reopened_goes_on_with_what_was_known(tmp_path: Path) -> None:
    """After a failed write the same process still serves requests that began before it."""
    opened = Opened(tmp_path)
    opened.commit(config_record(OLD, NEW))
    opened.writer.poison()
    opened.writer.open()
    opened.commit(under(NEW, 0), under(OLD, 1))
    opened.close()
    assert report_of(tmp_path) == (0, [])


def test_nothing_is_held_against_a_log_that_tells_nothing(tmp_path: Path) -> None:
    """Who writes a log of their own need not tell a configuration."""
    asyncio.run(write(SignedLog(tmp_path, name=NAME, signer=KEY.signer), under(NEW, 0), under(OLD, 1)))
    assert report_of(tmp_path) == (0, [])


def test_a_server_may_change_its_policies(tmp_path: Path) -> None:
    """Which policies an OPA server holds is not the guard's to reload."""
    served = Standing(OLD.config_digest, EngineInfo("opa", "1.18.1", "b@2", "77" * 32))
    with Opened(tmp_path) as opened:
        opened.commit(under(served, 0))
    assert report_of(tmp_path) == (0, [])


# --- the log --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_reload_is_durable_in_buffered_mode_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides must be known after a power failure; the decision beside it may wait for the next sync."""
    synced: list[int] = []
    sync = SegmentWriter.sync

    def counted(segment: SegmentWriter) -> None:
        synced.append(segment.offset)
        sync(segment)

    monkeypatch.setattr("guard.record.upkeep.LOSS_WINDOW_MS", 3_600_000)
    log = SignedLog(tmp_path, name=NAME, signer=KEY.signer, mode="buffered", standing=lambda: OLD)
    await log.start()
    monkeypatch.setattr(SegmentWriter, "sync", counted)
    await log.append(under(OLD, 0))
    assert synced == []
    await log.append(config_record(OLD, NEW))
    assert len(synced) == 1
    await log.stop()
    assert verify(tmp_path).exit_code == 0


@pytest.mark.anyio
async def test_a_log_tells_how_it_fares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its start, while it writes, and while it cannot."""
    log = SignedLog(tmp_path, name=NAME, signer=KEY.signer)
    assert log.status() == LogStatus(writable=False, error_code="log_unavailable")
    await log.start()
    await log.append(decision(0))
    status = log.status()
    assert (status.writable, status.queued, status.size, status.error_code) == (True, 0, 2, "")
    assert 0 <= status.checkpoint_age_seconds < 3600

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SegmentWriter, "write", full)
        with pytest.raises(LogUnavailable):
            await log.append(decision(1))
        status = log.status()
        assert (status.writable, status.size, status.error_code) == (False, 2, "log_unavailable")
    await log.stop()


# --- for people -----------------------------------------------------------------------------------------------------


@pytest.fixture
def reloads(tmp_path: Path) -> list[DecisionRecord]:
    """A log of an applied and a refused reload, and of decisions beside them."""
    with Opened(tmp_path) as opened:
        opened.commit(under(OLD, 0), config_record(OLD, NEW), under(NEW, 1), config_record(NEW, None, REFUSED))
    return list(LogReader(tmp_path).records(Filter(kind="config")))


def said(record: DecisionRecord) -> dict[str, str]:
    """The explanation by heading."""
    return {section.title: " ".join(section.sentences) for section in explain_reload(record)}


def test_a_reload_is_explained_in_sentences(reloads: list[DecisionRecord]) -> None:
    """What decided, what decides, which detectors changed, and why one was refused."""
    applied, refused = map(said, reloads)
    assert applied["Reload"] == "A changed configuration, or changed policies, were applied."
    assert applied["Before"].startswith("Configuration cdcdcdcdcdcdcdcd decided before.")
    assert applied["After"] == (
        "Configuration efefefefefefefef. Policies rev-8 (9999999999999999) on the embedded engine 1."
    )
    assert applied["Detectors"] == "pii, secrets. secrets is new. pii changed."
    assert refused["Reload"] == (
        "A changed configuration, or changed policies, were refused: policy_invalid at policies/pii.rego:10."
    )
    assert "After" not in refused
    assert "on the embedded engine 1 goes on deciding." in refused["Before"]
    assert refused["Record"].startswith("Record 4 of policy-guard-0, ")


def test_the_command_line_shows_reloads(
    reloads: list[DecisionRecord], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``tail`` on a line each, ``show`` in sentences or as the record itself."""
    run: Callable[..., int] = lambda *words: main([*words, "--dir", str(tmp_path)])  # noqa: E731
    assert run("log", "tail", "--kind", "config") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "config" in first
    assert f"{reloads[0]['id']}  applied  rev-7 -> rev-8  configuration changed" in first
    assert f"{reloads[1]['id']}  refused  policy_invalid  policies/pii.rego:10  still rev-8" in second
    assert run("log", "show", reloads[1]["id"]) == 0
    assert "were refused: policy_invalid at policies/pii.rego:10." in capsys.readouterr().out
    assert run("log", "show", reloads[0]["id"], "--json") == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert shown == reloads[0]
    assert run("log", "show", "nothing") == 1
