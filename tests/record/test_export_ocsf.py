"""OCSF events: valid by the published schema, faithful to the record, free of text."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record.canonical import canonical
from guard.record.export.exchanges import Exchange
from guard.record.export.ocsf import VERSIONS, OcsfVersion, event_of, events
from tests.record.exchanged import EXCHANGES, exchange, placed, verdict
from tests.record.logs import CARDS, KEYED, decision, outcome
from tests.record.ocsf import faults, rules

TEXTS = {"raw_data", "prompt_text", "response_text", "url", "args", "http_headers", "user_agent", "data"}


def names(value: Any) -> Iterator[str]:
    """Every attribute name in an event."""
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from names(item)
    elif isinstance(value, list):
        for item in value:
            yield from names(item)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("sort", EXCHANGES)
def test_every_sort_of_exchange_is_a_valid_event(sort: str, version: OcsfVersion) -> None:
    """Class 6003 with its profiles: required attributes, types, enumerations with their captions, constraints."""
    (line,) = events([EXCHANGES[sort]], version=version, product_version="1.2.3")
    event = json.loads(line)
    assert faults(event, version) == []
    assert canonical(event) + b"\n" == line


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"metadata": None}, "metadata is required"),
        ({"prompt": "x"}, "prompt is no attribute of api_activity"),
        ({"action_id": 7}, "action_id 7 is not enumerated"),
        ({"action": "Denied"}, "action is not Modified"),
        ({"type_uid": 600301}, "type_uid is not 600399"),
        ({"time": "now"}, "time is no integer"),
        ({"activity_name": ""}, "activity_id is Other and activity_name does not say what"),
        ({"src_endpoint": {"port": 1}}, "src_endpoint.: at least one of ip, uid, name"),
        ({"actor": {"user": {"uid": 5}}}, "actor.user.uid is no string"),
        ({"resources": {}}, "resources is no array"),
        ({"ai_model": {"name": "m"}}, "ai_model.ai_provider is required"),
    ],
)
def test_the_check_itself_refuses_what_the_schema_refuses(change: dict[str, Any], fault: str) -> None:
    """A check that accepted everything would prove nothing."""
    event = event_of(EXCHANGES["modified"])
    event |= change
    event = {name: value for name, value in event.items() if value is not None}
    assert any(found.startswith(fault) for found in faults(event, "1.8.0"))


def test_the_facts_name_the_schema_that_they_are_of() -> None:
    """Version and commit, so that somebody can look them up."""
    assert rules("1.8.0")["commit"] == "3dcb905d26523ce4d5d0ba3c28c8507e2c859407"
    assert [rules(version)["version"] for version in VERSIONS] == list(VERSIONS)


@pytest.mark.parametrize(
    ("sort", "action", "disposition", "status", "severity", "alert"),
    [
        ("allowed", 1, 1, 1, 1, False),
        ("modified", 4, 11, 1, 1, False),
        ("modified_answer", 4, 11, 1, 1, False),
        ("observed", 3, 15, 1, 4, True),
        ("denied", 2, 2, 2, 4, True),
        ("denied_answer", 2, 2, 2, 5, True),
        ("failed_closed", 2, 27, 2, 4, False),
        ("failed_closed_answer", 2, 27, 2, 4, False),
        ("failed_open", 1, 27, 1, 1, False),
        ("refused_unread", 2, 2, 2, 4, True),
        ("unfinished", 1, 1, 0, 1, False),
        ("broken_off", 1, 1, 2, 1, False),
        ("server_error", 1, 1, 2, 1, False),
    ],
)
def test_an_event_says_what_was_done(
    *, sort: str, action: int, disposition: int, status: int, severity: int, alert: bool
) -> None:
    """The security control's action and disposition, the call's status, the severity, and whether it is an alert."""
    event = event_of(EXCHANGES[sort])
    assert event["action_id"] == action
    assert event["disposition_id"] == disposition
    assert event["status_id"] == status
    assert event["severity_id"] == severity
    assert event["is_alert"] is alert


def test_an_event_names_its_record_and_its_pseudonyms() -> None:
    """Who is told by pseudonyms, and the record by origin and number; an address that is none is no ``ip``."""
    event = event_of(EXCHANGES["denied"])
    assert event["metadata"]["log_name"] == "policy-guard-0"
    assert event["metadata"]["sequence"] == 1
    assert event["metadata"]["uid"] == "0198c0de-0000-7000-8000-000000000000"
    assert event["metadata"]["original_time"] == "1760000000000001"
    assert event["time"] == 1760000000000
    assert event["actor"]["user"]["uid"] == KEYED.pseudonym("subject", "alice@example.com")
    assert event["src_endpoint"] == {"uid": decision()["who"]["ip"]}
    assert event["src_endpoint"]["uid"].startswith("hmac:testkey1:")
    assert event["policy"] == {
        "uid": "PII-002",
        "name": "Card numbers stay with providers that may hold them",
        "version": "rev-7",
        "is_applied": True,
    }
    assert event["message"] == (
        "Denied POST /v1/** gpt-4o: PII-002 Card numbers stay with providers that may hold them"
    )
    assert event["status_code"] == "403"


def test_profiles_are_those_whose_attributes_are_there() -> None:
    """``ai_operation`` with a model, ``trace`` with a trace id."""
    profiles = {sort: event_of(EXCHANGES[sort])["metadata"]["profiles"] for sort in ("allowed", "traced", "no_model")}
    assert profiles == {
        "allowed": ["security_control", "ai_operation"],
        "traced": ["security_control", "ai_operation", "trace"],
        "no_model": ["security_control"],
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_that_might_hold_a_text_is_ever_filled(version: OcsfVersion) -> None:
    """No prompt, answer, URL, header or raw data, whatever the exchange."""
    for line in events(EXCHANGES.values(), version=version):
        assert TEXTS.isdisjoint(names(json.loads(line)))


def test_a_record_that_was_too_long_says_so() -> None:
    """A truncated record is a truncated event."""
    short = Exchange(placed({**decision(), "truncated": True, "dropped": ["policy_input"]}), None, "missing")
    assert event_of(short)["metadata"]["is_truncated"] is True
    assert faults(event_of(short), "1.8.0") == []
    assert "is_truncated" not in event_of(EXCHANGES["allowed"])["metadata"]


def chain(count: int, origin: str = "policy-guard-0") -> list[Exchange]:
    """Exchanges of one origin."""
    return [Exchange(placed(decision(number), number, origin=origin), None, "missing") for number in range(count)]


def linked(lines: list[dict[str, Any]]) -> bool:
    """Whether each event's fingerprint is that of its own canonical form, and names the one before of its origin."""
    last: dict[str, dict[str, Any]] = {}
    for event in lines:
        bare = copy.deepcopy(event)
        (attestation,) = bare["attestation_list"]
        fingerprint = attestation.pop("fingerprint")
        if fingerprint["value"] != sha256(canonical(bare)).hexdigest():
            return False
        if attestation.get("prev_event") != last.get(attestation["chain_uid"]):
            return False
        last[attestation["chain_uid"]] = {
            "uid": event["metadata"]["uid"],
            "type_uid": event["type_uid"],
            "fingerprint": fingerprint,
        }
    return True


def test_the_development_version_links_the_events_of_each_origin() -> None:
    """``record_integrity``: a missing, altered or moved event breaks the links; two origins are two chains."""
    both = [one for pair in zip(chain(4), chain(4, "policy-guard-1"), strict=True) for one in pair]
    told = [json.loads(line) for line in events(both, version="1.9.0-dev")]
    assert linked(told)
    assert len({event["attestation_list"][0]["chain_uid"] for event in told}) == 2
    assert not linked(told[:2] + told[4:])
    assert not linked([*told[:2], *told[4:6], *told[2:4], *told[6:]])
    told[3]["severity_id"] = 2
    assert not linked(told)


def test_the_released_version_has_no_attestation() -> None:
    """Version 1.8.0 does not know the profile."""
    (line,) = events([EXCHANGES["allowed"]])
    assert "attestation_list" not in json.loads(line)


words = st.none() | st.text(max_size=12)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "X", ""]),
    route=words,
    trace_id=words,
    denied=st.booleans(),
    shadow=st.booleans(),
    redacted=st.dictionaries(st.sampled_from(["PERSON", "CREDIT_CARD"]), st.integers(1, 99)),
    status=st.none() | st.integers(100, 599),
    aborted=st.none() | st.sampled_from(["denied", "app_error"]),
    tokens=st.none() | st.integers(0, 10**9),
)
def test_every_exchange_makes_a_valid_event(
    *,
    method: str,
    route: str | None,
    trace_id: str | None,
    denied: bool,
    shadow: bool,
    redacted: dict[str, int],
    status: int | None,
    aborted: str | None,
    tokens: int | None,
) -> None:
    """Whatever stands in the records, the event is valid by the schema and in canonical form."""
    request = decision(
        method=method,
        route=route,
        trace_id=trace_id,
        redactions=redacted,
        decision=verdict("deny" if denied else "allow", would_deny=(CARDS,) if shadow else ()),
    )
    answer = outcome(status=status, aborted=aborted)
    if tokens is not None:
        answer["tokens"] = {"reserved": 1, "used": tokens, "source": "provider"}
    made = Exchange(placed(request), None if denied else placed(answer), "none" if denied else "recorded")
    for version in VERSIONS:
        (line,) = events([made], version=version)
        assert faults(msgspec.json.decode(line), version) == []


def test_an_exchange_in_shadow_mode_is_observed() -> None:
    """A guard that only watches denies nothing: what it would have denied is observed."""
    watched = exchange(effect="deny", mode="shadow")
    event = event_of(watched)
    assert event["action_id"] == 3
    assert event["policy"]["is_applied"] is False
    assert event["unmapped"]["would_deny"] == ["PII-002"]
