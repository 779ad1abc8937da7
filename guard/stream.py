"""The text of a stream as it passes: a pure state machine, no I/O.

Each channel (a choice, a content block, a tool call's argument) is a text that arrives in pieces. A window is the
newest piece with enough of what came before it to recognise a value that was cut between pieces.

This first form inspects a stream that flows and stops it; where a rule redacts or restores, the exchange buffers the
stream up to a bound instead, because what has left cannot be rewritten.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

OVERLAP_CHARACTERS: Final = 512
LONGEST_TOKEN_CHARACTERS: Final = 8192
"""A token without white space (a JWT, a key) is kept whole up to this length."""
MAX_CHANNELS: Final = 256


_SPACE: Final = re.compile(r"\s")


class Window(msgspec.Struct, frozen=True):
    """``text[fresh:]`` is new; ``text[:fresh]`` was in an earlier window and is there for context."""

    text: str
    fresh: int


class TooManyChannels(Exception):
    """The stream opened more channels than are kept apart."""


class Windows:
    """The windows of all channels of one stream. Memory is bounded by ``MAX_CHANNELS * LONGEST_TOKEN_CHARACTERS``."""

    def __init__(self, overlap: int = OVERLAP_CHARACTERS) -> None:
        self._overlap = overlap
        self._tails: dict[str, str] = {}

    def feed(self, channel: str, piece: str) -> Window:
        """The window that shows ``piece`` in its context. Raises ``TooManyChannels``."""
        tail = self._tails.get(channel, "")
        if channel not in self._tails and len(self._tails) >= MAX_CHANNELS:
            raise TooManyChannels
        text = tail + piece
        self._tails[channel] = text[self._cut(text) :]
        return Window(text, len(tail))

    def _cut(self, text: str) -> int:
        """Where the next context begins: ``overlap`` characters back, and further to the start of an open token."""
        cut = max(len(text) - self._overlap, 0)
        if not self._overlap or not cut or _SPACE.search(text, cut - 1):
            return cut
        earliest = max(len(text) - LONGEST_TOKEN_CHARACTERS, 0)
        return max(earliest, *(text.rfind(space, earliest, cut) + 1 for space in " \n\t\r"))
