"""One policy, two engines: the embedded one and the real OPA give the same answer to the same document."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.config import OpaConfig
from guard.errors import PolicyInvalid
from guard.policy.bundle import load_bundle
from guard.policy.document import recorded, restore
from guard.policy.embedded import EmbeddedEngine
from guard.policy.engine import decide
from guard.policy.opa import OpaEngine
from guard.types import PolicyEngine, Verdict
from tests.policy.documents import CONFIG_DATA, varied
from tests.policy.servers import opa_server

pytestmark = pytest.mark.anyio
COUNT = 1000
AT_ONCE = 16


class Heard:
    """An engine whose last answer is kept beside the decision that is made of it."""

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine
        self.info, self.rules = engine.info, engine.rules
        self.answer: Any = None

    async def evaluate(self, document: Any, *, deadline: float) -> Verdict:
        """The engine's own answer."""
        verdict = await self._engine.evaluate(document, deadline=deadline)
        self.answer = verdict.value
        return verdict


async def test_a_thousand_recorded_inputs_are_decided_equally() -> None:
    """Full answers, byte-equal as canonical JSON, over recorded inputs of both stages that touch every shipped rule;
    and so are the decisions made of them."""
    bundle = load_bundle(data=CONFIG_DATA)
    embedded = EmbeddedEngine(bundle, "data.guard.decision")
    inputs = [restore(recorded(document)) for document in varied(COUNT)]
    spoken: set[str] = set()
    effects: set[tuple[str, str]] = set()
    seats = asyncio.Semaphore(AT_ONCE)

    async def compare(number: int, document: dict[str, Any]) -> None:
        stage = document["stage"]
        engines = Heard(embedded), Heard(opa)
        async with seats:
            ours, theirs = [
                await decide(engine, document, stage=stage, deadline=time.monotonic() + 60)  # type: ignore[arg-type]
                for engine in engines
            ]
        canonical = [msgspec.json.encode(engine.answer, order="deterministic") for engine in engines]
        assert canonical[0] == canonical[1], f"input {number}"
        assert _told(ours) == _told(theirs), f"input {number}"
        assert not ours.outage
        spoken.update(_ids(engines[1].answer))
        effects.add((stage, theirs.effect))

    with opa_server() as url:
        opa = OpaEngine(OpaConfig(url=url), "data.guard.decision")
        await opa.start()
        try:
            await opa.push(bundle)
            async with asyncio.TaskGroup() as group:
                for number, document in enumerate(inputs):
                    group.create_task(compare(number, document))
        finally:
            await opa.stop()
    assert spoken == set(bundle.rules), "the inputs touch every shipped rule"
    assert effects == {(s, e) for s in ("request", "response") for e in ("allow", "deny")}


def _ids(answer: dict[str, Any]) -> set[str]:
    return {item["id"] for part in ("reasons", "obligations", "would_deny") for item in answer[part]}


def _told(decision: Any) -> tuple[Any, ...]:
    """All that both engines tell: OPA does not say which bodies held."""
    reasons, would_deny = (
        [msgspec.structs.replace(reason, fired=()) for reason in part]
        for part in (decision.reasons, decision.would_deny)
    )
    return (decision.effect, reasons, decision.obligations, would_deny, decision.outage)


async def test_a_deadline_that_has_passed_is_a_timeout() -> None:
    """The embedded engine keeps its deadline itself."""
    engine = EmbeddedEngine(load_bundle(), "data.guard.decision")
    decision = await decide(engine, varied(1)[0], stage="request", deadline=time.monotonic() - 1)
    assert [r.code for r in decision.reasons] == ["policy_timeout"]
    assert decision.outage


@pytest.mark.parametrize(
    ("text", "code", "outage"),
    [
        ("decision := 1 if input.stage == 2", "policy_undefined", False),
        ('decision := {"allow": count(d) == 0}\nd contains 1 if to_number(input.stage) > 0', "policy_error", True),
        ('decision := {"allow": true}\ndecision := {"allow": false}', "policy_error", True),
        ("decision := {n | some n in numbers.range(1, 100000000)}", "policy_error", True),
        (
            "decision := count({[a, b, c] | some a in r; some b in r; some c in r})\nr := numbers.range(1, 1000)",
            "policy_error",
            True,
        ),
        ('decision := {"allow": "yes"}', "policy_error", True),
    ],
    ids=["undefined", "builtin", "conflict", "wide", "long", "shape"],
)
async def test_a_policy_that_fails_denies(tmp_path: Path, text: str, code: str, outage: bool) -> None:
    """Undefined, failing built-ins, conflicts, runaway loops and wrong shapes, each with its reason code."""
    (tmp_path / "t.rego").write_text(f"package t\n\n{text}\n")
    engine = EmbeddedEngine(load_bundle(directories=[tmp_path], shipped=False), "data.t.decision")
    decision = await decide(engine, varied(1)[0], stage="request", deadline=time.monotonic() + 20)
    assert (decision.effect, decision.outage) == ("deny", outage)
    assert [r.code for r in decision.reasons] == [code]


async def test_an_obligation_of_an_authors_own_passes_through(tmp_path: Path) -> None:
    """The policy room hands on what it does not know; performing it, or denying, is for others."""
    (tmp_path / "own.rego").write_text("""package guard.rules.own

# METADATA
# title: Dance
# custom:
#   id: OWN-001
#   severity: low
#   remediation: Dance.
obligations contains {"id": "OWN-001", "type": "dance", "steps": [1, 2]} if input.stage == "request"
""")
    engine = EmbeddedEngine(load_bundle(directories=[tmp_path]), "data.guard.decision")
    document = next(d for d in varied(50) if d["stage"] == "request" and not d["findings"])
    decision = await decide(engine, document, stage="request", deadline=time.monotonic() + 20)
    assert [(o.type, o.rule, o.params) for o in decision.obligations] == [("dance", "OWN-001", {"steps": [1, 2]})]


@pytest.mark.parametrize(
    ("entrypoint", "hint"),
    [("data.guard.decison", "did you mean data.guard.decision?"), ("data.other.verdict", "must define it")],
)
def test_an_entrypoint_that_names_no_rule_is_an_error_at_load(entrypoint: str, hint: str) -> None:
    """A typing error does not become a denial of every request."""
    with pytest.raises(PolicyInvalid) as caught:
        EmbeddedEngine(load_bundle(), entrypoint)
    assert hint in caught.value.diagnostics[0].message


async def test_the_engine_says_which_policies_it_runs() -> None:
    """Name, revision and digest of the bundle go into every decision."""
    bundle = load_bundle()
    engine = EmbeddedEngine(bundle, "data.guard.decision")
    decision = await decide(engine, varied(1)[0], stage="request", deadline=time.monotonic() + 20)
    assert decision.engine is not None
    assert (decision.engine.name, decision.engine.digest) == ("embedded", bundle.digest)
    assert decision.engine.version
    assert engine.rules == bundle.rules
