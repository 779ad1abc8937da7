"""One WebSocket connection: decided before it is accepted, and every message inspected like a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from guard.errors import ContentRefused, CredentialRefused, LogUnavailable, ObligationFailed, Overloaded
from guard.exchange import frames
from guard.exchange.failing import broken, let_through
from guard.exchange.judge import denied_by_obligation, refused, unidentified
from guard.exchange.messages import Messages
from guard.exchange.scope import inner_scope
from guard.exchange.services import Matched, Services
from guard.obligations.deny import status_of
from guard.types import Content, Decision, GuardContext

_NOTHING: Final = Content(media_type="", size_bytes=0)


class Conversation(Messages):
    """Runs one WebSocket connection through the guard and the app."""

    def __init__(
        self, services: Services, matched: Matched, app: ASGIApp, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(services, matched, scope, receive=receive, send=send)
        self._app = app
        self._refused = False

    async def run(self) -> None:
        """The whole connection."""
        self.connect = await self._receive()
        context: GuardContext | None = None
        try:
            self.services.pressure.admit()
            self.account.work()
            context = await self._admit()
        except Exception as error:
            if self._refused:
                raise  # the server's: the refusal could not be sent
            # Whatever breaks here must not let the connection through unseen.
            context = await self._fail(error)
        finally:
            self.account.close()
            self.behaving.close()
            if context is None:
                self.spending.close()
        if context is not None:
            self.spending.begin()
            await self._forward(context)

    async def _fail(self, error: Exception) -> GuardContext | None:
        """The guard cannot do its work: 503; or, if the route fails open, on, each message inspected by itself."""
        decision = broken("request", error)
        if self.may_open(error):
            decision = let_through(decision, decision.reasons[0].code)
            self.opened(decision)
            await self.commit(self.decision(decision, None, status=None))
            return self.context(decision, None)
        if isinstance(error, Overloaded):
            self.services.tally.shed(error)
        elif not isinstance(error, LogUnavailable):
            await self.keep(self.decision(decision, None, status=503))
        await self._turn_away(decision, 503)
        return None

    async def _admit(self) -> GuardContext | None:
        try:
            await self.authenticate()
            if self._matched.ambiguous:
                raise ContentRefused("path_ambiguous", "the path means another route to other readers")
        except CredentialRefused as error:
            self.barred, decision = True, unidentified(error)
            await self.append(self.decision(decision, None, status=401))
            await self._turn_away(decision, 401)
            return None
        except ContentRefused as error:
            self.barred, decision = True, refused(error, "request")
            await self.append(self.decision(decision, None, status=error.status, refusal=(error.refusal, error.where)))
            await self._turn_away(decision, error.status)
            return None
        judgement = await self.judge_request(_NOTHING)
        decision = judgement.decision
        self.opened(decision)
        counts: Mapping[str, int] = {}
        if decision.effect == "allow":
            try:
                _, counts = await self.rewrite(judgement, b"")  # what stands beside a body: a handshake has none
            except ObligationFailed as error:
                decision = denied_by_obligation(decision, error)
        self.barred = decision.effect == "deny"
        self.behaving.decided(decision)
        status = None if decision.effect == "allow" else status_of(decision)
        await self.commit(self.decision(decision, judgement, status=status, counts=counts))
        if decision.effect == "deny":
            await self._turn_away(decision, status or 403)
            return None
        self.granted = judgement.duties
        self.handshake_headers = [*judgement.duties.headers, (b"x-guard-decision-id", self.decision_id.encode())]
        return self.context(decision, judgement)

    async def _turn_away(self, decision: Decision, status: int) -> None:
        """Refuse the handshake: with the whole denial where the server can send it, else with a bare 403."""
        self._refused = True
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            await self._send(frames.closing(decision))
            return
        for message in frames.turning_away(
            decision, decision_id=self.decision_id, request_id=self.caller.request_id, status=status
        ):
            await self._send(message)

    async def _forward(self, context: GuardContext) -> None:
        scope = inner_scope(self.scope, b"", context, rewritten=False)
        aborted: str | None = "app_error"
        try:
            await self._app(scope, self.incoming, self.outgoing)
            if self.open:
                await self.finish()
            aborted = self.aborted
        finally:
            await self.record_outcome(aborted)
