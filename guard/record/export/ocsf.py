"""Decisions as OCSF events (https://schema.ocsf.io), an API Activity (class 6003) each, one JSON object a line.

Profiles ``security_control`` (what the guard did), ``ai_operation`` (where a model was named) and ``trace`` (where a
trace was). Version 1.8.0; with 1.9.0-dev, which is not released, the profile ``record_integrity`` too. What might hold
a text (``raw_data``, ``prompt_text``, ``response_text``, ``http_request.url``) is never filled. An event is a copy:
``metadata.log_name`` and ``sequence`` name the record in the signed log that it tells of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from guard.record.canonical import canonical
from guard.record.export.exchanges import Exchange
from guard.record.export.story import Action, Story, told

OcsfVersion: TypeAlias = Literal["1.8.0", "1.9.0-dev"]
VERSIONS: Final[tuple[OcsfVersion, ...]] = ("1.8.0", "1.9.0-dev")

_CLASS: Final = 6003
_OTHER: Final = 99
_ACTIVITIES: Final = {
    "POST": (1, "Create"),
    "GET": (2, "Read"),
    "HEAD": (2, "Read"),
    "PUT": (3, "Update"),
    "PATCH": (3, "Update"),
    "DELETE": (4, "Delete"),
}
_HTTP_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_SEVERITIES: Final = {
    "": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
_ALERT: Final = 4
# action_id, action, disposition_id, disposition
_CONTROLS: Final[dict[Action, tuple[int, str, int, str]]] = {
    "allowed": (1, "Allowed", 1, "Allowed"),
    "denied": (2, "Denied", 2, "Blocked"),
    "observed": (3, "Observed", 15, "Detected"),
    "modified": (4, "Modified", 11, "Corrected"),
    "failed_open": (1, "Allowed", 27, "Error"),
    "failed_closed": (2, "Denied", 27, "Error"),
}
_USER_TYPES: Final = {"user": (1, "User"), "service": (4, "Service"), "anonymous": (0, "Unknown")}
_STATUSES: Final = {0: "Unknown", 1: "Success", 2: "Failure"}


def events(
    exchanges: Iterable[Exchange], *, version: OcsfVersion = "1.8.0", product_version: str = ""
) -> Iterator[bytes]:
    """An event for each exchange, as a line of canonical JSON (RFC 8785). ``product_version`` is the exporter's."""
    chain = _Attester() if version == "1.9.0-dev" else None
    for exchange in exchanges:
        event = event_of(exchange, version=version, product_version=product_version)
        if chain is not None:
            chain.attest(event, exchange.decision["origin"])
        yield canonical(event) + b"\n"


def event_of(exchange: Exchange, *, version: OcsfVersion = "1.8.0", product_version: str = "") -> dict[str, Any]:
    """The event of one exchange, without an attestation."""
    decision, outcome, story = exchange.decision, exchange.outcome or {}, told(exchange)
    what = decision["what"]
    activity, name = (
        (_OTHER, what["operation"]) if what["operation"] else _ACTIVITIES.get(what["method"], (0, "Unknown"))
    )
    severity, severity_name = _SEVERITIES[story.severity]
    event: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": name,
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": _CLASS,
        "class_name": "API Activity",
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"API Activity: {'Other' if activity == _OTHER else name}",
        "time": decision["ts_us"] // 1000,
        "timezone_offset": 0,
        "severity_id": severity,
        "severity": severity_name,
        "message": _message(story, what),
        "metadata": _metadata(decision, outcome, version, product_version),
        "actor": _actor(decision["who"]),
        "api": _api(decision, outcome),
        "src_endpoint": _endpoint(decision["who"]),
        "resources": _resources(what),
        "unmapped": _unmapped(exchange, story),
        **_status(exchange, story),
        **_security_control(decision, story, severity),
        **_http(decision, outcome),
    }
    if what["model"]:
        event["ai_model"] = {"name": what["model"], "ai_provider": what["provider"] or "unknown"}
        if tokens := outcome.get("tokens"):
            service = {"name": what["provider"] or decision["origin"]}
            event["message_context"] = {"uid": decision["id"], "service": service, "total_tokens": tokens["used"]}
    if decision["trace_id"]:
        event["trace"] = {"uid": decision["trace_id"]}
    event["metadata"]["profiles"] = ["security_control"] + [
        profile for profile, mark in (("ai_operation", "ai_model"), ("trace", "trace")) if mark in event
    ]
    return event


def _message(story: Story, what: dict[str, Any]) -> str:
    """One sentence: what was done to what, and by which rule first."""
    target = " ".join(part for part in (what["method"], what["route"], what["model"]) if part)
    reasons = story.would_deny if story.action == "observed" else story.why
    because = f": {reasons[0]['rule'] or reasons[0]['code']} {reasons[0]['title']}" if reasons else ""
    return f"{_CONTROLS[story.action][1]} {target}{because}"


def _metadata(decision: dict[str, Any], outcome: dict[str, Any], version: str, product_version: str) -> dict[str, Any]:
    product = {"name": "policy-guard", "vendor_name": "policy-guard"}
    made: dict[str, Any] = {
        "version": version,
        "product": {**product, **({"version": product_version} if product_version else {})},
        "uid": decision["id"],
        "log_name": decision["origin"],
        "log_version": str(decision["v"]),
        "sequence": decision["seq"],
        "original_time": str(decision["ts_us"]),
    }
    if decision["request_id"]:
        made["correlation_uid"] = decision["request_id"]
    if decision["who"]["tenant"]:
        made["tenant_uid"] = decision["who"]["tenant"]
    if decision.get("truncated") or outcome.get("truncated"):
        made["is_truncated"] = True
    return made


def _actor(who: dict[str, Any]) -> dict[str, Any]:
    type_id, type_name = _USER_TYPES[who["type"]]
    user = {"uid": who["id"]} if who["id"] else {"name": who["type"]}
    groups = [{"name": role, "type": "role"} for role in who["roles"]]
    return {"user": {**user, "type_id": type_id, "type": type_name, **({"groups": groups} if groups else {})}}


def _endpoint(who: dict[str, Any]) -> dict[str, Any]:
    """The client. Its address is a pseudonym, so it is a name of the endpoint and no ``ip``."""
    return {"uid": who["ip"]} if who["ip"] else {"name": "unknown"}


def _api(decision: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    what = decision["what"]
    response: dict[str, Any] = {}
    status = outcome.get("upstream_status")
    if status is not None:
        response["code"] = status
    if outcome.get("aborted"):
        response["error"] = outcome["aborted"]
    return {
        "operation": what["operation"] or what["method"] or "unknown",
        "request": {"uid": decision["request_id"] or decision["id"]},
        **({"response": response} if response else {}),
        **({"service": {"name": what["provider"]}} if what["provider"] else {}),
    }


def _resources(what: dict[str, Any]) -> list[dict[str, Any]]:
    named = (("route", what["route"]), ("model", what["model"]))
    return [{"name": name, "type": kind, "role_id": 1, "role": "Target"} for kind, name in named if name]


def _status(exchange: Exchange, story: Story) -> dict[str, Any]:
    """Whether the call came to its end: ``status_code`` is what the client was sent."""
    outcome = exchange.outcome
    code = exchange.decision["decision"]["http_status"] if outcome is None else outcome["status"]
    if story.denied or (outcome and outcome["aborted"]) or (code is not None and code >= 400):
        status = 2
    else:
        status = 1 if outcome is not None else 0
    reason = story.why[0]["code"] if story.denied and story.why else (outcome or {}).get("aborted")
    detail = reason or ("no outcome is recorded" if exchange.ending in ("missing", "unjoined") else "")
    return {
        "status_id": status,
        "status": _STATUSES[status],
        **({"status_code": str(code)} if code is not None else {}),
        **({"status_detail": detail} if detail else {}),
    }


def _security_control(decision: dict[str, Any], story: Story, severity: int) -> dict[str, Any]:
    action_id, action, disposition_id, disposition = _CONTROLS[story.action]
    engine = decision["policy"] or {}
    reasons = story.would_deny if story.action == "observed" else story.why
    version = {"version": engine["revision"]} if engine.get("revision") else {}
    made: dict[str, Any] = {
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "is_alert": story.action in ("denied", "observed", "failed_open") and severity >= _ALERT,
    }
    if reasons:
        first = reasons[0]
        named = {"uid": first["rule"] or first["code"], "name": first["title"]}
        made["policy"] = {**named, **version, "is_applied": story.action != "observed"}
    if engine:
        policy = {"name": engine["entrypoint"] or engine["engine"], "uid": engine["digest"], **version}
        made["authorizations"] = [{"decision": "denied" if story.denied else "allowed", "policy": policy}]
    return made


def _http(decision: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    method = decision["what"]["method"]
    if method in _HTTP_METHODS:
        made["http_request"] = {"http_method": method, "uid": decision["request_id"] or decision["id"]}
        if decision["content"]:
            made["http_request"]["body_length"] = decision["content"]["bytes"]
    status = outcome["status"] if outcome else decision["decision"]["http_status"]
    if status is not None:
        made["http_response"] = {"code": status}
        if outcome:
            made["http_response"] |= {"body_length": outcome["size_bytes"], "latency": outcome["duration_us"] // 1000}
    return made


def _unmapped(exchange: Exchange, story: Story) -> dict[str, Any]:
    """What OCSF has no attribute for. Codes, ids and counts only."""
    decision, outcome = exchange.decision, exchange.outcome or {}
    gaps = [record["coverage"] for record in (decision, outcome) if record]
    return {
        "boot": decision["boot"],
        "stage": story.stage,
        "rules": [reason["rule"] or reason["code"] for reason in story.why],
        "would_deny": [reason["rule"] or reason["code"] for reason in story.would_deny],
        "obligations": [{key: duty[key] for key in ("type", "rule", "result")} for duty in story.obligations],
        "redactions": story.redactions,
        "not_inspected": sum(len(gap["skipped"]) for gap in gaps),
        "incomplete": sum(len(gap["incomplete"]) for gap in gaps),
        "failure": story.fail,
        "outcome": exchange.ending,
        "config_digest": decision["config_digest"],
    }


class _Attester:
    """Links the events of each origin by the fingerprints of their canonical forms (OCSF 1.9.0-dev, ``attestation``).

    The links tell whether an event of this export is missing or altered. They are not signed; the log is.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, dict[str, Any] | None]] = {}

    def attest(self, event: dict[str, Any], origin: str) -> None:
        """Adds ``attestation_list`` to the event."""
        uid = event["metadata"]["uid"]
        chain, previous = self._last.get(origin, (f"{origin}/ocsf/{uid}", None))
        attestation: dict[str, Any] = {"authority_uid": origin, "chain_uid": chain}
        if previous is not None:
            attestation["prev_event"] = previous
        event["metadata"]["profiles"].append("record_integrity")
        event["attestation_list"] = [attestation]
        digest = sha256(canonical(event)).hexdigest()
        fingerprint = {
            "algorithm_id": 3,
            "algorithm": "SHA-256",
            "encoding_id": 1,
            "serialization_id": 2,
            "value": digest,
        }
        attestation["fingerprint"] = fingerprint
        self._last[origin] = (chain, {"uid": uid, "type_uid": event["type_uid"], "fingerprint": fingerprint})
