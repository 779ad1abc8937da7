"""Anchors: what a checkpoint kept elsewhere shows, which nothing inside the log can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.record.cosignature import CosignerKey, cosign
from guard.record.note import VerifierKey
from guard.record.report import OriginReport
from guard.record.segment import commit_note, list_segments, read_batches
from guard.record.sign import Ed25519Signer
from guard.record.trust import Trust, TrustedKey, UsageError
from guard.record.verify import main, verify
from guard.testing.adversary_log import Log, write_files
from tests.record.logs import KEY, ORIGIN, OTHER_KEY, copy_of, decision, outcome, twelve_records, write_closed

OUR_KEY = VerifierKey.of(KEY.signer(ORIGIN))
WITNESS = Ed25519Signer("witness.example", Ed25519PrivateKey.from_private_bytes(b"w" * 32))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A cleanly closed log of twelve records: the directory of its one origin."""
    return twelve_records(tmp_path / "log")


def notes(log: Path) -> list[str]:
    """The notes of all commits, in order."""
    return [
        commit_note(batch.commit or b"")
        for segment in list_segments(log / "seg")
        for batch in read_batches(segment.path)
    ]


def kept(tmp_path: Path, note: str, name: str = "kept.note") -> Path:
    """A note in a file of its own, outside the log."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(note, encoding="utf-8")
    return path


def beside(log: Path, note: str) -> Path:
    """A note in the origin's own ``anchors/``, named by its size."""
    size = note.split("\n")[1]
    (log / "anchors").mkdir(exist_ok=True)
    return kept(log / "anchors", note, f"{size}.note")


def only(log: Path, *anchors: Path, **options: object) -> tuple[int, OriginReport]:
    """Exit code, and the report of the one origin."""
    report = verify(log, anchors=anchors, **options)  # type: ignore[arg-type]
    return report.exit_code, report.origins[0]


def test_every_state_of_the_log_is_an_anchor_that_agrees(log: Path, tmp_path: Path) -> None:
    """At each commit the root is held against the note of that size; the largest says how far the log is fixed."""
    anchors = [kept(tmp_path, note, f"{number}.note") for number, note in enumerate(notes(log))]
    code, origin = only(log, *anchors, require_anchor=True)
    assert (code, origin.anchored, origin.anchored_size) == (0, True, 12)
    assert [one.result for one in origin.anchors] == ["agrees"] * 7
    assert any("an anchor outside fixed" in said for said in origin.proven)
    assert not any(said.startswith("completeness") for said in origin.not_proven)
    code, origin = only(log, anchors[2], require_anchor=True)
    assert (code, origin.anchored_size) == (0, 5)
    assert any("records after 4 are fixed by no anchor" in said for said in origin.not_proven)


def test_a_directory_of_anchors_is_read_whole(log: Path, tmp_path: Path) -> None:
    """As another host keeps them: ``*.note`` below a directory."""
    for number, note in enumerate(notes(log)):
        kept(tmp_path / "kept", note, f"{number}.note")
    assert len(only(log, tmp_path / "kept")[1].anchors) == 7


def test_a_log_shorter_than_its_anchor_was_rolled_back(log: Path, tmp_path: Path) -> None:
    """Attacks 4 and 7: without the anchor this log is whole."""
    anchor = kept(tmp_path, notes(log)[-1])
    state = Log.read(log)
    state.keep(4)
    older = write_files(tmp_path / "older" / ORIGIN, state.files())
    assert only(older)[0] == 0
    code, origin = only(older, anchor)
    assert (code, origin.anchors[0].result, origin.anchored) == (1, "beyond", False)
    damage = origin.damages[0]
    assert (damage.step, damage.seq, damage.file) == ("anchors", 6, str(anchor))
    assert "ends at 6 records, its anchor states 12: cut off or rolled back" in damage.what
    assert origin.proven == []


def test_a_torn_tail_below_an_anchor_is_tampering(tmp_path: Path) -> None:
    """Bytes that a crash tears were never durable; what was anchored was."""
    log = write_closed(tmp_path / "log", [[decision(0)], [outcome(0)]])
    anchor = kept(tmp_path, notes(log)[-1])
    (log / "checkpoint").write_text(notes(log)[-2], encoding="utf-8")
    segment = log / "seg" / "000000.jsonl"
    segment.write_bytes(segment.read_bytes()[:-5])
    assert only(log)[0] == 2
    assert only(log, anchor)[0] == 1


def test_two_anchors_that_contradict_each_other_prove_the_fork(log: Path, tmp_path: Path) -> None:
    """Attack 6: whichever history is shown, the two notes of one size convict the key's holder, and are kept."""
    copy = Log.read(log)
    copy.rewrite(6, KEY.signer(ORIGIN), duration_us=7)
    one, other = kept(tmp_path, notes(log)[-1], "one.note"), kept(tmp_path, copy.checkpoint, "other.note")
    code, origin = only(log, one, other)
    assert code == 1
    assert [seen.result for seen in origin.anchors] == ["agrees", "contradicts"]
    assert [evidence.notes for evidence in origin.evidence] == [
        [copy.checkpoint, notes(log)[-1]],
        [notes(log)[-1], copy.checkpoint],
    ]
    assert any("two anchors of 12 records contradict each other" in damage.what for damage in origin.damages)


def test_an_anchor_between_commits_is_held_against_the_tree(log: Path, tmp_path: Path) -> None:
    """A fork may have committed elsewhere: the root at any size is asked of the tree, not of the commits."""
    copy = Log.read(log)
    copy.keep(3)
    copy.groups[-1].records.pop()
    copy.seal(KEY.signer(ORIGIN), 2)
    sizes = [int(note.split("\n")[1]) for note in notes(log)]
    assert (copy.size, copy.size in sizes) == (4, False)
    anchor = kept(tmp_path, copy.checkpoint)
    assert only(log, anchor)[1].anchors[0].result == "agrees"
    copy.rewrite(3, KEY.signer(ORIGIN), duration_us=7)
    code, origin = only(log, kept(tmp_path, copy.checkpoint, "other.note"))
    assert (code, origin.anchors[0].result) == (1, "contradicts")
    assert origin.evidence[0].notes == [copy.checkpoint, notes(log)[2]]


def test_an_anchor_of_another_key_or_log_does_not_verify(log: Path, tmp_path: Path) -> None:
    """Attack 8 without a trust file: the anchor that the true key signed gives the substitute away."""
    forged = write_closed(tmp_path / "forged", [[decision(0)], [outcome(0)]], key=OTHER_KEY)
    code, origin = only(forged, kept(tmp_path, notes(log)[0]))
    assert (code, origin.anchors[0].result, origin.damages[0].step) == (1, "unverified", "anchors")
    elsewhere = notes(log)[0].replace(ORIGIN, "elsewhere-0", 1)
    report = verify(log.parent, anchors=[kept(tmp_path, elsewhere)])
    assert (report.exit_code, report.steps[0].result) == (1, "failed")
    assert "of elsewhere-0, whose log is not here" in report.damages[0].what


def test_an_anchor_outside_the_range_of_its_key_does_not_verify(log: Path, tmp_path: Path) -> None:
    """A key that the trust file binds to sizes signs no anchor beyond them."""
    trust = Trust((TrustedKey(OUR_KEY, 0, 11),))
    code, origin = only(log, kept(tmp_path, notes(log)[-1]), trust=trust)
    assert (code, origin.damages[0].step) == (1, "key")


def test_anchors_beside_the_log_count_only_with_a_trusted_witness(log: Path) -> None:
    """Whoever rolls the log back can take its own ``anchors/`` along; what a witness cosigned is from outside."""
    note = notes(log)[-1]
    path = beside(log, note)
    code, origin = only(log, require_anchor=True)
    assert (code, origin.anchors[0].result, origin.anchored) == (2, "agrees", False)
    path.write_text(note + cosign(note[: note.index("\n\n") + 1], WITNESS, seconds=1_800_000_000), encoding="utf-8")
    assert only(log, require_anchor=True)[0] == 2
    trust = Trust((TrustedKey(OUR_KEY),), (), (CosignerKey.of(WITNESS),))
    code, origin = only(log, require_anchor=True, trust=trust)
    assert (code, origin.anchors[0].witnesses, origin.anchored_size) == (0, ["witness.example"], 12)


def test_every_changed_byte_of_an_anchor_beside_the_log_is_found(log: Path) -> None:
    """The notes in ``anchors/`` are evidence: none is skipped because it does not read."""
    path = beside(log, notes(log)[3])
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        report = verify(log.parent)
        damages = [*report.origins[0].damages, *report.damages]
        assert (report.exit_code, damages[0].file) == (1, f"anchors/{path.name}"), at


def test_an_anchor_that_does_not_read_is_a_wrong_use(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the auditor gives by hand must read, or nothing is verified: exit 3, with what, where and how to mend it."""
    (tmp_path / "empty").mkdir()
    for path in (kept(tmp_path, "hello\n"), tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(UsageError, match="anchor"):
            verify(log, anchors=[path])
        assert main([str(log), "--anchor", str(path)]) == 3
        assert str(path) in capsys.readouterr().err


def test_the_report_names_each_anchor_and_its_notes(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--json`` and the sentences hold the same: size, file, result."""
    anchor = kept(tmp_path, notes(log)[2])
    assert main([str(log), "--anchor", str(anchor), "--json"]) == 0
    (origin,) = json.loads(capsys.readouterr().out)["origins"]
    assert origin["anchors"] == [{"file": str(anchor), "size": 5, "given": True, "result": "agrees", "witnesses": []}]
    assert main([str(log)]) == 0
    assert "warning: no anchor from outside" in capsys.readouterr().out


def test_a_cosignature_of_a_trusted_witness_that_does_not_hold_is_found(log: Path, tmp_path: Path) -> None:
    """A line in a trusted witness's name is checked, not believed."""
    note = notes(log)[-1]
    line = cosign(note[: note.index("\n\n") + 1].replace("12", "13", 1), WITNESS, seconds=1_800_000_000)
    trust = Trust((TrustedKey(OUR_KEY),), (), (CosignerKey.of(WITNESS),))
    assert only(log, kept(tmp_path, note + line))[0] == 0
    code, origin = only(log, kept(tmp_path, note + line), trust=trust)
    assert (code, origin.anchors[0].result) == (1, "unverified")


def test_an_older_copy_and_the_log_itself_agree_with_the_same_anchor(log: Path, tmp_path: Path) -> None:
    """An honest backup taken at the anchor or later is no rollback."""
    anchor = kept(tmp_path, notes(log)[3])
    state = Log.read(copy_of(log, tmp_path / "copy"))
    state.keep(5)
    older = write_files(tmp_path / "older" / ORIGIN, state.files())
    assert [only(place, anchor)[0] for place in (log, older)] == [0, 0]
