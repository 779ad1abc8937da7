"""Tiles: the tree as C2SP tlog-tiles has it, from leaves, from a log, and beside a log that is being written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record.frontier import FILE
from guard.record.segment import list_segments, read_batches
from guard.record.tiles import TILE_WIDTH, Tile, Tiler, tile_path, write_tiles
from guard.record.tree import CompactRange, leaf_hash, root_of
from tests.record.logs import Opened, decision

LEAVES = [leaf_hash(str(number).encode()) for number in range(70_000)]


def hashes_of(tile: Tile) -> list[bytes]:
    """What stands in a tile, one by one."""
    return [tile.data[at : at + 32] for at in range(0, len(tile.data), 32)]


def lines_of(origin: Path) -> list[bytes]:
    """Every record line of an origin."""
    return [
        line
        for segment in list_segments(origin / "seg")
        for batch in read_batches(segment.path)
        for line in batch.records
    ]


def files_below(directory: Path) -> dict[str, bytes]:
    """Every file below ``tile``, by its path."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.glob("tile/**/*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((0, 0), "tile/0/000"),
        ((0, 1_234_067), "tile/0/x001/x234/067"),
        ((1, 999, 3), "tile/1/999.p/3"),
        (("entries", 1000, 255), "tile/entries/x001/000.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(arguments: tuple[int, int], path: str) -> None:
    """The index in groups of three digits, all but the last with an x (tlog-tiles, "Merkle Tree")."""
    assert tile_path(*arguments) == path


@pytest.mark.slow
@given(st.integers(0, 3000) | st.sampled_from([65_535, 65_536, 65_537, 66_000]), st.integers(1, 400))
def test_rows_hold_the_whole_border_of_the_tree(size: int, more: int) -> None:
    """From the rows alone the tree goes on as from its leaves: same border, same root, same further tiles.

    The roots over full tiles that the border has had are those that the tiles give."""
    tiler = Tiler()
    tiler.extend(LEAVES[:size])
    whole = CompactRange()
    whole.extend(LEAVES[:size])
    assert tiler.tree().hashes == whole.hashes
    resumed = Tiler(size, tiler.rows)
    following = LEAVES[size : size + more]
    roots: list[bytes] = []
    whole.extend(following, roots)
    tiles = tiler.extend(following)
    assert roots == [root_of(hashes_of(tile)) for tile in tiles if tile.level == 0]
    assert resumed.extend(following, roots) == tiles
    assert resumed.tree().root() == tiler.tree().root() == whole.root()


def test_a_tile_holds_the_roots_of_the_tiles_below_it() -> None:
    """Level 0 holds leaves, level 1 the root of each full tile of level 0, and so on; each tile comes once."""
    tiler = Tiler()
    tiles = {(tile.level, tile.index): tile for tile in tiler.extend(LEAVES)}
    assert sorted(tiles) == [*((0, index) for index in range(273)), (1, 0)]
    for index in (0, 1, 272):
        assert tiles[0, index].data == b"".join(LEAVES[index * 256 : index * 256 + 256])
    assert tiles[1, 0].data == b"".join(root_of(LEAVES[at : at + 256]) for at in range(0, 65_536, 256))
    rest = {(tile.level, tile.index): (tile.width, len(tile.data)) for tile in tiler.partial()}
    assert rest == {(0, 273): (112, 112 * 32), (1, 1): (17, 17 * 32), (2, 0): (1, 32)}


@pytest.mark.parametrize("rows", [[], [b"x" * 64], [b"x" * 31]])
def test_rows_that_do_not_fit_the_size_are_refused(rows: list[bytes]) -> None:
    """A tree of one leaf has one row of one hash."""
    with pytest.raises(ValueError, match="not the rows"):
        Tiler(1, rows)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a closed origin with 602 records in four segments."""
    directory = tmp_path_factory.mktemp("log")
    with Opened(directory, segment_records=200) as opened:
        for start in range(0, 600, 40):
            opened.commit(*(decision(number, policy_input=None) for number in range(start, start + 40)))
    return opened.slot.path


def test_the_tiles_of_a_log_lead_to_the_root_of_its_checkpoint(log: Path, tmp_path: Path) -> None:
    """Written for the whole log: leaves and entries are those of the records, and the root is the signed one."""
    lines = lines_of(log)
    root = write_tiles(log, tmp_path, len(lines))
    assert root == root_of([leaf_hash(line) for line in lines])
    written = files_below(tmp_path)
    assert sorted(written) == [
        *("tile/0/000", "tile/0/001", "tile/0/002.p/90", "tile/1/000.p/2"),
        *("tile/entries/000", "tile/entries/001", "tile/entries/002.p/90"),
    ]
    assert written["tile/0/002.p/90"] == b"".join(leaf_hash(line) for line in lines[512:])
    assert written["tile/entries/001"] == b"".join(len(line).to_bytes(2) + line for line in lines[256:512])


def test_tiles_of_an_older_checkpoint_hold_no_later_record(log: Path, tmp_path: Path) -> None:
    """A size inside the log gives the tree of that size; one past its end is refused."""
    root = write_tiles(log, tmp_path, 300, entries=False)
    assert root == root_of([leaf_hash(line) for line in lines_of(log)[:300]])
    assert sorted(files_below(tmp_path)) == ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"]
    with pytest.raises(ValueError, match="holds 602 records, 603 are wanted"):
        write_tiles(log, tmp_path / "more", 603)


def test_full_tiles_stand_beside_a_log_that_is_written(log: Path, tmp_path: Path) -> None:
    """Live tiles are those that an export makes, full ones only; a frontier lets the next opening begin behind them."""
    write_tiles(log, tmp_path, 602, partial=False, entries=False)
    assert files_below(log) == files_below(tmp_path)
    assert len(files_below(log)["tile/0/000"]) == TILE_WIDTH * 32
    assert (log / FILE).is_file()
