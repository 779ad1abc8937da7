"""Negative probes of Merkle proofs, in the manner of transparency-dev/merkle: each kind of wrong proof, for each place
in small trees and around powers of two, is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest

from guard.record.tree import (
    EMPTY_ROOT,
    ProofInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(34)]
GARBAGE = sha256(b"garbage").digest()
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33]


def wrong_proofs(proof: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """The proof, mutilated."""
    yield "trailing garbage", [*proof, GARBAGE]
    yield "leading garbage", [GARBAGE, *proof]
    yield "trailing empty hash", [*proof, b""]
    if proof:
        yield "without its end", proof[:-1]
        yield "without its beginning", proof[1:]
        yield "empty", []
        yield "end repeated", [*proof, proof[-1]]
        for place in range(len(proof)):
            yield f"hash {place} replaced", [*proof[:place], GARBAGE, *proof[place + 1 :]]
            yield f"hash {place} cut", [*proof[:place], proof[place][:-1], *proof[place + 1 :]]
    if len(proof) > 1:
        yield "reversed", proof[::-1]


def refused(verify: Callable[..., None], *claim: object) -> bool:
    """Whether a claim does not verify."""
    try:
        verify(*claim)
    except ProofInvalid:
        return True
    return False


@pytest.mark.parametrize("size", SIZES)
def test_wrong_inclusion_proofs_are_refused(size: int) -> None:
    """Wrong proof, leaf, root, index or size, for every leaf of the tree."""
    root = root_of(LEAVES[:size])
    for index in range(size):
        proof = inclusion_proof(LEAVES[:size], index)
        verify_inclusion(root, size, index, LEAVES[index], proof)
        wrong = [(what, root, size, index, LEAVES[index], bad) for what, bad in wrong_proofs(proof)]
        wrong += [
            ("another leaf", root, size, index, GARBAGE, proof),
            ("another root", GARBAGE, size, index, LEAVES[index], proof),
            ("the empty root", EMPTY_ROOT, size, index, LEAVES[index], proof),
            ("an index past the end", root, size, size, LEAVES[index], proof),
            ("a negative index", root, size, -1, LEAVES[index], proof),
            ("an empty tree", root, 0, index, LEAVES[index], proof),
            ("another leaf's place", root, size, index ^ 1, LEAVES[index], proof),
            ("a tree twice as large", root, size * 2, index, LEAVES[index], proof),
        ]
        for what, *claim in wrong:
            assert refused(verify_inclusion, *claim), f"leaf {index} of {size}: {what}"


@pytest.mark.parametrize("size", SIZES)
def test_wrong_consistency_proofs_are_refused(size: int) -> None:
    """Wrong proof, roots, sizes, or roots exchanged, for every prefix of the tree."""
    new = root_of(LEAVES[:size])
    for old_size in range(1, size):
        old = root_of(LEAVES[:old_size])
        proof = consistency_proof(LEAVES[:size], old_size)
        verify_consistency(old, old_size, new, size, proof)
        wrong = [(what, old, old_size, new, size, bad) for what, bad in wrong_proofs(proof)]
        wrong += [
            ("another old root", GARBAGE, old_size, new, size, proof),
            ("another new root", old, old_size, GARBAGE, size, proof),
            ("roots exchanged", new, old_size, old, size, proof),
            ("sizes exchanged", old, size, new, old_size, proof),
            ("the empty root", EMPTY_ROOT, old_size, new, size, proof),
            ("an old size of zero", old, 0, new, size, proof),
            ("equal sizes", old, size, new, size, proof),
            ("a negative size", old, -1, new, size, proof),
        ]
        for what, *claim in wrong:
            assert refused(verify_consistency, *claim), f"{old_size} of {size}: {what}"
