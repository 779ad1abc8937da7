"""What an HTTP exchange and a WebSocket conversation share: who talks on which route, how its texts are read, and how
its decisions are written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from starlette.types import Scope

from guard import content as reading
from guard.errors import GuardStopped, LogUnavailable
from guard.exchange.behaving import Behaving
from guard.exchange.beside import Beside, joined, read_beside, size_of
from guard.exchange.failing import outage
from guard.exchange.judge import Judgement, found_by, judge
from guard.exchange.keeping import binding_of, hide
from guard.exchange.pressure import Account
from guard.exchange.results import outcomes_of, results_of
from guard.exchange.scope import caller_of
from guard.exchange.services import Matched, Services, read_limits
from guard.exchange.spending import Spending
from guard.obligations.redact import Edits, combine, redact, restore
from guard.obligations.sealing import Binding
from guard.obligations.vault import Vault
from guard.policy.document import recorded
from guard.record.build import BodyDigest, decision_record, digest_of, outcome_record
from guard.record.ids import new_id
from guard.telemetry import get_logger
from guard.types import ANONYMOUS, Anomaly, Content, Decision, DecisionRecord, GuardContext, Stage

# A compressed body says nothing about its size: it is always inflated in a worker thread.
_UNKNOWN_SIZE: Final = 1 << 62
# Tasks that outlive their exchange; a task that nobody holds may vanish.
_PENDING: Final[set[asyncio.Task[None]]] = set()

_log = get_logger("guard.exchange.session")


class Session:
    """The state of one connection's worth of decisions."""

    def __init__(self, services: Services, matched: Matched, scope: Scope) -> None:
        self.services = services
        self.keyed = services.keyed
        self.decision_id = new_id()
        self.shape = reading.choose(matched.route.shape, scope["path"])
        self.caller = caller_of(scope, matched, ANONYMOUS, self.decision_id)
        self.anomaly = Anomaly(0.0)
        self.asked: Mapping[str, Any] | None = None
        self.vault = Vault()
        self.scope = scope
        self.account = Account(services.pressure)
        self.spending = Spending(services)
        self.fails_open = matched.route.unsafe_fail_open
        self.unrecorded: LogUnavailable | None = None
        self.barred = False  # it was denied or refused: no later failure may let it through
        self._beside = Beside()
        self._binding: Binding | None = None
        self._matched = matched
        self._uses: set[tuple[Stage, str]] = set()
        self.behaving = Behaving(services.behaviour, services.waiting, services.sharing)
        self._judging_since = 0.0

    async def authenticate(self) -> None:
        """Find out who asks. Raises ``CredentialRefused``."""
        principal = await self.services.authenticator.authenticate(self.scope)
        self.caller = caller_of(self.scope, self._matched, principal, self.decision_id)
        if self.services.tenants is not None and principal.tenant is not None:
            self.keyed = await self.services.tenants.keyed(principal.tenant)

    async def judge_request(self, content: Content) -> Judgement:
        """Decide the request stage, and let the behaviour model see it.

        The model scores after the detectors and learns, in ``behaving.decided``, once what the decision obliges to is
        done and before it is durable: requests that wait for a detector or for the log do not hide behind each other.
        """
        services = self.services
        self._judging_since = time.monotonic()
        self._beside = await services.offload(
            size_of(self.scope), read_beside, self.scope, self._matched, keyed=self.keyed, limits=self.limits
        )
        content = joined(content, *[part.content for part in self._beside.parts])
        detection = await services.pipeline.detect(content.segments, "request", content.media_type)
        self.anomaly = self.behaving.score(self.caller, self.scope, content, detection.findings, self.keyed)
        judgement = await judge(
            services,
            self.caller,
            content,
            stage="request",
            anomaly=self.anomaly,
            detection=detection,
            keyed=self.keyed,
        )
        judgement = self.spending.take(judgement, self.keyed)
        self.barred = judgement.decision.effect == "deny"
        self.asked = judgement.document
        return judgement

    async def commit(self, record: DecisionRecord) -> None:
        """Make a decision durable. One that was allowed and then cancelled gets an outcome that says so.

        Raises ``LogUnavailable``; on a route that fails open it holds without its record, and that is counted.
        """
        try:
            await self.append(record)
        except asyncio.CancelledError:
            if record["decision"]["effect"] == "allow":
                task = asyncio.ensure_future(self._record_cancelled())
                _PENDING.add(task)
                task.add_done_callback(_PENDING.discard)
            raise
        self.services.tally.meter.committed(self._judging_since)

    async def append(self, record: DecisionRecord) -> None:
        """Make a record durable; on a route that fails open, go on without it. Raises ``LogUnavailable``."""
        meter, holds = self.services.tally.meter, True
        try:
            await self.services.log.append(record)
        except LogUnavailable as error:
            meter.unwritten += 1
            if not self.fails_open:
                holds = False
                raise
            self.unrecorded = error
            self.services.tally.unrecorded += 1
            self._use(error.code, "request" if record["kind"] == "decision" else "response")
        finally:
            if holds:  # also if it was cancelled: the log has the record
                meter.decided(record, self.services.engine.rules)

    def may_open(self, error: Exception) -> bool:
        """Whether what failed with this error goes on uninspected: not what is barred, nor under a guard that was
        stopped on purpose."""
        return self.fails_open and not self.barred and not isinstance(error, GuardStopped)

    def opened(self, decision: Decision) -> None:
        """Count a failure despite which this exchange goes on, once for each stage and code."""
        if decision.fail_open:
            self._use(decision.fail_open, decision.stage)

    def _use(self, code: str, stage: Stage) -> None:
        if (stage, code) not in self._uses:
            self._uses.add((stage, code))
            self.services.tally.opened(self.caller.route, code, stage)

    async def _record_cancelled(self) -> None:
        try:
            await self.services.log.append(
                outcome_record(
                    decision_ref=self.decision_id,
                    status=None,
                    aborted="cancelled",
                    decisions=(),
                    policy_input=None,
                    keyed=self.keyed,
                )
            )
        except LogUnavailable as error:
            _log.error("the outcome could not be recorded", error=error.what)

    @property
    def streams(self) -> str:
        """How this route's streamed answers are inspected: ``live`` or ``buffer``."""
        return self._matched.route.streams

    # Reading ---------------------------------------------------------------------------------------------------------

    @cached_property
    def limits(self) -> reading.ReadLimits:
        """How deep, how many and how much a body may hold."""
        return read_limits(self.services.config)

    async def inflate(self, body: bytes, head: reading.Head, max_bytes: int) -> bytes:
        """A body without its content encodings. Raises ``ContentRefused``."""
        return await self.services.offload(
            _UNKNOWN_SIZE,
            reading.decode,
            body,
            head.content_encodings,
            max_bytes=max_bytes,
            max_ratio=self.services.config.limits.max_decompression_ratio,
        )

    async def read(self, body: bytes, head: reading.Head, stage: Stage) -> Content:
        """A body, read under its route's shape and limits. Raises ``ContentRefused``."""
        return await self.services.offload(
            len(body),
            reading.read,
            body,
            head,
            shape=self._matched.route.shape,
            path=self.scope["path"],
            stage=stage,
            keyed=self.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
        )

    async def assemble(self, events: Sequence[reading.Event]) -> Content:
        """The events of a streamed answer, read as one content. Raises ``ContentRefused``."""
        return await self.services.offload(
            sum(len(event.raw) for event in events),
            reading.assemble,
            events,
            shape=self._matched.route.shape,
            path=self.scope["path"],
            keyed=self.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
        )

    def read_event(
        self, event: reading.Event, shape: reading.Shape, known: Container[tuple[str, str]]
    ) -> reading.PassingEvent:
        """One event of a streamed answer as it passes, without the texts that are ``known`` to be clean at their
        pointers. Raises ``ContentRefused``."""
        return reading.read_event(
            event,
            shape,
            keyed=self.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
            known=known,
        )

    def read_arguments(self, text: str, at: reading.At) -> reading.Arguments:
        """A document that came in pieces, such as the arguments of a tool call. Raises ``ContentRefused``."""
        return reading.read_arguments(
            text, at, keyed=self.keyed, limits=self.limits, field_names=self._matched.field_names
        )

    def value_at(self, at: reading.At, path: Sequence[str | int]) -> reading.At:
        """Where a value of such a document stands."""
        return reading.value_at(at, path, self.keyed, self._matched.field_names)

    def is_named(self, key: str) -> bool:
        """Whether a key is one of the route's ``field_names``: those are no texts."""
        return key in self._matched.field_names

    async def read_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> Content:
        """The headers of an answer."""
        return await self.services.offload(
            sum([len(name) + len(value) for name, value in headers]),
            reading.read_headers,
            headers,
            keyed=self.keyed,
            limits=self.limits,
            field_names=self._matched.field_names,
        )

    async def digest(self, body: bytes) -> BodyDigest:
        """The keyed digest under which a body stands in the record."""
        return await self.services.offload(len(body), digest_of, body, self.keyed)

    async def rewrite(self, judgement: Judgement, body: bytes) -> tuple[bytes, Mapping[str, int]]:
        """A request's body with its redactions carried out, and how many of each; the very body if none was due.

        The query string, the path and the headers in ``scope`` are rewritten with it. Raises ``ObligationFailed``.
        """
        # They belong to this judgement only: a later message of a connection comes without.
        beside, self._beside = self._beside, Beside()
        self._binding = binding_of(self.services, self.caller.principal, self.scope, judgement.content) or self._binding
        self.vault, redaction = await hide(self.services, self._binding, self.vault, judgement, self.keyed)
        first = len(judgement.segments) - beside.size
        in_body = {index: spans for index, spans in redaction.edits.items() if index < first}
        self.scope = beside.written(self.scope, redaction.edits, first)
        if in_body:
            body = await self.services.offload(len(body), reading.write, judgement.content, in_body)
        return body, redaction.counts

    def answer_edits(self, judgement: Judgement) -> tuple[Edits, Mapping[str, int], int]:
        """The edits of an answer, the redactions by entity, and how many values were put back.

        What the model brought in by itself is redacted; what the client had sent is restored, and wins.
        """
        restored = restore(judgement.segments, self.vault)
        redaction = redact(
            judgement.segments,
            judgement.findings,
            judgement.duties.redactions,
            vault=self.vault,
            keyed=self.keyed,
            protected=restored,
        )
        return combine(redaction.edits, restored), redaction.counts, sum(map(len, restored.values()))

    # Writing down ----------------------------------------------------------------------------------------------------

    def context(self, decision: Decision, judgement: Judgement | None) -> GuardContext:
        """What the app finds in ``scope["guard"]``. Where the guard failed and the route fails open, the reasons say
        what failed."""
        reasons = decision.reasons
        if self.unrecorded is not None:
            reasons += outage(decision.stage, self.unrecorded.code, "The decision could not be recorded.").reasons
        return GuardContext(
            decision_id=self.decision_id,
            effect=decision.effect,
            reasons=reasons,
            obligations=decision.obligations,
            findings=tuple(judgement.findings) if judgement else (),
            anomaly=self.anomaly,
            route=judgement.duties.route if judgement else None,
            principal=self.caller.principal,
        )

    def decision(
        self,
        decision: Decision,
        judgement: Judgement | None,
        *,
        status: int | None,
        message_id: str | None = None,
        refusal: tuple[str, str] | None = None,
        counts: Mapping[str, int] | None = None,
        digest: BodyDigest | None = None,
    ) -> DecisionRecord:
        """The ``decision`` record. ``status`` is the guard's own answer, ``counts`` the redactions by entity.

        ``message_id`` is the decision id of one message of a connection, which then belongs to this session's.
        """
        caller = self.caller
        return decision_record(
            decision_id=message_id or self.decision_id,
            request_id=caller.request_id,
            trace_id=caller.trace_id,
            principal=caller.principal,
            client_ip=caller.client_ip,
            method=caller.method,
            route=caller.route,
            policy_input=recorded(judgement.document) if judgement else None,
            decision=decision,
            http_status=status,
            detectors=outcomes_of(judgement, self.behaving.scored),
            config_digest=self.services.config_digest,
            entrypoint=self.services.config.policy.entrypoint,
            redactions=counts or {},
            obligations=results_of(decision, counts or {}),
            request_body=digest,
            refusal=refusal,
            connection=self.decision_id if message_id else None,
            keyed=self.keyed,
            **found_by(judgement),
        )
