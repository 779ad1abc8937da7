"""The messages of a WebSocket connection, in both directions.

Text is read, decided and rewritten; a binary message is coverage, and the policy decides. A message that is denied or
rewritten has a record of its own, durable before it takes effect; a denied one closes the connection with code 1008
(RFC 6455 section 7.4.1), an outage of the guard with 1011.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.types import Message, Receive, Scope, Send

from guard import content as reading
from guard.content.coverage import UNJOINED_STREAM
from guard.errors import ContentRefused, LogUnavailable, ObligationFailed, Overloaded
from guard.exchange import frames
from guard.exchange.failing import broken, let_through, outage
from guard.exchange.frames import INTERNAL_ERROR, POLICY_VIOLATION, TOO_BIG
from guard.exchange.judge import Duties, Judgement, denied_by_obligation, found_by, judge, refused
from guard.exchange.services import Matched, Services
from guard.exchange.session import Session
from guard.exchange.spoken import Spoken
from guard.policy.document import recorded
from guard.record.build import outcome_record
from guard.record.ids import new_id
from guard.telemetry import get_logger
from guard.types import Content, Decision, DecisionRecord, Segment, Skipped, Stage

_log = get_logger("guard.exchange.messages")

_CLOSED: Final = {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": "closed by the guard"}
_KEPT_DECISIONS: Final = 64


class Messages(Session):
    """What passes between client and app once the handshake was decided."""

    def __init__(self, services: Services, matched: Matched, scope: Scope, *, receive: Receive, send: Send) -> None:
        super().__init__(services, matched, scope)
        self.connect: Message | None = None
        self.handshake_headers: Sequence[tuple[bytes, bytes]] = ()
        self.granted = Duties()
        self.aborted: str | None = None
        self._receive = receive
        self._send = send
        self._accepted = self._closed = False
        self._decisions: list[Decision] = []
        self._last: Judgement | None = None
        self._redactions: Counter[str] = Counter()
        self._restored = self._sent_bytes = 0
        self._started = time.monotonic()
        self._spoken = Spoken(self)

    async def incoming(self) -> Message:
        """The ``receive`` that the app is given."""
        if self.connect is not None:
            message, self.connect = self.connect, None
            return message
        if self._closed:
            return dict(_CLOSED)
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return await self._without_harm(message, "request")
        passed = await self._inspected(message, "request")
        return dict(_CLOSED) if passed is None else passed

    async def outgoing(self, message: Message) -> None:
        """The ``send`` that the app is given."""
        if self._closed:
            return
        kind = message["type"]
        if kind == "websocket.accept":
            passed = await self._inspected(message, "response")
            if passed is not None:
                self._accepted = True
                headers = [(k, v) for k, v in passed.get("headers", ()) if k.lower() != b"x-guard-decision-id"]
                await self._send({**passed, "headers": [*headers, *self.handshake_headers]})
        elif kind == "websocket.send":
            passed = await self._inspected(message, "response")
            if passed is not None:
                await self._pass(passed)
        elif kind == "websocket.close":
            await self.finish()
            if not self._closed:
                await self._send(await self._without_harm(message, "response"))
        else:
            raise RuntimeError(f"the guard does not pass the ASGI message {kind!r}")

    @property
    def open(self) -> bool:
        """Whether messages can still be sent."""
        return self._accepted and not self._closed

    async def finish(self) -> None:
        """The app says nothing more: what waits of what it said in pieces leaves."""
        try:
            await self._spoken.finish()
        except Exception as error:
            if self._closed:
                raise
            await self._message_failed(error, {}, "response")

    async def deliver(self, text: str) -> None:
        """Send a text message."""
        await self._pass({"type": "websocket.send", "text": text})

    async def _pass(self, message: Message) -> None:
        self._sent_bytes += frames.size_of(message)
        await self._send(message)

    async def _without_harm(self, message: Message, stage: Stage) -> Message:
        """An end with its reason, unless a detector finds something in it: then it stays unsaid."""
        if not message.get("reason"):
            return message
        detection = await self.services.pipeline.detect([Segment.of(message["reason"])], stage)
        return {**message, "reason": ""} if detection.findings or detection.incomplete else message

    async def _inspected(self, message: Message, stage: Stage) -> Message | None:
        """The message as it may pass; ``None`` if it was denied and the connection closed."""
        try:
            with self.account.holding(frames.size_of(message)):
                return await self._decided(message, stage)
        except ContentRefused as error:
            code = TOO_BIG if error.refusal == "body_too_large" else POLICY_VIOLATION
            await self.stop(refused(error, stage), None, code=code, refusal=(error.refusal, error.where))
        except Exception as error:
            if self._closed:
                raise  # the server's: the close could not be sent
            # Whatever breaks here must not let the message through unseen.
            return await self._message_failed(error, message, stage)
        return None

    async def _message_failed(self, error: Exception, message: Message, stage: Stage) -> Message | None:
        decision = broken(stage, error)
        if self.may_open(error):
            decision = let_through(decision, decision.reasons[0].code)
            self.services.tally.opened(self.caller.route, decision.fail_open, stage)
            await self._record(decision, None)
            return message
        if isinstance(error, Overloaded):
            self.services.tally.shed(error)
        await self._shut(decision, INTERNAL_ERROR)
        return None

    async def _decided(self, message: Message, stage: Stage) -> Message | None:
        if message["type"] == "websocket.accept":
            content = await self.read_headers(frames.headers_of(message))
            if not content.segments and not content.skipped:
                return message
        elif stage == "response" and reading.goes_on(message.get("text") or ""):
            if await self._spoken.take(message["text"]):
                return None
            content = await self._content(message, stage)
            gap = Skipped("", UNJOINED_STREAM)
            content = msgspec.structs.replace(content, skipped=(*content.skipped, gap))
        else:
            content = await self._content(message, stage)
        return await self._judged(message, content, stage)

    async def _content(self, message: Message, stage: Stage) -> Content:
        body = frames.body_of(message)
        most = self.services.config.limits.max_body_bytes
        if len(body) > most:
            raise ContentRefused("body_too_large", f"the message is larger than {most} bytes")
        if message.get("text") is None:
            skipped = (Skipped("", "binary_message"),)
            return Content(media_type="application/octet-stream", size_bytes=len(body), skipped=skipped)
        return await self.read(body, reading.Head(), stage)

    async def begun(self, content: Content) -> Judgement | None:
        """The verdict on an answer that begins now; ``None`` if it closed the connection."""
        judgement = await self._verdict(content, "response")
        try:
            self._require_performable(judgement.duties)
        except ObligationFailed as error:
            await self.stop(denied_by_obligation(judgement.decision, error), judgement)
            return None
        if judgement.decision.effect == "deny":
            await self.stop(judgement.decision, judgement)
            return None
        return judgement

    async def rewrote(self, judgement: Judgement | None, counts: Mapping[str, int], restored: int) -> None:
        """Write down that messages leave changed, before they do."""
        self._redactions.update(counts)
        self._restored += restored
        if judgement is not None:
            await self._record(judgement.decision, judgement, counts=counts)

    async def _verdict(self, content: Content, stage: Stage) -> Judgement:
        judgement = await judge(
            self.services,
            self.caller,
            content,
            stage=stage,
            anomaly=self.anomaly,
            asked=self.asked if stage == "response" else None,
            keyed=self.keyed,
        )
        judgement = self._last = self.spending.take(judgement, self.keyed)
        return judgement

    async def _judged(self, message: Message, content: Content, stage: Stage) -> Message | None:
        judgement = await self._verdict(content, stage)
        if judgement.decision.effect == "deny":
            await self.stop(judgement.decision, judgement)
            return None
        if judgement.decision.fail_open:
            self.services.tally.opened(self.caller.route, judgement.decision.fail_open, stage)
        try:
            self._require_performable(judgement.duties)
            passed, counts = await self._rewritten(judgement, message, stage)
        except ObligationFailed as error:
            await self.stop(denied_by_obligation(judgement.decision, error), judgement)
            return None
        if passed is not message or judgement.decision.fail_open:
            await self._record(judgement.decision, judgement, counts=counts)
        elif judgement.decision.would_deny or (judgement.decision.shadow and judgement.decision.shadow.changed):
            # What is in shadow has no effect: the message passes whether or not the log takes this.
            await self.keep(self.decision(judgement.decision, judgement, status=None, message_id=new_id()))
        return passed

    def _require_performable(self, duties: Duties) -> None:
        """Headers and a route are given with the handshake; a message cannot bring others. Raises."""
        late = set(duties.headers) - set(self.granted.headers)
        if late or duties.route not in (None, self.granted.route):
            mend = "state annotate and route whatever the message holds, or limit them to the handshake"
            raise ObligationFailed("a message came with headers or a route after the handshake", mend=mend)

    async def _rewritten(
        self, judgement: Judgement, message: Message, stage: Stage
    ) -> tuple[Message, Mapping[str, int]]:
        """The message with its obligations carried out; the very message if none was due. Raises."""
        body = frames.utf8(message.get("text") or "")
        if stage == "request":
            written, counts = await self.rewrite(judgement, body)
        else:
            edits, counts, restored = self.answer_edits(judgement)
            self._restored += restored
            if edits and message["type"] == "websocket.accept":
                self._redactions.update(counts)
                return frames.accepting(message, reading.write_headers(judgement.content, edits)), counts
            offload = self.services.offload
            written = body if not edits else await offload(len(body), reading.write, judgement.content, edits)
        self._redactions.update(counts)
        return message if written is body else {"type": message["type"], "text": written.decode()}, counts

    # Ends and records ------------------------------------------------------------------------------------------------

    async def stop(
        self,
        decision: Decision,
        judgement: Judgement | None,
        *,
        code: int = POLICY_VIOLATION,
        refusal: tuple[str, str] | None = None,
    ) -> None:
        """Record a denied message, then close. It is denied whether or not that can be recorded."""
        self._closed = True
        try:
            await self._record(decision, judgement, refusal=refusal)
        except LogUnavailable as error:
            _log.error("the denial of a message could not be recorded", error=error.what)
            decision = outage(decision.stage, error.code, "The denial could not be recorded.")
        await self._shut(decision, INTERNAL_ERROR if decision.outage else code)

    async def _shut(self, decision: Decision, code: int) -> None:
        self._closed = True
        self.aborted = "stopped"
        await self._send(frames.closing(decision, code))

    async def _record(
        self,
        decision: Decision,
        judgement: Judgement | None,
        *,
        counts: Mapping[str, int] | None = None,
        refusal: tuple[str, str] | None = None,
    ) -> None:
        if len(self._decisions) < _KEPT_DECISIONS:
            self._decisions.append(decision)
        record = self.decision(
            decision,
            judgement,
            status=None,
            message_id=new_id(),
            counts=counts,
            refusal=refusal,
        )
        await self.append(record)

    async def keep(self, record: DecisionRecord) -> None:
        """Append a record if the log takes it; what it stands for has happened already."""
        try:
            await self.append(record)
        except LogUnavailable as error:
            _log.error("a record is lost", error=error.what)

    async def record_outcome(self, aborted: str | None) -> None:
        """Write down how the connection ended. ``aborted`` says why it was not by itself."""
        record: dict[str, Any] = outcome_record(
            decision_ref=self.decision_id,
            status=101 if self._accepted else None,
            aborted=aborted,
            decisions=self._decisions,
            policy_input=recorded(self._last.document) if self._last else None,
            **found_by(self._last),
            redactions=self._redactions,
            restored=self._restored,
            size_bytes=self._sent_bytes,
            duration_us=round((time.monotonic() - self._started) * 1e6),
            entrypoint=self.services.config.policy.entrypoint,
            keyed=self.keyed,
        )
        await self.keep(record)
