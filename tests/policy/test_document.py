"""The policy document: what rules see is complete, free of raw text, bounded and exactly what the log gives back."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.document import LIMIT_BYTES, recorded, restore
from guard.policy.networks import Networks
from guard.types import (
    Anomaly,
    Content,
    Coverage,
    Facts,
    Feature,
    Finding,
    Incomplete,
    Named,
    Principal,
    Segment,
    Skipped,
)
from tests.policy.documents import KEYED, chat, document, varied
from tests.policy.schema import violations


def test_the_document_of_an_ordinary_chat() -> None:
    """Every field stands there with its value, in the shape of version 1."""
    found = document(
        findings=[Finding("EMAIL_ADDRESS", 0, 0, 3, 0.85, "pii"), Finding("EMAIL_ADDRESS", 0, 4, 5, 0.5, "pii")],
        anomaly=Anomaly(0.12345, (Feature("rate", 3.0004, 1.5, 1.0),)),
    )
    assert found == {
        "version": 1,
        "stage": "request",
        "subject": {
            "type": "user",
            "id": KEYED.pseudonym("subject", "alice@example.com"),
            "tenant": "acme",
            "roles": ["dev"],
            "groups": [],
            "authenticated": True,
            "attributes": {},
        },
        "action": {"name": "chat", "method": "POST"},
        "resource": {"type": "model", "route": "/v1/**", "model": "gpt-4o", "provider": "openai"},
        "context": {
            "time": 1_764_000_000_000_000,
            "client": KEYED.pseudonym("client", "10.1.2.3"),
            "networks": ["lab", "office"],
            "request_id": "0190a000-0000-7000-8000-000000000001",
            "size_bytes": 71,
            "media_type": "application/json",
        },
        "ai": {
            "operation": "chat",
            "messages": 1,
            "tools": [],
            "stream": False,
            "max_tokens": None,
            "intent": {"name": None, "score": 0.0, "difficulty": 0.0},
            "tool_calls": [],
            "tokens_estimate": 9,
        },
        "findings": [
            {
                "type": "EMAIL_ADDRESS",
                "detector": "pii",
                "score": 0.85,
                "pointer": "/messages/0/content",
                "provenance": "user",
                "count": 2,
            }
        ],
        "anomaly": {
            "score": 0.123,
            "scope": None,
            "second": None,
            "features": [
                {
                    "name": "rate",
                    "value": 3.0,
                    "expected": 1.5,
                    "spread": 0.0,
                    "rarity": 0.0,
                    "drift": False,
                    "share": 1.0,
                }
            ],
        },
        "coverage": {"inspected": ["/messages/0/content", "/model"], "skipped": [], "incomplete": []},
    }


def test_every_field_is_present_for_an_empty_exchange() -> None:
    """A rule never vanishes on an undefined reference: what is unknown is null, empty or false."""
    full = document()
    empty = document(
        principal=Principal(type="anonymous", id="anonymous"),
        content=Content(media_type="text/plain", size_bytes=0),
        route=None,
        provider=None,
        client_ip=None,
        request_id=None,
        coverage=Coverage(),
    )
    assert _paths(empty) == _paths(full)
    assert empty["resource"] == {"type": "endpoint", "route": None, "model": None, "provider": None}
    assert empty["action"]["name"] == "call"
    assert violations(empty) == []


def _paths(value: Any) -> set[str]:
    if not isinstance(value, dict):
        return {""}
    return {f".{key}{rest}" for key, member in value.items() for rest in _paths(member)} | {""}


def test_built_documents_match_the_published_schema() -> None:
    """policies/schemas/input.v1.json describes what is built, with no field more or less."""
    for found in varied(120):
        assert violations(found) == []


def test_the_schema_check_can_fail() -> None:
    """A raw string, a missing field and a field too many are each told."""
    found = document()
    assert violations({**found, "extra": 1}) == ["/: unknown member extra"]
    assert violations({k: v for k, v in found.items() if k != "anomaly"}) == ["/: member anomaly is missing"]
    raw = {**found, "resource": {**found["resource"], "model": "my own words"}}
    assert [v.split(":")[0] for v in violations(raw)] == ["/resource/model"]


@pytest.mark.parametrize("value", ["two words", "a@b.example", "x" * 129, "", "größer", "a\nb", 'a"b', "+4312345"])
def test_a_string_that_is_no_name_enters_as_its_pseudonym(value: str) -> None:
    """Model, tool, tenant, role, group, claim and request id are free text to an attacker."""
    found = document(
        principal=Principal(
            type="user", id="u", tenant=value, roles=(value,), groups=(value,), attributes={"claim": value, value: 1}
        ),
        content=chat(model=value, tools=(Named(value, "/tools/0/name"),), tool_calls=(Named(value, "/m/0"),)),
        request_id=value,
        method=value,
    )
    assert found["resource"]["model"] == KEYED.pseudonym("model", value)
    assert found["subject"]["tenant"] == KEYED.pseudonym("tenant", value)
    assert found["subject"]["roles"] == [KEYED.pseudonym("role", value)]
    assert found["subject"]["groups"] == [KEYED.pseudonym("group", value)]
    assert found["subject"]["attributes"] == {
        "claim": KEYED.pseudonym("attribute", value),
        KEYED.pseudonym("attribute", value): 1,
    }
    assert found["ai"]["tools"] == [KEYED.pseudonym("tool", value)]
    assert found["ai"]["tool_calls"][0]["name"] == KEYED.pseudonym("tool", value)
    assert found["context"]["request_id"] == KEYED.pseudonym("request", value)
    assert found["action"]["method"] == KEYED.pseudonym("method", value)
    if value:
        assert value not in json.dumps(found, ensure_ascii=False).replace("\\n", "\n").replace('\\"', '"')


def test_a_name_with_a_finding_at_its_place_enters_as_its_pseudonym() -> None:
    """A key that looks like a model name does not enter through the model field."""
    key = "AKIAIOSFODNN7EXAMPLE"
    content = chat(model=key)
    found = document(content=content, findings=[Finding("AWS_ACCESS_KEY", 1, 0, 20, 1.0, "secrets")])
    assert found["resource"]["model"] == KEYED.pseudonym("model", key)
    assert key not in json.dumps(found)


def test_a_tool_name_with_a_finding_at_its_place_enters_as_its_pseudonym() -> None:
    """The same for tools that are offered and tools that are called."""
    content = Content(
        media_type="application/json",
        size_bytes=1,
        segments=(Segment.of("alice", "/tools/0/name", "definition"),),
        facts=Facts(
            operation="messages",
            tools=(Named("alice", "/tools/0/name"), Named("search", "/tools/1/name")),
            tool_calls=(Named("alice", "/tools/0/name"),),
        ),
    )
    found = document(content=content, findings=[Finding("PERSON", 0, 0, 5, 0.9, "names")])
    assert found["ai"]["tools"] == [KEYED.pseudonym("tool", "alice"), "search"]
    assert found["ai"]["tool_calls"] == [
        {"name": KEYED.pseudonym("tool", "alice"), "pointer": "/tools/0/name", "facts": {}}
    ]


def test_no_text_of_the_body_and_no_identity_enters() -> None:
    """Texts, the caller's id and the client's address leave no trace in the document."""
    marker = "zebra"
    found = document(
        principal=Principal(type="user", id=f"{marker}-id", tenant="acme"),
        content=chat(f"{marker} one", f"{marker} two"),
        client_ip="203.0.113.77",
        findings=[Finding("PERSON", 0, 0, 5, 0.9, "names", "pattern")],
    )
    text = json.dumps(found)
    assert marker not in text
    assert "203.0.113" not in text


def test_an_attribute_that_json_readers_disagree_about_is_hidden() -> None:
    """RFC 8785: integers beyond 2^53 are not portable; booleans and small integers stay."""
    principal = Principal(type="user", id="u", attributes={"big": 2**53, "edge": 2**53 - 1, "yes": True})
    attributes = document(principal=principal)["subject"]["attributes"]
    assert attributes["edge"] == 2**53 - 1
    assert attributes["yes"] is True
    assert attributes["big"].startswith("hmac:test1:")


@pytest.mark.parametrize(
    ("media_type", "kept"),
    [
        ("application/vnd.api+json", True),
        ("image/svg+xml", True),
        ("", True),
        ("text/my words", False),
        ("TEXT/ÄÖ", False),
    ],
)
def test_a_media_type_enters_if_it_is_one(media_type: str, kept: bool) -> None:
    """Types with a structured suffix (RFC 6838) are kept, free text is not."""
    found = document(content=Content(media_type=media_type, size_bytes=0))["context"]["media_type"]
    assert (found == media_type) is kept
    assert kept or found == KEYED.pseudonym("media_type", media_type)


def test_a_media_type_in_which_something_was_found_is_hidden() -> None:
    """As model and tool names are; the usual ones hold no words of the client's."""
    segments = (Segment.of("x", "headers/content-type", "metadata"),)
    findings = [Finding("IP_ADDRESS", 0, 0, 1, 0.9, "pii")]
    for media_type, hidden in (("application/10.0.0.1", True), ("application/json", False)):
        content = Content(media_type=media_type, size_bytes=0, segments=segments)
        found = document(content=content, findings=findings)["context"]["media_type"]
        assert found == (KEYED.pseudonym("media_type", media_type) if hidden else media_type)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(math.nan, 1.0), (math.inf, 1.0), (-1.0, 0.0), (0.1234567, 0.123), (0.9996, 1.0), (-0.0, 0.0)],
)
def test_scores_are_quantised_within_bounds(score: float, expected: float) -> None:
    """Thousandths of 0..1; what is not a number is as suspicious as can be."""
    found = document(findings=[Finding("PERSON", 0, 0, 1, score, "names")], anomaly=Anomaly(score))
    assert found["findings"][0]["score"] == expected
    assert found["anomaly"]["score"] == expected
    assert math.copysign(1, found["anomaly"]["score"]) == 1


def test_the_highest_score_wins_whatever_the_order() -> None:
    """A score that is not a number does not hide a high one, nor the other way round."""
    for scores, highest in (([0.2, 0.9], 0.9), ([0.9, 0.2], 0.9), ([math.nan, 0.2], 1.0), ([0.2, math.nan], 1.0)):
        entry = document(findings=[Finding("PERSON", 0, 0, 1, s, "names") for s in scores])["findings"]
        assert [(e["count"], e["score"]) for e in entry] == [(2, highest)]


def test_a_finding_says_whose_words_it_stands_in() -> None:
    """What a tool brought is told apart from the caller's own words, also where both are told as one position."""
    texts = [Segment.of("x", f"/messages/{i}/content", "tool" if i % 2 else "user") for i in range(600)]
    content = msgspec.structs.replace(chat(), segments=tuple(texts))
    for many in (2, 600):
        found = document(content=content, findings=[Finding("A", i, 0, 1, 0.5, "d") for i in range(many)])["findings"]
        assert {(e["provenance"], e["count"]) for e in found} == {("tool", many // 2), ("user", many // 2)}
        assert len(found) == 2
    key = (Segment.of("x", "/a", "key"), Segment.of("x", "/a", "unknown"))
    both = document(
        content=msgspec.structs.replace(chat(), segments=key),
        findings=[Finding("A", i, 0, 1, 0.5, "d") for i in (0, 1)],
    )
    assert [(e["pointer"], e["provenance"]) for e in both["findings"]] == [("/a", "key"), ("/a", "unknown")]
    assert violations(both) == []


def test_findings_come_in_one_order_whoever_was_first() -> None:
    """Detectors run side by side; the document does not depend on which finished first."""
    findings = [Finding(t, s, 0, 1, 0.5, d) for t, d in (("A", "x"), ("B", "y"), ("A", "y")) for s in (0, 1)]
    assert document(findings=findings) == document(findings=findings[::-1])


def test_skipped_positions_of_reading_and_of_inspection_are_told_once() -> None:
    """What reading skipped is told even if the pipeline does not repeat it."""
    image = Skipped("/messages/0/content/1", "image")
    content = msgspec.structs.replace(chat(), skipped=(image,))
    for coverage in (Coverage(), Coverage(skipped=(image,))):
        found = document(content=content, coverage=coverage)["coverage"]["skipped"]
        assert found == [{"pointer": "/messages/0/content/1", "reason": "image"}]


def test_the_answers_document_keeps_what_was_asked() -> None:
    """At stage response, subject, action, resource and offered tools are those of the request."""
    asked = document(content=chat(tools=(Named("search", "/t"),), max_tokens=5))
    answer = Content(
        media_type="application/json",
        size_bytes=40,
        segments=(Segment.of("hi", "/choices/0/message/content", "assistant"),),
        facts=Facts(operation="chat", tool_calls=(Named("run", "/choices/0"),), tokens_estimate=3),
    )
    found = document(
        stage="response",
        request=asked,
        principal=Principal(type="anonymous", id="x"),
        content=answer,
        findings=[Finding("PERSON", 0, 0, 1, 0.5, "names")],
        coverage=Coverage(inspected=("/choices/0/message/content",)),
    )
    assert {k: found[k] for k in ("subject", "action", "resource")} == {
        k: asked[k] for k in ("subject", "action", "resource")
    }
    assert found["ai"] == {
        **asked["ai"],
        "tool_calls": [{"name": "run", "pointer": "/choices/0", "facts": {}}],
        "tokens_estimate": 3,
    }
    assert found["findings"][0]["pointer"] == "/choices/0/message/content"
    assert found["context"]["size_bytes"] == 40


# --- bounds ---------------------------------------------------------------------------------------------------------


def _bytes(found: dict[str, Any]) -> int:
    return len(msgspec.json.encode(found))


def test_many_findings_collapse_without_losing_a_type_or_a_count() -> None:
    """Five thousand positions become one entry a type, with the sum of counts and the highest score."""
    segments = tuple(Segment.of("x", f"/rows/{i}/name", "user") for i in range(5000))
    findings = [Finding(("PERSON", "US_SSN")[i % 2], i, 0, 1, 0.5 + (i == 4999) * 0.25, "pii") for i in range(5000)]
    found = document(
        content=Content(media_type="application/json", size_bytes=1, segments=segments),
        findings=findings,
        coverage=Coverage(inspected=tuple(s.pointer for s in segments)),
    )
    assert sum(e["count"] for e in found["findings"]) == 5000
    assert {(e["type"], e["score"]) for e in found["findings"]} == {("PERSON", 0.5), ("US_SSN", 0.75)}
    assert found["coverage"]["incomplete"] == []
    assert _bytes(found) < LIMIT_BYTES


def test_an_enormous_body_is_told_by_its_first_tokens() -> None:
    """Thousands of positions are one line for each member of the body, an array's indexes one line for all."""
    for first, told in (("rows", "/rows/**"), ("17", "/*/**")):
        coverage = Coverage(inspected=tuple(f"/{first}/{i}/name" for i in range(5000)))
        assert document(coverage=coverage)["coverage"]["inspected"] == [told]


def test_indexes_collapse_before_names_do() -> None:
    """Three hundred messages are told as /messages/*/content."""
    segments = tuple(Segment.of("x", f"/messages/{i}/content", "user") for i in range(300))
    found = document(
        content=Content(media_type="application/json", size_bytes=1, segments=segments),
        findings=[Finding("PERSON", i, 0, 1, 0.5, "names") for i in range(300)],
        coverage=Coverage(inspected=tuple(s.pointer for s in segments)),
    )
    assert found["coverage"]["inspected"] == ["/messages/*/content"]
    assert [(e["pointer"], e["count"]) for e in found["findings"]] == [("/messages/*/content", 300)]


def test_more_types_than_fit_are_an_incomplete_inspection() -> None:
    """A flood of entities cannot push one out of sight: what does not fit is told, and GUARD-001 denies it."""
    findings = [Finding(f"TERM:{'x' * 100}{i}", 0, 0, 1, 0.5, "terms") for i in range(500)]
    found = document(findings=findings)
    assert found["coverage"]["incomplete"] == [{"detector": "terms", "reason": "limit"}]
    assert 0 < len(found["findings"]) < 500
    assert _bytes(found) < LIMIT_BYTES


def test_the_least_suspicious_findings_are_dropped_first() -> None:
    """Whatever is dropped scores no higher than what stays."""
    findings = [Finding(f"{'x' * 100}{i}", 0, 0, 1, i / 500, "terms") for i in range(500)]
    kept = {entry["type"] for entry in document(findings=findings)["findings"]}
    assert kept == {f"{'x' * 100}{i}" for i in range(500 - len(kept), 500)}


@pytest.mark.parametrize("field", ["roles", "groups"])
def test_more_roles_than_fit_are_told(field: str) -> None:
    """A role that a rule asks about must not be missing in silence."""
    principal = Principal(type="user", id="u", **{field: tuple(f"{'r' * 60}{i}" for i in range(100))})
    found = document(principal=principal)
    assert found["coverage"]["incomplete"] == [{"detector": "document", "reason": "limit"}]


def test_more_tools_and_calls_than_fit_are_told() -> None:
    """A flood of tool names cannot hide the one that a rule forbids."""
    names = tuple(Named(f"{'t' * 100}{i}", f"/tools/{i}") for i in range(400))
    for facts in ({"tools": names}, {"tool_calls": names}):
        found = document(content=chat(**facts))
        assert found["coverage"]["incomplete"] == [{"detector": "document", "reason": "limit"}]
        assert _bytes(found) < LIMIT_BYTES


def test_everything_at_once_stays_within_the_limit() -> None:
    """The budgets add up: a document in which every list overflows is still bounded, and says so."""
    pointers = [f"/{'k' * 60}{i}/{'m' * 60}/x" for i in range(600)]
    segments = tuple(Segment.of("t", p, "user") for p in pointers)
    names = tuple(Named(f"{'n' * 100}{i}", p) for i, p in enumerate(pointers))
    words = tuple(f"{'r' * 100}{i}" for i in range(50))
    found = document(
        principal=Principal(
            type="user",
            id="x" * 500,
            tenant="t" * 128,
            roles=words,
            groups=words,
            attributes=dict.fromkeys(words, "v" * 99),
        ),
        content=Content(
            media_type=f"{'a' * 63}/{'b' * 63}",
            size_bytes=2**60,
            segments=segments,
            skipped=tuple(Skipped(p, "opaque_media_type") for p in pointers),
            facts=Facts(operation="chat", model=Named("m" * 128, "/model"), tools=names, tool_calls=names),
        ),
        findings=[Finding(f"{'T' * 100}{i}", i, 0, 1, 0.5, "d" * 100) for i in range(600)],
        anomaly=Anomaly(1.0, tuple(Feature("f" * 128, 1e300, -1e300, 1.0) for _ in range(50))),
        coverage=Coverage(
            inspected=tuple(pointers), incomplete=tuple(Incomplete(f"{'i' * 100}{i}", "deadline") for i in range(50))
        ),
        networks=Networks({f"{'w' * 60}{i}": ("10.0.0.0/8",) for i in range(50)}),
        route="/r" * 500,
        provider="p" * 64,
        request_id="q" * 128,
    )
    assert 16 * 1024 < _bytes(found) < LIMIT_BYTES
    assert violations(found) == []
    assert found["coverage"]["incomplete"]


def test_a_long_pointer_keeps_its_beginning() -> None:
    """Deep nesting cannot inflate the document; two long pointers stay two."""
    deep = [f"/messages/0/content{'/~0123456789ab' * 60}/{i}" for i in range(2)]
    found = document(coverage=Coverage(inspected=tuple(deep)))["coverage"]["inspected"]
    assert len(set(found)) == 2
    assert all(p.startswith("/messages/0/content/~0123456789ab/") and len(p) <= 160 for p in found)


_text = st.text(max_size=200)
_pointer = st.lists(st.sampled_from(["messages", "0", "17", "content", "~0123456789ab", "x" * 90]), max_size=30).map(
    lambda tokens: "".join("/" + token for token in tokens)
)
_number = st.floats() | st.integers(-(10**20), 10**20)


@st.composite
def _documents(draw: st.DrawFn) -> dict[str, Any]:
    pointers = draw(st.lists(_pointer, min_size=1, max_size=40))
    repeat = draw(st.sampled_from([1, 1, 20]))
    segments = tuple(Segment.of("t", p + (f"/{i}" if i else ""), "user") for i in range(repeat) for p in pointers)
    named = st.builds(Named, _text, st.sampled_from([s.pointer for s in segments]))
    findings = draw(
        st.lists(
            st.builds(Finding, _text, st.integers(0, len(segments) - 1), st.just(0), st.just(1), st.floats(), _text),
            max_size=60,
        )
    )
    return document(
        stage=draw(st.sampled_from(["request", "response"])),
        principal=Principal(
            type="user",
            id=draw(_text),
            tenant=draw(st.none() | _text),
            roles=tuple(draw(st.lists(_text, max_size=30))),
            groups=tuple(draw(st.lists(_text, max_size=30))),
            attributes=draw(st.dictionaries(_text, _text | st.integers() | st.booleans(), max_size=30)),
        ),
        method=draw(_text),
        content=Content(
            media_type=draw(_text),
            size_bytes=draw(st.integers(0, 10**25)),
            segments=segments,
            skipped=tuple(Skipped(s.pointer, "image") for s in segments[:: draw(st.integers(1, 50))]),
            facts=Facts(
                model=draw(st.none() | named),
                messages=draw(st.integers(0, 10**25)),
                tools=tuple(draw(st.lists(named, max_size=60))),
                tool_calls=tuple(draw(st.lists(named, max_size=60))),
                max_tokens=draw(st.none() | st.integers()),
            ),
        ),
        findings=findings,
        anomaly=Anomaly(
            draw(_number), tuple(draw(st.lists(st.builds(Feature, _text, _number, _number, _number), max_size=20)))
        ),
        coverage=Coverage(
            inspected=tuple(s.pointer for s in segments),
            incomplete=tuple(draw(st.lists(st.builds(Incomplete, _text, st.just("limit")), max_size=30))),
        ),
        client_ip=draw(st.none() | _text),
        request_id=draw(st.none() | _text),
    )


@given(_documents())
@settings(deadline=None, max_examples=150)
def test_the_record_gives_back_the_document_that_was_evaluated(found: dict[str, Any]) -> None:
    """restore(recorded(d)) == d, types included, and through JSON; the record holds integers and ASCII keys only."""
    record = recorded(found)
    assert _exact(restore(record)) == _exact(found)
    assert _exact(restore(json.loads(json.dumps(record)))) == _exact(found)
    assert all(isinstance(v, bool | int | str | None) for v in _scalars(record))
    assert all(abs(v) < 2**53 for v in _scalars(record) if isinstance(v, int))
    assert all(key.isascii() for key in _keys(record))


@given(_documents())
@settings(deadline=None, max_examples=150)
def test_any_document_is_bounded_ascii_and_of_the_schema(found: dict[str, Any]) -> None:
    """Whatever a client sends: under 32 KiB, no character outside ASCII, and the published shape."""
    assert _bytes(found) < LIMIT_BYTES
    assert msgspec.json.encode(found).isascii()
    assert violations(found) == []


def _exact(value: Any) -> Any:
    """The value with the type of each scalar, so that 1 and 1.0 differ."""
    if isinstance(value, dict):
        return {key: _exact(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return (type(value).__name__, value)


def _scalars(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        return [s for member in (value.values() if isinstance(value, dict) else value) for s in _scalars(member)]
    return [value]


def _keys(value: Any) -> list[str]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [*(value if isinstance(value, dict) else []), *(key for member in members for key in _keys(member))]


# --- networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("10.2.3.4", ["office"]),
        ("10.1.3.4", ["lab", "office"]),
        ("::ffff:10.1.3.4", ["lab", "office"]),
        ("2001:db8::1", ["office"]),
        ("192.0.2.1", []),
        ("testclient", []),
        ("fe80::1%eth0", []),
        (None, []),
    ],
)
def test_networks_are_named_by_the_blocks_that_contain_the_client(address: str | None, names: list[str]) -> None:
    """IPv4, IPv6 and IPv4 inside IPv6; what is no address belongs to no network."""
    networks = Networks({"office": ("10.0.0.0/8", "2001:db8::/32"), "lab": ("10.1.0.0/16",)})
    assert networks.containing(address) == names
    assert networks.containing(address) == names


def test_a_network_that_is_no_block_is_an_error() -> None:
    """A typing error in the configuration does not become an empty network."""
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/40"):
        Networks({"office": ("10.0.0.0/40",)})
