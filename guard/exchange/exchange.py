"""One request and its answer. All of its state is here; the middleware and the services hold none of it.

The way, numbered as in the code: (1) who asks, (2) what is sent, (3) what is seen in it and what is decided, (4) what
that obliges to, (5) the decision made durable, (6) the app called, (7) its answer inspected and its outcome recorded.
Before (6) any failure refuses the request: nothing reaches the app that was not decided and recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from guard import content as reading
from guard.errors import ClientGone, ContentRefused, CredentialRefused, LogUnavailable, ObligationFailed, place_of
from guard.exchange.answer import Answer
from guard.exchange.incoming import Replay, read_body
from guard.exchange.judge import denied_by_obligation, outage, refused, unidentified
from guard.exchange.scope import inner_scope
from guard.exchange.services import Matched, Services
from guard.exchange.session import Session
from guard.obligations.deny import Dialect, denial
from guard.record.build import BodyDigest
from guard.telemetry import get_logger
from guard.types import Content, Decision

_log = get_logger("guard.exchange")


class Exchange(Session):
    """Runs one HTTP request through the guard, the app and back."""

    def __init__(
        self, services: Services, matched: Matched, app: ASGIApp, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(services, matched, scope)
        self.method: str = scope["method"]
        self.dialect: Dialect = "anthropic" if self.shape.name == "anthropic.messages" else "openai"
        self.answer_headers: Sequence[tuple[bytes, bytes]] = ()
        self._body_digest: BodyDigest | None = None
        self._app = app
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
        try:
            await self.authenticate()  # (1)
            content, body = await self._read()  # (2)
        except CredentialRefused as error:
            await self._turn_away(unidentified(error), 401)
            return None
        except ContentRefused as error:
            await self._turn_away(refused(error, "request"), error.status, (error.refusal, error.where))
            return None
        judgement = await self.judge_request(content)  # (3)
        decision, inspected = judgement.decision, body
        counts: Mapping[str, int] = {}
        if decision.effect == "allow":
            try:
                body, counts = await self.rewrite(judgement, body)  # (4)
            except ObligationFailed as error:
                decision = denied_by_obligation(decision, error)
        status = None if decision.effect == "allow" else 503 if decision.outage else 403
        record = self.decision(decision, judgement, status=status, counts=counts, digest=self._body_digest)
        await self.commit(record)  # (5)
        if decision.effect == "deny":
            await self.refuse(decision)
            return None
        self.answer_headers = judgement.duties.headers
        return inner_scope(self.scope, body, self.context(judgement), rewritten=body is not inspected), body

    async def _read(self) -> tuple[Content, bytes]:
        limits = self.services.config.limits
        if self._matched.ambiguous:
            mend = "send the path without empty or dot segments, backslashes and doubly encoded characters"
            raise ContentRefused("path_ambiguous", "the path means another route to other readers", mend=mend)
        head = reading.parse_head(self.scope["headers"])
        if head.media_type == "text/event-stream":
            raise ContentRefused("media_type_unsupported", "a request body is no event stream", mend="send JSON")
        body = await read_body(
            self._receive, head, max_bytes=limits.max_body_bytes, timeout_seconds=limits.body_timeout_seconds
        )
        if head.content_encodings:
            body = await self.inflate(body, head, limits.max_body_bytes)
        self._body_digest = await self.digest(body)
        return await self.read(body, head, "request"), body

    async def _forward(self, scope: Scope, body: bytes) -> None:
        answer = Answer(self, self._send)
        try:
            await self._app(scope, Replay(body, self._receive), answer)  # (6)
        except Exception:
            # Outside of us stands the framework's own error page, which nobody would inspect.
            await answer.fail()
            raise
        except BaseException:
            await answer.close("cancelled")
            raise
        await answer.close("incomplete")  # (7)

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

    async def _turn_away(self, decision: Decision, status: int, refusal: tuple[str, str] | None = None) -> None:
        """Record and answer a request that never came to a policy decision."""
        try:
            await self.services.log.append(
                self.decision(decision, None, status=status, refusal=refusal, digest=self._body_digest)
            )
        except LogUnavailable as error:
            _log.error("the refusal could not be recorded", error=error.what)
            decision, status = outage("request", error.code, "The refusal could not be recorded."), 503
        await self.refuse(decision, status)
