"""Records as they are built: complete, free of raw identities, within the schema."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record.build import BodyDigest, ContentHasher, ObligationResult, decision_record, new_id, outcome_record
from guard.record.canonical import canonical
from guard.record.parts import MAX_POINTERS, MAX_REASONS, MAX_TEXT
from guard.record.schema import DecisionEntry, OutcomeEntry, read_record
from guard.types import (
    ANONYMOUS,
    Decision,
    DetectorInfo,
    DetectorOutcome,
    Obligation,
    Principal,
    Reason,
)
from tests.record.logs import ALICE, CARDS, ENGINE, KEYED, decision, document, outcome

ENVELOPE = {
    "v": 1,
    "origin": "policy-guard-0",
    "boot": "0" * 16,
    "seq": 3,
    "prev": "0" * 64,
    "ts_us": 1,
    "mono_us": 1,
}


def as_read(record: dict[str, Any]) -> Any:
    """The record as a reader of the log gets it: through canonical bytes and schema."""
    return read_record(canonical({"id": "x", **record, **ENVELOPE}))


def test_a_decision_record_tells_who_what_and_why() -> None:
    """Every group of fields is there, and fits the schema."""
    run = DetectorOutcome(DetectorInfo("pii", "1.0", "ef" * 32), "ok", 37)
    record = decision(1, effect="deny", detectors=(run,), request_body=b"body", trace_id="ab" * 16)
    entry = as_read(record)
    assert isinstance(entry, DecisionEntry)
    assert entry.who.id == KEYED.pseudonym("subject", "alice@example.com")
    assert entry.who.ip == KEYED.pseudonym("client", "192.0.2.7")
    assert (entry.who.tenant, entry.who.authenticated, entry.who.method) == ("acme", True, "jwt")
    assert (entry.what.route, entry.what.model, entry.what.provider) == ("/v1/**", "gpt-4o", "openai")
    assert (entry.decision.effect, entry.decision.http_status, entry.decision.fail) == ("deny", 403, None)
    (why,) = entry.why
    assert (why.rule, why.severity, why.pointers) == ("PII-002", "high", ["/messages/0/content"])
    assert why.location == "policies/pii.rego:12"
    assert entry.policy is not None
    assert (entry.policy.engine, entry.policy.revision) == ("embedded", "rev-7")
    assert entry.policy_input == document()
    assert entry.detectors[0].duration_us == 37
    assert entry.coverage.inspected == 1
    assert [(part.pointer, part.reason) for part in entry.coverage.skipped] == [("headers", "not_inspected")]


def test_no_raw_identity_enters_a_record() -> None:
    """Ids, addresses, free-form roles, request ids and bodies stand in the record as keyed pseudonyms only."""
    eve = Principal(type="user", id="eve@example.com", tenant="Müller & Co", roles=("Head of R+D",), method="jwt")
    record = decision_record(
        decision_id=new_id(),
        request_id="order for Eve Müller",
        trace_id="not a trace id!",
        principal=eve,
        client_ip="2001:db8::17",
        method="GET me",
        route=None,
        policy_input=None,
        decision=Decision(stage="request", effect="deny", reasons=(CARDS,)),
        http_status=400,
        detectors=(),
        config_digest="",
        entrypoint="data.guard.decision",
        keyed=KEYED,
        request_body=b"my card is 4111 1111 1111 1111",
        refusal=("json_invalid", "/messages/0"),
    )
    line = canonical(record).decode()
    for raw in ("eve@", "Eve", "Müller", "Head of", "2001:db8", "4111", "order for", "not a trace", "GET me"):
        assert raw not in line
    entry = as_read(record)
    assert entry.who.tenant == KEYED.pseudonym("tenant", "Müller & Co")
    assert entry.who.roles == [KEYED.pseudonym("role", "Head of R+D")]


def test_what_the_document_has_hashed_is_the_same_without_it() -> None:
    """Subject, address and request id are those of the policy input, which are hashed under the same purposes."""
    arguments = {"client_ip": "192.0.2.7", "request_id": "order for Eve", "principal": ALICE}
    context = {
        "client": KEYED.pseudonym("client", "192.0.2.7"),
        "request_id": KEYED.identifier("request", "order for Eve"),
    }
    with_document = decision(policy_input=document(context=context), **arguments)
    without = decision(policy_input=None, **arguments)
    for name in ("who", "request_id"):
        assert with_document[name] == without[name]
    assert without["who"]["ip"] == context["client"]


def test_an_anonymous_caller_has_no_pseudonym() -> None:
    """Nobody is nobody: the word anonymous is not hashed into an identity."""
    entry = as_read(decision(principal=ANONYMOUS, client_ip=None))
    assert (entry.who.type, entry.who.id, entry.who.ip) == ("anonymous", None, None)


def test_a_refused_body_says_that_nothing_was_inspected() -> None:
    """Coverage and failure of a refused body name the refusal and its place."""
    record = decision(effect="deny", policy_input=None, refusal=("json_duplicate_key", "/messages"))
    entry = as_read(record)
    assert (entry.refusal.code, entry.refusal.where) == ("json_duplicate_key", "/messages")
    assert [(part.pointer, part.reason) for part in entry.coverage.skipped] == [("/messages", "json_duplicate_key")]
    assert (entry.decision.fail.component, entry.decision.fail.policy) == ("content", "closed")
    assert entry.policy_input is None


@pytest.mark.parametrize(
    ("code", "component"), [("policy_timeout", "policy"), ("log_unavailable", "log"), ("guard_error", "guard")]
)
def test_an_outage_names_the_part_that_failed(code: str, component: str) -> None:
    """A decision that could not fall says which part of the guard failed, and that it failed closed."""
    reason = Reason(code=code, title="t", message="m", severity="critical")
    out = Decision(stage="request", effect="deny", reasons=(reason,), outage=True)
    fail = as_read(decision(decision=out, http_status=503)).decision.fail
    assert (fail.component, fail.kind, fail.policy) == (component, code, "closed")
    fail = as_read(decision(decision=Decision(stage="request", effect="deny", outage=True))).decision.fail
    assert (fail.component, fail.kind) == ("guard", "guard_error")


def test_obligations_stand_with_their_rule_and_result() -> None:
    """Without results they are pending; numbers with a fraction keep their spelling, since records hold integers."""
    entry = as_read(decision())
    assert [(duty.type, duty.rule, duty.result) for duty in entry.obligations] == [("redact", "PII-001", "pending")]
    limit = Obligation(type="limit", rule="L-1", params={"budget": 0.5, "keys": ("a", 2**60), "on": True, "ü": 1})
    entry = as_read(decision(obligations=(ObligationResult(limit, "done", 2),)))
    (duty,) = entry.obligations
    assert (duty.result, duty.count) == ("done", 2)
    assert duty.params == {"budget": "0.5", "keys": ["a", str(2**60)], "on": True}


def test_reasons_without_end_are_cut_and_counted() -> None:
    """Texts, pointers and reasons have bounds, and what was cut is said."""
    pointers = tuple(f"/messages/{number}" for number in range(500))
    long = Reason(code="policy_denied", title="t", message="m" * 5000, pointers=pointers)
    record = decision(decision=Decision(stage="request", effect="deny", reasons=(long,) * 100, engine=ENGINE))
    entry = as_read(record)
    assert len(entry.why) == MAX_REASONS + 1
    assert entry.why[-1].message == f"{100 - MAX_REASONS} more reasons are not listed."
    assert (len(entry.why[0].pointers), entry.why[0].pointers_total) == (MAX_POINTERS, 500)
    assert entry.why[0].message.startswith("m" * MAX_TEXT + "…")
    assert entry.why[0].message.endswith("(5000 code points)")


def test_an_outcome_record_tells_the_answers_fate() -> None:
    """Status, verdicts, redactions, size and duration are there, and fit the schema."""
    denied = Decision(stage="response", effect="deny", reasons=(CARDS,), engine=ENGINE)
    record = outcome(1, aborted="denied", decisions=(denied,), status=403, response_body=b"answer")
    entry = as_read(record)
    assert isinstance(entry, OutcomeEntry)
    assert (entry.decision_ref, entry.status, entry.upstream_status) == (decision(1)["id"], 403, 200)
    assert (entry.aborted, entry.restored, entry.size_bytes) == ("denied", 1, 512)
    assert [verdict.effect for verdict in entry.decisions] == ["deny"]
    assert entry.decisions[0].why[0].rule == "PII-002"
    assert entry.redactions == {"PERSON": 1}
    assert entry.content.bytes == 6
    bare = outcome_record(
        decision_ref="x", status=None, aborted="app_error", decisions=(), policy_input=None, keyed=KEYED
    )
    assert as_read(bare).coverage.inspected == 0


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_a_body_in_pieces_has_the_digest_of_the_whole(pieces: list[bytes]) -> None:
    """However a body is cut, its keyed digest and size are the same; without the key it cannot be guessed."""
    hasher = ContentHasher(KEYED)
    for piece in pieces:
        hasher.update(piece)
    whole = b"".join(pieces)
    content = decision(request_body=whole)["content"]
    assert hasher.finish() == BodyDigest(content["digest"], len(whole))
    assert decision(request_body=hasher.finish())["content"] == content
    assert re.fullmatch(r"hmac:testkey1:[0-9a-f]{32}", content["digest"])


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    """Ids carry their millisecond first, version and variant as RFC 9562 says, and differ."""
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == 2000
    for text in ids:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
        assert before <= parsed.int >> 80 <= after


def test_records_are_plain_json() -> None:
    """What is built is JSON that goes both ways."""
    for record in (decision(), outcome(), decision(effect="deny", principal=ALICE)):
        assert json.loads(canonical(record)) == record
