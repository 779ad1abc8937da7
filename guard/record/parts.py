"""The parts of records: each takes what it needs by name and gives a JSON object of ``guard.record.schema``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from guard.keyed import KeyedHash
from guard.record.canonical import MAX_INTEGER
from guard.record.groups import MAX_COUNTERFACTUALS, MAX_FIRED, MAX_READS
from guard.record.shadow import shadow
from guard.types import Decision, DetectorInfo, DetectorOutcome, Effect, EngineInfo, Mode, Obligation, Principal, Reason

_NAME: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
_NOTHING_INSPECTED: Final[dict[str, Any]] = {"inspected": 0, "skipped": [], "incomplete": []}
MAX_REASONS: Final = 64
MAX_POINTERS: Final = 64
MAX_TEXT: Final = 1000
MAX_PLACE: Final = 200

_COMPONENTS: Final = {
    "log_unavailable": "log",
    "log_locked": "log",
    "log_tampered": "log",
    "engine_unavailable": "policy",
    "policies_unexpected": "policy",
    "policy_timeout": "policy",
    "policy_error": "policy",
    "policy_undefined": "policy",
    "detection_incomplete": "detector",
    "credential_refused": "identity",
    "obligation_failed": "obligation",
}


class Spent(msgspec.Struct, frozen=True):
    """The tokens of a call: what was taken before it, what it used, and who says so: ``provider``, ``estimate``, or
    ``reserved`` where nobody could."""

    reserved: int
    used: int
    source: str


class Change(msgspec.Struct, frozen=True):
    """One place of the policy input (``input.anomaly.score``), the value that it had and the nearest one under which
    the decision would have had ``effect``. Scores and amounts are thousandths, as in the recorded policy input."""

    feature: str
    before: str | int | bool | None
    after: str | int | bool | None
    effect: Effect


class ObligationResult(msgspec.Struct, frozen=True):
    """What became of an obligation: ``pending``, ``done``, ``armed`` (for the answer) or ``failed``; and how often."""

    obligation: Obligation
    result: str
    count: int = 0


class Standing(msgspec.Struct, frozen=True):
    """A configuration with what was built from it, as ``open`` and ``config`` records name it.

    ``config_digest`` is the SHA-256 of the effective configuration in hex, ``""`` where there is none to name.
    ``candidate`` has the policies in shadow, ``None`` where there are none.
    """

    config_digest: str = ""
    engine: EngineInfo | None = None
    entrypoint: str = ""
    detectors: tuple[DetectorInfo, ...] = ()
    candidate: EngineInfo | None = None
    candidate_entrypoint: str = ""


def standing(standing: Standing) -> dict[str, Any]:
    """A configuration and what was built from it."""
    candidate = standing.candidate
    return {
        "config_digest": standing.config_digest,
        "policy": policy(standing.engine, standing.entrypoint),
        "detectors": [
            {"name": detector.name, "version": detector.version, "digest": detector.digest}
            for detector in standing.detectors
        ],
        **({"candidate": policy(candidate, standing.candidate_entrypoint)} if candidate else {}),
    }


def who(
    principal: Principal, client_ip: str | None, policy_input: Mapping[str, Any] | None, keyed: KeyedHash
) -> dict[str, Any]:
    """The principal, as the Document has it, or as pseudonyms made and names cleaned in the same way."""
    # The Document has all of it already: purposes here are the same, so that the two agree.
    document = policy_input or {}
    subject = document.get("subject") or {
        "id": None,
        "tenant": name(keyed, "tenant", principal.tenant),
        "roles": [name(keyed, "role", role) for role in principal.roles],
    }
    client = (document.get("context") or {}).get("client")
    return {
        "type": principal.type,
        "id": None if principal.type == "anonymous" else subject["id"] or keyed.pseudonym("subject", principal.id),
        "tenant": subject["tenant"],
        "roles": list(subject["roles"]),
        "authenticated": principal.authenticated,
        "method": principal.method,
        "ip": None if client_ip is None else client or keyed.pseudonym("client", client_ip),
    }


def request_id(value: str | None, policy_input: Mapping[str, Any] | None, keyed: KeyedHash) -> str | None:
    """The request id if it is one of ours or a UUID, else its pseudonym."""
    if value is None:
        return None
    known: str | None = ((policy_input or {}).get("context") or {}).get("request_id")
    return known or keyed.identifier("request", value)


def what(method: str, route: str | None, policy_input: Mapping[str, Any] | None, keyed: KeyedHash) -> dict[str, Any]:
    """The operation and its resource. What the client named is taken from the Document, which has cleaned it."""
    document = policy_input or {}
    resource = document.get("resource") or {}
    return {
        "method": name(keyed, "method", method) or "",
        "route": route,
        "operation": (document.get("ai") or {}).get("operation"),
        "model": resource.get("model"),
        "provider": resource.get("provider"),
    }


def ruling(decision: Decision, http_status: int | None, mode: Mode, refusal: tuple[str, str] | None) -> dict[str, Any]:
    """The members that tell the effect and the reasons."""
    return {
        "decision": {
            "effect": decision.effect,
            "mode": mode,
            "http_status": http_status,
            "fail": fail(decision, refusal),
        },
        "why": reasons(decision.reasons),
        "would_deny": reasons(decision.would_deny),
    }


def counterfactual(changes: Sequence[Change]) -> dict[str, Any]:
    """The member that tells what would have changed the effect; none where nobody looked, or found any."""
    if not changes:
        return {}
    told = [
        {"feature": change.feature, "from": change.before, "to": change.after, "effect": change.effect}
        for change in changes[:MAX_COUNTERFACTUALS]
    ]
    return {"counterfactual": told}


def name(keyed: KeyedHash, purpose: str, value: str | None) -> str | None:
    """A string from outside if it looks like a name, else its keyed pseudonym."""
    if value is None or _NAME.fullmatch(value):
        return value
    return keyed.pseudonym(purpose, value)


def fail(decision: Decision, refusal: tuple[str, str] | None) -> dict[str, Any] | None:
    """Why the guard itself could not decide; ``None`` for a decision that fell."""
    if decision.fail_open:
        component = _COMPONENTS.get(decision.fail_open, "guard")
        return {"component": component, "kind": decision.fail_open, "policy": "open"}
    if refusal is not None:
        return {"component": "content", "kind": refusal[0], "policy": "closed"}
    if not decision.outage:
        return None
    kind = decision.reasons[0].code if decision.reasons else "guard_error"
    return {"component": _COMPONENTS.get(kind, "guard"), "kind": kind, "policy": "closed"}


def reasons(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """At most ``MAX_REASONS`` reasons, and a last one that says how many were left out."""
    return [
        {
            "code": reason.code,
            "rule": reason.rule,
            "title": _text(reason.title),
            "severity": reason.severity,
            "message": _text(reason.message),
            "pointers": list(reason.pointers[:MAX_POINTERS]),
            "pointers_total": len(reason.pointers),
            "remediation": _text(reason.remediation),
            "location": None if reason.location is None else str(reason.location),
            "fired": [str(location) for location in reason.fired[:MAX_FIRED]],
            "reads": _reads(reason.reads),
        }
        for reason in reasons[:MAX_REASONS]
    ] + _cut(len(reasons) - MAX_REASONS)


def _cut(more: int) -> list[dict[str, Any]]:
    """Says that reasons were left out, in the place of the first of them."""
    if more <= 0:
        return []
    message = f"{more} more reasons are not listed."
    return [
        {
            "code": "reasons_cut",
            "rule": None,
            "title": "More reasons",
            "severity": "low",
            "message": message,
            "pointers": [],
            "pointers_total": 0,
            "remediation": "",
            "location": None,
            "fired": [],
            "reads": [],
        }
    ]


def _reads(paths: Sequence[str]) -> list[str]:
    """At most ``MAX_READS``; the last one says that more were left out."""
    return list(paths) if len(paths) <= MAX_READS else [*paths[: MAX_READS - 1], "…"]


def duties(decision: Decision, results: Sequence[ObligationResult]) -> list[dict[str, Any]]:
    """The obligations and what became of them; without results they are pending."""
    done = results or [ObligationResult(obligation, "pending") for obligation in decision.obligations]
    return [
        {
            "type": result.obligation.type,
            "rule": result.obligation.rule,
            "params": {key: _plain(value) for key, value in result.obligation.params.items() if key.isascii()},
            "result": result.result,
            "count": result.count,
            "location": None if result.obligation.location is None else str(result.obligation.location),
        }
        for result in done
    ]


def _plain(value: Any) -> Any:
    """A parameter in the record's subset of JSON; a number with a fraction becomes its decimal spelling."""
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if str(key).isascii()}
    if isinstance(value, Sequence | frozenset | set):
        return [_plain(item) for item in value]
    return repr(value)


def policy(engine: EngineInfo | None, entrypoint: str, decision_id: str = "") -> dict[str, Any] | None:
    """Which engine decided, and by which name it logged that itself."""
    if engine is None:
        return None
    return {
        "engine": engine.name,
        "version": engine.version,
        "revision": engine.revision,
        "digest": engine.digest,
        "entrypoint": entrypoint,
        **({"decision_id": decision_id} if decision_id else {}),
    }


def detectors(outcomes: Sequence[DetectorOutcome]) -> list[dict[str, Any]]:
    """How each detector fared."""
    return [
        {
            "name": outcome.info.name,
            "version": outcome.info.version,
            "digest": outcome.info.digest,
            "outcome": outcome.outcome,
            "duration_us": outcome.duration_us,
        }
        for outcome in outcomes
    ]


def counts(counts: Mapping[str, int] | None) -> dict[str, int]:
    """Counts by entity."""
    return dict(counts) if counts else {}


def spent(tokens: Spent | None) -> dict[str, Any]:
    """The member that tells what a call used; none where no limit counts it."""
    return {} if tokens is None else {"tokens": msgspec.structs.asdict(tokens)}


def coverage(policy_input: Mapping[str, Any] | None, refusal: tuple[str, str] | None) -> dict[str, Any]:
    """Which positions were inspected (their number) and which were not. The policy input lists the former."""
    if refusal is not None:
        return {"inspected": 0, "skipped": [{"pointer": refusal[1], "reason": refusal[0]}], "incomplete": []}
    if policy_input is None:
        return dict(_NOTHING_INSPECTED)
    coverage = policy_input["coverage"]
    return {
        "inspected": len(coverage["inspected"]),
        "skipped": coverage["skipped"],
        "incomplete": coverage["incomplete"],
    }


def unread(decision: Decision, policy_input: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """The gap of a request that was let through before any policy saw it."""
    return ("fail_open", "") if decision.fail_open and policy_input is None else None


def stage_decision(decision: Decision, entrypoint: str) -> dict[str, Any]:
    """One verdict on the answer."""
    return {
        "effect": decision.effect,
        "outage": decision.outage,
        "fail": fail(decision, None),
        "why": reasons(decision.reasons),
        "would_deny": reasons(decision.would_deny),
        "obligations": duties(decision, ()),
        "policy": policy(decision.engine, entrypoint, decision.engine_decision_id),
        "duration_us": decision.duration_us,
        **shadow(decision),
    }


def place(where: str) -> str:
    """A place in a file. A name that is not valid Unicode is shown escaped; a long one keeps its end."""
    return where.encode("utf-8", "backslashreplace").decode()[-MAX_PLACE:]


def _text(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} code points)"
