"""The Merkle tree over the records' bytes: RFC 6962 section 2.1 (the same tree as RFC 9162 and C2SP tlog-tiles).

A leaf's hash is SHA-256(0x00 || data), an inner node's SHA-256(0x01 || left || right). Hashes are 32 bytes.
Verification raises ``ProofInvalid``; it never answers with a boolean that somebody may forget to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()
_LEVELS: Final = 8
"""Of a tile (C2SP tlog-tiles): 256 leaves."""
_LAST: Final = (1 << _LEVELS) - 1


class ProofInvalid(ValueError):
    """A proof does not prove what it is held to prove."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above ``left`` and ``right``."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The right border of a growing tree: enough to append leaves and to tell the root, in O(log size) memory.

    ``hashes`` are the roots of the perfect subtrees from left to right, one for each bit set in ``size``.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size < 0 or size.bit_count() != len(hashes):
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(hashes)}")
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given by its hash."""
        hashes = self.hashes
        below = self.size
        while below & 1:
            leaf = node_hash(hashes.pop(), leaf)
            below >>= 1
        hashes.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes], full: list[bytes] | None = None) -> None:
        """Add leaves, given by their hashes. ``full`` takes the root of each perfect subtree of 256 leaves that they
        complete, which is what stands above a full tile."""
        hashes, size = self.hashes, self.size
        for leaf in leaves:
            current, below = leaf, size
            if full is not None and size & _LAST == _LAST:
                for _ in range(_LEVELS):
                    current = node_hash(hashes.pop(), current)
                full.append(current)
                below >>= _LEVELS
            while below & 1:
                current = sha256(b"\x01" + hashes.pop() + current).digest()
                below >>= 1
            hashes.append(current)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """The root over all leaves so far; of no leaves, SHA-256 of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> CompactRange:
        """An independent copy."""
        return CompactRange(self.size, self.hashes)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf ``index`` (RFC 6962 section 2.1.1), from the leaf upwards.

    ``leaves`` are leaf hashes. Raises ``IndexError`` if there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low = middle
    path.reverse()
    return path


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the tree over the first ``old_size`` leaves is a prefix of the whole (RFC 6962 section 2.1.2).

    ``leaves`` are leaf hashes. Raises ``ValueError`` unless ``0 <= old_size <= len(leaves)``.
    """
    if not 0 <= old_size <= len(leaves):
        raise ValueError(f"no prefix of {old_size} in a tree of {len(leaves)}")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    whole = True  # the old root itself is known to the verifier and left out
    while low < old_size < high:
        middle = low + _split(high - low)
        if old_size <= middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low = middle
            whole = False
    if not whole:
        path.append(root_of(leaves[low:high]))
    path.reverse()
    return path


def verify_inclusion(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> None:
    """Check that the leaf hash ``leaf`` stands at ``index`` under ``root`` (RFC 9162 section 2.1.3.2).

    Raises ``ProofInvalid``.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"no leaf {index} in a tree of {size}")
    node, last, current = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise ProofInvalid("the proof is longer than its path")
        if node & 1 or node == last:
            current = node_hash(step, current)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, step)
        node >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the proof is shorter than its path")
    if current != root:
        raise ProofInvalid("the proof leads to another root")


def verify_consistency(old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: Sequence[bytes]) -> None:
    """Check that the tree under ``old_root`` is a prefix of the one under ``new_root`` (RFC 9162 section 2.1.4.2).

    Raises ``ProofInvalid``.
    """
    if not 0 <= old_size <= new_size:
        raise ProofInvalid(f"a tree of {new_size} has no prefix of {old_size}")
    if old_size in (0, new_size):
        if proof:
            raise ProofInvalid("the proof must be empty")
        if old_root != (EMPTY_ROOT if old_size == 0 else new_root):
            raise ProofInvalid("the old root is not the root of that size")
        return
    steps = list(proof)
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise ProofInvalid("the proof is empty")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofInvalid("the proof is longer than its path")
        if node & 1 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, step)
        node >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the proof is shorter than its path")
    if old != old_root or new != new_root:
        raise ProofInvalid("the proof leads to other roots")


def _split(size: int) -> int:
    """The largest power of two below ``size`` (``size`` > 1)."""
    return 1 << (size - 1).bit_length() - 1
