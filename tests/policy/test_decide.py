"""What an engine's answer means: silence, nonsense, errors and lateness deny, each with its own reason code."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import EngineUnavailable, LogUnavailable, PolicyEvaluationError, PolicyTimeout
from guard.policy.bundle import load_bundle
from guard.policy.embedded import EmbeddedEngine
from guard.policy.engine import decide
from guard.types import UNDEFINED, Decision, Location, Obligation, PolicyEngine
from tests.policy.engines import Answering, hanging, raising

pytestmark = pytest.mark.anyio


async def ask(engine: PolicyEngine, seconds: float = 5.0) -> Decision:
    return await decide(engine, {}, stage="request", deadline=time.monotonic() + seconds)


async def test_an_allowing_answer_allows() -> None:
    """Allow true, no reasons: the exchange goes on, with the engine that said so."""
    decision = await ask(Answering({"allow": True, "reasons": [], "obligations": [], "would_deny": []}))
    assert (decision.effect, decision.reasons, decision.outage) == ("allow", (), False)
    assert decision.engine is not None
    assert (decision.engine.revision, decision.stage) == ("r1", "request")


async def test_a_reason_is_joined_with_its_rule() -> None:
    """Title, severity, remedy and place come from the annotation; message and pointers from the value."""
    value = {"id": "PII-002", "message": "1 card number", "pointers": ["/messages/0"], "severity": "low"}
    decision = await ask(Answering({"allow": False, "reasons": [value], "obligations": []}))
    (reason,) = decision.reasons
    assert decision.effect == "deny"
    assert not decision.outage
    assert (reason.code, reason.rule, reason.title) == ("policy_denied", "PII-002", "Card numbers stay")
    assert (reason.message, reason.severity, reason.pointers) == ("1 card number", "critical", ("/messages/0",))
    assert (reason.remediation, reason.location) == ("Remove the number.", Location("rules/pii.rego", 7))


async def test_a_reason_of_an_unknown_rule_denies_with_what_the_value_says() -> None:
    """An engine with other policies than ours still denies."""
    value = {"id": "OWN-7", "message": "not today", "severity": "low"}
    (reason,) = (await ask(Answering({"allow": False, "reasons": [value]}))).reasons
    assert (reason.code, reason.rule, reason.message, reason.severity) == ("policy_denied", "OWN-7", "not today", "low")
    assert reason.location is None


@pytest.mark.parametrize("value", ["plain words", {}, {"id": 7}, None, 3, [], {"message": {}, "pointers": [1]}])
async def test_whatever_stands_among_the_reasons_denies(value: Any) -> None:
    """A reason of an odd shape is still a reason, even beside allow = true."""
    decision = await ask(Answering({"allow": True, "reasons": [value]}))
    assert decision.effect == "deny"
    assert not decision.outage
    assert [r.code for r in decision.reasons] == ["policy_denied"]
    assert decision.reasons[0].message


async def test_allow_true_beside_a_reason_is_a_denial() -> None:
    """A policy that contradicts itself denies."""
    decision = await ask(Answering({"allow": True, "reasons": [{"id": "PII-002", "message": "m"}]}))
    assert decision.effect == "deny"


async def test_allow_false_without_a_reason_is_a_denial_that_says_so() -> None:
    """Every denial has a reason."""
    decision = await ask(Answering({"allow": False, "reasons": []}))
    assert decision.effect == "deny"
    assert [r.code for r in decision.reasons] == ["policy_denied"]
    assert "without giving a reason" in decision.reasons[0].message


async def test_obligations_keep_the_id_of_their_rule() -> None:
    """Known or unknown here: what an obligation asks for is for others to judge."""
    redact = {"id": "PII-001", "type": "redact", "entity": "EMAIL_ADDRESS", "operator": "pseudonym"}
    dance = {"id": "OWN-1", "type": "dance", "steps": 3}
    decision = await ask(Answering({"allow": True, "obligations": [redact, dance]}))
    assert decision.effect == "allow"
    assert decision.obligations == (
        Obligation(type="redact", rule="PII-001", params={"entity": "EMAIL_ADDRESS", "operator": "pseudonym"}),
        Obligation(type="dance", rule="OWN-1", params={"steps": 3}),
    )


async def test_a_denial_keeps_its_obligations() -> None:
    """A notification is due also when the request is refused."""
    notify = {"id": "OWN-1", "type": "notify"}
    decision = await ask(Answering({"allow": False, "reasons": ["no"], "obligations": [notify]}))
    assert decision.obligations == (Obligation(type="notify", rule="OWN-1"),)


async def test_shadow_rules_are_told_without_effect() -> None:
    """would_deny is recorded and lets in."""
    decision = await ask(Answering({"allow": True, "would_deny": [{"id": "PII-002", "message": "m"}]}))
    assert decision.effect == "allow"
    assert [(r.rule, r.title) for r in decision.would_deny] == [("PII-002", "Card numbers stay")]


async def test_an_undefined_answer_is_a_denial() -> None:
    """No answer is no permission; it is the policy's fault, not an outage."""
    decision = await ask(Answering(UNDEFINED))
    assert (decision.effect, decision.outage) == ("deny", False)
    assert [r.code for r in decision.reasons] == ["policy_undefined"]
    assert decision.reasons[0].remediation


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "number"),
        ("allow", "string"),
        ([], "array"),
        ({}, "'allow'"),
        ({"allow": "true"}, "'allow'"),
        ({"allow": 1}, "'allow'"),
        ({"allow": True, "reasons": {}}, "'reasons'"),
        ({"allow": True, "reasons": None}, "'reasons'"),
        ({"allow": True, "obligations": "redact"}, "'obligations'"),
        ({"allow": True, "obligations": ["redact"]}, "obligation"),
        ({"allow": True, "obligations": [{"type": "redact"}]}, "'id'"),
        ({"allow": True, "obligations": [{"id": "A"}]}, "'type'"),
        ({"allow": True, "would_deny": 1}, "'would_deny'"),
        ({"allow": True, "obligation": []}, "'obligation'"),
    ],
)
async def test_an_answer_of_another_shape_is_an_outage(answer: Any, word: str) -> None:
    """A mistyped member must not turn a duty into nothing: the guard could not decide."""
    decision = await ask(Answering(answer))
    assert (decision.effect, decision.outage) == ("deny", True)
    assert [r.code for r in decision.reasons] == ["policy_error"]
    assert word in decision.reasons[0].message


async def test_a_rules_denial_stands_beside_a_broken_obligation() -> None:
    """A denial by a rule is answered 403 and named, whatever else is wrong with the answer."""
    value = {"allow": False, "reasons": [{"id": "PII-002", "message": "m"}], "obligations": [1]}
    decision = await ask(Answering(value))
    assert (decision.effect, decision.outage, decision.obligations) == ("deny", False, ())
    assert [r.code for r in decision.reasons] == ["policy_denied", "policy_error"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PolicyTimeout("late"), "policy_timeout"),
        (EngineUnavailable("gone"), "engine_unavailable"),
        (PolicyEvaluationError("broken"), "policy_error"),
        (LogUnavailable("not an engine's error"), "policy_error"),
        (RuntimeError("secret detail"), "policy_error"),
        (TimeoutError(), "policy_timeout"),
        (RecursionError(), "policy_error"),
    ],
)
async def test_an_engine_that_fails_is_an_outage(error: Exception, code: str) -> None:
    """Each failure has its code; an error that is not ours is named by its class only."""
    decision = await ask(raising(error))
    assert (decision.effect, decision.outage) == ("deny", True)
    assert [r.code for r in decision.reasons] == [code]
    assert "secret" not in decision.reasons[0].message


async def test_an_engine_that_never_waits_keeps_its_deadline_itself() -> None:
    """The loop sets no timer for the embedded engine; a policy that takes too long is an outage all the same."""
    slow = """package guard
    decision := {"allow": count([1 | some x in numbers.range(1, 1000); some y in numbers.range(1, 1000); x > y]) > 0}
    """
    bundle = msgspec.structs.replace(load_bundle(), modules={"slow.rego": slow})
    engine = EmbeddedEngine(bundle, "data.guard.decision", max_steps=10**9)
    decision = await ask(engine, seconds=0.0)
    assert not engine.waits
    assert (decision.effect, decision.outage) == ("deny", True)
    assert [r.code for r in decision.reasons] == ["policy_timeout"]


async def test_an_engine_that_forgets_its_deadline_is_left_behind() -> None:
    """A hanging engine costs the request its deadline and no more."""
    decision = await asyncio.wait_for(ask(hanging(), seconds=0.02), timeout=10)
    assert (decision.effect, decision.outage) == ("deny", True)
    assert [r.code for r in decision.reasons] == ["policy_timeout"]


async def test_cancellation_passes_through() -> None:
    """A client that left is no denial."""
    task = asyncio.ensure_future(ask(hanging(), seconds=60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_long_messages_and_lists_are_bounded() -> None:
    """A policy cannot blow up the record."""
    value = {"id": "x" * 1000, "message": "m" * 10_000, "pointers": ["/a"] * 1000}
    (reason,) = (await ask(Answering({"allow": False, "reasons": [value]}))).reasons
    assert (len(reason.rule or ""), len(reason.message), len(reason.pointers)) == (128, 500, 64)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_answers = (
    st.fixed_dictionaries({}, optional=dict.fromkeys(("allow", "reasons", "obligations", "would_deny"), _json)) | _json
)


@given(_answers)
def test_only_a_clear_permission_allows(answer: Any) -> None:
    """Whatever an engine answers, nothing is raised, and allow needs ``allow: true`` and no reason."""
    decision = asyncio.run(ask(Answering(answer)))
    if decision.effect == "allow":
        assert answer["allow"] is True
        assert not answer.get("reasons")
        assert set(answer) <= {"allow", "reasons", "obligations", "would_deny"}
    else:
        assert decision.reasons
