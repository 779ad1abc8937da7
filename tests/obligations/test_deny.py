"""Denials, headers and routes: what a decision obliges to, in the form that clients understand."""

from __future__ import annotations

import json

import pytest

from guard.errors import ObligationFailed
from guard.obligations import annotate, route
from guard.obligations.deny import denial, error_event
from guard.types import Decision, Obligation, Reason

CARD = Reason(
    code="policy_denied",
    title="Card numbers stay",
    message="1 card number for example",
    rule="PII-002",
    pointers=("/messages/0/content",),
    remediation="Remove the number.",
)
MODEL = Reason(code="policy_denied", title="Models per tenant", message="gpt-9 is not allowed", rule="MOD-001")


def denied(*reasons: Reason, outage: bool = False) -> Decision:
    return Decision(stage="request", effect="deny", reasons=reasons, outage=outage)


def test_a_denial_is_problem_details_and_an_openai_error_at_once() -> None:
    """One body that RFC 9457 readers and the OpenAI SDKs both understand."""
    answer = denial(denied(CARD), decision_id="d-1", request_id="r-1", dialect="openai")
    body = json.loads(answer.body)
    assert answer.status == body["status"] == 403
    assert dict(answer.headers)[b"content-type"] == b"application/problem+json"
    assert dict(answer.headers)[b"x-guard-decision-id"] == b"d-1"
    assert body["reasons"][0]["rule"] == "PII-002"
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["code"] == "content_policy_violation"
    assert body["error"]["param"] == "/messages/0/content"
    assert "[PII-002]" in body["error"]["message"]
    assert "Remove the number." in body["error"]["message"]


def test_a_denial_that_no_content_caused_says_policy_denied() -> None:
    """LiteLLM and its like treat content violations apart: a model that is not allowed is none."""
    body = json.loads(denial(denied(MODEL), decision_id="d", request_id="r", dialect="openai").body)
    assert (body["error"]["type"], body["error"]["code"]) == ("policy_denied", "policy_denied")


def test_on_anthropics_path_a_denial_has_anthropics_shape() -> None:
    """The Anthropic SDK reads type, error and request_id."""
    body = json.loads(denial(denied(CARD), decision_id="d", request_id="r-7", dialect="anthropic").body)
    assert body["type"] == "error"
    assert body["error"]["type"] == "permission_error"
    assert body["error"]["details"]["error_code"] == "content_policy_violation"
    assert body["request_id"] == "r-7"


def test_an_outage_is_503_with_retry_after_and_a_denial_is_never_retried() -> None:
    """Clients retry 5xx: right for an outage, wrong for a denial."""
    down = denial(denied(MODEL, outage=True), decision_id="d", request_id="r", dialect="openai")
    assert down.status == 503
    assert b"retry-after" in dict(down.headers)
    assert json.loads(down.body)["error"]["code"] == "guard_unavailable"
    no = denial(denied(MODEL), decision_id="d", request_id="r", dialect="openai")
    assert dict(no.headers)[b"x-should-retry"] == b"false"


def test_a_stream_is_stopped_with_an_error_event() -> None:
    """OpenAI clients read an error in data, Anthropic's an event of type error."""
    openai = error_event(denied(CARD), decision_id="d", request_id="r", dialect="openai")
    assert json.loads(openai.removeprefix(b"data: "))["error"]["code"] == "content_policy_violation"
    anthropic = error_event(denied(CARD), decision_id="d", request_id="r", dialect="anthropic")
    assert anthropic.startswith(b"event: error\ndata: ")
    assert anthropic.endswith(b"\n\n")


def test_annotate_gives_headers() -> None:
    """A policy may label an answer."""
    wanted = annotate.headers([Obligation(type="annotate", rule="A", params={"headers": {"X-Risk": "low"}})])
    assert wanted == [(b"x-risk", b"low")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-a": "split\r\nset-cookie: a=b"},
        {"x-a": ""},
        {"x-a": 7},
        {"Content-Length": "1"},
        {"set-cookie": "a=b"},
        {"x-guard-decision-id": "forged"},
        {"bad name": "x"},
    ],
)
def test_annotate_refuses_headers_that_would_split_or_forge_an_answer(headers: dict[str, object]) -> None:
    """Response splitting and headers that belong to the server or the guard fail with the rule's name."""
    with pytest.raises(ObligationFailed, match="rule A"):
        annotate.headers([Obligation(type="annotate", rule="A", params={"headers": headers})])


def test_route_leaves_one_choice() -> None:
    """The models in the order of preference, with the rule that chose them."""
    chosen = route.choice([Obligation(type="route", rule="R", params={"models": ["a", "b"], "provider": "p"})])
    assert chosen == {"models": ["a", "b"], "provider": "p", "rule": "R"}


def test_two_rules_that_choose_differently_contradict_each_other() -> None:
    """Nothing says which of them is meant: fail, do not guess."""
    both = [Obligation(type="route", rule=r, params={"models": [r]}) for r in ("R-1", "R-2")]
    with pytest.raises(ObligationFailed, match="R-2"):
        route.choice(both)
