"""One stage of an exchange, request or response: detect, describe, decide, and check what the decision obliges to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from guard.errors import ContentRefused, CredentialRefused, ObligationFailed
from guard.exchange.failing import INCOMPLETE, as_if_complete, failure_in, let_through
from guard.exchange.intents import classified
from guard.exchange.services import Services
from guard.keyed import KeyedHash
from guard.obligations import SUPPORTED, annotate, route
from guard.obligations.limit import Limit, limits
from guard.obligations.redact import Operator, operators
from guard.pipeline import Detection
from guard.policy.document import build_document
from guard.policy.engine import decide
from guard.telemetry import join_trace
from guard.types import (
    Anomaly,
    Content,
    Coverage,
    Decision,
    Finding,
    Incomplete,
    Obligation,
    Principal,
    Reason,
    Segment,
    Skipped,
    Stage,
)

_BYTES_AN_ENTRY: Final = 64
"""What a position or a finding weighs when a document is aggregated, for ``offload``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of a request before its body is read."""

    principal: Principal
    method: str
    route: str
    provider: str | None
    client_ip: str | None
    request_id: str
    trace_id: str | None
    time_us: int
    fail_open: bool = False
    """Whether the route goes on where the guard fails."""
    decision_id: str = ""
    """The exchange, of which a share is judged by the candidate policies, too."""
    trace_sampled: bool = False
    """Whether the caller's trace is recorded somewhere: so is what is asked for it."""


@dataclass(frozen=True, slots=True)
class Duties:
    """The obligations of a decision, validated: nothing in here can turn out to be unknown later."""

    redactions: Mapping[str, Operator] = field(default_factory=dict)
    headers: Sequence[tuple[bytes, bytes]] = ()
    route: Mapping[str, Any] | None = None
    limits: Sequence[Limit] = ()

    @property
    def redacts(self) -> bool:
        """Whether some entity must not pass in clear."""
        return any(operator.name != "keep" for operator in self.redactions.values())


@dataclass(frozen=True, slots=True)
class Judgement:
    """One stage, decided."""

    content: Content
    detection: Detection
    coverage: Coverage
    document: Mapping[str, Any]
    decision: Decision
    duties: Duties

    @property
    def segments(self) -> Sequence[Segment]:
        """The texts that the findings point into."""
        return self.content.segments

    @property
    def findings(self) -> Sequence[Finding]:
        """What the detectors saw."""
        return self.detection.findings


def found_by(judgement: Judgement | None) -> dict[str, Any]:
    """What a record takes of the findings beside the Document: ``found`` of its builder."""
    return {"found": (judgement.findings, judgement.segments)} if judgement and judgement.findings else {}


async def judge(
    services: Services,
    caller: Caller,
    content: Content,
    *,
    stage: Stage,
    anomaly: Anomaly,
    keyed: KeyedHash,
    skipped: Sequence[Skipped] = (),
    detection: Detection | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Judgement:
    """Decide one stage. Never raises for what a detector, a policy or an engine does: each becomes a decision.

    On a route that fails open, a denial that is a failure of the guard or its policy becomes a decision with
    ``fail_open``, without duties. ``detection`` is given where the segments were inspected already, ``asked`` is the
    request's document at the response stage.
    """
    if detection is None:
        detection = await services.pipeline.detect(content.segments, stage, content.media_type)
    intent = None
    if stage == "request" and services.intent is not None:
        intent, detection = classified(services.intent, content, detection)
    entries = len(content.segments) + len(detection.findings)
    coverage = await services.offload(entries * _BYTES_AN_ENTRY, _coverage, content, skipped, detection.incomplete)
    document = await services.offload(
        entries * _BYTES_AN_ENTRY,
        build_document,
        stage=stage,
        principal=caller.principal,
        method=caller.method,
        route=caller.route,
        provider=caller.provider,
        content=content,
        findings=detection.findings,
        anomaly=anomaly,
        coverage=coverage,
        client_ip=caller.client_ip,
        networks=services.networks,
        time_us=caller.time_us,
        request_id=caller.request_id,
        keyed=keyed,
        request=asked,
        intent=intent,
    )
    join_trace(caller.trace_id, sampled=caller.trace_sampled)
    decided = await _decided(services, document, stage)
    decision, duties = take_on(decided)
    if decision.effect == "deny" and caller.fail_open:
        code = failure_in(decision, before=decided)
        if not code and detection.incomplete:
            # Was it the gap alone that was denied, or what was seen besides?
            complete = await _decided(services, as_if_complete(document), stage)
            code = INCOMPLETE if complete.effect == "allow" else ""
        if code:
            decision = let_through(decision, code)
    candidate = services.candidate
    # Where the guard failed there is no decision to compare with.
    if candidate is not None and not (decided.outage or decision.fail_open) and candidate.takes(caller.decision_id):
        shadow = await candidate.judge(document, decision, lambda answer: take_on(answer)[0])
        services.tally.candidate_failed += bool(shadow.error)
        decision = msgspec.structs.replace(decision, shadow=shadow)
    return Judgement(content, detection, coverage, document, decision, duties)


async def _decided(services: Services, document: Mapping[str, Any], stage: Stage) -> Decision:
    deadline = time.monotonic() + services.config.limits.policy_deadline_ms / 1000
    return await decide(services.engine, document, stage=stage, deadline=deadline)


def _coverage(content: Content, skipped: Sequence[Skipped], incomplete: tuple[Incomplete, ...]) -> Coverage:
    inspected = tuple(dict.fromkeys([segment.pointer for segment in content.segments]))
    return Coverage(inspected, (*content.skipped, *skipped), incomplete)


def take_on(decision: Decision) -> tuple[Decision, Duties]:
    """Validate every obligation; one that this stage cannot perform makes the decision a denial."""
    if not decision.obligations or decision.effect == "deny":
        return decision, Duties()
    try:
        for obligation in decision.obligations:
            _require_supported(obligation, decision.stage)
        return decision, Duties(
            operators(decision.obligations, decision.stage),
            annotate.headers(decision.obligations),
            route.choice(decision.obligations),
            limits(decision.obligations),
        )
    except ObligationFailed as error:
        return denied_by_obligation(decision, error), Duties()


def _require_supported(obligation: Obligation, stage: Stage) -> None:
    if obligation.type not in SUPPORTED[stage]:
        known = ", ".join(sorted(SUPPORTED[stage]))
        raise ObligationFailed(
            f"the obligation {obligation.type!r} cannot be performed at the {stage} stage",
            where=f"rule {obligation.rule}",
            mend=f"use one of: {known}",
        )


def denied_by_obligation(decision: Decision, error: ObligationFailed) -> Decision:
    """The decision that an obligation which failed leads to: it must not hold without what it obliges to."""
    reason = Reason(
        code=error.code,
        title="An obligation cannot be performed",
        message=f"{error.where}: {error.what}." if error.where else f"{error.what}.",
        remediation=error.mend,
    )
    return msgspec.structs.replace(decision, effect="deny", reasons=(*decision.reasons, reason))


def refused(error: ContentRefused, stage: Stage) -> Decision:
    """The decision on a body that cannot be read in one way only."""
    where = f" at {error.where}" if error.where not in ("", "body") else ""
    reason = Reason(
        code=error.refusal,
        title=error.title,
        message=f"{error.what[:1].upper()}{error.what[1:]}{where}.",
        remediation=error.mend,
        severity="medium",
    )
    return Decision(stage=stage, effect="deny", reasons=(reason,))


def unidentified(error: CredentialRefused) -> Decision:
    """The decision on a request whose credential is not valid."""
    reason = Reason(
        code=error.code,
        title="The credential is not valid",
        message=f"{error.what[:1].upper()}{error.what[1:]}.",
        remediation=error.mend,
        severity="medium",
    )
    return Decision(stage="request", effect="deny", reasons=(reason,))


def app_failed() -> Decision:
    """What the client is told of an app that raised before it answered: nothing of the exception."""
    reason = Reason(code="app_error", title="The app failed", message="The app failed to answer.", severity="medium")
    return Decision(stage="response", effect="deny", reasons=(reason,))
