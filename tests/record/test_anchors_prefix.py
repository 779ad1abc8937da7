"""Consistency proofs from the segments: the same as from all leaves in memory, from any commit to any later one."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from guard.record.anchoring.prefix import Prefix, PrefixLost, extend, prove
from guard.record.segment import list_segments, read_batches
from guard.record.tree import consistency_proof, leaf_hash, root_of, verify_consistency
from guard.types import Checkpoint
from tests.record.logs import ORIGIN, decision, write_closed

BATCHES = (1, 2, 5, 1, 7, 3, 16, 1, 1, 4, 30, 2, 9, 1, 33, 8)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of many commits over many segments."""
    numbers = iter(range(1000))
    batches = [[decision(next(numbers)) for _ in range(count)] for count in BATCHES]
    return write_closed(tmp_path_factory.mktemp("log"), batches, segment_records=40)


def batches_of(log: Path) -> list[list[bytes]]:
    return [
        [leaf_hash(line) for line in batch.records]
        for segment in list_segments(log / "seg")
        for batch in read_batches(segment.path)
    ]


def test_proofs_from_segments_are_those_of_rfc_6962(log: Path) -> None:
    """For every pair of commits: the proof is what the whole tree gives, it verifies, and the next one starts there."""
    leaves = [leaf for batch in batches_of(log) for leaf in batch]
    sizes = list(accumulate(map(len, batches_of(log))))
    assert len(list_segments(log / "seg")) > 2
    assert len(sizes) > len(BATCHES)
    for place, old_size in enumerate([0, *sizes]):
        old = extend(log / "seg", Prefix(), old_size)
        for size in sizes[max(place - 1, 0) :]:
            root = root_of(leaves[:size])
            proof, reached = prove(log / "seg", old, Checkpoint(ORIGIN, size, root))
            assert proof == (consistency_proof(leaves[:size], old_size) if old_size else [])
            verify_consistency(root_of(leaves[:old_size]), old_size, root, size, proof)
            assert reached == extend(log / "seg", Prefix(), size)


def test_going_on_reads_only_what_is_new(log: Path) -> None:
    """A prefix says where its records end, so that nothing before it is read again."""
    sizes = list(accumulate(map(len, batches_of(log))))
    old = extend(log / "seg", Prefix(), sizes[4])
    path = log / "seg" / f"{old.segment:06}.jsonl"
    content = path.read_bytes()
    path.write_bytes(b"\x00" * old.offset + content[old.offset :])
    try:
        assert extend(log / "seg", old, sizes[6]).size == sizes[6]
        with pytest.raises(PrefixLost):
            extend(log / "seg", Prefix(), sizes[6])
    finally:
        path.write_bytes(content)


def test_a_size_without_a_commit_is_no_prefix(log: Path) -> None:
    """Inside a batch, or beyond the end, there is nothing that the log ever signed."""
    sizes = list(accumulate(map(len, batches_of(log))))
    inside = next(size for size in range(sizes[-1]) if size and size not in sizes)
    for size in (inside, sizes[-1] + 1):
        with pytest.raises(PrefixLost, match=str(size)):
            extend(log / "seg", Prefix(), size)


def test_a_checkpoint_of_other_records_gets_no_proof(log: Path) -> None:
    """Segments that do not lead to the signed root are told, not proven around."""
    sizes = list(accumulate(map(len, batches_of(log))))
    old = extend(log / "seg", Prefix(), sizes[2])
    with pytest.raises(PrefixLost, match="another root"):
        prove(log / "seg", old, Checkpoint(ORIGIN, sizes[5], b"x" * 32))
