"""Why one recorded decision fell, rule by rule: where each stands, which bodies held, and what they read, with the
values that the recorded policy input has at these places. It is free of raw text, and so is this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from guard.policy.document import restore
from guard.policy.places import Read, read_at
from guard.review.found import Found, found_in
from guard.review.query import Exchange


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. ``rule`` is ``None`` for a reason of the guard itself (``code``). ``fired`` are the bodies that held
    for it, as ``file:row``."""

    code: str
    rule: str | None
    title: str
    severity: str
    message: str
    pointers: list[str]
    pointers_total: int
    remediation: str
    location: str | None
    fired: list[str]
    reads: list[Read]


class Obliged(msgspec.Struct, frozen=True, kw_only=True):
    """One obligation and what became of it."""

    type: str
    rule: str
    params: dict[str, Any]
    result: str
    count: int
    location: str | None


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict with its causes: on the request, or on the answer. ``input_recorded`` is false where the record has
    no policy input, so that what was read has no values."""

    stage: str
    effect: str
    causes: list[Cause]
    in_shadow: list[Cause]
    obligations: list[Obliged]
    input_recorded: bool


class Because(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded exchange, explained. ``found`` is what was found in the request, then in the answer, ``anomaly`` how
    unusual the request was for its caller (as in the policy input). ``candidate`` are the policies in shadow, as
    recorded."""

    id: str
    ts_us: int
    effect: str
    http_status: int | None
    who: dict[str, Any]
    what: dict[str, Any]
    rulings: list[Ruling]
    found: list[Found]
    anomaly: dict[str, Any] | None
    coverage: dict[str, Any]
    policy: dict[str, Any] | None
    candidate: dict[str, Any] | None


def because(exchange: Exchange) -> Because:
    """The causes of a decision and of the verdicts on its answer, from the records alone."""
    decision, outcome = exchange.decision, exchange.outcome
    rulings = [_ruling(decision, decision["stage"], decision["decision"]["effect"], decision["policy_input"])]
    if outcome is not None:
        # The recorded document of the answer is that of the last verdict.
        last = len(outcome["decisions"]) - 1
        rulings += [
            _ruling(verdict, "response", verdict["effect"], outcome["policy_input"] if number == last else None)
            for number, verdict in enumerate(outcome["decisions"])
        ]
    return Because(
        id=decision["id"],
        ts_us=decision["ts_us"],
        effect=decision["decision"]["effect"],
        http_status=decision["decision"]["http_status"],
        who=decision["who"],
        what=decision["what"],
        rulings=rulings,
        found=[*found_in(decision), *found_in(outcome)],
        anomaly=restore(decision["policy_input"])["anomaly"] if decision["policy_input"] else None,
        coverage=decision["coverage"],
        policy=decision["policy"],
        candidate=decision.get("shadow"),
    )


def _ruling(verdict: Mapping[str, Any], stage: str, effect: str, recorded: Mapping[str, Any] | None) -> Ruling:
    documents = {} if recorded is None else {"input": restore(recorded)}
    return Ruling(
        stage=stage,
        effect=effect,
        causes=_causes(verdict["why"], documents),
        in_shadow=_causes(verdict["would_deny"], documents),
        obligations=[
            Obliged(
                type=duty["type"],
                rule=duty["rule"],
                params=duty["params"],
                result=duty["result"],
                count=duty["count"],
                location=duty.get("location"),
            )
            for duty in verdict["obligations"]
        ],
        input_recorded=recorded is not None,
    )


def _causes(whys: Iterable[Mapping[str, Any]], documents: Mapping[str, Any]) -> list[Cause]:
    return [
        Cause(
            code=why["code"],
            rule=why["rule"],
            title=why["title"],
            severity=why["severity"],
            message=why["message"],
            pointers=why["pointers"],
            pointers_total=why["pointers_total"],
            remediation=why["remediation"],
            location=why["location"],
            # Logs that were written before these fields existed have none of them.
            fired=why.get("fired", []),
            reads=[read_at(place, documents) for place in why.get("reads", [])],
        )
        for why in whys
    ]
