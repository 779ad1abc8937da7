"""Builds records from what an exchange, or a reload, knows. Pure: no clock, no file, no key beyond the pseudonym key.

Allow-listed: each field is taken by name, and strings from outside enter only if they look like names, else as keyed
pseudonyms. ``docs/log-format.md`` describes every field; ``guard.record.schema`` is their schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from guard.keyed import KeyedHash
from guard.record import bodies, parts
from guard.record.bodies import BodyDigest, ContentHasher, PassedBody, digest_of
from guard.record.evidence import evidence
from guard.record.ids import new_id
from guard.record.parts import Change, ObligationResult, Spent, Standing
from guard.record.shadow import shadow
from guard.types import Decision, DecisionRecord, DetectorOutcome, Finding, Mode, Principal, Segment

Found: TypeAlias = tuple[Sequence[Finding], Sequence[Segment]]
NOTHING_FOUND: Final[Found] = ((), ())

__all__ = [
    "BodyDigest",
    "Change",
    "ContentHasher",
    "ObligationResult",
    "PassedBody",
    "Spent",
    "Standing",
    "config_record",
    "decision_record",
    "digest_of",
    "new_id",
    "outcome_record",
]


def decision_record(
    *,
    decision_id: str,
    request_id: str | None,
    trace_id: str | None,
    principal: Principal,
    client_ip: str | None,
    method: str,
    route: str | None,
    policy_input: Mapping[str, Any] | None,
    decision: Decision,
    http_status: int | None,
    detectors: Sequence[DetectorOutcome],
    config_digest: str,
    entrypoint: str,
    keyed: KeyedHash,
    redactions: Mapping[str, int] | None = None,
    obligations: Sequence[ObligationResult] = (),
    request_body: bytes | BodyDigest | None = None,
    refusal: tuple[str, str] | None = None,
    mode: Mode = "enforce",
    connection: str | None = None,
    changes: Sequence[Change] = (),
    found: Found = NOTHING_FOUND,
) -> DecisionRecord:
    """The ``decision`` record of a request.

    ``policy_input`` is the Document as ``guard.policy.document.recorded`` gives it (integers only, free of raw text),
    or ``None`` where no policy was asked. ``http_status`` is the guard's own answer, ``None`` where the app answers.
    ``redactions`` counts what was rewritten by entity. ``obligations`` tells what became of each; without it they are
    recorded as pending. ``request_body`` is the body as it was read (hash big ones beforehand, with
    ``ContentHasher``). ``refusal`` is the code and pointer of a body that was refused unread.
    ``connection`` is the decision id of the WebSocket connection whose message this is. ``changes`` are the smallest
    changes of the policy input that would have changed the effect. ``found`` are the findings and the segments they
    point into, for their evidence.
    """
    return {
        "kind": "decision",
        "id": decision_id,
        "stage": decision.stage,
        "request_id": parts.request_id(request_id, policy_input, keyed),
        "trace_id": parts.name(keyed, "trace", trace_id),
        "who": parts.who(principal, client_ip, policy_input, keyed),
        "what": parts.what(method, route, policy_input, keyed),
        **parts.ruling(decision, http_status, mode, refusal),
        "obligations": parts.duties(decision, obligations),
        "policy": parts.policy(decision.engine, entrypoint, decision.engine_decision_id),
        "policy_input": None if policy_input is None else dict(policy_input),
        "detectors": parts.detectors(detectors),
        "redactions": parts.counts(redactions),
        "content": bodies.body(request_body, keyed),
        "coverage": parts.coverage(policy_input, refusal or parts.unread(decision, policy_input)),
        "refusal": None if refusal is None else {"code": refusal[0], "where": refusal[1]},
        "config_digest": config_digest,
        "duration_us": decision.duration_us,
        "connection": connection,
        **shadow(decision),
        **parts.counterfactual(changes),
        **evidence(*found),
    }


def outcome_record(
    *,
    decision_ref: str,
    status: int | None,
    aborted: str | None,
    decisions: Sequence[Decision],
    policy_input: Mapping[str, Any] | None,
    keyed: KeyedHash,
    upstream_status: int | None = None,
    detectors: Sequence[DetectorOutcome] = (),
    redactions: Mapping[str, int] | None = None,
    restored: int = 0,
    size_bytes: int = 0,
    duration_us: int = 0,
    entrypoint: str = "",
    response_body: bytes | BodyDigest | None = None,
    passed: PassedBody | None = None,
    unread: str | None = None,
    spent: Spent | None = None,
    found: Found = NOTHING_FOUND,
) -> DecisionRecord:
    """The ``outcome`` record: what became of the request of the ``decision`` record ``decision_ref``.

    ``status`` is what the client was sent, ``upstream_status`` what the app answered. ``decisions`` are the verdicts on
    the answer in order, ``policy_input`` the Document of the last. ``aborted`` is ``None`` for an answer that went out
    whole, else why not, in one word. ``redactions`` counts what was rewritten in the answer, ``restored`` the
    placeholders put back, ``size_bytes`` what was sent, ``passed`` what of a large request body the app was given.
    ``unread`` is why the answer was not inspected, where none of it was. ``spent`` are the tokens of a call that counts
    against a limit. ``found`` as of ``decision_record``.
    """
    return {
        "kind": "outcome",
        "decision_ref": decision_ref,
        "status": status,
        "upstream_status": upstream_status,
        "aborted": aborted,
        "decisions": [parts.stage_decision(decision, entrypoint) for decision in decisions],
        "policy_input": None if policy_input is None else dict(policy_input),
        "detectors": parts.detectors(detectors),
        "redactions": parts.counts(redactions),
        "restored": restored,
        "content": bodies.body(response_body, keyed),
        "size_bytes": size_bytes,
        "coverage": parts.coverage(policy_input, (unread, "") if unread else None),
        "duration_us": duration_us,
        **bodies.passed(passed),
        **parts.spent(spent),
        **evidence(*found),
    }


def config_record(before: Standing, after: Standing | None, refusal: tuple[str, str] | None = None) -> DecisionRecord:
    """The ``config`` record of a reload: ``after`` decides from here on.

    With ``refusal`` (code and place) it does not, and ``before`` goes on; ``after`` is ``None`` for what was refused
    before it was built. The place is ``file:line``, a key or ``""``; it holds nothing of a file's content.
    """
    return {
        "kind": "config",
        "status": "applied" if refusal is None else "refused",
        "before": parts.standing(before),
        "after": None if after is None else parts.standing(after),
        "error": None if refusal is None else {"code": refusal[0], "where": parts.place(refusal[1])},
    }
