"""The text of a stream as it passes: a pure state machine, no I/O.

Each channel (a choice, a content block, a tool call's argument) is a text that arrives in pieces. A window is the
newest piece with enough of what came before it to recognise a value that was cut between pieces.

This first form inspects a stream that flows and stops it; where a rule redacts or restores, the exchange buffers the
stream up to a bound instead, because what has left cannot be rewritten.
"""

from __future__ import annotations

from typing import Final

import msgspec

OVERLAP_CHARACTERS: Final = 512
MAX_CHANNELS: Final = 256


class Window(msgspec.Struct, frozen=True):
    """``text[fresh:]`` is new; ``text[:fresh]`` was in an earlier window and is there for context."""

    text: str
    fresh: int


class TooManyChannels(Exception):
    """The stream opened more channels than are kept apart."""


class Windows:
    """The windows of all channels of one stream. Memory is bounded by ``MAX_CHANNELS * OVERLAP_CHARACTERS``."""

    def __init__(self, overlap: int = OVERLAP_CHARACTERS) -> None:
        self._overlap = overlap
        self._tails: dict[str, str] = {}

    def feed(self, channel: str, piece: str) -> Window:
        """The window that shows ``piece`` in its context. Raises ``TooManyChannels``."""
        tail = self._tails.get(channel, "")
        if channel not in self._tails and len(self._tails) >= MAX_CHANNELS:
            raise TooManyChannels
        text = tail + piece
        self._tails[channel] = text[-self._overlap :] if self._overlap else ""
        return Window(text, len(tail))
