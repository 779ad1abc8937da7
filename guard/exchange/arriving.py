"""Answers of JSON lines or plain text without a stated length: whether they come in pieces shows with the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard import content as reading
from guard.content import Framing
from guard.exchange.events import handle_events
from guard.exchange.handling import Buffered

if TYPE_CHECKING:
    from guard.exchange.answer import Answer


class Arriving:
    """Waits for the first piece. A body that is whole with it, or that may be JSON as a whole, is inspected whole."""

    def __init__(self, answer: Answer, framing: Framing) -> None:
        self._answer = answer
        self._framing = framing
        self._body = b""

    async def feed(self, body: bytes, *, more: bool) -> None:
        """The next piece of the app's body."""
        self._body += body
        flows = reading.begins(self._framing, self._body) if more and self._body else None
        if flows is None and more:
            return
        answer = self._answer
        handling = await handle_events(answer, self._framing) if flows else Buffered(answer)
        answer.handle(handling)
        if not answer.over:
            await handling.feed(self._body, more=more)
