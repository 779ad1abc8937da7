"""The twelve attacks: each is found as the table of ``docs/verify.md`` says, with an anchor and without, and named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.record.note import VerifierKey
from guard.record.report import Report
from guard.record.trust import Trust
from guard.record.verify import verify
from guard.testing import adversary
from guard.testing.adversary import Bench, assert_noticed, attack
from guard.testing.adversary_cases import CASES, Case
from guard.testing.adversary_log import Log, NotAttacked, stranger
from guard.testing.adversary_table import main
from guard.types import Signer
from tests.record.logs import KEY, ORIGIN, Opened, decision, outcome, twelve_records, write_closed

TRUST = Trust.of([VerifierKey.of(KEY.signer(ORIGIN))])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A cleanly closed log of twelve records: the directory of its one origin."""
    return twelve_records(tmp_path / "log")


def bench_of(log: Path, scratch: Path, sign_as: Callable[[str], Signer] | None = KEY.signer) -> Bench:
    """A bench over the whole log, under the key that signed it."""
    scratch.mkdir()
    return Bench(Log.read(log), TRUST, sign_as, scratch)


@pytest.mark.parametrize("anchored", [False, True], ids=["without-anchor", "with-anchor"])
@pytest.mark.parametrize("case", CASES, ids=[f"{case.number}-{case.name}" for case in CASES])
def test_each_attack_is_found_and_named_as_the_table_says(
    log: Path, tmp_path: Path, case: Case, anchored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is caught is caught in the step that the attack hurts; what cannot show without an anchor exits 0."""
    bench = bench_of(log, tmp_path / "scratch")
    reports: list[Report] = []
    honest = bench.verify

    def watched(*arguments: object, **options: object) -> Report:
        reports.append(honest(*arguments, **options))  # type: ignore[arg-type]
        return reports[-1]

    monkeypatch.setattr(bench, "verify", watched)
    tried = bench.run(case, anchored=anchored)
    owed = case.anchored if anchored else case.alone
    assert (tried.skipped, tried.unnoticed) == ("", False)
    assert (tried.worst == "caught") == (owed == "caught")
    if owed == "caught":
        assert reports[-1].exit_code == 1
        steps = (*case.steps, "anchors") if anchored else case.steps
        assert reports[-1].origins[0].damages[0].step in steps
        failed = [step.name for step in reports[-1].origins[0].steps if step.result == "failed"]
        assert reports[-1].origins[0].damages[0].step in failed
    else:
        assert (reports[-1].exit_code, reports[-1].status) == (0, "whole")
        assert any("completeness at the end" in said for said in reports[-1].origins[0].not_proven)


def test_the_table_holds_all_twelve(log: Path) -> None:
    """No attack of the specification is left out, and each is tried both ways."""
    tried = attack(log.parent, sign_as=KEY.signer, trust=TRUST, tries=3).tried
    assert {case.number for case in CASES} == {str(number) for number in range(1, 13)}
    assert {one.number for one in tried} == {*(str(number) for number in range(1, 13)), "-"}
    for case in CASES:
        assert sorted(one.anchored for one in tried if one.name == case.name) == [False, True]


def test_a_fork_is_kept_with_both_notes(log: Path, tmp_path: Path) -> None:
    """Attack 6: the report holds both signed notes whole, which prove to anybody that the key signed two histories."""
    bench = bench_of(log, tmp_path / "scratch")
    copy = bench.log.copy()
    copy.rewrite(6, KEY.signer(ORIGIN), duration_us=1)
    report = bench.verify(copy.files(), TRUST, anchored=True)
    (evidence,) = report.origins[0].evidence
    assert evidence.notes == [bench.log.checkpoint, copy.checkpoint]
    key = VerifierKey.of(KEY.signer(ORIGIN))
    assert all(note.startswith(f"{key.name}\n12\n") for note in evidence.notes)
    assert evidence.notes[0] in json.loads(report.to_json())["origins"][0]["evidence"][0]["notes"]
    assert report.origins[0].proven == []


@pytest.mark.slow
def test_a_write_torn_at_any_byte_is_a_torn_tail(log: Path, tmp_path: Path) -> None:
    """Every beginning of the last commit, before anything was published: exit 2, the rest verifies; and with an anchor
    over it, which only a durable commit gets, tampering."""
    bench = bench_of(log, tmp_path / "scratch")
    found = [adversary.tear(bench, 0, random.Random(1), anchored=anchored) for anchored in (False, True)]
    length = sum(len(line) + 1 for line in (*bench.log.groups[-1].records, bench.log.groups[-1].commit))
    assert [(one.worst, one.tries) for one in found] == [
        ("torn", length - 1),
        ("caught", length - 1),
    ]


def test_the_log_itself_is_only_read(log: Path) -> None:
    """Users run it against their own deployment: no byte and no name of it changes."""
    before = {path: path.read_bytes() for path in sorted(log.rglob("*")) if path.is_file()}
    assert attack(log.parent, tries=2).unnoticed == []
    assert {path: path.read_bytes() for path in sorted(log.rglob("*")) if path.is_file()} == before


def test_without_the_key_a_copy_signed_anew_is_attacked(log: Path) -> None:
    """No operator has to hand out the signing key: a throw-away key signs the copy, and every attack is tried."""
    found = attack(log, tries=2)
    assert (found.resigned, found.origin, found.records) == (True, ORIGIN, 12)
    assert [one.name for one in found.tried if one.skipped] == ["remove-origin"]
    assert attack(log, sign_as=KEY.signer, tries=2).resigned is False


def test_a_long_log_is_attacked_in_its_first_commits(tmp_path: Path) -> None:
    """A prefix that ends with a commit is an older, honest state; more is not copied."""
    batches = [[decision(number), outcome(number)] for number in range(30)]
    log = write_closed(tmp_path / "log", batches)
    found = attack(log, records=20, tries=5)
    assert (found.records, found.unnoticed) == (19, [])


def test_an_anchor_kept_elsewhere_is_what_the_attacks_meet(tmp_path: Path, log: Path) -> None:
    """With ``--anchor`` the log is attacked as it stood there, under its own key."""
    kept = tmp_path / "kept.note"
    state = Log.read(log, 7)
    kept.write_text(state.checkpoint, encoding="utf-8")
    found = attack(log, anchors=[kept], tries=3)
    assert (found.records, found.resigned, found.unnoticed) == (state.size, False, [])
    assert {one.name for one in found.tried if "--key" in one.skipped} == {
        "duplicate-id",
        "fork",
        "clock-back",
        "wall-clock-back",
        "retired-key",
        "other-origin",
    }
    with pytest.raises(NotAttacked, match="no anchor is of 2 to 3 records"):
        attack(log, anchors=[kept], records=3)


def test_what_goes_unnoticed_is_said_and_fails(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that looks at nothing is found out: the adversary's own check can fail."""
    honest = verify(log)
    monkeypatch.setattr(adversary, "verify", lambda *_, **__: honest)
    with pytest.raises(AssertionError, match="did not notice: edit \\(without anchor\\), edit \\(with anchor\\)"):
        assert_noticed(log, tries=2)
    assert main([str(log), "--tries", "2"]) == 1


def test_a_removed_origin_shows_in_the_list_of_writers(tmp_path: Path) -> None:
    """Attack 12: without the signed list nothing shows it, and the adversary says why it does not try."""
    first, second = Opened(tmp_path / "log"), Opened(tmp_path / "log")
    first.commit(decision(0), outcome(0))
    first.close()
    second.close()
    (tried,) = [one for one in attack(tmp_path / "log", tries=1).tried if one.name == "remove-origin"]
    assert (tried.worst, "list of writers" in tried.skipped) == (None, True)


def test_the_command_prints_a_table_and_exits_by_it(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 all found; a table for people, one object for programs."""
    assert main([str(log.parent), "--tries", "2", "--seed", "4"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"a copy of {ORIGIN}, 12 records, signed anew under a throw-away key"
    assert out[-1].startswith("NOTICED: ")
    rollback = next(line for line in out if "rolled back to an older state" in line and "without" not in line)
    assert rollback.split("state")[1].split()[:3] == ["with", "caught", "caught"]
    assert main([str(log), "--tries", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["unnoticed"], told["records"], told["tried"][0]["name"]) == (0, 12, "edit")


@pytest.mark.parametrize(
    "arguments",
    [["--unknown"], ["--tries", "-1"], ["--key", "none.pem"], ["--trust", "none"], ["--anchor", "none"]],
)
def test_a_wrong_use_is_told_apart_from_a_finding(
    log: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3: nothing was tried."""
    assert main([str(log), *arguments]) == 3
    assert capsys.readouterr().err != ""


def test_what_is_not_whole_is_not_attacked(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that does not verify by itself shows nothing; nor does a place without a log, or a strange key."""
    assert main([str(tmp_path / "none")]) == 3
    with pytest.raises(NotAttacked, match="not whole"):
        attack(log, trust=Trust.of([VerifierKey.of(stranger()(ORIGIN))]), sign_as=KEY.signer)
    segment = log / "seg" / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"effect":"deny"', b'"effect":"eeny"', 1))
    with pytest.raises(NotAttacked, match="not whole"):
        attack(log)
    (log / "seg" / "000000.jsonl").unlink()
    assert main([str(log)]) == 3
    assert "nothing was tried" in capsys.readouterr().err
