"""One WebSocket connection: decided before it is accepted, and every message inspected like a body.

Text is read, decided and rewritten in both directions; a binary message is coverage, and the policy decides. A message
that is denied or rewritten has a record of its own, durable before it takes effect; a denied one closes the connection
with code 1008 (RFC 6455 section 7.4.1), an outage of the guard with 1011.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard import content as reading
from guard.errors import (
    ContentRefused,
    CredentialRefused,
    LogUnavailable,
    ObligationFailed,
    place_of,
)
from guard.exchange.judge import Duties, Judgement, denied_by_obligation, judge, outage, refused, unidentified
from guard.exchange.scope import inner_scope
from guard.exchange.services import Matched, Services, offload
from guard.exchange.session import Session
from guard.obligations.deny import denial
from guard.policy.document import recorded
from guard.record.build import outcome_record
from guard.record.ids import new_id
from guard.telemetry import get_logger
from guard.types import Content, Decision, Segment, Skipped, Stage

_log = get_logger("guard.exchange.websocket")

POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
_CLOSED: Final = {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": "closed by the guard"}
_KEPT_DECISIONS: Final = 64
_REASON_BYTES: Final = 123  # RFC 6455 section 5.5: a control frame holds 125 bytes, two of them the code
_NOTHING: Final = Content(media_type="", size_bytes=0)


class Conversation(Session):
    """Runs one WebSocket connection through the guard and the app."""

    def __init__(
        self, services: Services, matched: Matched, app: ASGIApp, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(services, matched, scope)
        self._app = app
        self._receive = receive
        self._send = send
        self._connect: Message | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._granted = Duties()
        self._accepted = self._closed = False
        self._aborted: str | None = None
        self._decisions: list[Decision] = []
        self._last: Judgement | None = None
        self._redactions: Counter[str] = Counter()
        self._restored = self._sent_bytes = 0
        self._started = time.monotonic()

    async def run(self) -> None:
        """The whole connection."""
        self._connect = await self._receive()
        try:
            judgement = await self._admit()
        except LogUnavailable as error:
            _log.error("no durable decision, no connection", error=error.what)
            await self._turn_away(outage("request", error.code, "The decision could not be recorded."), 503)
            return
        except Exception as error:  # noqa: BLE001 - whatever breaks here must not let the connection through
            _log.error("the guard failed", exception=type(error).__name__, where=place_of(error))
            await self._turn_away(outage("request", "guard_error", "The guard failed while it read the request."), 503)
            return
        if judgement is not None:
            await self._forward(judgement)

    async def _admit(self) -> Judgement | None:
        services = self.services
        try:
            await self.authenticate()
            if self._matched.ambiguous:
                raise ContentRefused("path_ambiguous", "the path means another route to other readers")
        except CredentialRefused as error:
            decision = unidentified(error)
            await services.log.append(self.decision(decision, None, status=401))
            await self._turn_away(decision, 401)
            return None
        except ContentRefused as error:
            decision = refused(error, "request")
            record = self.decision(decision, None, status=error.status, refusal=(error.refusal, error.where))
            await services.log.append(record)
            await self._turn_away(decision, error.status)
            return None
        judgement = await self.judge_request(_NOTHING)
        decision = judgement.decision
        counts: Mapping[str, int] = {}
        if decision.effect == "allow":
            try:
                _, counts = await self.rewrite(judgement, b"")  # the query string: a handshake has no body
            except ObligationFailed as error:
                decision = denied_by_obligation(decision, error)
        status = None if decision.effect == "allow" else 503 if decision.outage else 403
        await self.commit(self.decision(decision, judgement, status=status, counts=counts))
        if decision.effect == "deny":
            await self._turn_away(decision, status or 403)
            return None
        self._granted = judgement.duties
        self._headers = [*judgement.duties.headers, (b"x-guard-decision-id", self.decision_id.encode())]
        return judgement

    async def _turn_away(self, decision: Decision, status: int) -> None:
        """Refuse the handshake: with the whole denial where the server can send it, else with a bare 403."""
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            await self._send(_close(decision))
            return
        answer = denial(
            decision,
            decision_id=self.decision_id,
            request_id=self.caller.request_id,
            dialect="openai",
            status=status,
        )
        start = {"type": "websocket.http.response.start", "status": answer.status, "headers": answer.headers}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": answer.body})

    async def _forward(self, judgement: Judgement) -> None:
        scope = inner_scope(self.scope, b"", self.context(judgement), rewritten=False)
        aborted: str | None = "app_error"
        try:
            await self._app(scope, self._incoming, self._outgoing)
            aborted = self._aborted
        finally:
            await self._record_outcome(aborted)

    # Messages --------------------------------------------------------------------------------------------------------

    async def _incoming(self) -> Message:
        """The ``receive`` that the app is given."""
        if self._connect is not None:
            message, self._connect = self._connect, None
            return message
        if self._closed:
            return dict(_CLOSED)
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return message
        passed = await self._inspected(message, "request")
        return dict(_CLOSED) if passed is None else passed

    async def _outgoing(self, message: Message) -> None:
        """The ``send`` that the app is given."""
        if self._closed:
            return
        kind = message["type"]
        if kind == "websocket.accept":
            self._accepted = True
            headers = [(k, v) for k, v in message.get("headers", ()) if k.lower() != b"x-guard-decision-id"]
            await self._send({**message, "headers": [*headers, *self._headers]})
        elif kind == "websocket.send":
            passed = await self._inspected(message, "response")
            if passed is not None:
                self._sent_bytes += len(passed.get("text") or passed.get("bytes") or b"")
                await self._send(passed)
        elif kind == "websocket.close":
            await self._send({**message, "reason": await self._harmless(message.get("reason") or "")})
        else:
            raise RuntimeError(f"the guard does not pass the ASGI message {kind!r}")

    async def _harmless(self, reason: str) -> str:
        """The app's reason for closing, unless a detector finds something in it: then it stays unsaid."""
        if not reason:
            return ""
        detection = await self.services.pipeline.detect([Segment.of(reason)], "response")
        return "" if detection.findings or detection.incomplete else reason

    async def _inspected(self, message: Message, stage: Stage) -> Message | None:
        """The message as it may pass; ``None`` if it was denied and the connection closed."""
        try:
            return await self._decided(message, stage)
        except ContentRefused as error:
            code = TOO_BIG if error.refusal == "body_too_large" else POLICY_VIOLATION
            await self._stop(refused(error, stage), None, code=code, refusal=(error.refusal, error.where))
        except LogUnavailable as error:
            _log.error("no durable decision, no message", error=error.what)
            await self._shut(outage(stage, error.code, "The decision could not be recorded."), INTERNAL_ERROR)
        except Exception as error:  # noqa: BLE001 - whatever breaks here must not let the message through
            _log.error("the guard failed", exception=type(error).__name__, where=place_of(error))
            await self._shut(outage(stage, "guard_error", "The guard failed while it read a message."), INTERNAL_ERROR)
        return None

    async def _decided(self, message: Message, stage: Stage) -> Message | None:
        text = message.get("text")
        body = _utf8(text) if text is not None else message.get("bytes") or b""
        most = self.services.config.limits.max_body_bytes
        if len(body) > most:
            raise ContentRefused("body_too_large", f"the message is larger than {most} bytes")
        if text is None:
            skipped = (Skipped("", "binary_message"),)
            content = Content(media_type="application/octet-stream", size_bytes=len(body), skipped=skipped)
        else:
            content = await self.read(body, reading.Head(), stage)
        judgement = self._last = await judge(
            self.services,
            self.caller,
            content,
            stage=stage,
            anomaly=self.anomaly,
            asked=self.asked if stage == "response" else None,
        )
        if judgement.decision.effect == "deny":
            await self._stop(judgement.decision, judgement)
            return None
        try:
            self._require_performable(judgement.duties)
            written, counts = await self._rewritten(judgement, body, stage)
        except ObligationFailed as error:
            await self._stop(denied_by_obligation(judgement.decision, error), judgement)
            return None
        if written is body:
            return message
        await self._record(judgement.decision, judgement, counts=counts)
        return {"type": message["type"], "text": written.decode()}

    def _require_performable(self, duties: Duties) -> None:
        """Headers and a route are given with the handshake; a message cannot bring others. Raises."""
        late = set(duties.headers) - set(self._granted.headers)
        if late or duties.route not in (None, self._granted.route):
            mend = "state annotate and route whatever the message holds, or limit them to the handshake"
            raise ObligationFailed("a message came with headers or a route after the handshake", mend=mend)

    async def _rewritten(self, judgement: Judgement, body: bytes, stage: Stage) -> tuple[bytes, Mapping[str, int]]:
        if stage == "request":
            written, counts = await self.rewrite(judgement, body)
        else:
            edits, counts, restored = self.answer_edits(judgement)
            self._restored += restored
            written = body if not edits else await offload(len(body), reading.write, judgement.content, edits)
        self._redactions.update(counts)
        return written, counts

    # Ends and records ------------------------------------------------------------------------------------------------

    async def _stop(
        self,
        decision: Decision,
        judgement: Judgement | None,
        *,
        code: int = POLICY_VIOLATION,
        refusal: tuple[str, str] | None = None,
    ) -> None:
        """Record a denied message, then close."""
        await self._record(decision, judgement, refusal=refusal)
        await self._shut(decision, INTERNAL_ERROR if decision.outage else code)

    async def _shut(self, decision: Decision, code: int) -> None:
        self._closed = True
        self._aborted = "stopped"
        await self._send(_close(decision, code))

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
        await self.services.log.append(record)

    async def _record_outcome(self, aborted: str | None) -> None:
        record: dict[str, Any] = outcome_record(
            decision_ref=self.decision_id,
            status=101 if self._accepted else None,
            aborted=aborted,
            decisions=self._decisions,
            policy_input=recorded(self._last.document) if self._last else None,
            redactions=self._redactions,
            restored=self._restored,
            size_bytes=self._sent_bytes,
            duration_us=round((time.monotonic() - self._started) * 1e6),
            entrypoint=self.services.config.policy.entrypoint,
            keyed=self.services.keyed,
        )
        try:
            await self.services.log.append(record)
        except LogUnavailable as error:
            _log.error("the outcome could not be recorded", error=error.what)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ContentRefused("text_invalid", "the message holds a lone surrogate", mend="send valid UTF-8") from None


def _close(decision: Decision, code: int = POLICY_VIOLATION) -> Message:
    first = decision.reasons[0]
    reason = f"{first.rule or first.code}: {first.title}".encode()[:_REASON_BYTES].decode(errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": reason}
