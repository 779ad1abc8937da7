"""A log as a static C2SP tlog-tiles tree (https://c2sp.org/tlog-tiles): any web server serves it, any client reads it.

``checkpoint``, ``tile/<L>/<N>[.p/<W>]`` with hashes, ``tile/entries/<N>[.p/<W>]`` with records. ``log.vkey`` lies
beside them for convenience: who verifies gets the key from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from guard.record.export.source import State, broken
from guard.record.segment import replace_file
from guard.record.tiles import write_tiles


def write_tree(state: State, target: Path) -> None:
    """Write the tree of ``state`` into ``target``, which exists. Holds at most 256 records at a time.

    Raises ``ExportRefused`` if the records do not add up to the checkpoint, ``OSError`` as the system says.
    """
    checkpoint = state.checkpoint
    try:
        root = write_tiles(state.directory, target, checkpoint.size)
    except ValueError as error:
        raise broken(state, str(error)) from None
    if root != checkpoint.root:
        raise broken(state, "another root")
    key = state.directory / "log.vkey"
    if key.is_file():
        replace_file(target / "log.vkey", key.read_bytes())
    replace_file(target / "checkpoint", state.note.encode())
