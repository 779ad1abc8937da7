"""The Merkle tree: RFC 6962's shape, published roots, and proofs that hold exactly when they should."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guard.record.tree import (
    EMPTY_ROOT,
    CompactRange,
    ProofInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The reference inputs of the certificate-transparency and transparency-dev/merkle test suites, and their roots.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(data) for data in INPUTS]
SIZES = st.integers(1, 80)


def leaves(count: int) -> list[bytes]:
    """Hashes of ``count`` different leaves."""
    return [leaf_hash(number.to_bytes(4)) for number in range(count)]


def recursive_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\x01" + recursive_root(hashes[:split]) + recursive_root(hashes[split:])).digest()


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_are_the_published_ones(size: int) -> None:
    """The roots over the reference inputs are those that other implementations publish."""
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    """An empty tree has the root SHA-256 of the empty string."""
    assert CompactRange().root() == EMPTY_ROOT == sha256(b"").digest()


@given(st.integers(0, 200))
def test_the_incremental_root_is_the_recursive_one(size: int) -> None:
    """Appending leaf by leaf gives the root that the RFC defines over all of them."""
    assert root_of(leaves(size)) == recursive_root(leaves(size))


def test_a_range_is_taken_up_where_it_was_left() -> None:
    """A compact range restored from its size and hashes grows on as if never interrupted."""
    tree = CompactRange()
    for leaf in leaves(21):
        tree.append(leaf)
    restored = CompactRange(tree.size, tree.hashes)
    restored.append(leaf_hash(b"next"))
    assert restored.root() == recursive_root([*leaves(21), leaf_hash(b"next")])
    assert tree.root() == recursive_root(leaves(21))


def test_a_range_with_hashes_that_do_not_fit_its_size_is_refused() -> None:
    """A size has as many perfect subtrees as it has bits set."""
    with pytest.raises(ValueError, match="2 perfect subtrees"):
        CompactRange(3, [b"x" * 32])


@given(SIZES, st.data())
def test_every_leaf_has_a_proof_that_it_is_there(size: int, data: st.DataObject) -> None:
    """An inclusion proof verifies for its own leaf, index, size and root."""
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    verify_inclusion(root_of(hashes), size, index, hashes[index], inclusion_proof(hashes, index))


@given(SIZES, st.data())
def test_a_proof_does_not_serve_another_claim(size: int, data: st.DataObject) -> None:
    """Attack: another leaf, index, root, a cut or a padded proof does not verify."""
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    root, proof = root_of(hashes), inclusion_proof(hashes, index)
    claims = [
        (root, size, index, leaf_hash(b"another"), proof),
        (leaf_hash(b"another"), size, index, hashes[index], proof),
        (root, size, index, hashes[index], [*proof, leaf_hash(b"more")]),
        (root, size, size, hashes[index], proof),
        (root, size, -1, hashes[index], proof),
    ]
    claims += [(root, size, other, hashes[index], proof) for other in range(size) if other != index]
    claims += [(root, size, index, hashes[index], proof[:-1])] if proof else []
    for claim in claims:
        with pytest.raises(ProofInvalid):
            verify_inclusion(*claim)


@given(SIZES, st.data())
def test_every_prefix_has_a_proof_that_nothing_before_it_changed(size: int, data: st.DataObject) -> None:
    """A consistency proof verifies between the roots of a prefix and of the whole."""
    old = data.draw(st.integers(0, size))
    hashes = leaves(size)
    verify_consistency(root_of(hashes[:old]), old, root_of(hashes), size, consistency_proof(hashes, old))


@given(st.integers(2, 60), st.data())
def test_a_fork_has_no_consistency_proof(size: int, data: st.DataObject) -> None:
    """Attack: a tree whose past was rewritten is not consistent with the old root, whatever proof is offered."""
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    hashes = leaves(size)
    forked = [leaf_hash(b"rewritten") if number == changed else leaf for number, leaf in enumerate(hashes)]
    for proof in (consistency_proof(hashes, old), consistency_proof(forked, old)):
        with pytest.raises(ProofInvalid):
            verify_consistency(root_of(hashes[:old]), old, root_of(forked), size, proof)


@given(st.integers(2, 60), st.data())
def test_a_mutilated_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    """Attack: cut, padded or altered proofs, and swapped roots, do not verify."""
    old = data.draw(st.integers(1, size - 1))
    hashes = leaves(size)
    proof = consistency_proof(hashes, old)
    assume(proof)
    old_root, new_root = root_of(hashes[:old]), root_of(hashes)
    position = data.draw(st.integers(0, len(proof) - 1))
    altered = [leaf_hash(b"other") if number == position else step for number, step in enumerate(proof)]
    for wrong in (proof[:-1], [*proof, proof[-1]], altered):
        with pytest.raises(ProofInvalid):
            verify_consistency(old_root, old, new_root, size, wrong)
    with pytest.raises(ProofInvalid):
        verify_consistency(new_root, old, old_root, size, proof)


def test_sizes_that_cannot_be_are_refused() -> None:
    """A longer past than the present, a proof for equal sizes and a wrong empty root are errors."""
    root = root_of(leaves(3))
    for claim in (
        (root, 4, root, 3, []),
        (root, 3, root, 3, [root]),
        (root, 0, root, 3, []),
        (leaf_hash(b"x"), 3, root, 3, []),
        (root_of(leaves(1)), 3, root_of(leaves(5)), 5, []),
    ):
        with pytest.raises(ProofInvalid):
            verify_consistency(*claim)
    with pytest.raises(IndexError):
        inclusion_proof(leaves(3), 3)
    with pytest.raises(ValueError, match="no prefix"):
        consistency_proof(leaves(3), 4)
