"""Events that wait: each leaves once every text in it was inspected, in the bytes that it came in if nothing in it
changed. Texts of one channel keep their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from guard import content as reading
from guard.content import At, Edit, apply_to_pieces
from guard.exchange.sources import Said, Source
from guard.obligations.standing import Standing
from guard.obligations.vault import Vault
from guard.stream import Tail, Window
from guard.types import Segment


class Piece:
    """One piece of a channel's text in an event: ``rest`` is not inspected yet, ``out`` is what the rest before it
    became."""

    __slots__ = ("entry", "index", "out", "rest")

    def __init__(self, entry: Entry, index: int, text: str) -> None:
        self.entry = entry
        self.index = index
        self.rest = text
        self.out: list[str] = []


class Pieces:
    """The pieces of one channel that wait, in order. ``said`` takes note of what left, where that is said again."""

    def __init__(self, at: At, said: Said | None = None) -> None:
        self.at = at
        self.pieces: deque[Piece] = deque()
        self.said = said

    def add(self, piece: Piece) -> None:
        """The next piece."""
        self.pieces.append(piece)

    def leave(self, size: int, edits: Sequence[Edit]) -> None:
        """The next ``size`` characters leave with these edits, which count from there."""
        position = 0
        parts: list[tuple[Piece, str]] = []
        for piece in self.pieces:
            if position == size:
                break
            parts.append((piece, piece.rest[: size - position]))
            position += len(parts[-1][1])
        texts = [text for _, text in parts]
        for (piece, text), out in zip(parts, apply_to_pieces(texts, edits), strict=True):
            piece.out.append(out)
            piece.rest = piece.rest[len(text) :]
        while self.pieces and not self.pieces[0].rest:
            self.pieces.popleft().entry.waiting -= 1
        if self.said is not None:
            self.said.add("".join(texts), edits)


class Channel(Pieces):
    """A text that arrives in pieces: a choice's content, a block."""

    def __init__(self, at: At, context: int, said: Said | None = None) -> None:
        super().__init__(at, said)
        self.tail = Tail(context)
        self.standing = Standing()

    def add(self, piece: Piece) -> None:
        """The next piece."""
        super().add(piece)
        self.tail.feed(piece.rest)

    def sources(self, vault: Vault, *, closed: bool) -> Iterator[Source]:
        """What may leave now; all of it if the text is ``closed``."""
        window = self.tail.window(closed=closed)
        if window is None:
            return
        held = 0 if closed else vault.could_begin(window.text)
        ready = min(window.ready, len(window.text) - held)
        if ready > window.fresh:
            segment = Segment.of(window.text, self.at.pointer, self.at.provenance)
            settle = partial(self.settle, window)
            yield Source(segment, window.fresh, ready, settle, window=window, standing=self.standing)

    def settle(self, window: Window, ready: int, edits: Sequence[Edit]) -> None:
        """``window.text[window.fresh:ready]`` was inspected and leaves with these edits."""
        begin = window.fresh
        if ready == begin:
            return
        self.leave(ready - begin, [(start - begin, end - begin, new) for start, end, new in edits])
        self.standing.feed(window.text[begin:ready])
        self.tail.pass_on(window, ready, edits)

    def settled(self) -> bool:
        """Nothing is left to do once its windows were settled."""
        return False


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

    def add(self, index: int, channel: Pieces) -> None:
        """The part at ``index`` is a piece of this channel."""
        piece = Piece(self, index, self.read.parts[index].text)
        self.pieces.append(piece)
        self.channels.append(channel.at.pointer)
        self.waiting += 1
        channel.add(piece)

    def wait_for(self, index: int) -> Callable[[str | None], None]:
        """The part at ``index`` waits until what this gives is called, with its new text if it changed."""
        self.waiting += 1

        def settle(text: str | None) -> None:
            self.waiting -= 1
            if text is not None:
                self.changed[index] = text

        return settle

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

    parts: tuple[bytes, ...]
    raw_bytes: int
    events: int

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)


class Held:
    """The events of a stream that wait. ``in_order``: none leaves before an earlier one, and none is divided."""

    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self._entries: deque[Entry] = deque()
        self._stirred = False
        self.size_bytes = 0

    @property
    def events(self) -> int:
        """How many wait."""
        return len(self._entries)

    def stir(self) -> None:
        """A text was inspected: some event may leave."""
        self._stirred = True

    @property
    def raw(self) -> list[bytes]:
        """Those that wait, as they came."""
        return [entry.read.event.raw for entry in self._entries]

    def add(self, entry: Entry) -> None:
        """One more event."""
        self._entries.append(entry)
        self._stirred = self._stirred or not entry.waiting
        self.size_bytes += len(entry.read.event.raw)

    def release(self, *, last: bool = False) -> Leaving:
        """What may leave now. ``last``: the stream stops; only what stands before everything that waits."""
        self._in_order = self._in_order or last
        if not self._stirred or (self._in_order and self._entries and self._entries[0].waiting):
            return Leaving((), 0, 0)
        self._stirred = False
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
        return Leaving(tuple(parts), raw, count)

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
