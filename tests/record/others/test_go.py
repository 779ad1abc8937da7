"""Go's own code for transparency logs (golang.org/x/mod/sumdb) recomputes our log, and refuses altered ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.record.export.find import find_record
from guard.record.export.proof import prove
from guard.record.export.source import newest
from guard.record.export.tiles import write_tree
from tests.components import GO_MOD, require
from tests.record.logs import KEY, OTHER_KEY
from tests.record.others import material

SOURCE = Path(__file__).parent / "verifylog"


@pytest.fixture(scope="session")
def verifylog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checking program, built from Debian's packages without modules or network."""
    go, _ = require("go"), require(GO_MOD)
    program = tmp_path_factory.mktemp("go") / "verifylog"
    environment = {name: value for name, value in os.environ.items() if name != "GOFLAGS"}
    environment |= {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOPROXY": "off"}
    if "HOME" not in environment:
        environment.setdefault("GOCACHE", str(program.parent / "cache"))
    sources = sorted(map(str, SOURCE.glob("*.go")))
    subprocess.run([go, "build", "-o", str(program), *sources], env=environment, check=True, timeout=300)
    return program


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole log of three segments."""
    return material.state_directory(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def tiles(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log as a tlog-tiles tree."""
    directory = tmp_path_factory.mktemp("tiles") / log.name
    directory.mkdir()
    write_tree(newest(log), directory)
    return directory


def check(program: Path, what: str, log: Path, *arguments: Path) -> tuple[int, str]:
    """Exit code and what was said."""
    command = [str(program), what, str(log / "log.vkey"), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_go_accepts_the_segments(verifylog: Path, log: Path) -> None:
    """Each commit's signature, size and root are what Go computes from the records."""
    code, said = check(verifylog, "seg", log, log)
    assert (code, said) == (
        0,
        "VERIFIED: policy-guard-0: 402 records, 27 commits, checkpoint of 402 records\n",
    )


def test_go_accepts_the_exported_tiles(verifylog: Path, log: Path, tiles: Path) -> None:
    """Entries, tiles (one full, the last of each level partial) and checkpoint agree."""
    assert sorted(str(path.relative_to(tiles)) for path in (tiles / "tile").rglob("*") if path.is_file()) == [
        "tile/0/000",
        "tile/0/001.p/146",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/146",
    ]
    assert check(verifylog, "tiles", log, tiles) == (0, "VERIFIED: policy-guard-0: 402 entries, 3 tiles\n")


@pytest.mark.parametrize("index", [0, 1, 255, 256, 400, 401])
def test_go_accepts_the_proof_of_a_record(verifylog: Path, log: Path, tmp_path: Path, index: int) -> None:
    """The tlog-proof of a record, at either border of a tile and of the tree, with its record or beside it."""
    found = find_record([log], f"{log.name}:{index}")
    whole = prove(found.state, index)
    (tmp_path / "whole").write_text(whole.encode(), encoding="utf-8")
    code, said = check(verifylog, "proof", log, tmp_path / "whole")
    assert code == 0
    assert said == f"VERIFIED: policy-guard-0: record {index} of 402\n{whole.extra.decode()}\n"
    (tmp_path / "bare").write_text(prove(found.state, index, with_record=False).encode(), encoding="utf-8")
    (tmp_path / "record").write_bytes(whole.extra + b"\n")
    assert check(verifylog, "proof", log, tmp_path / "bare", tmp_path / "record") == (code, said)
    assert check(verifylog, "proof", log, tmp_path / "bare")[0] == 1


@pytest.mark.parametrize(
    ("tampering", "complaint"),
    [
        (material.edited_size, "none of the log's commits"),
        (material.edited_root, "none of the log's commits"),
        (material.flipped_signature, "invalid signature"),
        (material.signed_by_another, "no verifiable signatures"),
        (material.unsigned, "malformed note"),
        (material.signed_other_root, "none of the log's commits"),
        (material.deleted_record, "records, 17 are signed"),
        (material.repeated_record, "are signed"),
        (material.swapped_records, "the root over"),
        (material.edited_record, "the root over"),
        (material.edited_commit, "the root over"),
        (material.without_last_commit, "none of the log's commits"),
        (material.broken_off, "broken off"),
        (material.missing_segment, "segment 1 is missing"),
        (material.record_after_the_end, "after the last commit"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_go_refuses_altered_segments(
    verifylog: Path, log: Path, tmp_path: Path, tampering: Callable[[Path], None], complaint: str
) -> None:
    """Every way of altering the log is refused, for the reason that it has."""
    copy = tmp_path / log.name
    shutil.copytree(log, copy)
    tampering(copy)
    code, said = check(verifylog, "seg", copy, copy)
    assert code == 1
    assert complaint in said


@pytest.mark.parametrize("place", range(0, 100, 7))
def test_go_refuses_a_flipped_bit_anywhere(verifylog: Path, log: Path, tmp_path: Path, place: int) -> None:
    """One bit, anywhere in a segment: in a record, in a commit."""
    copy = tmp_path / log.name
    shutil.copytree(log, copy)
    material.flip(copy / "seg" / "000001.jsonl", place / 100)
    assert check(verifylog, "seg", copy, copy)[0] == 1


def test_go_follows_the_replacements_of_the_key(verifylog: Path, tmp_path: Path) -> None:
    """From the first key, each endorses the next; the one that signs now verifies what is exported."""
    log = material.rotated_log(tmp_path)
    code, said = check(verifylog, "seg", log, log)
    assert code == 0
    first, replaced, last = said.splitlines()
    assert first.startswith("VERIFIED: policy-guard-0: ")
    assert replaced == "The key was replaced 2 times; now it is"
    tree = tmp_path / "tree"
    tree.mkdir()
    write_tree(newest(log), tree)
    assert check(verifylog, "tiles", log, tree)[0] == 1
    (tmp_path / "now").mkdir()
    (tmp_path / "now" / "log.vkey").write_text(f"{last}\n", encoding="utf-8")
    assert check(verifylog, "tiles", tmp_path / "now", tree)[0] == 0
    assert check(verifylog, "seg", tmp_path / "now", log)[0] == 1


@pytest.mark.parametrize(
    ("forgery", "complaint"),
    [
        ({"endorser": OTHER_KEY}, "has not endorsed"),
        ({"scope": "other"}, "has not endorsed"),
        ({"before": b"x" * 32}, "has not endorsed"),
        ({"name": "other-0"}, "another origin"),
        ({"then": KEY}, "no verifiable signatures"),
        ({"first": OTHER_KEY}, "no verifiable signatures"),
        ({"back": True}, "brings back a key"),
    ],
)
def test_go_refuses_a_key_that_may_not_sign(
    verifylog: Path, tmp_path: Path, forgery: dict[str, Any], complaint: str
) -> None:
    """Endorsed by nobody, for another log or another place; a retired key that signs on; a key that comes back."""
    log = material.replaced_by_hand(tmp_path / "whole")
    assert check(verifylog, "seg", log, log)[0] == 0
    forged = material.replaced_by_hand(tmp_path / "forged", **forgery)
    code, said = check(verifylog, "seg", log, forged)
    assert code == 1
    assert complaint in said


def padded(tree: Path) -> None:
    """A tile with one hash too many."""
    path = tree / "tile" / "0" / "001.p" / "146"
    path.write_bytes(path.read_bytes() + b"\x00" * 32)


def trailing_bytes(tree: Path) -> None:
    """A bundle with bytes after its last entry."""
    path = tree / "tile" / "entries" / "000"
    path.write_bytes(path.read_bytes() + b"\x00")


@pytest.mark.parametrize(
    "tampering",
    [
        material.edited_size,
        material.edited_root,
        material.signed_other_root,
        material.signed_by_another,
        padded,
        trailing_bytes,
        lambda tree: material.flip(tree / "tile" / "entries" / "000"),
        lambda tree: material.flip(tree / "tile" / "entries" / "001.p" / "146"),
        lambda tree: material.cut(tree / "tile" / "entries" / "001.p" / "146", 10),
        lambda tree: material.flip(tree / "tile" / "0" / "000"),
        lambda tree: material.flip(tree / "tile" / "0" / "001.p" / "146"),
        lambda tree: material.flip(tree / "tile" / "1" / "000.p" / "1"),
        lambda tree: material.cut(tree / "tile" / "1" / "000.p" / "1", 1),
        lambda tree: (tree / "tile" / "0" / "000").unlink(),
        lambda tree: (tree / "tile" / "entries" / "000").unlink(),
    ],
)
def test_go_refuses_altered_tiles(
    verifylog: Path, log: Path, tiles: Path, tmp_path: Path, tampering: Callable[[Path], None]
) -> None:
    """An altered, cut, padded or missing tile, bundle or checkpoint of an exported tree is refused."""
    copy = tmp_path / tiles.name
    shutil.copytree(tiles, copy)
    tampering(copy)
    assert check(verifylog, "tiles", log, copy)[0] == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("index 300\n", "index 301\n"), ("\n402\n", "\n401\n"), ("v1\nextra e", "v1\nextra f"), ("index 300\n", "")],
    ids=["index", "size", "record", "no_index"],
)
def test_go_refuses_an_altered_proof(verifylog: Path, log: Path, tmp_path: Path, old: str, new: str) -> None:
    """Another index, size or record."""
    path = tmp_path / "proof"
    path.write_text(prove(newest(log), 300).encode(), encoding="utf-8")
    material.replace(path, old, new)
    assert check(verifylog, "proof", log, path)[0] == 1


@pytest.mark.parametrize("row", [3, 7, 11])
@pytest.mark.parametrize("twice", [False, True], ids=["dropped", "repeated"])
def test_go_refuses_a_path_of_another_length(verifylog: Path, log: Path, tmp_path: Path, row: int, twice: bool) -> None:
    """A hash of the path that is missing, or stands twice."""
    lines = prove(newest(log), 300).encode().split("\n")
    lines[row : row + 1] = [lines[row]] * 2 if twice else []
    (tmp_path / "proof").write_text("\n".join(lines), encoding="utf-8")
    assert check(verifylog, "proof", log, tmp_path / "proof")[0] == 1
