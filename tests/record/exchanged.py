"""Exchanges of every sort, as they stand in a log: for the exports."""

from __future__ import annotations

from typing import Any

from guard.record.export.exchanges import Ending, Exchange
from guard.types import Decision, DecisionRecord, Principal, Reason
from tests.record.logs import CARDS, ENGINE, ORIGIN, decision, document, outcome

BOOT = "00000000000000aa"


def placed(record: DecisionRecord, seq: int = 1, *, origin: str = ORIGIN, boot: str = BOOT) -> DecisionRecord:
    """The record with what the writer adds."""
    stamps = {"ts_us": 1_760_000_000_000_000 + seq, "mono_us": seq}
    own = {"v": 1, "origin": origin, "boot": boot, "seq": seq, "prev": "0" * 64, "id": f"id-{seq}"}
    return {**own, **stamps, **record}


def verdict(effect: str = "allow", **changes: Any) -> Decision:
    """A verdict on a request; of the shipped engine, unless said otherwise."""
    arguments: dict[str, Any] = {"stage": "request", "effect": effect, "engine": ENGINE, "duration_us": 120}
    return Decision(**{**arguments, **changes})


def exchange(ending: Ending = "recorded", *, answer: dict[str, Any] | None = None, **request: Any) -> Exchange:
    """A decision of these changes and, where it is recorded, its outcome."""
    return Exchange(
        placed(decision(**request), 1),
        placed(outcome(**{"redactions": {}, **(answer or {})}), 2) if ending == "recorded" else None,
        ending,
    )


BROKEN = Reason(code="policy_timeout", rule=None, title="The policy did not answer", message="", severity="high")
SECRETS = Reason(code="policy_denied", rule="SEC-001", title="=secret", message="", severity="critical")
NOBODY = Principal(type="anonymous", id="", tenant=None, roles=(), authenticated=False, method="anonymous")

EXCHANGES: dict[str, Exchange] = {
    "allowed": exchange(),
    "modified": exchange(redactions={"PERSON": 2}),
    "modified_answer": exchange(answer={"redactions": {"EMAIL_ADDRESS": 1}}),
    "denied": exchange("none", effect="deny"),
    "denied_answer": exchange(
        answer={"decisions": (verdict("deny", stage="response", reasons=(SECRETS,)),), "aborted": "denied"}
    ),
    "observed": exchange(decision=verdict(would_deny=(CARDS,))),
    "failed_closed": exchange("none", decision=verdict("deny", outage=True, reasons=(BROKEN,), engine=None)),
    "failed_open": exchange(decision=verdict(fail_open="policy_timeout", engine=None), policy_input=None),
    "failed_closed_answer": exchange(
        answer={"decisions": (verdict("deny", stage="response", outage=True, reasons=(BROKEN,)),), "status": 503}
    ),
    "refused_unread": exchange("none", effect="deny", policy_input=None, refusal=("json_invalid", ""), http_status=400),
    "anonymous": exchange(principal=NOBODY, client_ip=None, request_id=None),
    "service": exchange(principal=Principal(type="service", id="batch", tenant=None, roles=(), authenticated=True)),
    "no_model": exchange(
        method="GET",
        policy_input=document(
            resource={"type": "route", "route": "/files/**", "model": None, "provider": None},
            ai={"operation": None, "messages": 0, "tools": [], "tool_calls": [], "stream": False},
        ),
    ),
    "odd_method": exchange(method="BREW", policy_input=None, route=None),
    "traced": exchange(trace_id="4bf92f3577b34da6a3ce929d0e0e4736"),
    "unfinished": exchange("missing"),
    "unjoined": exchange("unjoined"),
    "broken_off": exchange(answer={"status": None, "upstream_status": None, "aborted": "client_left"}),
    "server_error": exchange(answer={"status": 502, "upstream_status": 502}),
}
