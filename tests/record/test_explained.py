"""What the log keeps of an explanation: rule, line, bodies and places, and never a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.cli import main
from guard.record.canonical import NotCanonical, canonical
from guard.record.groups import MAX_FIRED, MAX_READS
from guard.record.schema import DecisionEntry, read_record
from guard.review.because import because
from guard.review.query import Exchange
from guard.types import Decision, Location, Obligation
from tests.record.logs import CARDS, ENGINE, Opened, decision, document, outcome

NOT_RECORDED = "note:  this reading is not recorded: the keys beside the log cannot be read\n"
READS = ("input.findings[].type", "input.stage", "data.guard.providers[].pci")
TOLD = msgspec.structs.replace(
    CARDS, fired=(Location("policies/pii.rego", 12), Location("policies/lib.rego", 3)), reads=READS
)
STAMPS = {"v": 1, "origin": "o", "boot": "0" * 16, "seq": 0, "prev": "0" * 64, "ts_us": 1, "mono_us": 1}


def denied(*reasons: Any, **changes: Any) -> dict[str, Any]:
    """The record of a denial with these reasons."""
    made = Decision(stage="request", effect="deny", reasons=reasons, engine=ENGINE)
    return decision(1, effect="deny", decision=made, **changes)


def read(record: dict[str, Any]) -> DecisionEntry:
    """The record as a reader of the log has it."""
    found = read_record(canonical({**record, **STAMPS}))
    assert isinstance(found, DecisionEntry)
    return found


def test_a_reason_keeps_its_bodies_and_places() -> None:
    """``file:row`` of what held, and the author's words for what it may have read."""
    why = read(denied(TOLD)).why[0]
    assert (why.location, why.fired, why.reads) == (
        "policies/pii.rego:12",
        ["policies/pii.rego:12", "policies/lib.rego:3"],
        list(READS),
    )


def test_an_obligation_keeps_its_line() -> None:
    """Where the rule stands that obliged."""
    duty = Obligation(type="notify", rule="N-1", location=Location("a.rego", 4, 2), reads=("input.stage",))
    made = Decision(stage="request", effect="allow", obligations=(duty,), engine=ENGINE)
    assert read(decision(decision=made)).obligations[0].location == "a.rego:4"


def test_what_is_kept_is_bounded_and_the_cut_is_told() -> None:
    """A policy with very many helpers and fields cannot fill the log."""
    many = msgspec.structs.replace(
        CARDS,
        fired=tuple(Location("a.rego", row) for row in range(1, 40)),
        reads=tuple(f"input.f{number}" for number in range(40)),
    )
    why = read(denied(many)).why[0]
    assert len(why.fired) == MAX_FIRED
    assert len(why.reads) == MAX_READS
    assert why.reads[-1] == "…"


def test_a_log_from_before_is_still_read() -> None:
    """Records without these members fit the schema, and are explained without them."""
    record = denied(TOLD)
    old = {**record, "why": [{k: v for k, v in why.items() if k not in ("fired", "reads")} for why in record["why"]]}
    assert read(old).why[0].reads == []
    cause = because(Exchange({**old, **STAMPS}, None)).rulings[0].causes[0]
    assert (cause.rule, cause.fired, cause.reads) == ("PII-002", [], [])


def test_more_than_the_bound_is_no_record() -> None:
    """The schema holds the bounds, whoever wrote the line."""
    record = denied(TOLD)
    record["why"][0]["reads"] = ["input.a"] * (MAX_READS + 1)
    with pytest.raises(NotCanonical):
        read(record)


def test_values_come_from_the_recorded_input_alone() -> None:
    """Scores as the policy saw them; data is not in the record, and is not known."""
    score = msgspec.structs.replace(TOLD, reads=("input.findings[].score", *READS))
    (ruling,) = because(Exchange({**denied(score), **STAMPS}, None)).rulings
    values = {each.path: (each.values, each.known) for each in ruling.causes[0].reads}
    assert values == {
        "input.findings[].score": ((0.99,), True),
        "input.findings[].type": (("CREDIT_CARD",), True),
        "input.stage": (("request",), True),
        "data.guard.providers[].pci": ((), False),
    }


def test_without_a_recorded_input_there_are_no_values() -> None:
    """It is said, and nothing is guessed."""
    (ruling,) = because(Exchange({**denied(TOLD, policy_input=None), **STAMPS}, None)).rulings
    assert not ruling.input_recorded
    assert all(not each.known for each in ruling.causes[0].reads)


def test_only_the_last_verdict_on_an_answer_has_values() -> None:
    """The record holds the document of that one."""
    verdicts = (
        Decision(stage="response", effect="allow", engine=ENGINE, would_deny=(TOLD,)),
        Decision(stage="response", effect="deny", engine=ENGINE, reasons=(TOLD,)),
    )
    ended = outcome(decisions=verdicts, policy_input=document("response"))
    first, last = because(Exchange({**decision(), **STAMPS}, ended)).rulings[1:]
    assert [each.known for each in first.in_shadow[0].reads] == [False, False, False]
    assert [each.values for each in last.causes[0].reads] == [("CREDIT_CARD",), ("response",), ()]


# --- guard log explain ----------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of one denial, whose message would drive a terminal."""
    with Opened(tmp_path / "log") as opened:
        opened.commit(denied(msgspec.structs.replace(TOLD, message="1 card\x1b[31m")))
    return tmp_path / "log"


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The exit code, and what was printed."""
    code = main(["log", "explain", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_decision_is_explained_as_a_tree(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Effect, pseudonym, rule, lines, values, remedy and engine, without control characters."""
    code, out, err = run("last", "--dir", str(log), capsys=capsys)
    assert (code, err) == (0, NOT_RECORDED)
    lines = [line.lstrip("│├└─|`- ") for line in out.splitlines()]
    assert lines[0].startswith("0198c0de-0000-7000-8000-000000000001 The request was denied, and answered 403.")
    assert any(line.startswith("who The user hmac:") and "of tenant acme" in line for line in lines)
    assert "PII-002 (high) Card numbers stay with providers that may hold them" in lines
    assert "at policies/pii.rego:12" in lines
    assert "says 1 card\\x1b[31m" in lines
    assert "asked, and held policies/lib.rego:3" in lines
    assert 'input.findings[].type = "CREDIT_CARD"' in lines
    assert "data.guard.providers[].pci (not in the record)" in lines
    assert "not inspected headers: not_inspected." in lines
    assert "alice@example.com" not in out
    assert "\x1b" not in out


def test_the_same_as_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object, with what the tree shows."""
    code, out, _ = run("0198c0de", "--dir", str(log), "--json", capsys=capsys)
    told = json.loads(out)
    assert code == 0
    assert (told["effect"], told["http_status"], told["who"]["tenant"]) == ("deny", 403, "acme")
    (cause,) = told["rulings"][0]["causes"]
    assert (cause["rule"], cause["severity"], cause["location"]) == ("PII-002", "high", "policies/pii.rego:12")
    assert cause["reads"][0] == {
        "path": "input.findings[].type",
        "values": ["CREDIT_CARD"],
        "total": 1,
        "known": True,
    }


def test_exit_codes_are_those_of_the_log_words(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 for what is not found, 3 for wrong usage."""
    code, _, err = run("ffff", "--dir", str(log), capsys=capsys)
    assert (code, "no decision has an id that begins with 'ffff'" in err) == (1, True)
    code, _, err = run("last", "--dir", str(tmp_path / "none"), capsys=capsys)
    assert (code, "there is no log here" in err) == (1, True)
    assert run(capsys=capsys)[0] == 3
    assert run("last", "--colour", capsys=capsys)[0] == 3
