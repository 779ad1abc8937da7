"""Where checkpoints go: files that are named, and witnesses that are named twice."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from guard.cli.checking.keys import Keys
from guard.config import GuardConfig
from guard.errors import ConfigError
from guard.policy.remarks import Remark
from guard.starting import anchor_plan


def check_anchors(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    """What stops the start, a token that others may read, and a witness that counts once."""
    anchors = config.record.anchors
    try:
        anchor_plan(config.record)
    except ConfigError as error:
        named = [name for name, value in anchors if isinstance(value, Path) and str(value) == error.where]
        key = ("record", "anchors", *named[:1]) if error.where != "record.witnesses" else ("record", "witnesses")
        place = "" if named else f"{error.where}: "
        yield keys.remark("error", key, f"{place}{error.what}", error.mend)
    token = anchors.http_token_file
    if token is not None and token.is_file() and token.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        what = f"{token} is open to others (mode {stat.S_IMODE(token.stat().st_mode):04o})"
        yield keys.remark("warning", ("record", "anchors", "http_token_file"), what, f"chmod 600 {token}, replace it")
    seen: set[str] = set()
    for number, witness in enumerate(config.record.witnesses):
        if witness.vkey in seen:
            what = f"the witness {witness.vkey.partition('+')[0]} is named twice: its cosignature counts once"
            yield keys.remark("warning", ("record", "witnesses", number, "vkey"), what, "remove one")
        seen.add(witness.vkey)
