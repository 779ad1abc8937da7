"""The arguments of a tool call as they stream: a JSON text whose strings, keys and long numbers are inspected as they
grow, in their context, while everything between them passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from guard import content as reading
from guard.content import At, Edit
from guard.content.coverage import DATA_URL, EMBEDDED_JSON
from guard.exchange.held import Piece, Pieces
from guard.exchange.sources import Said, Source, document
from guard.obligations.standing import Standing
from guard.obligations.vault import Vault
from guard.stream import JsonText, Offer, Window
from guard.types import Segment, Skipped

if TYPE_CHECKING:
    from guard.exchange.session import Session
    from guard.exchange.verdicts import Verdicts

_KEYS: Final = 3
"""So many keys above a value say what it is."""


class Document(Pieces):
    """A channel of JSON. After its end another text may begin."""

    def __init__(self, at: At, context: int, session: Session, verdicts: Verdicts, said: Said | None = None) -> None:
        super().__init__(at, said)
        self._context = context
        self._session = session
        self._verdicts = verdicts
        self._json: JsonText | None = None
        self._ended = False

    def add(self, piece: Piece) -> None:
        """The next piece."""
        super().add(piece)
        if self._json is None:
            self._json = JsonText(self._context, reading.is_number_text)
        self._json.feed(piece.rest)

    def sources(self, vault: Vault, *, closed: bool) -> Iterator[Source]:
        """What may leave now; all of it if the text is ``closed``."""
        if self._json is None:
            return
        if closed:
            self._json.finish()
        self._ended = closed
        for offer in self._json.offers():
            yield from self._of(self._json, offer, vault)

    def settled(self) -> bool:
        """The sources were settled: let go what lies before the first that is left. True if that is something."""
        if self._json is None:
            return False
        size, edits = self._json.leave()
        self.leave(size, edits)
        if self._ended:
            self._json = None
        return size > 0

    def _of(self, json: JsonText, offer: Offer, vault: Vault) -> Iterator[Source]:
        leaf, window = offer.leaf, offer.window
        path = (*leaf.path, leaf.name) if leaf.kind == "key" else leaf.path
        at = self._session.value_at(self.at, path)
        whole = partial(self._settle_whole, json, offer)
        if leaf.kind == "key":
            if self._session.is_named(leaf.name):
                whole(None)
                return
        elif leaf.kind == "text":
            if "\\" in window.text:
                self._verdicts.gaps((Skipped(at.pointer, EMBEDDED_JSON),))
        elif leaf.holds_json:
            arguments = self._session.read_arguments(window.text, at)
            self._verdicts.gaps(arguments.skipped)
            yield from document(arguments, whole, self._above(leaf.path))
            return
        elif window.fresh == 0 and reading.is_data_url(window.text):
            self._verdicts.gaps((Skipped(at.pointer, DATA_URL),))
        held = 0 if leaf.closed else vault.could_begin(window.text)
        ready = min(window.ready, len(window.text) - held)
        if ready <= window.fresh:
            return
        standing = leaf.state = leaf.state or Standing()
        provenance = "key" if leaf.kind == "key" else at.provenance
        yield Source(
            Segment.of(window.text, at.pointer, provenance),
            window.fresh, ready, partial(self._settle, json, offer, standing),
            window=window, standing=standing, keys=self._above(leaf.path),
        )  # fmt: skip

    def _above(self, path: Sequence[str | int]) -> list[Segment]:
        """The nearest keys that a value stands under."""
        found = [
            Segment.of(key, self._session.value_at(self.at, path[: index + 1]).pointer, "key")
            for index, key in enumerate(path)
            if isinstance(key, str)
        ]
        return found[-_KEYS:]

    def _settle(self, json: JsonText, offer: Offer, standing: Standing, ready: int, edits: Sequence[Edit]) -> None:
        window: Window = offer.window
        if ready > window.fresh:
            standing.feed(window.text[window.fresh : ready])
            json.settle(offer.leaf, window, ready, edits)

    @staticmethod
    def _settle_whole(json: JsonText, offer: Offer, text: str | None) -> None:
        window = offer.window
        edits = [] if text is None else [(window.fresh, len(window.text), text)]
        json.settle(offer.leaf, window, len(window.text), edits)
