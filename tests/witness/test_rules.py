"""What a witness cosigns and what it refuses: C2SP tlog-witness, case by case, with the answers that it demands."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record.cosignature import Cosignature, CosignerKey, cosignatures
from guard.record.note import VerifierKey, checkpoint_text, sign_note, split_note
from guard.record.tree import EMPTY_ROOT
from guard.record.trust import Trust, TrustedKey
from guard.types import Checkpoint
from guard.witness import state as state_module
from guard.witness.rules import MAX_PROOF_LINES, SIZE_MEDIA_TYPE, Answer, Refused, Witness, read_request
from guard.witness.state import MAX_EVIDENCE, WitnessState, digest_of
from tests.witness.logs import KEY, ORIGIN, SIGNER, THIEF, Tree, body

NOW = 1_700_000_000


class Known:
    """A witness that has cosigned the first 20 records of a log of 50."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = WitnessState(directory, "witness.example/w1")
        self.key: CosignerKey = self.state.key
        self.witness = Witness(self.state, Trust.of([KEY]).keys, clock=lambda: NOW)
        self.tree = Tree(50)
        assert self.witness.add_checkpoint(self.tree.request(0, 20)).status == 200

    def size(self) -> int:
        """How far it has got."""
        checkpoint = self.state.checkpoint(ORIGIN)
        return checkpoint.size if checkpoint else 0

    def evidence(self) -> list[str]:
        """What it has kept against the log."""
        directory = self.directory / "evidence" / digest_of(ORIGIN)
        return sorted(path.read_text(encoding="utf-8") for path in directory.glob("*.notes"))


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    one = Known(tmp_path / "w")
    yield one
    one.state.close()


def test_a_checkpoint_that_extends_the_last_one_is_cosigned(known: Known) -> None:
    """200 with the cosignature lines alone, which verify over the checkpoint; and the witness has moved on."""
    answer = known.witness.add_checkpoint(known.tree.request(20, 45))
    assert answer.status == 200
    note = known.tree.checkpoint(45) + answer.body
    assert cosignatures(note, [known.key]) == [Cosignature("witness.example/w1", NOW)]
    assert known.size() == 45
    assert known.witness.last(digest_of(ORIGIN)) == Answer(200, note)


def test_the_same_checkpoint_again_is_cosigned_again(known: Known) -> None:
    """A client whose answer was lost asks again with the size that it was told, and an empty proof."""
    again = known.witness.add_checkpoint(known.tree.request(20, 20))
    assert again.status == 200
    assert cosignatures(known.tree.checkpoint(20) + again.body, [known.key])


@pytest.mark.parametrize(("old_size", "size"), [(0, 45), (19, 45), (21, 45), (0, 20), (10, 15), (0, 5)])
def test_a_wrong_old_size_is_told_the_right_one(known: Known, old_size: int, size: int) -> None:
    """409 with the size in decimal and its media type; replays of smaller checkpoints end here too."""
    answer = known.witness.add_checkpoint(known.tree.request(old_size, size))
    assert answer == Answer(409, "20\n", SIZE_MEDIA_TYPE)
    assert known.size() == 20
    assert known.evidence() == []


def test_an_old_size_above_the_checkpoint_is_malformed(known: Known) -> None:
    """400: nothing grows from 20 records to 10."""
    assert known.witness.add_checkpoint(body(20, [], known.tree.checkpoint(10))).status == 400


def test_a_fork_of_the_same_size_is_refused_and_kept(known: Known) -> None:
    """422 for another root of the same size, under the log's own key; both notes stay as evidence."""
    forked = Tree(50, story="false", forked_at=7).checkpoint(20)
    answer = known.witness.add_checkpoint(body(20, [], forked))
    assert answer.status == 422
    held = known.witness.last(digest_of(ORIGIN)).body
    assert known.evidence() == [f"{held}-----\n{forked}"]
    assert split_note(held)[0] == split_note(known.tree.checkpoint(20))[0]


def test_a_fork_that_lies_about_its_old_size_is_kept_too(known: Known) -> None:
    """409 says no more than the size, but two signed roots of one size are evidence all the same."""
    forked = Tree(50, story="false", forked_at=7).checkpoint(20)
    assert known.witness.add_checkpoint(body(3, [], forked)).status == 409
    assert len(known.evidence()) == 1


def test_a_fork_that_is_longer_is_refused(known: Known) -> None:
    """422: no proof leads from the true 20 records to a forked log, not even that log's own."""
    forked = Tree(50, story="false", forked_at=7)
    assert known.witness.add_checkpoint(forked.request(20, 45)).status == 422
    assert known.size() == 20
    assert len(known.evidence()) == 1


def test_a_garbage_proof_is_refused(known: Known) -> None:
    """422 for a proof that is cut, padded, swapped, of other sizes or of noise."""
    proof = known.tree.proof(20, 45)
    assert len(proof) > 2
    wrong = [[], proof[:-1], [*proof, bytes(32)], proof[::-1], [b"x" * 32] * len(proof), known.tree.proof(19, 45)]
    for steps in wrong:
        assert known.witness.add_checkpoint(body(20, steps, known.tree.checkpoint(45))).status == 422
    assert known.size() == 20
    assert known.witness.add_checkpoint(body(20, [bytes(32)], known.tree.checkpoint(20))).status == 422


def test_the_first_checkpoint_needs_no_proof_and_takes_none(tmp_path: Path) -> None:
    """Old size 0: a proof must be empty, and the empty tree has one root."""
    state = WitnessState(tmp_path / "w", "w")
    witness = Witness(state, Trust.of([KEY]).keys)
    tree = Tree(9)
    assert witness.add_checkpoint(body(0, [bytes(32)], tree.checkpoint(9))).status == 422
    odd = sign_note(checkpoint_text(Checkpoint(ORIGIN, 0, b"r" * 32)), (SIGNER,))
    assert witness.add_checkpoint(body(0, [], odd)).status == 422
    empty = sign_note(checkpoint_text(Checkpoint(ORIGIN, 0, EMPTY_ROOT)), (SIGNER,))
    assert witness.add_checkpoint(body(0, [], empty)).status == 200
    assert witness.add_checkpoint(tree.request(0, 9)).status == 200
    state.close()


def test_who_signs_what(known: Known) -> None:
    """403 without a signature by a trusted key, or with a false one in its name; 404 for another log."""
    tree, witness = known.tree, known.witness
    assert witness.add_checkpoint(body(20, tree.proof(20, 45), tree.checkpoint(45, signers=(THIEF,)))).status == 403
    genuine, text = tree.checkpoint(45), split_note(tree.checkpoint(45))[0]
    forged = genuine.replace(split_note(genuine)[0], split_note(tree.checkpoint(44))[0])
    assert witness.add_checkpoint(body(20, tree.proof(20, 44), forged)).status == 403
    other = text.replace(ORIGIN, "another-0")
    assert witness.add_checkpoint(body(20, [], sign_note(other, (SIGNER,)))).status == 404
    both = tree.checkpoint(45, signers=(THIEF, SIGNER))
    answer = witness.add_checkpoint(body(20, tree.proof(20, 45), both))
    assert answer.status == 200
    assert witness.last(digest_of(ORIGIN)).body == genuine + answer.body, "a stranger's line is not served"


def test_a_log_with_two_keys(tmp_path: Path) -> None:
    """After a change of key either may sign, and the tree goes on."""
    state = WitnessState(tmp_path / "w", "w")
    witness = Witness(state, Trust.of([KEY, VerifierKey.of(THIEF)]).keys)
    tree = Tree(9)
    assert witness.add_checkpoint(tree.request(0, 4)).status == 200
    assert witness.add_checkpoint(body(4, tree.proof(4, 9), tree.checkpoint(9, signers=(THIEF,)))).status == 200
    state.close()


def test_a_key_signs_for_its_sizes_alone(tmp_path: Path) -> None:
    """403 where a retired key signs on, and where the new one signs what came before it."""
    state = WitnessState(tmp_path / "w", "w")
    keys = [TrustedKey(KEY, 0, 4), TrustedKey(VerifierKey.of(THIEF), 5)]
    witness, tree = Witness(state, keys), Tree(9)
    assert witness.add_checkpoint(body(0, [], tree.checkpoint(3, signers=(THIEF,)))).status == 403
    assert witness.add_checkpoint(tree.request(0, 4)).status == 200
    assert witness.add_checkpoint(tree.request(4, 9)).status == 403
    assert witness.add_checkpoint(body(4, tree.proof(4, 9), tree.checkpoint(9, signers=(THIEF,)))).status == 200
    state.close()


def test_extension_lines_are_cosigned_as_they_are(known: Known) -> None:
    """A log of somebody else's may have them; the cosignature covers the whole text."""
    note = known.tree.checkpoint(45, extension="extra\n")
    answer = known.witness.add_checkpoint(body(20, known.tree.proof(20, 45), note))
    assert answer.status == 200
    assert cosignatures(note + answer.body, [known.key])
    assert known.size() == 45


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"old 1",
        b"old 01\n\nx",
        b"old -1\n\nx",
        b"old 1 \n\nx",
        b"size 1\n\nx",
        b"old 1\n\n",
        b"old 1\r\n\r\nx",
        b"\xff\xfe",
        b"old 0\nAAAA\n\n" + Tree(3).checkpoint(3).encode(),
        b"old 0\n" + b"A" * 43 + b"\n\n" + Tree(3).checkpoint(3).encode(),
        body(0, [bytes(32)] * (MAX_PROOF_LINES + 1), Tree(3).checkpoint(3)),
        b"old 0\n\n" + Tree(3).checkpoint(3).encode().rstrip(b"\n"),
        b"old 99999999999999999999\n\n" + Tree(3).checkpoint(3).encode(),
    ],
)
def test_what_is_no_request_is_400(known: Known, request_body: bytes) -> None:
    """Sizes have one spelling, hashes 32 bytes, proofs at most 63 lines, notes signatures."""
    assert known.witness.add_checkpoint(request_body).status == 400
    assert known.size() == 20


@given(st.binary(max_size=300) | st.text(alphabet="old 019\nA=+/—x", max_size=200).map(str.encode))
def test_reading_never_fails_otherwise(request_body: bytes) -> None:
    """Whatever arrives is a request, or refused as malformed."""
    status, proof = 400, []
    try:
        proof = read_request(request_body).proof
    except Refused as refusal:
        status = refusal.answer.status
    assert status == 400
    assert all(len(step) == 32 for step in proof)


def test_a_full_disk_gets_no_cosignature(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept is not cosigned: 500, no line, and the last checkpoint stands."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(state_module, "replace_file", full)
        answer = known.witness.add_checkpoint(known.tree.request(20, 45))
        assert answer.status == 500
        assert "\u2014" not in answer.body
        forked = Tree(50, story="false").checkpoint(20)
        assert known.witness.add_checkpoint(body(20, [], forked)).status == 422, "refused, kept or not"
    assert known.size() == 20
    assert known.witness.add_checkpoint(known.tree.request(20, 45)).status == 200


def test_a_damaged_memory_is_never_taken_for_none(known: Known) -> None:
    """Forgetting would let any fork begin anew: 500 for that log, and no start with it."""
    path = known.directory / "logs" / f"{digest_of(ORIGIN)}.note"
    for damage in (b"", b"\xff\xff", path.read_bytes()[:-9], known.tree.checkpoint(20).encode()):
        kept = path.read_bytes()
        path.write_bytes(damage)
        assert known.witness.add_checkpoint(known.tree.request(20, 45)).status == 500
        with pytest.raises(state_module.WitnessStateInvalid, match="restore the file"):
            Witness(known.state, Trust.of([KEY]).keys)
        path.write_bytes(kept)
    assert known.witness.add_checkpoint(known.tree.request(20, 45)).status == 200


def test_two_requests_at_once_never_roll_back(known: Known) -> None:
    """The race of the specification: of all requests from one old size, one wins, and the state never shrinks."""
    answers: list[tuple[int, Answer]] = []
    ready = threading.Barrier(8)

    def ask(size: int) -> None:
        request = known.tree.request(20, size)
        ready.wait()
        answers.append((size, known.witness.add_checkpoint(request)))

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(30, 38)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [size for size, answer in answers if answer.status == 200]
    assert len(won) == 1
    assert known.size() == won[0]
    assert {answer.body for _, answer in answers if answer.status == 409} == {f"{won[0]}\n"}


def test_evidence_is_bounded(known: Known) -> None:
    """Whoever holds the log's key can sign any number of forks; the disk takes the first hundred."""
    for number in range(MAX_EVIDENCE + 5):
        forked = Tree(20, story=f"story {number}").checkpoint(20)
        assert known.witness.add_checkpoint(body(20, [], forked)).status == 422
    assert len(known.evidence()) == MAX_EVIDENCE


def test_a_log_that_is_not_known_has_no_checkpoint(known: Known) -> None:
    """404 for an origin that nobody named, for noise, and for one that was never cosigned."""
    assert known.witness.last(digest_of("another-0")).status == 404
    assert known.witness.last("../../witness.pem").status == 404
