"""Every decision explains itself: which bodies held, where they stand, what they may have read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from guard import rego
from guard.policy.bundle import Bundle, load_bundle
from guard.policy.embedded import EmbeddedEngine
from guard.policy.engine import decide
from guard.policy.explain import CUT, MAX_FIRED, spoken, trails_of, trails_of_bundle
from guard.rego.gen_rules import RuleWriter
from guard.types import Decision, Location, Trail, Verdict
from tests.policy.documents import CONFIG_DATA, varied
from tests.policy.engines import RULES, Answering

pytestmark = pytest.mark.anyio
ENTRYPOINT = "data.guard.decision"

OWN = """package guard.rules.own

import data.guard.lib

# METADATA
# title: Too many findings
# custom:
#   id: OWN-1
#   severity: low
#   remediation: Send fewer.
deny contains {"id": "OWN-1", "message": message, "pointers": []} if {
	many
	message := sprintf("%d", [count(input.findings)])
}

many if count(input.findings) > lib.setting("most", 3)

many if {
	some f in input.findings
	f.score == 1
}

# METADATA
# title: Tell the app
# custom:
#   id: OWN-2
#   severity: low
#   remediation: None.
obligations contains {"id": "OWN-2", "type": "annotate", "headers": {}} if input.subject.authenticated
"""


def own(tmp_path: Path, text: str = OWN, **options: Any) -> Bundle:
    """The bundle of an author's one file."""
    place = tmp_path / "mine"
    place.mkdir()
    (place / "own.rego").write_text(text)
    return load_bundle(directories=[place], data=CONFIG_DATA, **options)


async def decided(bundle: Bundle, document: dict[str, Any], entrypoint: str = ENTRYPOINT) -> Decision:
    """The embedded engine's decision."""
    engine = EmbeddedEngine(bundle, entrypoint)
    return await decide(engine, document, stage=document["stage"], deadline=time.monotonic() + 30)


def document_with(*scores: float, authenticated: bool = False) -> dict[str, Any]:
    """A document that has these findings, and only what the rules of this page ask for."""
    asked = next(each for each in varied(20) if each["stage"] == "request")
    findings = [{"type": "X", "detector": "d", "score": score, "pointer": "/a", "count": 1} for score in scores]
    return {**asked, "findings": findings, "subject": {**asked["subject"], "authenticated": authenticated}}


async def test_a_reason_names_the_bodies_that_held(tmp_path: Path) -> None:
    """Its own body first, then the branch of the helper that held, and not the other."""
    bundle = own(tmp_path)
    decision = await decided(bundle, document_with(1.0))
    reason = next(each for each in decision.reasons if each.rule == "OWN-1")
    file = next(name for name in bundle.modules if name.endswith("own.rego"))
    assert (reason.title, reason.severity, reason.remediation) == ("Too many findings", "low", "Send fewer.")
    assert reason.location == Location(file, 11, 1)
    # lib.setting's last branch gave the bound that the first body of ``many`` asked for.
    rows = [(place.file, place.row) for place in reason.fired]
    assert rows[0] == (file, 11)
    assert (file, 18) in rows
    assert (file, 16) not in rows
    assert reason.reads == ("input.findings[].score", "data.guard.settings.most")


async def test_an_obligation_names_its_rule(tmp_path: Path) -> None:
    """Where it stands, and what it read."""
    decision = await decided(own(tmp_path), document_with(authenticated=True))
    duty = next(each for each in decision.obligations if each.rule == "OWN-2")
    assert duty.location is not None
    assert (duty.location.row, duty.reads) == (29, ("input.subject.authenticated",))


TWICE = """package mine

import data.guard.lib

decision := {"allow": count(deny) == 0, "reasons": deny, "obligations": []}

deny contains {"id": "M-1", "message": "low"} if input.findings[_].score < 0.5

deny contains {"id": "M-1", "message": "high"} if {
	input.findings[_].score >= 0.5
	input.stage == "request"
}

deny contains {"id": id, "message": "computed"} if {
	some f in input.findings
	id := sprintf("C-%s", [f.type])
}
"""


async def test_two_bodies_of_one_id_are_told_apart(tmp_path: Path) -> None:
    """In a package of an author's own, one id may have several bodies: the line is that of the body that held."""
    bundle = own(tmp_path, TWICE, shipped=False)
    for score, row, reads in ((0.1, 7, 1), (0.9, 9, 2)):
        decision = await decided(bundle, document_with(score), "data.mine.decision")
        reason = next(each for each in decision.reasons if each.rule == "M-1")
        assert reason.location is not None
        assert reason.location.row == row
        assert len(reason.reads) == reads
    both = await decided(bundle, document_with(0.1, 0.9), "data.mine.decision")
    reason = next(each for each in both.reasons if each.rule == "M-1")
    assert [place.row for place in reason.fired] == [7, 9]
    computed = next(each for each in both.reasons if each.rule == "C-X")
    assert (computed.location, computed.fired, computed.reads) == (None, (), ())


async def test_an_engine_that_does_not_tell_is_explained_by_the_text() -> None:
    """Without numbers, location and reads come from the text; of several bodies only the reads, and no line."""
    one, two = Trail(3, Location("a.rego", 5), ("input.a",)), Trail(4, Location("a.rego", 9), ("input.b",))
    single = spoken("X", Verdict({}, trails={"X": (one,)}))
    assert single == (Location("a.rego", 5), (), ("input.a",))
    assert spoken("X", Verdict({}, trails={"X": (one, two)})) == (None, (), ("input.a", "input.b"))
    assert spoken("X", Verdict({})) == (None, (), ())


async def test_a_reason_of_a_rule_that_did_not_hold_has_no_place_of_its_own() -> None:
    """A value that merely carries an id is joined with the annotation, and with no body."""
    one = Trail(3, Location("a.rego", 5), ("input.a",))
    verdict = Verdict({}, fired={7: True}, trails={"X": (one,)})
    assert spoken("X", verdict) == (None, (), ())
    answer = {"allow": False, "reasons": [{"id": "PII-002", "message": "no", "pointers": []}]}
    decision = await decide(Answering(answer), {}, stage="request", deadline=time.monotonic() + 5)
    assert decision.reasons[0].location == RULES["PII-002"].location
    assert decision.reasons[0].fired == ()


def test_what_is_told_is_bounded() -> None:
    """A rule that asks a hundred helpers and reads a hundred fields tells the first ones, and that there were more."""
    helpers = "\n".join(f"h{n} if input.f{n:03}" for n in range(100))
    body = "; ".join(f"h{n}" for n in range(100))
    source = f'package mine\n\ndeny contains {{"id": "M-1"}} if {{ {body} }}\n\n{helpers}\n'
    program = rego.compile({"m.rego": source})
    fired: dict[int, bool] = {}
    program.prepare("data.mine.deny")({f"f{n:03}": True for n in range(100)}, fired=fired)
    assert len(fired) == 101
    told = spoken("M-1", Verdict({}, fired=fired, trails=trails_of(program)))
    assert len(told.fired) == MAX_FIRED
    assert len(told.reads) == rego.MAX_READS + 1
    assert told.reads[-1] == CUT


def test_policies_of_another_dialect_are_explained_without_reads() -> None:
    """What only OPA compiles is no error here; the annotations still say where its rules stand."""
    source = 'package mine\n\ndeny contains {"id": "M-1"} if http.send({"method": "GET", "url": "http://x"})\n'
    bundle = Bundle(modules={"m.rego": source}, tests={}, own=frozenset(), data={}, rules={}, revision="", digest="")
    assert trails_of_bundle(bundle) == {}
    assert trails_of_bundle(None) == {}


# --- laws -----------------------------------------------------------------------------------------------------------


def _unrecorded() -> Any:
    return patch.object(RuleWriter, "fired", lambda _writer, _rule: None)


def test_explaining_changes_no_answer() -> None:
    """The shipped policies give the same value for every document: recorded, unrecorded and witnessed."""
    bundle = load_bundle(data=CONFIG_DATA)
    with _unrecorded():
        bare = rego.compile(bundle.modules, bundle.data).prepare(ENTRYPOINT)
    program = rego.compile(bundle.modules, bundle.data)
    recorded = program.prepare(ENTRYPOINT)
    for number, document in enumerate(varied(100)):
        fired: dict[int, bool] = {}
        value = recorded(document, fired=fired)
        assert value == bare(document)
        if number % 20 == 0:
            seen = program.witness(ENTRYPOINT, document)
            assert (seen.value, seen.failure) == (value, "")
            assert list(seen.held) == list(fired)


def test_the_rules_that_fired_are_those_that_spoke() -> None:
    """For every document: a rule with an id held exactly if its id is in what the rules collected."""
    bundle = load_bundle(data=CONFIG_DATA)
    program = rego.compile(bundle.modules, bundle.data)
    trails, rules = trails_of(program), program.prepare("data.guard.rules")
    assert set(trails) == set(bundle.rules)
    for document in varied(100):
        fired: dict[int, bool] = {}
        value = rules(document, fired=fired)
        said = {
            each["id"]
            for package in value.values()
            for part in ("deny", "obligations")
            for each in package.get(part, [])
        }
        assert {name for name, group in trails.items() if any(each.number in fired for each in group)} == said


async def test_every_reason_of_the_shipped_policies_is_explained() -> None:
    """Title, severity, remedy, a line that begins the rule, the rule's own body first, and places of the input."""
    bundle = load_bundle(data=CONFIG_DATA)
    engine = EmbeddedEngine(bundle, ENTRYPOINT)
    explained = 0
    for document in varied(60):
        decision = await decide(engine, document, stage=document["stage"], deadline=time.monotonic() + 30)
        for said in (*decision.reasons, *decision.would_deny):
            assert said.location is not None
            assert said.fired[0] == said.location == bundle.rules[said.rule or ""].location
            assert said.title
            assert said.remediation
            assert any(place.startswith("input.") for place in said.reads)
            line = bundle.modules[said.location.file].splitlines()[said.location.row - 1]
            assert line.startswith("deny contains")
            explained += 1
        for duty in decision.obligations:
            assert duty.location == bundle.rules[duty.rule].location
            assert duty.reads
    assert explained > 30
