"""One text that arrives in pieces: what of it may leave, and the context that detectors need. A pure state machine."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

import msgspec

from guard.carried import first_hidden
from guard.folding import fold
from guard.readings import unspelled
from guard.spelling import MARKS
from guard.stream.cut import SEPARATOR, TOKEN, last_start, settled

CONTEXT_CHARACTERS: Final = 240
"""What has left and is kept: twice what the detectors read before a value."""
_SLACK: Final = 80
_LONGEST_CONTEXT: Final = 2048
_LONG: Final = 512
_MOST_KEPT: Final = 8192
"""Context that spells little, or nothing, in many characters."""
LONGEST_TOKEN_CHARACTERS: Final = 16_384
"""A longer token without white space is not inspected whole: it leaves as ``SWALLOWED``."""
SWALLOWED: Final = "<TOO_LONG>"
_DIGIT: Final = re.compile(r"\d")
_SPELLING: Final = MARKS[:3]
_NAME_SO_FAR: Final = re.compile(r"\\N\{[A-Z0-9 -]{0,48}\Z")
"""The only mark that holds white space: ``\\N{LATIN SMALL LETTER A}``."""

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
    """What is kept of one channel. Memory is bounded by ``LONGEST_TOKEN_CHARACTERS`` and what was fed at once, unless
    the text hides another: then it is kept to its end, and whoever feeds has to set a bound."""

    def __init__(self, context: int = CONTEXT_CHARACTERS, *, swallows: bool = True) -> None:
        """``swallows``: a token that is too long leaves as ``SWALLOWED``; else whoever feeds it bounds it."""
        self._least = context
        self._swallows = swallows
        self._text = ""
        self._sent = 0
        self._open = False
        self._patience = 0
        self._swallowing = False
        # Characters that show nothing spell one text together, however far apart they stand: from the first on, all
        # waits for the end, in pieces.
        self._hiding: int | None = None
        self._later: list[str] = []
        self._held_later = 0

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._text) - self._sent + self._held_later

    def feed(self, piece: str) -> None:
        """More of the text."""
        if self._hiding is not None:
            self._later.append(piece)
            self._held_later += len(piece)
            return
        before = len(self._text)
        self._text += piece
        # While one token grows, nothing that was held can be let go.
        self._open = self._open and not SEPARATOR.search(self._text, max(0, before - 1))

    def window(self, *, closed: bool = False) -> Window | None:
        """What may leave now; ``None`` if that is nothing. ``closed``: the text has ended, all of it may."""
        if closed:
            return self._last()
        text, sent = self._text, self._sent
        waiting = len(text) - sent
        if (self._open and waiting <= LONGEST_TOKEN_CHARACTERS) or self._hiding is not None or waiting < self._patience:
            return None
        self._open = bool(text) and SEPARATOR.match(text, len(text) - 1) is None
        ready = _certain(text, sent)
        if ready > sent and not text.isascii():
            self._hiding = first_hidden(text, sent, ready)
            if self._hiding is not None:
                ready = _certain(text[: self._hiding], sent)
        swallowed = self._too_long(sent, len(text))
        if swallowed and swallowed[-1][1] == len(text) and self._hiding is None:
            ready = len(text)
        if ready <= sent:
            # What holds back long texts is not asked anew with every piece: that would cost the square of their length.
            self._patience = waiting + max(0, waiting - _LONG) // 16
            return None
        return Window(text, sent, ready, tuple(e for e in swallowed if e[1] <= ready))

    def _last(self) -> Window | None:
        if self._later:
            self._text += "".join(self._later)
            self._later.clear()
            self._held_later = 0
        self._hiding = None
        text, sent = self._text, self._sent
        return Window(text, sent, len(text), self._too_long(sent, len(text))) if len(text) > sent else None

    def _too_long(self, start: int, end: int) -> tuple[Edit, ...]:
        edits: list[Edit] = []
        if not self._swallows:
            return ()
        if self._swallowing:
            match = TOKEN.match(self._text, start, end)
            if match is not None:
                edits.append((start, match.end(), ""))
                start = match.end()
        if end - start > LONGEST_TOKEN_CHARACTERS:
            spans = (match.span() for match in TOKEN.finditer(self._text, start, end))
            edits += [(first, last, SWALLOWED) for first, last in spans if last - first > LONGEST_TOKEN_CHARACTERS]
        return tuple(edits)

    def pass_on(self, window: Window, ready: int, edits: Iterable[Edit] = ()) -> None:
        """Of a window so much has left, up to ``ready``; no more than ``window.ready``. ``edits`` were done in it, in
        order: the digits of those values are forgotten, or they would be found again with every piece that follows."""
        if ready == self._sent:
            return
        self._text = _forgotten(self._text, edits)
        self._swallowing = bool(window.swallowed) and window.swallowed[-1][1] == ready == len(self._text)
        self._sent = ready
        self._patience = 0
        if ready > self._least + _SLACK:
            self._forget()

    def _forget(self) -> None:
        """Drop what no window needs: context begins at a safe cut, so that no value in it is cut."""
        wanted = self._wanted()
        begin = max(0, wanted - _LONGEST_CONTEXT)
        before = fold(self._text[begin:wanted])
        cut = settled(before.text, 0)
        begin += cut if before.offsets is None else before.offsets[cut]
        self._text = self._text[begin:]
        self._sent -= begin

    def _wanted(self) -> int:
        """Where the context begins: as many characters as a reader sees."""
        sent = self._sent
        folded = fold(self._text[:sent])
        offsets, plain = folded.offsets, folded.text
        if offsets is None and not _spells(plain, 0):
            return sent - self._least
        said = unspelled(plain)
        more = len(said.text) - self._least
        at = said.offsets[more] if said.offsets is not None and more > 0 else 0
        return max(at if offsets is None else offsets[at], sent - _MOST_KEPT)


def _forgotten(text: str, edits: Iterable[Edit]) -> str:
    parts: list[str] = []
    position = 0
    for start, end, _ in edits:
        parts += (text[position:start], _DIGIT.sub("z", text[start:end]))
        position = end
    return "".join([*parts, text[position:]]) if parts else text


def _certain(text: str, sent: int) -> int:
    """The greatest safe cut of a text that still grows, at or behind ``sent``, which is one."""
    folded = fold(text)
    plain, offsets = folded.text, folded.offsets
    start = sent if offsets is None else bisect_left(offsets, sent)
    if "\\" in plain and (name := _NAME_SO_FAR.search(plain, start)) is not None:
        plain = plain[: name.start() + 1]
    cut = settled(plain, start)
    if cut > start and _spells(plain, start):
        # What an unfinished token spells is not known: another character may change it.
        last = last_start(plain, start, len(plain))
        while "\\" in plain and (name := _NAME_SO_FAR.search(plain, start, last)) is not None:
            last = last_start(plain, start, name.start())
        said = unspelled(plain[start:last] + ("&" if last < len(plain) else ""))
        if said.offsets is not None:
            cut = min(cut, start + said.offsets[settled(said.text, 0)])
    return cut if offsets is None else max(sent, offsets[cut])


def _spells(text: str, start: int) -> bool:
    """Whether there is a mark that spells a character; signs in brackets are words to whoever looks for a cut."""
    return any(sign in text and pattern.search(text, start) is not None for sign, pattern in _SPELLING)
