"""One text that arrives in pieces: what of it may leave, and the context that detectors need. A pure state machine."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from guard.folding import fold
from guard.stream.cut import SEPARATOR, settled

CONTEXT_CHARACTERS: Final = 240
"""What has left and is kept: twice what the detectors read before a value."""
_SLACK: Final = 80
_LONGEST_CONTEXT: Final = 2048
LONGEST_TOKEN_CHARACTERS: Final = 16_384
"""A longer token without white space is not inspected whole: it leaves as ``SWALLOWED``."""
SWALLOWED: Final = "<TOO_LONG>"
_RUN: Final = re.compile(rf"[^\s、。「」『』【】]{{{LONGEST_TOKEN_CHARACTERS + 1},}}")
_HEAD: Final = re.compile(r"[^\s、。「」『』【】]*")

Edit = tuple[int, int, str]


class Window(msgspec.Struct, frozen=True, gc=False):
    """``text[:fresh]`` has left and is context; ``text[fresh:ready]`` may leave once it is inspected; the rest is held
    and is there for what stands before it. ``swallowed``: what of the ready part leaves as ``SWALLOWED`` whatever is
    found in it."""

    text: str
    fresh: int
    ready: int
    swallowed: tuple[Edit, ...] = ()


class Tail:
    """What is kept of one channel. Memory is bounded by ``LONGEST_TOKEN_CHARACTERS`` and what was fed at once."""

    def __init__(self, context: int = CONTEXT_CHARACTERS) -> None:
        self._least = context
        self._text = ""
        self._sent = 0
        self._open = False
        self._swallowing = False

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._text) - self._sent

    def feed(self, piece: str) -> None:
        """More of the text."""
        # While one token grows, nothing that was held can be let go.
        self._open = self._open and not SEPARATOR.search(piece)
        self._text += piece

    def window(self, *, closed: bool = False) -> Window | None:
        """What may leave now; ``None`` if that is nothing. ``closed``: the text has ended, all of it may."""
        text, sent = self._text, self._sent
        if closed:
            return Window(text, sent, len(text), self._too_long(sent, len(text))) if len(text) > sent else None
        if self._open and len(text) - sent <= LONGEST_TOKEN_CHARACTERS:
            return None
        self._open = bool(text) and SEPARATOR.match(text, len(text) - 1) is None
        folded = fold(text)
        offsets = folded.offsets
        if offsets is None:
            ready = settled(text, sent)
        else:
            start = next((at for at, offset in enumerate(offsets) if offset >= sent), len(folded.text))
            ready = max(sent, offsets[settled(folded.text, start)])
        swallowed = self._too_long(sent, len(text))
        if swallowed and swallowed[-1][1] == len(text):
            ready = len(text)
        return Window(text, sent, ready, tuple(e for e in swallowed if e[1] <= ready)) if ready > sent else None

    def _too_long(self, start: int, end: int) -> tuple[Edit, ...]:
        edits: list[Edit] = []
        if self._swallowing:
            match = _HEAD.match(self._text, start, end)
            if match is not None and match.end() > start:
                edits.append((start, match.end(), ""))
                start = match.end()
        if end - start > LONGEST_TOKEN_CHARACTERS:
            edits += [(match.start(), match.end(), SWALLOWED) for match in _RUN.finditer(self._text, start, end)]
        return tuple(edits)

    def pass_on(self, window: Window, ready: int) -> None:
        """Of a window so much has left, up to ``ready``; no more than ``window.ready``."""
        if ready == self._sent:
            return
        self._swallowing = bool(window.swallowed) and window.swallowed[-1][1] == ready == len(self._text)
        self._sent = ready
        if ready > self._least + _SLACK:
            self._forget()

    def _forget(self) -> None:
        """Drop what no window needs: context begins at a safe cut, so that no value in it is cut."""
        wanted = self._sent - self._least
        before = fold(self._text[max(0, wanted - _LONGEST_CONTEXT) : wanted])
        cut = settled(before.text, 0)
        begin = max(0, wanted - _LONGEST_CONTEXT) + (cut if before.offsets is None else before.offsets[cut])
        self._text = self._text[begin:]
        self._sent -= begin
