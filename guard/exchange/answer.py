"""The app's answer on its way out: held until it is decided, then sent, rewritten or replaced by a denial.

The head of the answer chooses how its body is handled: *buffered* (anything that can be read: inspected whole, its
outcome durable before the first byte), *events* (server-sent events: inspected, redacted and restored as they flow, or
buffered up to a bound where that cannot be exact) or *passing* (no body, or a media type that holds no text that
we read: decided at the head, with the gap spoken in its coverage).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.types import Message, Send

from guard import content as reading
from guard.errors import ContentRefused, LogUnavailable, Overloaded
from guard.exchange.arriving import Arriving
from guard.exchange.events import FlowingEvents, handle_events
from guard.exchange.failing import FAIL_OPEN, broken, let_through, outage
from guard.exchange.handling import NOTHING, Buffered, Passing, passing
from guard.exchange.judge import Judgement, app_failed, found_by
from guard.obligations.deny import error_event, status_of
from guard.policy.document import recorded
from guard.record.build import BodyDigest, ContentHasher, Spent, outcome_record
from guard.telemetry import get_logger
from guard.types import Decision

if TYPE_CHECKING:
    from guard.exchange.exchange import Exchange

_log = get_logger("guard.exchange.answer")

Headers = Sequence[tuple[bytes, bytes]]
_BODILESS: Final = frozenset({204, 205, 304})
# What no longer holds once a body was rewritten, and what would promise ranges of it.
_STALE: Final = frozenset(
    {
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
        b"etag",
        b"last-modified",
        b"content-md5",
        b"digest",
        b"content-digest",
        b"repr-digest",
        b"accept-ranges",
    }
)


class Handling(Protocol):
    """One way to handle a body."""

    async def feed(self, body: bytes, *, more: bool) -> None:
        """The next piece of the app's body."""
        ...


class Answer:
    """The ``send`` that the app is given."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self.exchange = exchange
        self.status = 0
        self.headers: Headers = ()
        self.beside = NOTHING  # the texts of the headers
        self.head = reading.Head()
        self.redactions: Mapping[str, int] = {}
        self.restored = 0
        self._send = send
        self._handling: Handling | None = None
        self._judgements: list[Judgement] = []
        self._sent_bytes = 0
        self._digest: BodyDigest | None = None
        self._hasher: ContentHasher | None = None
        self._sent_status: int | None = None
        self._recorded = self._lost = False
        self._failures: list[Decision] = []
        # What a route that fails open may have to pass on as it came: kept until it has gone out.
        self._unsent: deque[bytes] = deque()
        self._over = False
        self._started = time.monotonic()

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message from the app."""
        if self._over:
            return  # the client has its answer; what the app still says is not for it
        kind, handling = message["type"], self._handling
        if kind == "http.response.start" and handling is None:
            step = self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and handling is not None:
            step = self._feed(handling, bytes(message.get("body", b"")), more=message.get("more_body", False))
        else:
            # Trailers, pushes, pathsend: ways to answer that were not offered and would not be inspected.
            raise RuntimeError(f"the guard does not pass the ASGI message {kind!r}")
        try:
            await step
        except Exception as error:
            if self._lost or self._over:
                raise  # the server's, or after the last word: there is nothing left to decide
            await self._fail(error, more=message.get("more_body", True))

    async def _feed(self, handling: Handling, body: bytes, *, more: bool) -> None:
        if not isinstance(handling, Passing):
            if self.exchange.fails_open:
                self._unsent.append(body)
            self.exchange.account.hold_answer(len(body))
        await handling.feed(body, more=more)

    async def _fail(self, error: Exception, *, more: bool) -> None:
        """The guard cannot do its work on this answer: refused or stopped, or passed on if its route fails open."""
        decision = broken("response", error)
        denied = any(judgement.decision.effect == "deny" for judgement in self._judgements)
        if self.exchange.fails_open and not denied:
            decision = let_through(decision, decision.reasons[0].code)
            self.exchange.opened(decision)
            self._failures.append(decision)
            await self._pass_on(more=more)
            return
        if isinstance(error, Overloaded):
            self.exchange.services.tally.shed(error)
        if self._sent_status is None:
            await self.deny(decision)
        elif isinstance(self._handling, FlowingEvents):
            await self._handling.stop(decision)
        else:
            raise error

    async def _pass_on(self, *, more: bool) -> None:
        """Send what was not sent yet as the app gave it, and everything that follows."""
        unsent = b"".join(self._unsent)
        if self._sent_status is None:
            await self.send_head(None, length=None)
        self._handling = passed = Passing(self, bodiless=self._bodiless)
        self._unsent.clear()
        self.exchange.account.drop_answer()
        if unsent or not more:
            await passed.feed(unsent, more=more)

    async def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = [(name.lower(), value) for name, value in headers]
        self.beside = await self.exchange.read_headers(self.headers)
        try:
            self.head = reading.parse_head(self.headers)
            refusal = None
        except ContentRefused as error:
            refusal = error.refusal
        if self._bodiless:
            self._handling = await passing(self, None, bodiless=True)
        elif refusal is not None:
            self._handling = await passing(self, refusal)
        elif self.head.media_type == "text/event-stream":
            self._handling = await handle_events(self)
        elif reading.is_opaque(self.head.media_type):
            self._handling = await passing(self, "opaque_media_type")
        elif self.head.media_type == "multipart/x-mixed-replace":
            # Parts that replace each other for as long as the client looks: there is no whole to wait for.
            self._handling = await passing(self, "multipart_stream")
        elif self._may_flow and (framing := reading.framing_of(self.head)):
            self._handling = Arriving(self, framing)
        else:
            self._handling = Buffered(self)

    @property
    def _may_flow(self) -> bool:
        return self.exchange.streams == "live" and self.status != HTTPStatus.PARTIAL_CONTENT

    @property
    def over(self) -> bool:
        """Whether the client has its answer."""
        return self._over

    @property
    def _bodiless(self) -> bool:
        return self.exchange.method == "HEAD" or self.status < 200 or self.status in _BODILESS

    # What the handlings do -------------------------------------------------------------------------------------------

    def handle(self, handling: Handling) -> None:
        """Go on with another handling."""
        self._handling = handling

    def note(self, judgement: Judgement) -> None:
        """Keep a verdict of the response stage for the outcome."""
        self._judgements.append(judgement)
        self.exchange.opened(judgement.decision)

    async def send_head(self, judgement: Judgement | None, *, length: int | None, flows: bool = False) -> None:
        """Send the status and headers. ``length`` is that of a rewritten body; ``None`` leaves the body's headers,
        unless it ``flows``: whatever may be cut anew, rewritten or stopped later has no length and no digest yet.
        Without a judgement the guard failed, and the headers that it obliges to are unknown."""
        rewritten = flows or length is not None
        headers = [
            (name, value)
            for name, value in self.headers
            if name != b"x-guard-decision-id" and not (rewritten and name in _STALE)
        ]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        headers += [*self.exchange.answer_headers, *(judgement.duties.headers if judgement else ())]
        headers.append((b"x-guard-decision-id", self.exchange.decision_id.encode()))
        self._sent_status = self.status
        await self._out({"type": "http.response.start", "status": self.status, "headers": headers})

    async def send_body(self, body: bytes, *, more: bool, raw_bytes: int | None = None) -> None:
        """Send a piece of the body; waits for the server's back-pressure. ``raw_bytes``: how much of what the app sent
        leaves with it, where that is not its own length."""
        if not self._recorded:
            self._sent_bytes += len(body)
            self._hashing().update(body)
        if not more:
            self._over = True
        await self._out({"type": "http.response.body", "body": body, "more_body": more})
        if more:
            self._gone(len(body) if raw_bytes is None else raw_bytes)
        else:
            self._unsent.clear()
            self.exchange.account.drop_answer()

    def _hashing(self) -> ContentHasher:
        """The digest of what goes out in pieces; a whole body has its own."""
        if self._hasher is None:
            self._hasher = ContentHasher(self.exchange.keyed)
        return self._hasher

    async def _out(self, message: Message) -> None:
        try:
            await self._send(message)
        except BaseException:
            self._lost = True
            raise

    def _gone(self, size: int) -> None:
        """So many bytes went out as they came: they need not be kept."""
        self.exchange.account.release_answer(size)
        while self._unsent and size >= len(self._unsent[0]):
            size -= len(self._unsent.popleft())
        if self._unsent and size:
            self._unsent[0] = self._unsent[0][size:]

    async def deny(self, decision: Decision) -> None:
        """Answer with a denial instead. Nothing of the app's answer has been sent."""
        self._over = True
        self._sent_status = status_of(decision)
        if not await self.record("denied", decision):
            decision = outage("response", LogUnavailable.code, "The outcome could not be recorded.")
        await self.exchange.refuse(decision)

    async def stop(self, decision: Decision, *, events_sent: int, framing: reading.Framing) -> None:
        """End a stream that is under way with an error."""
        exchange = self.exchange
        event = error_event(
            decision,
            decision_id=exchange.decision_id,
            request_id=exchange.caller.request_id,
            dialect=exchange.dialect,
            events_sent=events_sent,
            framing=framing,
        )
        await self.send_body(event, more=False)
        await self.record("stopped", decision)

    async def record(
        self, aborted: str | None, last: Decision | None = None, *, about_to_send: BodyDigest | None = None
    ) -> bool:
        """Make the outcome durable; false if that failed. An exchange has one outcome.

        ``about_to_send`` is the digest of a whole answer that leaves once its outcome is durable.
        """
        if self._recorded:
            return True
        self._recorded = True
        if about_to_send is not None:
            self._sent_status, self._sent_bytes = self.status, about_to_send.size_bytes
            self._digest = about_to_send
        spent = self.exchange.spending.settle(whole=aborted is None)
        self.exchange.behaving.answered(
            tokens_out=self.exchange.spending.tokens_out,
            error=aborted == "app_error" or not self.status or self.status >= HTTPStatus.BAD_REQUEST,
            refused=aborted in ("denied", "stopped"),
        )
        outcome = self._outcome(aborted, last, spent)
        services = self.exchange.services
        try:
            await self.exchange.append(outcome)
        except LogUnavailable as error:
            _log.error("the outcome could not be recorded", error=error.what)
            return False
        finally:  # after the record: nothing that is counted may cost the log an outcome
            services.tally.meter.answered(outcome, services.engine.rules)
        return True

    async def fail(self) -> None:
        """The app raised. If nothing was sent, the client gets a plain 500 of ours."""
        untouched = self._sent_status is None and not self._over
        self._over = True
        if untouched:
            self._sent_status = 500
        await self.record("app_error")
        if untouched:
            await self.exchange.refuse(app_failed(), 500)

    async def close(self, aborted: str) -> None:
        """The app has returned or failed: whatever its answer came to is recorded."""
        self._over = True
        await self.record(aborted)

    def _outcome(self, aborted: str | None, last: Decision | None, spent: Spent | None) -> dict[str, Any]:
        decisions = [*(judgement.decision for judgement in self._judgements), *self._failures]
        if last is not None and (not decisions or decisions[-1] is not last):
            decisions.append(last)
        final = self._judgements[-1] if self._judgements else None
        return outcome_record(
            decision_ref=self.exchange.decision_id,
            status=self._sent_status,
            upstream_status=self.status or None,
            aborted=aborted,
            decisions=decisions,
            policy_input=recorded(final.document) if final else None,
            detectors=final.detection.outcomes if final else (),
            redactions=self.redactions,
            restored=self.restored,
            entrypoint=self.exchange.services.config.policy.entrypoint,
            size_bytes=self._sent_bytes,
            response_body=self._digest or self._hashing().finish(),
            passed=self.exchange.passed(),
            unread=FAIL_OPEN if self._failures else None,
            spent=spent,
            **found_by(final),
            duration_us=round((time.monotonic() - self._started) * 1e6),
            keyed=self.exchange.keyed,
        )
