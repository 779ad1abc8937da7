"""One request and its answer. All of its state is here; the middleware and the services hold none of it.

The way, numbered as in the code: (1) who asks, (2) what is sent, (3) what is seen in it and what is decided, (4) what
that obliges to, (5) the decision made durable, (6) the app called, (7) its answer inspected and its outcome recorded.
Before (6) any failure refuses the request: nothing reaches the app that was not decided and recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from guard import content as reading
from guard.errors import ClientGone, ContentRefused, CredentialRefused, LogUnavailable, ObligationFailed, place_of
from guard.exchange.answer import Answer
from guard.exchange.incoming import Replay, read_body
from guard.exchange.judge import Caller, Judgement, denied_by_obligation, judge, outage, refused, unidentified
from guard.exchange.scope import caller_of, event_of, inner_scope, unread
from guard.exchange.services import Matched, Services, offload
from guard.obligations.deny import Dialect, denial
from guard.obligations.redact import redact
from guard.obligations.vault import Vault
from guard.policy.document import recorded
from guard.record.build import BodyDigest, ObligationResult, decision_record, digest_of
from guard.record.ids import new_id
from guard.telemetry import get_logger
from guard.types import ANONYMOUS, Anomaly, Content, Decision, DecisionRecord, GuardContext, Stage

_log = get_logger("guard.exchange")
# A compressed body says nothing about its size: it is always inflated in a worker thread.
_UNKNOWN_SIZE: Final = 1 << 62


class Exchange:
    """Runs one HTTP request through the guard, the app and back."""

    def __init__(
        self, services: Services, matched: Matched, app: ASGIApp, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.services = services
        self.decision_id = new_id()
        self.method: str = scope["method"]
        self.shape = reading.choose(matched.route.shape, scope["path"])
        self.dialect: Dialect = "anthropic" if self.shape.name == "anthropic.messages" else "openai"
        self.caller = caller_of(scope, matched, ANONYMOUS, self.decision_id)
        self.anomaly = Anomaly(0.0)
        self.asked: Mapping[str, Any] | None = None
        self.vault = Vault()
        self.answer_headers: Sequence[tuple[bytes, bytes]] = ()
        self._request_counts: Mapping[str, int] = {}
        self._body_digest: BodyDigest | None = None
        self._matched = matched
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send

    async def run(self) -> None:
        """The whole exchange."""
        try:
            admitted = await self._admit()
        except ClientGone:
            return
        except LogUnavailable as error:
            _log.error("no durable decision, no request", error=error.what)
            await self.refuse(outage("request", error.code, "The decision could not be recorded."))
            return
        except Exception as error:  # noqa: BLE001
            # Whatever breaks before the app is called must not let the request through.
            # Its message may quote the request: only its class and place are logged.
            _log.error("the guard failed", exception=type(error).__name__, where=place_of(error))
            await self._turn_away(outage("request", "guard_error", "The guard failed while it read the request."), 503)
            return
        if admitted is not None:
            await self._forward(*admitted)

    async def _admit(self) -> tuple[Scope, bytes] | None:
        services = self.services
        try:
            principal = await services.authenticator.authenticate(self._scope)  # (1)
            self.caller = caller_of(self._scope, self._matched, principal, self.decision_id)
            content, body = await self._read()  # (2)
        except CredentialRefused as error:
            await self._turn_away(unidentified(error), 401)
            return None
        except ContentRefused as error:
            await self._turn_away(refused(error, "request"), error.status, (error.refusal, error.where))
            return None
        event = event_of(self.caller, content, services.keyed)
        if services.behaviour is not None:
            self.anomaly = services.behaviour.score(event)
        judgement = await judge(  # (3)
            services, self.caller, content, stage="request", anomaly=self.anomaly, skipped=unread(self._scope)
        )
        self.asked = judgement.document
        decision, inspected = judgement.decision, body
        if decision.effect == "allow":
            try:
                body = await self._rewrite(judgement, body)  # (4)
            except ObligationFailed as error:
                decision = denied_by_obligation(decision, error)
        if services.behaviour is not None:
            services.behaviour.learn(event, decision.effect)
        status = None if decision.effect == "allow" else 503 if decision.outage else 403
        await services.log.append(self._record(decision, judgement, status))  # (5)
        if decision.effect == "deny":
            await self.refuse(decision)
            return None
        self.answer_headers = judgement.duties.headers
        context = self._context(judgement)
        return inner_scope(self._scope, body, context, rewritten=body is not inspected), body

    async def _read(self) -> tuple[Content, bytes]:
        limits = self.services.config.limits
        head = reading.parse_head(self._scope["headers"])
        body = await read_body(
            self._receive, head, max_bytes=limits.max_body_bytes, timeout_seconds=limits.body_timeout_seconds
        )
        if head.content_encodings:
            body = await self.inflate(body, head, limits.max_body_bytes)
        self._body_digest = await self.digest(body)
        return await self.read(body, head, "request"), body

    async def _rewrite(self, judgement: Judgement, body: bytes) -> bytes:
        if not judgement.findings or not judgement.duties.redacts:
            return body
        self.vault = Vault(segment.text for segment in judgement.segments)
        redaction = redact(
            judgement.segments,
            judgement.findings,
            judgement.duties.redactions,
            vault=self.vault,
            keyed=self.services.keyed,
        )
        self._request_counts = redaction.counts
        if not redaction.edits:
            return body
        return await offload(len(body), reading.write, judgement.content, redaction.edits)

    async def _forward(self, scope: Scope, body: bytes) -> None:
        answer = Answer(self, self._send)
        try:
            await self._app(scope, Replay(body, self._receive), answer)  # (6)
        except BaseException:
            await answer.close("app_error")
            raise
        await answer.close("incomplete")  # (7)

    # Shared with the answer ------------------------------------------------------------------------------------------

    async def digest(self, body: bytes) -> BodyDigest:
        """The keyed digest under which a body stands in the record."""
        return await offload(len(body), digest_of, body, self.services.keyed)

    async def inflate(self, body: bytes, head: reading.Head, max_bytes: int) -> bytes:
        """A body without its content encodings. Raises ``ContentRefused``."""
        return await offload(
            _UNKNOWN_SIZE,
            reading.decode,
            body,
            head.content_encodings,
            max_bytes=max_bytes,
            max_ratio=self.services.config.limits.max_decompression_ratio,
        )

    async def read(self, body: bytes, head: reading.Head, stage: Stage) -> Content:
        """A body of this exchange, read under its route's shape and limits. Raises ``ContentRefused``."""
        return await offload(
            len(body),
            reading.read,
            body,
            head,
            shape=self._matched.route.shape,
            path=self._scope["path"],
            stage=stage,
            keyed=self.services.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
        )

    @property
    def limits(self) -> reading.ReadLimits:
        """How deep, how many and how much a body of this exchange may hold."""
        limits = self.services.config.limits
        return reading.ReadLimits(limits.max_json_depth, limits.max_json_values, limits.inspect_limit_bytes)

    async def assemble(self, events: Sequence[reading.Event]) -> Content:
        """The events of a streamed answer, read as one content. Raises ``ContentRefused``."""
        return await offload(
            sum(len(event.raw) for event in events),
            reading.assemble,
            events,
            shape=self._matched.route.shape,
            path=self._scope["path"],
            keyed=self.services.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
        )

    def deltas(self, event: reading.Event) -> reading.Deltas:
        """The texts of one event, and its gaps, of a streamed answer as it passes. Raises ``ContentRefused``."""
        return reading.deltas(
            event,
            self.shape,
            keyed=self.services.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
        )

    async def refuse(self, decision: Decision, status: int | None = None) -> None:
        """Send the denial as the whole answer."""
        answer = denial(
            decision,
            decision_id=self.decision_id,
            request_id=self.caller.request_id,
            dialect=self.dialect,
            status=status,
        )
        await self._send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        body = b"" if self.method == "HEAD" else answer.body
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    # The record ------------------------------------------------------------------------------------------------------

    async def _turn_away(self, decision: Decision, status: int, refusal: tuple[str, str] | None = None) -> None:
        """Record and answer a request that never came to a policy decision."""
        try:
            await self.services.log.append(self._record(decision, None, status, refusal))
        except LogUnavailable as error:
            _log.error("the refusal could not be recorded", error=error.what)
            decision, status = outage("request", error.code, "The refusal could not be recorded."), 503
        await self.refuse(decision, status)

    def _context(self, judgement: Judgement) -> GuardContext:
        return GuardContext(
            decision_id=self.decision_id,
            effect=judgement.decision.effect,
            reasons=judgement.decision.reasons,
            obligations=judgement.decision.obligations,
            findings=tuple(judgement.findings),
            anomaly=self.anomaly,
            route=judgement.duties.route,
            principal=self.caller.principal,
        )

    def _results(self, decision: Decision) -> list[ObligationResult]:
        """What became of each obligation of a request: a denied one's were not carried out."""
        if decision.effect == "deny":
            return [ObligationResult(obligation, "failed") for obligation in decision.obligations]
        return [
            ObligationResult(obligation, "done", self._request_counts.get(obligation.params.get("entity", ""), 0))
            if obligation.type == "redact"
            else ObligationResult(obligation, "armed" if obligation.type == "annotate" else "done", 1)
            for obligation in decision.obligations
        ]

    def _record(
        self,
        decision: Decision,
        judgement: Judgement | None,
        status: int | None,
        refusal: tuple[str, str] | None = None,
    ) -> DecisionRecord:
        caller: Caller = self.caller
        return decision_record(
            decision_id=self.decision_id,
            request_id=caller.request_id,
            trace_id=caller.trace_id,
            principal=caller.principal,
            client_ip=caller.client_ip,
            method=caller.method,
            route=caller.route,
            policy_input=recorded(judgement.document) if judgement else None,
            decision=decision,
            http_status=status,
            detectors=judgement.detection.outcomes if judgement else (),
            config_digest=self.services.config_digest,
            entrypoint=self.services.config.policy.entrypoint,
            redactions=self._request_counts,
            obligations=self._results(decision),
            request_body=self._body_digest,
            refusal=refusal,
            keyed=self.services.keyed,
        )
