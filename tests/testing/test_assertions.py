"""The assertions of the testing kit: what they accept, and that each of them can fail."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import GuardError
from guard.obligations.deny import denial
from guard.record.keys import load_or_create_keys
from guard.record.log import SignedLog
from guard.testing import assert_denied, assert_redacted, assert_verified, read_records
from guard.testing.mock_model import Received
from guard.types import Decision, Reason

REASON = Reason(code="policy_denied", title="t", message="m", rule="PII-002", pointers=("/messages/0/content",))


def denied(dialect: Any = "openai", **changes: Any) -> httpx.Response:
    """The guard's own answer to a denied request."""
    decision = Decision(stage="request", effect="deny", reasons=(REASON,))
    answer = denial(decision, decision_id="d1", request_id="r1", dialect=dialect)
    parts: dict[str, Any] = {"status_code": answer.status, "headers": answer.headers, "content": answer.body}
    request = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")
    return httpx.Response(**(parts | changes), request=request)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_denial_is_recognised_in_both_shapes(dialect: str) -> None:
    """The reasons are found in problem details and in Anthropic's error object."""
    (reason,) = assert_denied(denied(dialect), "PII-002")
    assert (reason["code"], reason["pointers"]) == ("policy_denied", ["/messages/0/content"])


def test_denial_is_recognised_in_an_sdk_exception() -> None:
    """The SDK's exception may be handed over as it was caught."""
    answer = denied()
    caught = openai.PermissionDeniedError("denied", response=cast("Any", answer), body=None)
    assert [reason["rule"] for reason in assert_denied(caught)] == ["PII-002"]


@pytest.mark.parametrize(
    ("answer", "rule", "why"),
    [
        (httpx.Response(200, json={}), None, "got 200"),
        (httpx.Response(403, json={"error": "forbidden by the app"}), None, "the app answered"),
        (denied(), "PII-003", "PII-003 is not among the reasons: PII-002"),
        (denied(content=b"{}"), None, "gives no reasons"),
        (denied(content=b"[]"), None, "gives no reasons"),
        (denied(content=b'{"reasons": []}'), None, "gives no reasons"),
    ],
)
def test_what_is_no_denial_of_this_rule_fails(answer: httpx.Response, rule: str | None, why: str) -> None:
    """An allowed request, the app's own 403, another rule and a denial without reasons fail, saying what was seen."""
    with pytest.raises(AssertionError, match=why):
        assert_denied(answer, rule)


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("received", "value"),
    [
        (b'{"messages": [{"content": "mail Ana@Corp.io"}]}', "ana@corp.io"),
        ('{"a": "caf\\u00e9"}', "café"),
        ({"arguments": json.dumps({"to": json.dumps({"name": "Zoë"})})}, "Zoë"),
        ({"ana@corp.io": 1}, "ana@corp.io"),
        ({"text": "card 4111111111111111."}, CARD),
        ({"text": "card 4111-1111-1111-1111."}, CARD),
        ({"text": "phone +1 (415) 555-2671"}, "+14155552671"),
        (Received("POST", "/", (), b'["ana@corp.io"]'), "ana@corp.io"),
        (b"plain text with ana@corp.io in it", "ana@corp.io"),
    ],
)
def test_value_in_clear_is_found(received: Any, value: str) -> None:
    """A raw value is found whatever its case, escape, nesting or separators."""
    with pytest.raises(AssertionError, match="in clear"):
        assert_redacted(received, value)


@pytest.mark.parametrize(
    ("received", "value"),
    [
        (b'{"messages": [{"content": "mail <EMAIL_ADDRESS_1_x7f2>"}]}', "ana@corp.io"),
        ({"text": "card ************1111, in 2026"}, CARD),
        ({"a": "4111", "b": "111111111111"}, CARD),
        ({"text": "12 and 34 and 56 and 78"}, "12345678"),
        ("[not json", "ana@corp.io"),
    ],
)
def test_redacted_value_passes(received: Any, value: str) -> None:
    """A placeholder, a mask and digits of other things are not the value."""
    assert_redacted(received, value)


@pytest.mark.parametrize("received", [b"", "", {}, []])
def test_nothing_received_is_no_redaction(received: Any) -> None:
    """A denied request redacts nothing: an empty body fails, so that the test cannot pass by accident."""
    with pytest.raises(AssertionError, match="nothing was sent"):
        assert_redacted(received, "ana@corp.io")


def test_empty_value_is_a_mistake_of_the_test() -> None:
    """An empty value is in every text."""
    with pytest.raises(ValueError, match="every text"):
        assert_redacted(b"x", "")


@given(st.text(min_size=1), st.text(), st.text(), st.integers(0, 2))
def test_embedded_value_is_always_found(value: str, before: str, after: str, depth: int) -> None:
    """Whatever stands around a value and however often it is wrapped in JSON, it is found."""
    body: Any = before + value + after
    for _ in range(depth):
        body = json.dumps({"text": body})
    with pytest.raises(AssertionError, match="in clear"):
        assert_redacted(body, value)


# --- logs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """A state directory with a log that was opened and closed."""
    log = SignedLog(tmp_path / "log", name="test", signer=load_or_create_keys(tmp_path / "keys").signer)
    await log.start()
    await log.stop()
    return tmp_path


@pytest.mark.anyio
async def test_whole_log_verifies_by_either_directory(state: Path) -> None:
    """State directory, log directory and anything with a ``directory`` name the same log."""
    for place in (state, state / "log", SimpleNamespace(directory=state)):
        assert assert_verified(place).status == "whole"
    kinds = [record["kind"] for record in read_records(state)]
    assert (kinds[0], kinds[-1]) == ("open", "close")
    assert [record["kind"] for record in read_records(state / "log", "close")] == ["close"]
    assert [record["event"] for record in read_records(state / "log", "writer")] == ["opened", "closed"]


@pytest.mark.anyio
async def test_changed_byte_fails_with_the_first_bad_record(state: Path) -> None:
    """One changed byte fails, and the message is the report of ``guard log verify``."""
    (segment,) = (state / "log").glob("*-0/seg/*.jsonl")
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"kind":"open"', b'"kind":"0pen"'))
    with pytest.raises(AssertionError, match=r"TAMPERED.*\n.*first bad: record 0"):
        assert_verified(state)


@pytest.mark.anyio
async def test_line_that_is_no_record_is_not_skipped(state: Path) -> None:
    """A test that reads a damaged log fails instead of counting fewer decisions."""
    (segment,) = (state / "log").glob("*-0/seg/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"kind":"open"', b'"kind":"open', 1))
    with pytest.raises(AssertionError, match="1 lines are no records"):
        read_records(state)


def test_missing_log_fails(tmp_path: Path) -> None:
    """Where there is no log, nothing is verified."""
    with pytest.raises(AssertionError, match="no log"):
        assert_verified(tmp_path)
    with pytest.raises(GuardError, match="no log"):
        read_records(tmp_path)
