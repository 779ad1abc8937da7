"""The group ``shadow`` of records: what the candidate policies would have decided, beside the verdict that holds.

It holds names of rules, places and counts only: no message and no parameter of a policy that nobody has released yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from guard.record.canonical import Natural
from guard.types import Decision, Obligation, Reason

MAX_LISTED: Final = 16
_MAX_NAME: Final = 128
Name = Annotated[str, Meta(max_length=_MAX_NAME)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts of the group."""


class ShadowWhy(_Part, frozen=True):
    """One reason of a candidate. Its rule is looked up in the candidate's own files."""

    code: str
    rule: Name | None
    severity: Literal["low", "medium", "high", "critical"]
    location: str | None


class ShadowDuty(_Part, frozen=True):
    """An obligation that only the candidate has (``added``), or only the policies that decide (``removed``)."""

    change: Literal["added", "removed"]
    type: Name
    rule: Name
    entity: Name | None
    operator: Name | None


class ShadowPart(_Part, frozen=True):
    """What a candidate would have decided. ``effect`` is null where it came to no decision: ``error`` says why.

    ``changed``: the effect or the obligations would be others. The totals count what the lists may have cut.
    """

    revision: str
    digest: str
    effect: Literal["allow", "deny"] | None
    changed: bool
    would_deny: Annotated[list[ShadowWhy], Meta(max_length=MAX_LISTED)]
    would_deny_total: Natural
    obligations: Annotated[list[ShadowDuty], Meta(max_length=MAX_LISTED)]
    obligations_total: Natural
    error: str | None
    duration_us: Natural


def shadow(decision: Decision) -> dict[str, Any]:
    """The member ``shadow`` of a decision that a candidate judged, too; none for any other."""
    seen = decision.shadow
    if seen is None:
        return {}
    duties = [_duty("added", obligation) for obligation in seen.added[:MAX_LISTED]]
    duties += [_duty("removed", obligation) for obligation in seen.removed[: MAX_LISTED - len(duties)]]
    group = {
        "revision": seen.engine.revision,
        "digest": seen.engine.digest,
        "effect": seen.effect,
        "changed": seen.changed,
        "would_deny": [_why(reason) for reason in seen.reasons[:MAX_LISTED]],
        "would_deny_total": len(seen.reasons),
        "obligations": duties,
        "obligations_total": len(seen.added) + len(seen.removed),
        "error": seen.error or None,
        "duration_us": seen.duration_us,
    }
    return {"shadow": group}


def _why(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "rule": _name(reason.rule),
        "severity": reason.severity,
        "location": None if reason.location is None else str(reason.location),
    }


def _duty(change: str, obligation: Obligation) -> dict[str, Any]:
    return {
        "change": change,
        "type": _name(obligation.type),
        "rule": _name(obligation.rule),
        "entity": _parameter(obligation.params, "entity"),
        "operator": _parameter(obligation.params, "operator"),
    }


def _parameter(params: Mapping[str, Any], key: str) -> str | None:
    value = params.get(key)
    return _name(value) if isinstance(value, str) else None


def _name(text: str | None) -> str | None:
    return None if text is None else text[:_MAX_NAME]
