"""Answers that are streams: inspected and rewritten as they flow, or buffered where that cannot be exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guard import content as reading
from guard.errors import ContentRefused, ObligationFailed
from guard.exchange.flowing import Flow, local_types
from guard.exchange.handling import Buffered, Passing, edits_for, judge_answer, opaque, passing, settle, undue
from guard.exchange.judge import denied_by_obligation
from guard.exchange.pieces import events_of
from guard.types import Content

if TYPE_CHECKING:
    from guard.exchange.answer import Answer
    from guard.exchange.judge import Judgement
    from guard.exchange.spoken import Spoken
    from guard.types import Decision


async def handle_events(
    answer: Answer, framing: reading.Framing = "event"
) -> Buffered | BufferedEvents | FlowingEvents | Passing:
    """Decide a stream at its head, which arms its obligations."""
    if answer.head.content_encodings:
        return await passing(answer, "content_encoding")
    judgement = await judge_answer(answer, Content(media_type=answer.head.media_type, size_bytes=0))
    if judgement.decision.effect == "deny":
        await answer.deny(judgement.decision)
        return Passing(answer)
    if must_wait(answer, judgement, framing):
        return BufferedEvents(answer) if framing == "event" else Buffered(answer)
    try:
        edits_for(answer, judgement)
    except ObligationFailed as error:
        await answer.deny(denied_by_obligation(judgement.decision, error))
        return Passing(answer)
    await answer.send_head(judgement, length=None, flows=True)
    return FlowingEvents(answer, judgement, framing)


def must_wait(answer: Answer | Spoken, judgement: Judgement, framing: reading.Framing) -> bool:
    """Whether the stream is rewritten whole: its route wants that; something is due in events of which it is not known
    how their texts go on; or a detector that needs the whole text finds what is to be hidden."""
    exchange = answer.exchange
    if exchange.streams == "buffer":
        return True
    if not (judgement.duties.redacts or exchange.vault.used):
        return False
    hidden = {entity for entity, operator in judgement.duties.redactions.items() if operator.name != "keep"}
    return not reading.shape_of(framing, exchange.shape).joins or any(
        not hidden.isdisjoint(detector.entities.difference(local_types(detector)))
        for detector in exchange.services.pipeline.detectors
    )


class FlowingEvents(Flow):
    """A stream that passes as it is inspected, until a verdict stops it."""

    def __init__(self, answer: Answer, head: Judgement, framing: reading.Framing) -> None:
        super().__init__(answer, head, framing)
        self._client = answer
        self._framing = framing
        self._sent = 0

    async def feed(self, body: bytes, *, more: bool) -> None:
        """Inspect the events that this piece completes, and let go what may leave."""
        verdict = await self._decided(body, more=more)
        leaving = self._held.release(last=verdict is not None)
        self._sent += leaving.events
        self._client.redactions = self._counts
        ends = not more and verdict is None
        if leaving.parts or ends:
            await self._client.send_body(leaving.body, more=not ends, raw_bytes=leaving.raw_bytes)
        if verdict is not None:
            await self.stop(verdict)
        elif ends:
            await self._client.record(None)

    async def stop(self, verdict: Decision) -> None:
        """End the stream with this verdict; what is held back does not leave."""
        await self._client.stop(verdict, events_sent=self._sent, framing=self._framing)


_MAX_EVENTS: Final = 20_000


class BufferedEvents:
    """A stream in which something is redacted or restored: kept up to a bound, rewritten whole."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._limit = answer.exchange.services.config.limits.stream_buffer_bytes
        self._reader = reading.EventReader(self._limit)
        self._events: list[reading.Event] = []
        self._size = 0

    async def feed(self, body: bytes, *, more: bool) -> None:
        """Keep the events of a piece, or finish with the last."""
        self._size += len(body)
        try:
            if self._size > self._limit:
                what = "the stream is larger than limits.stream_buffer_bytes"
                raise ContentRefused("body_too_large", what)
            events = await events_of(self._answer.exchange.services, self._reader, body, more=more)
            self._answer.exchange.spending.passing(events)
            self._events += events
            if len(self._events) > _MAX_EVENTS:
                raise ContentRefused("json_too_many_values", f"the stream has more than {_MAX_EVENTS} events")
            if not more:
                await self._finish()
        except ContentRefused as error:
            await self._unreadable(error)

    async def _finish(self) -> None:
        answer = self._answer
        content = await self._answer.exchange.assemble(self._events)
        answer.exchange.spending.finished(content)
        judgement = await judge_answer(answer, content)
        decision = judgement.decision
        try:
            edits = edits_for(answer, judgement) if decision.effect == "allow" else {}
            body = await answer.exchange.services.offload(self._size, reading.write, content, edits)
        except ObligationFailed as error:
            decision, body = denied_by_obligation(decision, error), b""
        await settle(answer, judgement, decision, body, body)

    async def _unreadable(self, error: ContentRefused) -> None:
        judgement = await judge_answer(self._answer, opaque(self._answer, error.refusal, self._size))
        decision = undue(self._answer, judgement, f"{error.what}, and a redaction is due")
        if decision.effect == "allow":
            decision = denied_by_obligation(decision, ObligationFailed(error.what))
        await self._answer.deny(decision)
