"""One request and its answer. All of its state is here; the middleware and the services hold none of it.

The way, numbered as in the code: (1) who asks, (2) what is sent, (3) what is seen in it and what is decided, (4) what
that obliges to, (5) the decision made durable, (6) the app called, (7) its answer inspected and its outcome recorded.
Before (6) any failure refuses the request: nothing reaches the app that was not decided and recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from guard import content as reading
from guard.errors import ClientGone, ContentRefused, CredentialRefused, LogUnavailable, ObligationFailed, Overloaded
from guard.exchange.answer import Answer
from guard.exchange.failing import broken, let_through, outage
from guard.exchange.incoming import Arrived, LargeReplay, Replay, read_body
from guard.exchange.intake import Intake
from guard.exchange.judge import Judgement, denied_by_obligation, refused, unidentified
from guard.exchange.scope import inner_scope
from guard.exchange.services import Matched, Services
from guard.exchange.session import Session
from guard.exchange.unread import pass_unread
from guard.obligations.deny import Dialect, denial, dialect_of, status_of
from guard.record.build import BodyDigest, ContentHasher, PassedBody
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
        self.dialect: Dialect = dialect_of(self.shape.name, scope["path"])
        self.answer_headers: Sequence[tuple[bytes, bytes]] = ()
        self._body_digest: BodyDigest | None = None
        self._app = app
        self._came = scope
        self._opened = self._refused = False
        self._intake = self._receive = Intake(receive, self.account, keep=self.fails_open)
        self._send = send
        self._replay = Replay(b"", self._receive)

    async def run(self) -> None:
        """The whole exchange."""
        try:
            await self._run()
        finally:
            self.account.close()
            self.behaving.close()
            self.spending.close()

    async def _run(self) -> None:
        try:
            self.services.pressure.admit()
            admitted = await self._admit()
        except Exception as error:
            if self._refused:
                raise  # the server's: the refusal could not be sent
            # Whatever breaks before the app is called must not let the request through unseen.
            admitted = await self._fail(error)
        self.account.rest()
        self.behaving.close()
        if admitted is None:
            return
        self.spending.begin()
        if self._opened:
            await pass_unread(self, self._app, admitted, self._intake.as_it_came(), self._send)
        else:
            await self._forward(admitted)

    async def _fail(self, error: Exception) -> Scope | None:
        """The guard cannot do its work: 503, or on with the request as it came if its route fails open."""
        decision = broken("request", error)
        if self.may_open(error):
            return await self._let_in(let_through(decision, decision.reasons[0].code), None)
        if isinstance(error, Overloaded):
            self.services.tally.shed(error)  # a record for each would carry the flood into the log
            await self.refuse(decision)
        elif isinstance(error, LogUnavailable):
            await self.refuse(decision)
        else:
            await self._turn_away(decision, 503)
        return None

    async def _let_in(self, decision: Decision, judgement: Judgement | None) -> Scope:
        """The scope as it came, for a request that passes although the guard failed."""
        self._opened = True
        self.opened(decision)
        await self.commit(self.decision(decision, judgement, status=None, digest=self._body_digest))
        return {**self._came, "guard": self.context(decision, judgement)}

    async def _admit(self) -> Scope | None:
        try:
            await self.authenticate()  # (1)
            content, body = await self._read()  # (2)
        except CredentialRefused as error:
            await self._turn_away(unidentified(error), 401)
            return None
        except ClientGone as error:
            await self._turn_away(refused(error, "request"), None, (error.refusal, error.where))
            return None
        except ContentRefused as error:
            await self._turn_away(refused(error, "request"), error.status, (error.refusal, error.where))
            return None
        judgement = await self.judge_request(content)  # (3)
        if judgement.decision.fail_open:
            self.behaving.decided(judgement.decision)
            return await self._let_in(judgement.decision, judgement)
        decision, inspected = judgement.decision, body
        counts: Mapping[str, int] = {}
        if decision.effect == "allow":
            try:
                body, counts = await self.rewrite(judgement, body)  # (4)
            except ObligationFailed as error:
                decision = denied_by_obligation(decision, error)
        self.barred = decision.effect == "deny"
        self.behaving.decided(decision)
        status = None if decision.effect == "allow" else status_of(decision)
        record = self.decision(decision, judgement, status=status, counts=counts, digest=self._body_digest)
        await self.commit(record)  # (5)
        if decision.effect == "deny":
            await self.refuse(decision)
            return None
        self.answer_headers = judgement.duties.headers
        if not self._large:
            self._replay = Replay(body, self._receive)
        return inner_scope(
            self.scope, body, self.context(decision, judgement), rewritten=body is not inspected, large=self._large
        )

    async def _read(self) -> tuple[Content, bytes]:
        limits = self.services.config.limits
        if self._matched.ambiguous:
            mend = "send the path as it is routed, without empty or dot segments, backslashes and double encoding"
            raise ContentRefused("path_ambiguous", "the path means another route to other readers", mend=mend)
        head = reading.parse_head(self.scope["headers"])
        if head.media_type == "text/event-stream":
            raise ContentRefused("media_type_unsupported", "a request body is no event stream", mend="send JSON")
        arrived = await read_body(
            self._receive, head, max_bytes=limits.max_body_bytes, timeout_seconds=limits.body_timeout_seconds,
            pass_large=self._matched.route.large_bodies == "pass",
        )  # fmt: skip
        body = arrived.body
        self.account.work()
        if arrived.large:
            return await self._begin(arrived, head), body
        if head.content_encodings:
            body = await self.inflate(body, head, limits.max_body_bytes)
            self.account.hold(len(body))
        self._body_digest = await self.digest(body)
        return await self.read(body, head, "request"), body

    async def _begin(self, arrived: Arrived, head: reading.Head) -> Content:
        """The content of a body that is too large to be held: its beginning, and a gap."""
        offload, limits = self.services.offload, self.services.config.limits
        hasher = ContentHasher(self.keyed)
        await offload(len(arrived.body), hasher.update, arrived.body)
        self._body_digest = hasher.finish()
        self._replay = LargeReplay(
            arrived, self._receive, hasher=hasher, declared=head.content_length,
            pause_seconds=limits.body_timeout_seconds,
        )  # fmt: skip
        return await offload(
            len(arrived.body), reading.read_beginning, arrived.body, head, shape=self._matched.route.shape,
            path=self.scope["path"], keyed=self.keyed, limits=self.limits,
            field_names=self._matched.field_names,
        )  # fmt: skip

    async def rewrite(self, judgement: Judgement, body: bytes) -> tuple[bytes, Mapping[str, int]]:
        """As ``Session.rewrite``. Of a body that is too large nothing can be redacted: its rest may hold the same."""
        if self._large and judgement.duties.redacts:
            mend = "let the policy exempt this route, or raise limits.max_body_bytes"
            raise ObligationFailed("a redaction is due in a body that was not read whole", mend=mend)
        return await super().rewrite(judgement, body)

    def passed(self) -> PassedBody | None:
        """What the app was given of a body that was too large to be held."""
        return self._replay.passed()

    @property
    def _large(self) -> bool:
        return isinstance(self._replay, LargeReplay)

    async def _forward(self, scope: Scope) -> None:
        answer = Answer(self, self._send)
        try:
            await self._app(scope, self._intake.hand_over(self._replay), answer)  # (6)
        except Exception:
            # Outside of us stands the framework's own error page, which nobody would inspect.
            await answer.fail()
            raise
        except BaseException:
            await answer.close("cancelled")
            raise
        await answer.close("client_left" if self._replay.client_left else "incomplete")  # (7)

    async def refuse(self, decision: Decision, status: int | None = None) -> None:
        """Send the denial as the whole answer."""
        self._refused = True
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

    async def _turn_away(self, decision: Decision, status: int | None, refusal: tuple[str, str] | None = None) -> None:
        """Record and answer a request that never came to a policy decision. Without a status nobody is answered."""
        self.barred = True
        try:
            await self.append(self.decision(decision, None, status=status, refusal=refusal, digest=self._body_digest))
        except LogUnavailable as error:
            _log.error("the refusal could not be recorded", error=error.what)
            if status is not None:
                decision, status = outage("request", error.code, "The refusal could not be recorded."), 503
        if status is not None:
            await self.refuse(decision, status)
