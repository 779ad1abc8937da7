"""Verification of a log whose key changed: checkpoint and anchors by the key of their size, trust by range and root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guard.record.keys import SIGNING_KEY, load_or_create_keys
from guard.record.note import VerifierKey, sign_note, split_note
from guard.record.pem import load_signing_key
from guard.record.segment import commit_note, list_segments, read_batches
from guard.record.sign import Ed25519Signer
from guard.record.trust import Trust, TrustedKey
from guard.record.verify import verify
from guard.testing.adversary import attack
from guard.types import Signer
from tests.record.logs import ORIGIN
from tests.record.test_rotation import ROOT, boot, first_key, key_records, rotated


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose log changed its key once, with a root's word for the second."""
    load_or_create_keys(tmp_path / "keys")
    boot(tmp_path)
    rotated(tmp_path, root=True)
    boot(tmp_path, number=1)
    return tmp_path


def log_of(state: Path) -> Path:
    """The origin's directory."""
    return state / "log" / ORIGIN


def commits(state: Path) -> list[str]:
    """The notes of all commits, in order."""
    segments = list_segments(log_of(state) / "seg")
    return [commit_note(batch.commit or b"") for segment in segments for batch in read_batches(segment.path)]


def size_of_switch(state: Path) -> int:
    """The size of the last checkpoint that the first key signs."""
    (record,) = key_records(state)
    note = next(note for note in commits(state) if int(note.split("\n")[1]) > record.seq)
    return int(note.split("\n")[1])


def signers(state: Path) -> Callable[[str], Signer]:
    """The key that signs now, under any name."""
    key = load_signing_key(state / "keys" / SIGNING_KEY)
    return lambda name: Ed25519Signer(name, key)


def test_a_log_of_two_keys_is_whole_and_says_so(state: Path) -> None:
    """The checkpoint is signed by the second key, ``log.vkey`` names the first."""
    (origin,) = verify(log_of(state)).origins
    assert (origin.status, origin.keys, origin.trusted) == ("whole", 2, False)
    assert origin.key == VerifierKey.of(signers(state)(ORIGIN)).encode() != first_key(state).encode()
    assert origin.steps[0].said == "named by the log itself, 2 keys one after the other"


def test_every_commit_of_both_keys_is_an_anchor(state: Path, tmp_path: Path) -> None:
    """An anchor bears the signature of the key of its size, old or new."""
    paths = []
    for number, note in enumerate(commits(state)):
        paths.append(tmp_path / f"{number}.note")
        paths[-1].write_text(note, encoding="utf-8")
    (origin,) = verify(log_of(state), anchors=paths).origins
    assert {one.result for one in origin.anchors} == {"agrees"}
    assert origin.anchored_size == origin.size


def test_an_anchor_by_the_key_of_another_epoch_is_refused(state: Path, tmp_path: Path) -> None:
    """Re-sealing: the newer key signs no older state (CVE-2023-31439 of journald)."""
    text, _ = split_note(commits(state)[0])
    anchor = tmp_path / "anchor.note"
    anchor.write_text(sign_note(text, (signers(state)(ORIGIN),)), encoding="utf-8")
    report = verify(log_of(state), anchors=[anchor])
    assert (report.exit_code, report.origins[0].anchors[0].result) == (1, "unverified")


def test_trust_by_ranges_and_by_a_root(state: Path) -> None:
    """Attack 11: a listed key is believed inside its range alone; an unlisted one by the word of the one before."""
    first, now = first_key(state), VerifierKey.of(signers(state)(ORIGIN))
    switch = size_of_switch(state)
    ranged = Trust((TrustedKey(first, 0, switch), TrustedKey(now, switch + 1)))
    (origin,) = verify(log_of(state), trust=ranged).origins
    assert (origin.status, origin.trusted, origin.grounds) == ("whole", True, ["listed", "listed"])
    chained = Trust((TrustedKey(first),), (VerifierKey.of(ROOT),))
    (origin,) = verify(log_of(state), trust=chained).origins
    assert (origin.status, origin.grounds[1]) == ("whole", "endorsed by ops-root and the key before")
    for short in (
        Trust((TrustedKey(first, 0, switch - 1), TrustedKey(now, switch))),
        Trust((TrustedKey(first, 0, switch), TrustedKey(now, switch + 2))),
    ):
        (origin,) = verify(log_of(state), trust=short).origins
        assert (origin.status, origin.damages[0].step, origin.trusted) == ("tampered", "key", False)
        assert "trusted for the sizes" in origin.damages[0].what


def test_the_attacks_on_a_log_of_two_keys_are_found(state: Path) -> None:
    """With the key that signs now; without it, those that need it are left out and said."""
    found = attack(log_of(state), sign_as=signers(state), tries=10)
    assert (found.resigned, found.unnoticed) == (False, [])
    assert [one.name for one in found.tried if one.skipped] == ["remove-origin"]
    found = attack(log_of(state), tries=2)
    assert (found.resigned, found.unnoticed) == (False, [])
    assert sum("--key" in one.skipped for one in found.tried) == 12
