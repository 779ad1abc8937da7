"""What an app says in pieces over messages of a connection (``response.output_text.delta`` of OpenAI's realtime API):
joined, inspected and rewritten as it flows, like an event stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from guard import content as reading
from guard.exchange.events import must_wait
from guard.exchange.flowing import Flow
from guard.exchange.frames import utf8
from guard.exchange.judge import Judgement
from guard.types import Content, Decision

if TYPE_CHECKING:
    from guard.exchange.messages import Messages


class FlowingMessages(Flow):
    """Events of which each is a message."""

    async def take(self, body: bytes, *, more: bool) -> tuple[tuple[bytes, ...], Decision | None]:
        """The messages that may leave now, and the decision that ends the connection behind them. Without ``more`` all
        that waits is over."""
        verdict = await self._decided(body, more=more)
        return self._held.release(last=verdict is not None).parts, verdict

    @property
    def ended(self) -> bool:
        """Whether the last message said that the answer is over."""
        return self._ended

    @property
    def waiting(self) -> list[bytes]:
        """The messages that wait, as they came."""
        return self._held.raw

    @property
    def counts(self) -> Mapping[str, int]:
        """The redactions so far, by entity."""
        return self._counts


class Spoken:
    """The answers that one connection says in pieces, one after the other."""

    def __init__(self, session: Messages) -> None:
        self.exchange = session
        self.head = reading.Head("application/json")
        self.redactions: Mapping[str, int] = {}
        self.restored = 0
        self.last: Judgement | None = None
        self._flow: FlowingMessages | None = None
        self._whole = session.streams == "buffer"
        self._lock = asyncio.Lock()  # an app may send from several tasks
        self._counted: dict[str, int] = {}
        self._put_back = 0

    def note(self, judgement: Judgement) -> None:
        """Keep a verdict on what is said."""
        self.last = judgement
        self.exchange.opened(judgement.decision)

    async def take(self, text: str) -> bool:
        """Deliver what may leave with this message; false if its route does not want that, or if what is to be hidden
        is found in whole texts only: then it is inspected by itself.

        Raises as the inspection of a message does.
        """
        if self._whole:
            return False
        async with self._lock:
            if self._flow is None:
                head = await self.exchange.begun(Content(media_type=self.head.media_type, size_bytes=0))
                if head is None:
                    return True
                if must_wait(self, head, "message"):
                    self._whole = True
                    return False
                self.last, self._flow = head, FlowingMessages(self, head, "message")
                self._counted, self._put_back = {}, self.restored
            await self._deliver(self._flow, utf8(text), more=True)
        return True

    async def finish(self) -> None:
        """Nothing more is said: what waits is over."""
        async with self._lock:
            if self._flow is not None:
                await self._deliver(self._flow, None, more=False)

    async def _deliver(self, flow: FlowingMessages, body: bytes | None, *, more: bool) -> None:
        waiting = flow.waiting
        try:
            leaving, verdict = await flow.take(body or b"", more=more)
        except Exception as error:
            self._flow = None
            if self.exchange.may_open(error):
                for raw in waiting:
                    await self.exchange.deliver(raw.decode())
            raise
        counts = {entity: n - self._counted.get(entity, 0) for entity, n in flow.counts.items()}
        counts = {entity: n for entity, n in counts.items() if n}
        if counts or self.restored > self._put_back:
            await self.exchange.rewrote(self.last, counts, self.restored - self._put_back)
            self._counted, self._put_back = dict(flow.counts), self.restored
        for part in leaving:
            await self.exchange.deliver(part.decode())
        if verdict is not None:
            self._flow = None
            await self.exchange.stop(verdict, self.last)
        elif flow.ended or not more:
            self._flow = None
