"""Policies in shadow: on record beside the verdict that holds, at both stages, and without effect on anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.types import DecisionRecord
from tests.flow.rig import ALLOW, MemoryLog, Rig, ScriptedEngine, answering, chat, delta, deny, oblige, streaming
from tests.flow.shadows import CANDIDATES, PACKAGE, candidate, rule
from tests.flow.test_12_websocket import Client, echoing

pytestmark = pytest.mark.anyio

HELLO = answering(b'{"choices": []}')
ONLY_MESSAGES = """package other
answer := {"allow": false, "reasons": [{"id": "C-1", "message": "a message"}]} if {
	input.stage == "request"
	input.context.size_bytes == 5
} else := {"allow": true}
"""
REQUESTS = 'input.stage == "request"'


def rig(tmp_path: Path, text: str, app: Any = HELLO, engine: ScriptedEngine | None = None, **more: Any) -> Rig:
    """A guard with this candidate in shadow."""
    return Rig(tmp_path, app, engine=engine, policy=candidate(tmp_path / "next", text, **more))


def verdicts(records: list[DecisionRecord]) -> list[dict[str, Any] | None]:
    """The shadow of each decision, and of each verdict on an answer, in order."""
    said = [verdict for record in records for verdict in (record.get("decisions") or [record])]
    return [verdict.get("shadow") for verdict in said]


async def test_a_candidate_that_would_deny_is_on_record_and_the_request_passes(tmp_path: Path) -> None:
    """ALLOW stays ALLOW; the same record says which rule of which revision would have denied, and where it stands."""
    guard = rig(tmp_path, PACKAGE + rule("C-1", REQUESTS, severity="low"))
    answer = await guard.call(body=chat("hello"))
    record, outcome = guard.log.records
    assert (answer.status, record["decision"]["effect"], record["why"]) == (200, "allow", [])
    seen = record["shadow"]
    info = guard.runtime.standing.candidate
    assert info is not None
    assert (seen["revision"], seen["digest"]) == (info.revision, info.digest)
    assert (seen["effect"], seen["changed"], seen["error"]) == ("deny", True, None)
    ((why),) = seen["would_deny"]
    assert {key: why[key] for key in ("code", "rule", "severity")} == {
        "code": "policy_denied", "rule": "C-1", "severity": "low",
    }  # fmt: skip
    assert why["location"].endswith("watched.rego:10")
    answered = outcome["decisions"][0]["shadow"]
    assert (answered["effect"], answered["would_deny"]) == ("allow", [])


async def test_a_candidate_that_would_let_in_is_on_record_and_the_request_is_denied(tmp_path: Path) -> None:
    """DENY stays DENY: a candidate opens nothing."""
    guard = rig(tmp_path, PACKAGE + rule("C-1", "false"), engine=ScriptedEngine(deny("R-1")))
    answer = await guard.call(body=chat("hello"))
    (record,) = guard.log.records
    assert (answer.status, record["decision"]["effect"]) == (403, "deny")
    assert (record["shadow"]["effect"], record["shadow"]["changed"]) == ("allow", True)


async def test_the_answer_is_judged_in_shadow_too(tmp_path: Path) -> None:
    """A buffered answer: the verdict stands in ``outcome.decisions``."""
    guard = rig(tmp_path, CANDIDATES["denies every answer"])
    answer = await guard.call(body=chat("hello"))
    request, response = verdicts(guard.log.records)
    assert answer.status == 200
    assert request is not None
    assert response is not None
    assert (request["changed"], response["changed"]) == (False, True)
    assert response["would_deny"][0]["rule"] == "C-ANSWER"


async def test_every_verdict_on_a_stream_has_its_shadow(tmp_path: Path) -> None:
    """At the head, at a new type of finding, at the end; and the stream flows on."""
    guard = rig(tmp_path, CANDIDATES["denies every answer"], streaming(delta("jane@corp.com"), delta("bye")))
    answer = await guard.call(body=chat("hello", stream=True))
    outcome = guard.log.records[1]
    assert answer.body == delta("jane@corp.com") + delta("bye")
    assert len(outcome["decisions"]) >= 2
    assert all(verdict["shadow"]["changed"] for verdict in outcome["decisions"])


async def test_messages_that_a_candidate_would_deny_are_on_record(tmp_path: Path) -> None:
    """A WebSocket message passes without a record, unless something in shadow would have denied it."""
    guard = rig(tmp_path, ONLY_MESSAGES, echoing([]))
    client = Client("hello")
    await guard.guard(client.scope, client.receive, client.send)
    assert client.texts == ["hello"]
    connected, message, outcome = guard.log.records
    assert (connected["shadow"]["changed"], message["shadow"]["changed"]) == (False, True)
    assert (message["connection"], message["decision"]["effect"]) == (connected["id"], "allow")
    assert (outcome["kind"], outcome["aborted"]) == ("outcome", None)


async def test_a_message_that_a_shadow_rule_would_deny_is_on_record(tmp_path: Path) -> None:
    """A rule in shadow mode among the policies that decide."""
    would = {**ALLOW, "would_deny": [{"id": "S-1", "message": "no", "pointers": []}]}
    answers = iter([ALLOW, would, ALLOW])
    guard = Rig(tmp_path, echoing([]), engine=ScriptedEngine(lambda _: next(answers)))
    client = Client("hello")
    await guard.guard(client.scope, client.receive, client.send)
    assert client.texts == ["hello"]
    assert [[why["rule"] for why in record.get("would_deny", [])] for record in guard.log.records] == [[], ["S-1"], []]


async def test_a_full_log_does_not_stop_a_message_that_only_a_candidate_would_deny(tmp_path: Path) -> None:
    """The record of what is in shadow is no condition for anything."""
    policy = candidate(tmp_path / "next", ONLY_MESSAGES)
    guard = Rig(tmp_path, echoing([]), log=MemoryLog(fail_at=1), policy=policy)
    client = Client("hello")
    await guard.guard(client.scope, client.receive, client.send)
    assert client.texts == ["hello"]
    assert guard.log.kinds() == ["decision"]


async def test_obligations_that_differ_are_named(tmp_path: Path) -> None:
    """What the candidate would add, and what it would leave out; both allow."""
    live = oblige({"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"})
    guard = rig(tmp_path, CANDIDATES["redacts everything"], engine=ScriptedEngine(live), shipped=True)
    await guard.call(body=chat("hello"))
    seen = guard.log.records[0]["shadow"]
    assert (seen["effect"], seen["changed"]) == ("allow", True)
    named = [(duty["change"], duty["rule"], duty["entity"], duty["operator"]) for duty in seen["obligations"]]
    assert ("added", "C-RED", "EMAIL_ADDRESS", "drop") in named
    assert ("removed", "R-1", "EMAIL_ADDRESS", "replace") in named
    assert seen["obligations_total"] == len(named)


async def test_an_obligation_that_cannot_be_performed_would_deny(tmp_path: Path) -> None:
    """In shadow as it would be in earnest."""
    guard = rig(tmp_path, CANDIDATES["obliges to what nobody knows"])
    answer = await guard.call(body=chat("hello"))
    seen = guard.log.records[0]["shadow"]
    assert (answer.status, seen["effect"]) == (200, "deny")
    assert [why["code"] for why in seen["would_deny"]] == ["obligation_failed"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("loops for ever", "policy_error"),
        ("contradicts itself", "policy_error"),
        ("calls a function that fails", "policy_error"),
        ("answers nonsense", "policy_error"),
        ("is undefined", "policy_undefined"),
    ],
)
async def test_a_candidate_that_fails_is_on_record_as_such(tmp_path: Path, name: str, code: str) -> None:
    """No effect is claimed for it, and nothing else happens; the heartbeats count it."""
    guard = rig(tmp_path, CANDIDATES[name])
    answer = await guard.call(body=chat("hello"))
    seen = guard.log.records[0]["shadow"]
    assert (answer.status, seen["effect"], seen["changed"], seen["error"]) == (200, None, False, code)
    assert guard.runtime.tally.counters()["candidate_failed"] == 2


async def test_where_the_guard_failed_there_is_nothing_to_compare(tmp_path: Path) -> None:
    """An outage of the engine that decides: no candidate is asked."""
    guard = rig(tmp_path, CANDIDATES["denies everything"], engine=ScriptedEngine(RuntimeError("gone")))
    answer = await guard.call(body=chat("hello"))
    assert answer.status == 503
    assert verdicts(guard.log.records) == [None]


async def test_a_share_takes_whole_exchanges(tmp_path: Path) -> None:
    """Both stages of an exchange are judged, or neither; about the share of them."""
    guard = rig(tmp_path, CANDIDATES["denies everything"], share=0.5)
    for _ in range(60):
        await guard.call(body=chat("hello"))
    seen = [verdict is not None for verdict in verdicts(guard.log.records)]
    assert seen[::2] == seen[1::2]
    assert 10 < sum(seen[::2]) < 50


async def test_the_record_keeps_no_text_of_the_candidate_and_none_of_the_request(tmp_path: Path) -> None:
    """Its message is not recorded: nobody has released it yet."""
    text = PACKAGE + rule("C-1", "true").replace('"a message"', 'concat(" ", ["made of", input.resource.route])')
    guard = rig(tmp_path, text)
    await guard.call(body=chat("mail jane@corp.com, key hunter2"))
    written = json.dumps(guard.log.records)
    assert "made of" not in written
    assert "jane" not in written
    assert "hunter2" not in written
