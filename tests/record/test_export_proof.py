"""Proofs of single records in the C2SP tlog-proof format: whole, altered, trusted and not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record.cosignature import CosignerKey, cosign
from guard.record.export.find import find_record
from guard.record.export.proof import Proof, ProofRejected, prove, verify_proof
from guard.record.export.source import ExportRefused, State, newest, records
from guard.record.note import VerifierKey, checkpoint_text, sign_note
from guard.record.tree import inclusion_proof, leaf_hash, root_of
from guard.record.trust import Trust, TrustedKey
from guard.types import Checkpoint
from tests.record.logs import KEY, ORIGIN, OTHER_KEY, decision, outcome, twelve_records, write_closed

VKEY = VerifierKey.of(KEY.signer(ORIGIN))
TRUST = Trust.of([VKEY])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve records."""
    return twelve_records(tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("index", range(12))
def test_each_record_of_a_log_is_proven(log: Path, index: int) -> None:
    """The path is that of RFC 6962 section 2.1.1, and the verifier gives the record back."""
    state = newest(log)
    lines = list(records(state))
    proof = prove(state, index)
    assert list(proof.path) == inclusion_proof([leaf_hash(line) for line in lines], index)
    proven = verify_proof(proof.encode(), TRUST)
    assert (proven.index, proven.line, proven.key) == (index, lines[index], VKEY)
    assert proven.checkpoint == Checkpoint(ORIGIN, 12, root_of([leaf_hash(line) for line in lines]))
    assert proven.record.seq == index
    assert proven.cosigned == ()


def test_the_file_is_what_the_specification_shows(log: Path) -> None:
    """Header, extra, index, hashes, an empty line, and the checkpoint word for word."""
    proof = prove(newest(log), 5)
    head, _, note = proof.encode().partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert base64.b64decode(lines[1].removeprefix("extra ")) == list(records(newest(log)))[5]
    assert lines[2] == "index 5"
    assert [len(base64.b64decode(line)) for line in lines[3:]] == [32] * 4
    assert note == (log / "checkpoint").read_text(encoding="utf-8")


def test_a_proof_without_its_record_takes_it_from_elsewhere(log: Path) -> None:
    """The line has to be given then, and only the right one proves."""
    lines = list(records(newest(log)))
    text = prove(newest(log), 3, with_record=False).encode()
    assert "extra" not in text
    assert verify_proof(text, TRUST, record=lines[3]).line == lines[3]
    with pytest.raises(ProofRejected, match="carries no record"):
        verify_proof(text, TRUST)
    with pytest.raises(ProofRejected, match="does not stand there"):
        verify_proof(text, TRUST, record=lines[4])


def test_a_record_that_is_given_is_held_against_the_proof_and_not_the_extra_line(log: Path) -> None:
    """What the caller holds in hands is what has to be proven."""
    lines = list(records(newest(log)))
    with pytest.raises(ProofRejected, match="does not stand there"):
        verify_proof(prove(newest(log), 3).encode(), TRUST, record=lines[4])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("index 3\n", "index 4\n"),
        ("index 3\n", "index 03\n"),
        ("index 3\n", "index -3\n"),
        ("index 3\n", "index 12\n"),
        ("index 3\n", ""),
        ("index 3\n", "index 3\nindex 3\n"),
        ("@v1\n", "@v2\n"),
        ("extra ", "extra  "),
        ("extra ", "Extra "),
        ("\n12\n", "\n13\n"),
        ("\n\npolicy", "\npolicy"),
        (f"\n{ORIGIN}\n", "\nother-0\n"),
    ],
)
def test_an_altered_proof_is_refused(log: Path, old: str, new: str) -> None:
    """Another place, another form, another size or origin."""
    text = prove(newest(log), 3).encode()
    assert old in text
    with pytest.raises(ProofRejected):
        verify_proof(text.replace(old, new, 1), TRUST)


@given(st.data())
def test_no_flipped_bit_of_a_proof_passes(log: Path, data: st.DataObject) -> None:
    """One bit anywhere, in the record, the path or the note, and it is refused."""
    text = prove(newest(log), 7).encode().encode()
    place = data.draw(st.integers(0, len(text) - 1))
    altered = bytearray(text)
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProofRejected):
        verify_proof(altered.decode("utf-8", "replace"), TRUST)


@given(st.integers(1, 70), st.data())
def test_proofs_survive_being_written_and_read(size: int, data: st.DataObject) -> None:
    """``parse`` is the inverse of ``encode``."""
    index = data.draw(st.integers(0, size - 1))
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    note = sign_note(checkpoint_text(Checkpoint(ORIGIN, size, root_of(leaves))), [KEY.signer(ORIGIN)])
    extra = data.draw(st.binary(max_size=64))
    proof = Proof(index, tuple(inclusion_proof(leaves, index)), note, extra)
    assert Proof.parse(proof.encode()) == proof


def test_only_a_listed_key_is_believed_and_only_in_its_range(log: Path) -> None:
    """Another key, no key, a key outside the sizes for which it is trusted, a root alone."""
    text = prove(newest(log), 3).encode()
    refused = {
        "not signed by": Trust.of([VerifierKey.of(OTHER_KEY.signer(ORIGIN))]),
        "no key of a log": Trust(),
        "for the sizes": Trust((TrustedKey(VKEY, 1, 11),)),
        "no key of a log is": Trust(roots=(VKEY,)),
    }
    for complaint, trust in refused.items():
        with pytest.raises(ProofRejected, match=complaint):
            verify_proof(text, trust)
    assert verify_proof(text, Trust((TrustedKey(VKEY, 12, 12),))).index == 3


def test_the_checkpoint_of_another_origin_is_refused(log: Path) -> None:
    """The key may sign its own origin's checkpoints only, whatever it signed."""
    state = newest(log)
    text = checkpoint_text(Checkpoint("other-0", 12, state.checkpoint.root))
    forged = Proof(3, prove(state, 3).path, sign_note(text, [KEY.signer(ORIGIN)]), list(records(state))[3])
    with pytest.raises(ProofRejected, match="signed a checkpoint of other-0"):
        verify_proof(forged.encode(), TRUST)


def test_a_record_at_a_place_that_is_not_its_own_is_refused() -> None:
    """A log whose records contradict their places proves nothing, though it is signed."""
    leaf = b'{"seq":1}'
    note = sign_note(checkpoint_text(Checkpoint(ORIGIN, 1, leaf_hash(leaf))), [KEY.signer(ORIGIN)])
    with pytest.raises(ProofRejected, match="is no record"):
        verify_proof(Proof(0, (), note, leaf).encode(), TRUST)


def test_a_record_of_another_number_is_refused(log: Path) -> None:
    """Record 3, signed as the only one of a log."""
    line = list(records(newest(log)))[3]
    note = sign_note(checkpoint_text(Checkpoint(ORIGIN, 1, leaf_hash(line))), [KEY.signer(ORIGIN)])
    with pytest.raises(ProofRejected, match="calls itself 3"):
        verify_proof(Proof(0, (), note, line).encode(), TRUST)


def test_cosignatures_of_trusted_witnesses_are_verified_and_named(log: Path) -> None:
    """A witness that the reader knows is named; an unknown one is not; a false line of a known one is refused."""
    signer = OTHER_KEY.signer("witness.example")
    witness = CosignerKey.of(signer)
    state = newest(log)
    text = state.note.partition("\n\n")[0] + "\n"
    line = cosign(text, signer, seconds=1_760_000_000)
    told = Proof(3, prove(state, 3).path, state.note + line, list(records(state))[3]).encode()
    assert verify_proof(told, TRUST).cosigned == ()
    (cosigned,) = verify_proof(told, Trust(TRUST.keys, (), (witness,))).cosigned
    assert (cosigned.witness, cosigned.time) == ("witness.example", 1_760_000_000)
    false = cosign(text + "x\n", signer, seconds=1_760_000_000)
    with pytest.raises(ProofRejected):
        verify_proof(told.replace(line, false), Trust(TRUST.keys, (), (witness,)))


def test_a_log_that_does_not_add_up_is_not_proven(log: Path) -> None:
    """A proof under another root would mislead whoever gets it."""
    state = newest(log)
    other = State(state.directory, state.note, Checkpoint(ORIGIN, 12, b"r" * 32))
    with pytest.raises(ExportRefused, match="another root"):
        prove(other, 3)
    with pytest.raises(ExportRefused, match="records are missing"):
        prove(State(state.directory, state.note, Checkpoint(ORIGIN, 13, b"r" * 32)), 3)
    with pytest.raises(IndexError):
        prove(state, 12)


def test_records_are_found_by_id_place_and_as_the_newest(log: Path) -> None:
    """An id, its beginning, ``ORIGIN:SEQ``, ``last``; a beginning of several names them."""
    places = {
        "0198c0de-0000-7000-8000-000000000001": 3,
        f"{ORIGIN}:0": 0,
        f"{ORIGIN}:11": 11,
        "last": 10,
    }
    assert {wanted: find_record([log], wanted).index for wanted in places} == places
    with pytest.raises(ExportRefused, match=r"6 records have an id that begins so: policy-guard-0:1, .* \.\.\."):
        find_record([log], "0198c0de-0000-7000-8000-00000000000")
    for wanted in ("nothing", f"{ORIGIN}:12", "other-0:1"):
        with pytest.raises(ExportRefused, match="holds no record"):
            find_record([log], wanted)


def test_the_published_checkpoint_is_preferred_where_it_covers_the_record(tmp_path: Path) -> None:
    """It may carry cosignatures, which a commit line never does."""
    log = write_closed(tmp_path, [[decision(0)], [outcome(0)]])
    path = log / "checkpoint"
    path.write_text(path.read_text(encoding="utf-8") + "\u2014 witness.example " + "A" * 60 + "\n", encoding="utf-8")
    assert "witness.example" in find_record([log], f"{ORIGIN}:1").state.note
    path.unlink()
    assert "witness.example" not in find_record([log], f"{ORIGIN}:1").state.note
