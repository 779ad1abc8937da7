"""What a rule for web attacks is."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Position = Literal["path", "query", "headers", "form", "body"]
"""Where a value stands in a request. ``body``: an unrecognised position of a body that is no form."""

EVERYWHERE: Final[frozenset[Position]] = frozenset(("path", "query", "headers", "form", "body"))
ONE_LINE: Final[frozenset[Position]] = frozenset(("path", "query", "headers"))
"""Where no honest value holds a line end."""


class Rule(msgspec.Struct, frozen=True):
    """``source``: RE2 over a folded value as ASCII, in which every other character is ``?``; case does not matter.
    ``name`` is the evidence of its findings, ``score`` lies in 0..1. ``positions``: where it is tried."""

    type: str
    name: str
    score: float
    source: str
    positions: frozenset[Position] = EVERYWHERE
