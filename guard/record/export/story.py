"""What one exchange comes to, request and answer together: what a copy for other systems tells."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal, TypeAlias

import msgspec

from guard.record.export.exchanges import Exchange

Action: TypeAlias = Literal["allowed", "denied", "observed", "modified", "failed_open", "failed_closed"]
"""``observed``: something in shadow mode would have denied. ``modified``: something was rewritten. ``failed_open`` and
``failed_closed``: the guard could not decide, and let it pass or did not."""

SEVERITIES: Final = ("low", "medium", "high", "critical")


class Story(msgspec.Struct, frozen=True):
    """An exchange, summed up. ``why`` and ``would_deny`` are reasons as they stand in the records, each rule once;
    ``redactions`` counts what was rewritten by entity, in both directions. ``severity`` is that of the worst reason of
    ``why`` (for ``observed`` of ``would_deny``), ``""`` without one."""

    action: Action
    stage: Literal["request", "response"]
    why: tuple[dict[str, Any], ...]
    would_deny: tuple[dict[str, Any], ...]
    obligations: tuple[dict[str, Any], ...]
    redactions: dict[str, int]
    severity: str
    fail: dict[str, Any] | None

    @property
    def denied(self) -> bool:
        """Whether the request or its answer was stopped."""
        return self.action in ("denied", "failed_closed")


def told(exchange: Exchange) -> Story:
    """The story of an exchange."""
    request, outcome = exchange.decision, exchange.outcome or {}
    answers: list[dict[str, Any]] = list(outcome.get("decisions", ()))
    ruling = request["decision"]
    enforced = ruling["mode"] == "enforce"
    refused = ruling["effect"] == "deny" and enforced
    stopped = any(answer["effect"] == "deny" for answer in answers) and enforced
    fails = [fail for fail in (ruling["fail"], *(answer.get("fail") for answer in answers)) if fail]
    # What stopped it, if something did, else what it passed in spite of.
    fails.sort(key=lambda fail: (fail["policy"] == "closed") != (refused or stopped))
    fail = fails[0] if fails else None
    verdicts = [request, *answers]
    why = _each_rule_once(verdicts, "why")
    would_deny = (
        _each_rule_once(verdicts, "would_deny") if enforced else (*why, *_each_rule_once(verdicts, "would_deny"))
    )
    redactions: Counter[str] = Counter(request["redactions"]) + Counter(outcome.get("redactions", {}))
    if refused or stopped:
        # A body that cannot be read is refused for what it is, not because something failed here.
        failed = fail is not None and fail["policy"] == "closed" and fail["component"] != "content"
        action: Action = "failed_closed" if failed else "denied"
    elif fail:
        action = "failed_open"
    elif redactions:
        action = "modified"
    else:
        action = "observed" if would_deny else "allowed"
    return Story(
        action=action,
        stage="response" if stopped and not refused else "request",
        why=why,
        would_deny=would_deny,
        obligations=tuple(duty for verdict in verdicts for duty in verdict["obligations"]),
        redactions=dict(sorted(redactions.items())),
        severity=_worst(would_deny if action == "observed" else why),
        fail=fail,
    )


def _each_rule_once(verdicts: list[dict[str, Any]], field: str) -> tuple[dict[str, Any], ...]:
    found = {
        (reason["rule"], reason["code"]): reason
        for verdict in reversed(verdicts)
        for reason in reversed(verdict[field])
    }
    return tuple(reversed(found.values()))


def _worst(reasons: tuple[dict[str, Any], ...]) -> str:
    return max((reason["severity"] for reason in reasons), key=SEVERITIES.index, default="")
