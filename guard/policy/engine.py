"""From an engine's answer to a Decision: the one place in which silence, nonsense, errors and lateness become denials.

=====================  ========  ======  =====================================================================
what happened          effect    outage  reason code
=====================  ========  ======  =====================================================================
a rule denied          deny      no      ``policy_denied``
no value               deny      no      ``policy_undefined``
an answer of another   deny      yes     ``policy_error``
shape, or an error
no answer in time      deny      yes     ``policy_timeout``
engine not reached,    deny      yes     ``engine_unavailable``
or not asked because
it is known to be out
answered by policies   deny      yes     ``policies_unexpected``
that are not accepted
=====================  ========  ======  =====================================================================

An outage is answered 503, a denial 403. A reason denies whatever ``allow`` says beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, get_args

from guard.errors import EngineUnavailable, GuardError, PolicyEvaluationError, PolicyTimeout, UnexpectedPolicies
from guard.policy.explain import Spoken, Told
from guard.types import UNDEFINED, Decision, Obligation, PolicyEngine, Reason, RuleInfo, Severity, Stage, Verdict

_PARTS: Final = frozenset({"allow", "reasons", "obligations", "would_deny"})
_SEVERITIES: Final = frozenset(get_args(Severity))
_MESSAGE_CHARACTERS: Final = 500
_POINTERS: Final = 64
_UNTOLD: Final = Spoken(None, (), ())
_REMEDY: Final = {
    "policy_denied": "Ask the owner of the policy what the rule asks for.",
    "policy_undefined": "Give the entrypoint a value for every input, or correct policy.entrypoint.",
    "policy_error": "Look at the policy: guard policy eval shows what it answers to a recorded input.",
    "policy_timeout": "Try again; if it stays, raise limits.policy_deadline_ms or make the policy cheaper.",
    "engine_unavailable": "Try again; if it stays, start the policy engine or correct its address.",
    "policies_unexpected": "Give the policy engine the expected policies, or correct policy.opa.revisions.",
}
_TITLE: Final = {
    "policy_denied": "Denied by policy",
    "policy_undefined": "The policy has no answer",
    "policy_error": "The policy failed",
    "policy_timeout": "The policy did not answer in time",
    "engine_unavailable": "The policy engine cannot be reached",
    "policies_unexpected": "The policy engine has other policies than expected",
}


async def decide(engine: PolicyEngine, document: Mapping[str, Any], *, stage: Stage, deadline: float) -> Decision:
    """What happens to the exchange. Never raises for what an engine does; cancellation passes through.

    ``deadline`` is a value of ``time.monotonic()``; an engine that does not keep it itself is left behind. One with
    ``waits = False`` never gives the loop away: no timer could stop it, and none is set.
    """
    started = time.perf_counter_ns()
    outage = False
    reasons: tuple[Reason, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    would_deny: tuple[Reason, ...] = ()
    verdict: Verdict | None = None
    try:
        if getattr(engine, "waits", True):
            async with asyncio.timeout(deadline - time.monotonic()):
                verdict = await engine.evaluate(document, deadline=deadline)
        else:
            verdict = await engine.evaluate(document, deadline=deadline)
        if verdict.value is UNDEFINED:
            reasons = (_failure("policy_undefined", "The entrypoint is undefined for this input."),)
        else:
            reasons, obligations, would_deny = _read(verdict, engine.rules)
    except (PolicyTimeout, EngineUnavailable, UnexpectedPolicies, PolicyEvaluationError) as error:
        reasons, outage = (_failure(error.code, error.what),), True
    except TimeoutError:
        reasons, outage = (_failure("policy_timeout", "The engine kept the request past its deadline."),), True
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is a denial
        what = error.what if isinstance(error, GuardError) else f"The engine raised {type(error).__name__}."
        reasons, outage = (_failure("policy_error", what),), True
    return Decision(
        stage=stage,
        effect="deny" if reasons else "allow",
        reasons=reasons,
        obligations=obligations,
        would_deny=would_deny,
        outage=outage,
        engine=(verdict and verdict.engine) or engine.info,
        engine_decision_id=verdict.engine_decision_id if verdict else "",
        duration_us=(time.perf_counter_ns() - started) // 1000,
    )


def _failure(code: str, message: str) -> Reason:
    return Reason(
        code=code,
        title=_TITLE[code],
        message=message[:_MESSAGE_CHARACTERS],
        severity="critical",
        remediation=_REMEDY[code],
    )


def _read(
    verdict: Verdict, rules: Mapping[str, RuleInfo]
) -> tuple[tuple[Reason, ...], tuple[Obligation, ...], tuple[Reason, ...]]:
    """Reasons, obligations and shadow reasons of an answer. Raises ``PolicyEvaluationError`` if it is no decision."""
    value = verdict.value
    if not isinstance(value, dict):
        raise _no_decision(f"is {_kind(value)}, not an object")
    allow = value.get("allow")
    if not isinstance(allow, bool):
        raise _no_decision("has no boolean 'allow'")
    if unknown := value.keys() - _PARTS:
        raise _no_decision(f"has an unknown member {min(map(repr, unknown))}")
    told = Told(verdict)
    reasons = tuple(_reason(item, rules, told) for item in _items(value, "reasons"))
    if not reasons and not allow:
        reasons = (_denial(None, "The policy denied without giving a reason.", "high", ()),)
    try:
        obligations = tuple(_obligation(item, rules, told) for item in _items(value, "obligations"))
        would_deny = tuple(_reason(item, rules, told) for item in _items(value, "would_deny"))
    except PolicyEvaluationError as error:
        if reasons:  # A rule's denial stands, and is no outage, whatever else is wrong with the answer.
            return (*reasons, _failure(error.code, error.what)), (), ()
        raise
    return reasons, obligations, would_deny


def _items(value: Mapping[str, Any], name: str) -> list[Any]:
    items = value.get(name, [])
    if not isinstance(items, list):
        raise _no_decision(f"has {_kind(items)} as {name!r}, not a set or an array")
    return items


def _reason(item: Any, rules: Mapping[str, RuleInfo], told: Told) -> Reason:
    """A reason joined with its rule's annotation, and with what the verdict tells of the rule. Whatever stands among
    the reasons is one, even of an odd shape."""
    if isinstance(item, str):
        return _denial(None, item, "high", ())
    if not isinstance(item, dict):
        return _denial(None, f"The policy gave {_kind(item)} as a reason.", "high", ())
    rule, message, pointers = item.get("id"), item.get("message"), item.get("pointers")
    rule = rule if isinstance(rule, str) else None
    message = message if isinstance(message, str) else "The policy gave no message."
    places = tuple(p for p in pointers if isinstance(p, str)) if isinstance(pointers, list) else ()
    spoken = _UNTOLD if rule is None else told[rule]
    info = rules.get(rule) if rule is not None else None
    if info is None:
        severity = item.get("severity")
        known: Severity = severity if isinstance(severity, str) and severity in _SEVERITIES else "high"  # type: ignore[assignment]
        return _denial(rule, message, known, places, spoken)
    return Reason(
        code="policy_denied",
        title=info.title,
        message=message[:_MESSAGE_CHARACTERS],
        rule=rule,
        severity=info.severity,
        pointers=places[:_POINTERS],
        remediation=info.remediation,
        location=spoken.location or info.location,
        fired=spoken.fired,
        reads=spoken.reads,
    )


def _denial(
    rule: str | None, message: str, severity: Severity, pointers: tuple[str, ...], spoken: Spoken = _UNTOLD
) -> Reason:
    return Reason(
        code="policy_denied",
        title=_TITLE["policy_denied"],
        message=message[:_MESSAGE_CHARACTERS],
        rule=None if rule is None else rule[:128],
        severity=severity,
        pointers=pointers[:_POINTERS],
        remediation=_REMEDY["policy_denied"],
        location=spoken.location,
        fired=spoken.fired,
        reads=spoken.reads,
    )


def _obligation(item: Any, rules: Mapping[str, RuleInfo], told: Told) -> Obligation:
    if not isinstance(item, dict):
        raise _no_decision(f"has {_kind(item)} as an obligation, not an object")
    type_, rule = item.get("type"), item.get("id")
    if not isinstance(type_, str) or not isinstance(rule, str):
        raise _no_decision("has an obligation without a string 'id' and a string 'type'")
    spoken, info = told[rule], rules.get(rule)
    return Obligation(
        type=type_,
        rule=rule,
        params={k: v for k, v in item.items() if k not in {"id", "type"}},
        location=spoken.location or (None if info is None else info.location),
        reads=spoken.reads,
    )


def _no_decision(what: str) -> PolicyEvaluationError:
    return PolicyEvaluationError(f"The policy's answer {what}.")


def _kind(value: Any) -> str:
    """How a JSON value is called, never the value itself."""
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "null" if value is None else "something that is no JSON")
