"""The text of a stream as it passes: what of it may leave, and what is held back. Pure state machines, no I/O.

The invariant: nothing leaves at or behind a position where a value may still begin or go on, or where what comes later
may still change what is found. So whatever the pieces of a text are, what leaves is what would leave of the whole.
"""

from __future__ import annotations

from typing import Final

from guard.stream.arguments import JsonText, Offer
from guard.stream.cut import settled
from guard.stream.tail import CONTEXT_CHARACTERS, LONGEST_TOKEN_CHARACTERS, SWALLOWED, Tail, Window

MAX_CHANNELS: Final = 256


class TooManyChannels(Exception):
    """The stream opened more channels than are kept apart."""


__all__ = [
    "CONTEXT_CHARACTERS",
    "LONGEST_TOKEN_CHARACTERS",
    "MAX_CHANNELS",
    "SWALLOWED",
    "JsonText",
    "Offer",
    "Tail",
    "TooManyChannels",
    "Window",
    "settled",
]
