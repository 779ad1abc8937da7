"""Events that wait: each leaves once every text in it was inspected, in the bytes that it came in if nothing in it
changed. Texts of one channel keep their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from guard import content as reading
from guard.content import At, Edit, apply_to_pieces
from guard.obligations.standing import Standing
from guard.stream import Tail, Window


class Piece:
    """One piece of a channel's text in an event: ``rest`` is not inspected yet, ``out`` is what the rest before it
    became."""

    __slots__ = ("entry", "index", "out", "rest")

    def __init__(self, entry: Entry, index: int, text: str) -> None:
        self.entry = entry
        self.index = index
        self.rest = text
        self.out: list[str] = []


class Channel:
    """A text that arrives in pieces: a choice's content, a block, the arguments of a call."""

    def __init__(self, at: At, context: int) -> None:
        self.at = at
        self.tail = Tail(context)
        self.is_document = reading.is_document(at)
        self.pieces: deque[Piece] = deque()
        self.standing = Standing()

    def add(self, piece: Piece) -> None:
        """The next piece."""
        self.pieces.append(piece)
        if not self.is_document:
            self.tail.feed(piece.rest)

    @property
    def text(self) -> str:
        """The whole text of a document that waits."""
        return "".join([piece.rest for piece in self.pieces])

    def settle(self, window: Window, ready: int, edits: Sequence[Edit]) -> None:
        """``window.text[window.fresh:ready]`` was inspected and leaves with these edits."""
        begin = position = window.fresh
        parts: list[tuple[Piece, str]] = []
        for piece in self.pieces:
            if position == ready:
                break
            parts.append((piece, piece.rest[: ready - position]))
            position += len(parts[-1][1])
        moved = [(start - begin, end - begin, new) for start, end, new in edits]
        for (piece, text), out in zip(parts, apply_to_pieces([text for _, text in parts], moved), strict=True):
            piece.out.append(out)
            piece.rest = piece.rest[len(text) :]
        while self.pieces and not self.pieces[0].rest:
            self.pieces.popleft().entry.waiting -= 1
        self.standing.feed(window.text[begin:ready])
        self.tail.pass_on(window, ready)

    def replace(self, text: str | None) -> None:
        """The document has ended: it leaves as ``text``, in its first piece; ``None``: as it came."""
        for piece in self.pieces:
            piece.out.append(piece.rest if text is None else text)
            piece.rest = ""
            piece.entry.waiting -= 1
            if text is not None:
                text = ""
        self.pieces.clear()


class Entry:
    """An event that waits until ``waiting`` of its texts were inspected."""

    __slots__ = ("changed", "channels", "pieces", "read", "split", "waiting")

    def __init__(self, read: reading.PassingEvent) -> None:
        self.read = read
        self.pieces: list[Piece] = []
        self.channels: list[str] = []
        self.waiting = 0
        self.changed: dict[int, str] = {}
        self.split = False

    def add(self, index: int, channel: Channel) -> None:
        """The part at ``index`` is a piece of this channel."""
        piece = Piece(self, index, self.read.parts[index].text)
        self.pieces.append(piece)
        self.channels.append(channel.at.pointer)
        self.waiting += 1
        channel.add(piece)

    def written(self) -> bytes:
        """What leaves of it."""
        texts = dict(self.changed)
        for piece in self.pieces:
            text = "".join(piece.out)
            if self.split or text != self.read.parts[piece.index].text:
                texts[piece.index] = text
        return self.read.write(texts)

    def first_half(self) -> bytes | None:
        """The event with what of its text may leave; it stays with the rest. ``None`` if that is nothing to see."""
        if not self.read.divisible or not self.pieces or not "".join(self.pieces[0].out).strip():
            return None
        piece = self.pieces[0]
        written = self.read.write({**self.changed, piece.index: "".join(piece.out)})
        piece.out.clear()
        self.split = True
        return written


class Leaving(msgspec.Struct, frozen=True):
    """What leaves: ``events`` whole ones came in ``raw_bytes``."""

    body: bytes
    raw_bytes: int
    events: int


class Held:
    """The events of a stream that wait. ``in_order``: none leaves before an earlier one, and none is divided."""

    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self._entries: deque[Entry] = deque()
        self.size_bytes = 0

    @property
    def events(self) -> int:
        """How many wait."""
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """One more event."""
        self._entries.append(entry)
        self.size_bytes += len(entry.read.event.raw)

    def release(self, *, last: bool = False) -> Leaving:
        """What may leave now. ``last``: the stream stops; only what stands before everything that waits."""
        self._in_order = self._in_order or last
        kept: deque[Entry] = deque()
        parts: list[bytes] = []
        raw = count = 0
        for entry in self._leaving(kept):
            parts.append(entry.written())
            raw += len(entry.read.event.raw)
            count += 1
            self.size_bytes -= len(entry.read.event.raw)
        if not self._in_order:
            parts += self._halves(kept)
        self._entries = kept
        return Leaving(b"".join(parts), raw, count)

    @staticmethod
    def _halves(kept: Iterable[Entry]) -> Iterator[bytes]:
        """What may leave of the first event of each channel."""
        blocked: set[str] = set()
        for entry in kept:
            if entry.waiting == 1 and blocked.isdisjoint(entry.channels):
                half = entry.first_half()
                if half is not None:
                    yield half
            blocked.update(entry.channels)

    def _leaving(self, kept: deque[Entry]) -> Iterator[Entry]:
        blocked: set[str] = set()
        for entry in self._entries:
            if entry.waiting or (kept and self._in_order) or not blocked.isdisjoint(entry.channels):
                kept.append(entry)
                blocked.update(entry.channels)
            else:
                yield entry
