"""What can be said of policies and a configuration that load: how they fit, and what they fit to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["error", "warning", "info"]


class Remark(msgspec.Struct, frozen=True):
    """One finding: an ``error`` cannot work as written, a ``warning`` is probably not meant, an ``info`` is good to
    know.

    ``where`` is a key of the configuration, or empty where ``file`` (row and column from 1) says it.
    """

    level: Level
    code: str
    message: str
    where: str = ""
    mend: str = ""
    file: str = ""
    row: int = 0
    col: int = 0

    @property
    def place(self) -> str:
        """``file:row:col`` as far as it is known, and ``where``."""
        place = ":".join([self.file, *(str(part) for part in (self.row, self.col) if part)])
        return f"{place} ({self.where})" if self.file and self.where else place or self.where


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; empty if none is near."""
    near = difflib.get_close_matches(word, sorted(set(known)), n=1)
    return near[0] if near else ""
