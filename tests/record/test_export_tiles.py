"""A log as a tlog-tiles tree: read back as the specification says, by a reader of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.record.export.place import new_directory, new_file
from guard.record.export.source import ExportRefused, newest, records
from guard.record.export.tiles import write_tree
from guard.record.note import VerifierKey, open_note, parse_checkpoint
from guard.record.segment import list_segments
from guard.record.tree import leaf_hash, root_of
from tests.record.logs import ORIGIN, decision, outcome, twelve_records, write_closed


def bundles(tree: Path) -> Iterator[bytes]:
    """The entries of a tree in order: every bundle, cut at its length prefixes."""
    for path in sorted((tree / "tile" / "entries").rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        while data:
            length = int.from_bytes(data[:2], "big")
            yield data[2 : 2 + length]
            data = data[2 + length :]


def hashes(path: Path) -> list[bytes]:
    """The hashes of one tile."""
    data = path.read_bytes()
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def exported(log: Path, target: Path) -> Path:
    """The log as a tree."""
    target.mkdir()
    write_tree(newest(log), target)
    return target


@pytest.mark.parametrize("pairs", [0, 1, 127, 128, 300])
def test_a_client_reads_the_log_back(tmp_path: Path, pairs: int) -> None:
    """Entries hash to level 0, full tiles to the level above, and the top to the signed root."""
    batches = [[record for n in range(at, min(at + 64, pairs)) for record in (decision(n), outcome(n))] for at in
               range(0, pairs, 64)]  # fmt: skip
    log = write_closed(tmp_path / "log", batches)
    tree = exported(log, tmp_path / "tree")
    size = 2 + 2 * pairs
    entries = list(bundles(tree))
    assert entries == list(records(newest(log)))
    leaves = [leaf_hash(entry) for entry in entries]
    full, rest = divmod(size, 256)
    assert [name for n in range(full) for name in hashes(tree / "tile" / "0" / f"{n:03}")] == leaves[: 256 * full]
    if rest:
        assert hashes(tree / "tile" / "0" / f"{full:03}.p" / str(rest)) == leaves[256 * full :]
    if full:
        above = [root_of(leaves[256 * n : 256 * (n + 1)]) for n in range(full)]
        assert hashes(tree / "tile" / "1" / "000.p" / str(full)) == above
    key = VerifierKey.parse((tree / "log.vkey").read_text(encoding="utf-8").strip())
    checkpoint = parse_checkpoint(open_note((tree / "checkpoint").read_text(encoding="utf-8"), key))
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, size, root_of(leaves))


def test_what_no_commit_covers_is_not_exported(tmp_path: Path) -> None:
    """A torn tail was never acknowledged: the tree ends at the last commit."""
    log = twelve_records(tmp_path / "log")
    last = list_segments(log / "seg")[-1].path
    last.write_bytes(last.read_bytes() + b'{"half":')
    assert len(list(bundles(exported(log, tmp_path / "tree")))) == 12


def test_a_log_that_contradicts_its_checkpoint_is_refused(tmp_path: Path) -> None:
    """An altered record, a missing segment, no commit, no log at all: nothing is left at the target."""
    log = twelve_records(tmp_path / "log")
    altered, cut, empty = (Path(shutil.copytree(log, tmp_path / name / ORIGIN)) for name in ("a", "c", "e"))
    segment = altered / "seg" / "000000.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"effect":"allow"', b'"effect":"alloy"', 1))
    (cut / "seg" / "000000.jsonl").unlink()
    for path in (empty / "seg").iterdir():
        path.unlink()
    for broken, complaint in ((altered, "another root"), (cut, "are wanted"), (empty, "no commit")):
        with pytest.raises(ExportRefused, match=complaint), new_directory(tmp_path / "tree") as directory:
            write_tree(newest(broken), directory)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "e", "log"]


def test_a_commit_that_does_not_read_is_refused(tmp_path: Path) -> None:
    """The newest state is the last commit; one that is no checkpoint is damage, not an older state."""
    log = twelve_records(tmp_path / "log")
    last = list_segments(log / "seg")[-1].path
    last.write_bytes(last.read_bytes() + b'{"commit":"x"}\n')
    with pytest.raises(ExportRefused, match="the last commit does not read"):
        newest(log)


def file_beside(path: Path, *, meanwhile: bool = False, fails: bool = False) -> None:
    """Make a file at ``path``; somebody may put another there meanwhile, or it may fail."""
    with new_file(path) as file:
        file.write(b"ours")
        if meanwhile:
            path.write_text("theirs", encoding="utf-8")
        if fails:
            raise RuntimeError


def directory_beside(path: Path, *, meanwhile: bool = False, fails: bool = False) -> None:
    """Make a directory at ``path``, likewise."""
    with new_directory(path) as directory:
        (directory / "ours").touch()
        if meanwhile:
            path.mkdir()
            (path / "theirs").touch()
        if fails:
            raise RuntimeError


@pytest.mark.parametrize("make", [file_beside, directory_beside])
def test_an_export_overwrites_nothing(tmp_path: Path, make: Callable[..., None]) -> None:
    """A file, a directory, a link that leads nowhere; and what appears while the export runs."""
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "directory", "link"):
        with pytest.raises(ExportRefused, match="overwrites nothing"):
            make(tmp_path / name)
    with pytest.raises(ExportRefused, match="overwrites nothing"):
        make(tmp_path / "late", meanwhile=True)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"
    late = tmp_path / "late"
    assert late.read_text(encoding="utf-8") == "theirs" if late.is_file() else (late / "theirs").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file", "late", "link"]


@pytest.mark.parametrize("make", [file_beside, directory_beside])
def test_a_target_that_cannot_be_made_is_named_itself(tmp_path: Path, make: Callable[..., None]) -> None:
    """The error names what the user typed, not the temporary name beside it."""
    with pytest.raises(FileNotFoundError) as caught:
        make(tmp_path / "nowhere" / "out")
    assert caught.value.filename == str(tmp_path / "nowhere" / "out")


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file or directory stands whole, or not at all; made for its owner only."""
    for make in (file_beside, directory_beside):
        with pytest.raises(RuntimeError):
            make(tmp_path / "out", fails=True)
    assert list(tmp_path.iterdir()) == []
    with new_file(tmp_path / "file") as file:
        file.write(b"whole")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "file").read_bytes() == b"whole"
