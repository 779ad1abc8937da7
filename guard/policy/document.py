"""The policy document, version 1: all that a rule sees of an exchange, and what the log keeps of it.

Every field is always present, so that a rule never vanishes on an undefined reference. No raw text enters: identities
are keyed pseudonyms, strings that somebody outside chose enter only if they look like names and carry no finding, and
findings are counts at positions. ``docs/policy-document.md`` describes each field; ``policies/schemas/input.v1.json``
is its JSON Schema.

Shapes follow the OpenID AuthZEN Authorization API 1.0 (subject, action, resource, context) where they fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from guard.keyed import KeyedHash
from guard.policy.bounds import LIMIT_BYTES, Bounds
from guard.policy.networks import Networks
from guard.types import Anomaly, Content, Coverage, Facts, Feature, Finding, Intent, Named, Principal, Stage

__all__ = ["LIMIT_BYTES", "VERSION", "build_document", "recorded", "restore"]

VERSION: Final = 1
# No run of four digits: one that looks like a list of words is not inspected, and a number must not pass for a type.
_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,20}/(?:[a-z.+-]|[0-9](?![0-9]{3})){1,63}")
_CONTENT_TYPE: Final = "headers/content-type"
_USUAL_TYPES: Final = frozenset(
    """application/json application/x-ndjson application/octet-stream application/pdf application/xml
    application/x-www-form-urlencoded multipart/form-data text/event-stream text/html text/plain text/xml""".split()  # noqa: SIM905
)
_INTEGER_BOUND: Final = 2**53 - 1
"""RFC 8785: beyond it, readers of JSON disagree about integers."""
_MILLI_BOUND: Final = 10**15
"""Thousandths up to here survive the way to a double and back."""
_AMOUNTS: Final = frozenset({"value", "expected", "spread", "rarity", "share"})
"""What has a fraction in a feature."""
_SCOPES: Final = frozenset({"own", "group", "global"})
_NOTHING: Final[frozenset[str]] = frozenset()


class _Everything(frozenset[str]):
    """Stands for all pointers: where not everything was inspected, no name of the client's is taken for clean."""

    def __contains__(self, _pointer: object) -> bool:
        return True


_EVERYTHING: Final = _Everything()


def build_document(
    *,
    stage: Stage,
    principal: Principal,
    method: str,
    route: str | None,
    provider: str | None,
    content: Content,
    findings: Sequence[Finding],
    anomaly: Anomaly,
    coverage: Coverage,
    client_ip: str | None,
    networks: Networks,
    time_us: int,
    request_id: str | None,
    keyed: KeyedHash,
    request: Mapping[str, Any] | None = None,
    intent: Intent | None = None,
) -> dict[str, Any]:
    """The Document of one stage, at most ``LIMIT_BYTES`` long as compact JSON.

    ``route`` is the pattern of the configuration, ``provider`` a name of the configuration, ``time_us`` microseconds
    since the Unix epoch. ``findings`` point into ``content.segments``. At stage ``response``, ``content``,
    ``findings`` and ``coverage`` are those of the answer, and ``request`` is the Document of stage ``request``: what
    was asked (subject, action, resource, operation, tools) is taken from it. Raises ``IndexError`` if a finding
    points at no segment.
    """
    segments = content.segments
    facts = content.facts
    tainted: Collection[str] = {segments[finding.segment].pointer for finding in findings} if findings else _NOTHING
    if coverage.incomplete or any(skipped.reason == "inspect_limit" for skipped in content.skipped):
        tainted = _EVERYTHING
    bounds = Bounds(keyed)
    asked = request or {
        "subject": _subject(principal, bounds, keyed),
        "action": {"name": facts.operation or "call", "method": bounds.name("method", method)},
        "resource": _resource(facts, route, provider, tainted, bounds),
        "ai": _call(facts, tainted, intent, bounds),
    }
    return {
        "version": VERSION,
        "stage": stage,
        "subject": asked["subject"],
        "action": asked["action"],
        "resource": asked["resource"],
        "context": {
            **_caller(client_ip, networks, request_id, bounds, keyed),
            "time": time_us,
            "size_bytes": _integer(content.size_bytes),
            "media_type": _media_type(content.media_type, tainted, bounds),
        },
        "ai": {
            **asked["ai"],
            "tool_calls": bounds.calls(facts.tool_calls, tainted) if facts.tool_calls else [],
            "tokens_estimate": _integer(facts.tokens_estimate),
        },
        "findings": bounds.findings(findings, segments) if findings else [],
        "anomaly": {
            "score": _score(anomaly.score),
            "scope": anomaly.scope if anomaly.scope in _SCOPES else None,
            "second": None if anomaly.second is None else _score(anomaly.second),
            "features": _features(anomaly.features, bounds),
        },
        "coverage": bounds.coverage(coverage, content.skipped),
    }


def _caller(
    client_ip: str | None, networks: Networks, request_id: str | None, bounds: Bounds, keyed: KeyedHash
) -> dict[str, Any]:
    return {
        "client": None if client_ip is None else keyed.pseudonym("client", client_ip),
        "networks": bounds.names(networks.containing(client_ip)),
        "request_id": None if request_id is None else keyed.identifier("request", request_id),
    }


def _subject(principal: Principal, bounds: Bounds, keyed: KeyedHash) -> dict[str, Any]:
    attributes = principal.attributes
    safe = {bounds.name("attribute", key): _attribute(value, bounds) for key, value in attributes.items()}
    return {
        "type": principal.type,
        "id": keyed.pseudonym("subject", principal.id),
        "tenant": None if principal.tenant is None else bounds.name("tenant", principal.tenant),
        "roles": bounds.names([bounds.name("role", role) for role in principal.roles]),
        "groups": bounds.names([bounds.name("group", group) for group in principal.groups]),
        "authenticated": principal.authenticated,
        "attributes": bounds.members(safe),
    }


def _resource(
    facts: Facts, route: str | None, provider: str | None, tainted: Collection[str], bounds: Bounds
) -> dict[str, Any]:
    return {
        "type": "endpoint" if facts.operation is None else "model",
        "route": route,
        "model": None if facts.model is None else bounds.named("model", facts.model, tainted),
        "provider": provider,
    }


def _call(facts: Facts, tainted: Collection[str], intent: Intent | None, bounds: Bounds) -> dict[str, Any]:
    """What the request says about the call; ``tool_calls`` and ``tokens_estimate`` are of each stage."""
    return {
        "operation": facts.operation,
        "messages": _integer(facts.messages),
        "tools": bounds.names([bounds.named("tool", tool, tainted) for tool in facts.tools]),
        "stream": facts.stream,
        "max_tokens": None if facts.max_tokens is None else _integer(facts.max_tokens),
        "intent": _intent(intent, bounds),
    }


def _intent(intent: Intent | None, bounds: Bounds) -> dict[str, Any]:
    """An object also where nothing is known, so that ``input.ai.intent.name`` is never undefined."""
    if intent is None:
        return {"name": None, "score": 0.0, "difficulty": 0.0}
    name = bounds.name("intent", intent.name)
    return {"name": name, "score": _score(intent.score), "difficulty": _score(intent.difficulty)}


def _attribute(value: str | int | bool, bounds: Bounds) -> str | int | bool:
    if isinstance(value, str):
        return bounds.name("attribute", value)
    return value if -_INTEGER_BOUND <= value <= _INTEGER_BOUND else bounds.name("attribute", str(value) + " ")


def _media_type(value: str, tainted: Collection[str], bounds: Bounds) -> str:
    """RFC 6838 names without their rarer characters; a ``+`` makes them fall outside the rule for names. ``""`` where
    the request names none, which is nobody's choice of words."""
    if not value or value in _USUAL_TYPES or (_MEDIA_TYPE.fullmatch(value) and _CONTENT_TYPE not in tainted):
        return value
    return bounds.named("media_type", Named(value, _CONTENT_TYPE), tainted)


def _features(features: Iterable[Feature], bounds: Bounds) -> list[dict[str, Any]]:
    # The most unusual come first; past sixteen, none has a share worth telling.
    return [
        {
            "name": bounds.name("feature", feature.name),
            "value": _amount(feature.value),
            "expected": _amount(feature.expected),
            "spread": _amount(feature.spread),
            "rarity": _amount(feature.rarity),
            "drift": bool(feature.drift),
            "share": _score(feature.share),
        }
        for _, feature in zip(range(16), features, strict=False)
    ]


def _score(value: float) -> float:
    """Quantised to thousandths of 0..1. What is not a number is as suspicious as can be."""
    if value != value:  # noqa: PLR0124
        return 1.0
    return round(min(max(value, 0.0), 1.0) * 1000) / 1000


def _amount(value: float) -> float:
    """Quantised to thousandths, within bounds that survive the record. What is not a number is the upper bound."""
    milli = value * 1000
    if -_MILLI_BOUND < milli < _MILLI_BOUND:
        return round(milli) / 1000
    return (-_MILLI_BOUND if milli < 0 else _MILLI_BOUND) / 1000


def _integer(value: int) -> int:
    return min(max(value, -_INTEGER_BOUND), _INTEGER_BOUND)


# --- what the log keeps ---------------------------------------------------------------------------------------------


def recorded(document: Mapping[str, Any]) -> dict[str, Any]:
    """The Document as it stands in a record: the same shape with scores and amounts as integers in thousandths.

    It holds integers only and ASCII keys only, as the canonical form of the log demands.
    """
    return _scaled(document, lambda value: round(value * 1000))


def restore(record: Mapping[str, Any]) -> dict[str, Any]:
    """The Document that was evaluated, exactly: ``restore(recorded(document)) == document``."""
    return _scaled(record, lambda value: value / 1000)


def _scaled(document: Mapping[str, Any], scale: Callable[[Any], float]) -> dict[str, Any]:
    """A copy with every quantity that has a fraction put through ``scale``."""
    anomaly, ai = document["anomaly"], document["ai"]
    # Records of earlier releases hold no second opinion and no intent, or null for it.
    second, intent = anomaly.get("second"), ai.get("intent")
    if intent is not None:
        scaled = {"score": scale(intent["score"]), "difficulty": scale(intent["difficulty"])}
        ai = {**ai, "intent": {**intent, **scaled}}
    return {
        **document,
        "ai": ai,
        "findings": [{**finding, "score": scale(finding["score"])} for finding in document["findings"]],
        "anomaly": {
            **anomaly,
            "score": scale(anomaly["score"]),
            **({} if second is None else {"second": scale(second)}),
            "features": [
                {name: scale(value) if name in _AMOUNTS else value for name, value in feature.items()}
                for feature in anomaly["features"]
            ],
        },
    }
