"""Ways to handle the body of an answer: buffered and passing, and what all ways have in common."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from guard import content as reading
from guard.errors import ContentRefused, ObligationFailed
from guard.exchange.beside import joined
from guard.exchange.failing import outage
from guard.exchange.judge import Judgement, denied_by_obligation, judge
from guard.obligations.redact import Edits
from guard.types import Content, Decision, Skipped

if TYPE_CHECKING:
    from guard.exchange.answer import Answer


NOTHING: Final = Content(media_type="", size_bytes=0)
"""The headers of an answer that has not begun."""


async def judge_answer(answer: Answer, content: Content) -> Judgement:
    """Decide the response stage over this content and the headers, and keep the verdict."""
    exchange = answer.exchange
    judgement = await judge(
        exchange.services,
        exchange.caller,
        joined(content, answer.beside),
        stage="response",
        anomaly=exchange.anomaly,
        asked=exchange.asked,
        keyed=exchange.keyed,
    )
    answer.note(judgement)
    return judgement


def opaque(answer: Answer, reason: str, size_bytes: int = 0) -> Content:
    """A body of which nothing was read, with the reason spoken."""
    return Content(media_type=answer.head.media_type, size_bytes=size_bytes, skipped=(Skipped("", reason),))


def undue(answer: Answer, judgement: Judgement, what: str) -> Decision:
    """The verdict on an answer that cannot be rewritten: a denial if something would have had to be."""
    decision = judgement.decision
    if decision.effect == "allow" and (judgement.duties.redacts or answer.exchange.vault.used):
        mend = "let the policy exempt this route, or make the answer readable"
        return denied_by_obligation(decision, ObligationFailed(what, mend=mend))
    return decision


def edits_for(answer: Answer, judgement: Judgement) -> Edits:
    """What has to be redacted and restored in the body of this answer, noted for its outcome; done in its headers.

    Raises ``ObligationFailed`` for a header that cannot be rewritten.
    """
    edits, answer.redactions, answer.restored = answer.exchange.answer_edits(judgement)
    first = len(judgement.segments) - len(answer.beside.segments)
    of_head = {index - first: spans for index, spans in edits.items() if index >= first}
    if of_head:
        answer.headers = reading.write_headers(answer.beside, of_head)
    return {index: spans for index, spans in edits.items() if index < first}


async def passing(answer: Answer, reason: str | None, *, bodiless: bool = False) -> Passing:
    """Decide at the head. ``reason`` says why the body is not inspected; ``bodiless`` answers have none, whatever the
    app sends."""
    content = opaque(answer, reason) if reason else Content(media_type=answer.head.media_type, size_bytes=0)
    judgement = await judge_answer(answer, content)
    decision = judgement.decision
    if reason not in (None, "opaque_media_type"):
        decision = undue(answer, judgement, "the answer cannot be read, and a redaction is due")
    if decision.effect == "allow":
        try:
            edits_for(answer, judgement)
        except ObligationFailed as error:
            decision = denied_by_obligation(decision, error)
    if decision.effect == "deny":
        await answer.deny(decision)
    else:
        await answer.send_head(judgement, length=None)
    return Passing(answer, bodiless=bodiless)


class Passing:
    """A body that goes out as it comes: its decision has fallen at the head."""

    def __init__(self, answer: Answer, *, bodiless: bool = False) -> None:
        self._answer = answer
        self._bodiless = bodiless

    async def feed(self, body: bytes, *, more: bool) -> None:
        """Pass a piece on."""
        await self._answer.send_body(b"" if self._bodiless else body, more=more)
        if not more:
            await self._answer.record(None)


class Buffered:
    """A body that is inspected whole. Its outcome is durable before its first byte leaves."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = answer.exchange.services.config.limits.answer_buffer_bytes

    async def feed(self, body: bytes, *, more: bool) -> None:
        """Keep a piece, or finish with the last."""
        self._parts.append(body)
        self._size += len(body)
        if self._size > self._limit:
            await self._overflow(more=more)
        elif not more:
            await self._finish(b"".join(self._parts))

    async def _finish(self, body: bytes) -> None:
        answer = self._answer
        try:
            plain = await self._decoded(body)
            content = await answer.exchange.read(plain, answer.head, "response")
            flaw = _flaw(answer, len(body))
            if flaw is not None:
                content = msgspec.structs.replace(content, skipped=(*content.skipped, Skipped("", flaw)))
            await answer.exchange.spending.read(plain, content)
        except ContentRefused as error:
            flaw, content = error.refusal, opaque(answer, error.refusal, len(body))
        judgement = await judge_answer(answer, content)
        decision, rewritten = judgement.decision, None
        if flaw is not None:
            decision = undue(answer, judgement, "the answer cannot be read whole, and a redaction is due")
        elif decision.effect == "allow":
            try:
                if edits := edits_for(answer, judgement):
                    rewritten = await answer.exchange.services.offload(len(body), reading.write, content, edits)
            except ObligationFailed as error:
                decision = denied_by_obligation(decision, error)
        await settle(answer, judgement, decision, body, rewritten)

    async def _decoded(self, body: bytes) -> bytes:
        if not self._answer.head.content_encodings:
            return body
        return await self._answer.exchange.inflate(body, self._answer.head, self._limit)

    async def _overflow(self, *, more: bool) -> None:
        answer = self._answer
        judgement = await judge_answer(answer, opaque(answer, "answer_limit", self._size))
        decision = undue(answer, judgement, "the answer is larger than limits.answer_buffer_bytes")
        if decision.effect == "deny":
            await answer.deny(decision)
            return
        await answer.send_head(judgement, length=None)
        answer.handle(passed := Passing(answer))
        await passed.feed(b"".join(self._parts), more=more)


def _flaw(answer: Answer, size_bytes: int) -> str | None:
    """Why an answer that can be read is not whole: a range of something (the client's own Range was removed), or as
    long as its Content-Length does not say. It is not rewritten: a length that fits would hide what is missing."""
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        return "partial_content"
    declared = answer.head.content_length
    return None if declared in (None, size_bytes) else "body_length_mismatch"


async def settle(
    answer: Answer, judgement: Judgement, decision: Decision, body: bytes, rewritten: bytes | None
) -> None:
    """Send a whole answer, or its denial, once its outcome is durable."""
    if decision.effect == "deny":
        await answer.deny(decision)
        return
    final = body if rewritten is None else rewritten
    if not await answer.record(None, about_to_send=await answer.exchange.digest(final)):
        await answer.deny(outage("response", "log_unavailable", "The outcome could not be recorded."))
        return
    await answer.send_head(judgement, length=None if rewritten is None else len(final))
    await answer.send_body(final, more=False)
