"""What was in shadow, on record: its schema and bounds, held against what the log named, and told by ``guard log``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cli import main
from guard.cli.log_shadow import since_us
from guard.record.build import Standing, config_record
from guard.record.canonical import canonical
from guard.record.shadow import MAX_LISTED, ShadowPart, shadow
from guard.record.size import bounded
from guard.record.verify import verify
from guard.review.explain import explain
from guard.review.query import Filter, LogReader
from guard.review.reloads import explain_reload
from guard.review.shadow import summarised
from guard.types import Decision, DecisionRecord, Effect, EngineInfo, Location, Obligation, Reason, Shadow, Stage
from tests.record.logs import CARDS, ENGINE, Opened, decision, document, outcome

NEXT = EngineInfo("embedded", "1", "next-1", "ef" * 32)
LATER = EngineInfo("embedded", "1", "next-2", "aa" * 32)
NOW = Standing("cd" * 32, ENGINE, "data.guard.decision")
WITH_NEXT = Standing("cd" * 32, ENGINE, "data.guard.decision", (), NEXT, "data.guard.decision")
DROP = Obligation(type="redact", rule="C-2", params={"entity": "PERSON", "operator": "drop", "keep": 4})


def because(rule: str) -> Reason:
    """A candidate's reason."""
    return Reason(
        code="policy_denied",
        rule=rule,
        title="Title",
        message="message",
        severity="low",
        location=Location("n.rego", 7),
    )


def seen(effect: Effect | None = "deny", *rules: str, engine: EngineInfo = NEXT, **more: Any) -> Shadow:
    """A candidate's verdict."""
    return Shadow(
        engine=engine,
        effect=effect,
        reasons=tuple(map(because, rules)),
        changed=effect is not None,
        duration_us=40,
        **more,
    )


def allowed(what: Shadow | None, stage: Stage = "request", **more: Any) -> Decision:
    """A decision that allows, with a shadow."""
    return Decision(stage=stage, effect="allow", engine=ENGINE, duration_us=120, shadow=what, **more)


def denied(what: Shadow | None) -> Decision:
    """A decision that denies, with a shadow."""
    return Decision(stage="request", effect="deny", reasons=(CARDS,), engine=ENGINE, shadow=what)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log in which two candidates were in shadow, one after the other."""
    with Opened(tmp_path) as opened:
        opened.commit(decision(0, decision=allowed(seen("deny", "OLD-1", engine=LATER))))
        opened.commit(config_record(NOW, WITH_NEXT))
        opened.commit(
            decision(1, decision=allowed(seen("deny", "C-1"), would_deny=(CARDS,))),
            outcome(1, decisions=[allowed(seen("deny", "C-1"), "response")] * 3),
            decision(2, decision=denied(seen("allow"))),
            decision(3, decision=allowed(seen("allow", added=(DROP,)))),
            decision(4, decision=allowed(seen(None, error="policy_timeout"))),
            decision(5, decision=allowed(seen("deny", "C-1", "C-9"))),
        )
    return tmp_path


# --- the group ------------------------------------------------------------------------------------------------------


def test_without_a_candidate_records_say_nothing_of_one() -> None:
    """The member is absent, in both kinds of record."""
    assert "shadow" not in decision(0)
    assert "shadow" not in outcome(0)["decisions"][0]


def test_the_group_names_rules_and_places_only() -> None:
    """No message, no title, and of an obligation the entity and the operator."""
    made = decision(0, decision=allowed(seen("deny", "C-1", added=(DROP,), removed=(DROP,))))["shadow"]
    duty = {"type": "redact", "rule": "C-2", "entity": "PERSON", "operator": "drop"}
    assert made == {
        "revision": "next-1",
        "digest": "ef" * 32,
        "effect": "deny",
        "changed": True,
        "would_deny": [{"code": "policy_denied", "rule": "C-1", "severity": "low", "location": "n.rego:7"}],
        "would_deny_total": 1,
        "obligations": [{"change": "added", **duty}, {"change": "removed", **duty}],
        "obligations_total": 2,
        "error": None,
        "duration_us": 40,
    }


@given(
    reasons=st.lists(st.text(max_size=300), max_size=40),
    params=st.dictionaries(
        st.sampled_from(["entity", "operator", "x"]), st.text(max_size=300) | st.integers() | st.none()
    ),
    counts=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_whatever_a_candidate_says_fits_the_schema(
    reasons: list[str], params: dict[str, Any], counts: tuple[int, int]
) -> None:
    """Lists and names are cut, and the totals tell."""
    duty = Obligation(type="t" * 200, rule="r" * 200, params=params)
    what = seen("allow", *reasons, added=(duty,) * counts[0], removed=(duty,) * counts[1])
    made = shadow(allowed(what))["shadow"]
    part = msgspec.convert(made, ShadowPart)
    assert (part.would_deny_total, part.obligations_total) == (len(reasons), sum(counts))
    assert len(part.would_deny) == min(len(reasons), MAX_LISTED)
    assert len(part.obligations) == min(sum(counts), MAX_LISTED)


def test_a_record_that_is_too_long_loses_its_shadow_first() -> None:
    """What holds keeps every part that it would have without a candidate."""
    what = seen("deny", *["C" * 128] * 99)
    many = tuple(msgspec.structs.replace(CARDS, message="m" * 900) for _ in range(40))
    long = Decision(stage="request", effect="deny", reasons=many, engine=ENGINE)
    plain = decision(0, decision=long)
    room = 65_535 - len(canonical(plain))
    assert room > 10_000
    record = decision(
        0, decision=msgspec.structs.replace(long, shadow=what), policy_input=document(pad="x" * (room - 500))
    )
    kept = json.loads(bounded(record))
    assert (kept["truncated"], kept["dropped"]) == (True, ["shadow"])
    assert "shadow" not in kept
    assert {key: kept[key] for key in record if key != "shadow"} == json.loads(
        canonical({key: value for key, value in record.items() if key != "shadow"})
    )


def test_an_outcome_that_is_too_long_loses_the_shadows_of_its_verdicts_first() -> None:
    """A long stream under a talkative candidate keeps all of its verdicts."""
    verdicts = [allowed(seen("deny", *["C" * 128] * 99), "response")] * 40
    kept = json.loads(bounded(outcome(0, decisions=verdicts)))
    assert kept["dropped"] == ["shadow"]
    assert len(kept["decisions"]) == 40
    assert not any("shadow" in verdict for verdict in kept["decisions"])


# --- held against the log -------------------------------------------------------------------------------------------


def verified(tmp_path: Path, *records: DecisionRecord) -> tuple[int, list[str]]:
    """The exit code and the lines of the verification of a log with these records."""
    with Opened(tmp_path) as opened:
        opened.commit(*records)
    report = verify(tmp_path)
    return report.exit_code, report.lines()


def test_shadows_of_a_candidate_that_a_record_names_are_whole(tmp_path: Path) -> None:
    """From the ``config`` record on; in outcomes too."""
    answer = outcome(1, decisions=[allowed(seen("deny", "C-1"), "response")])
    code, lines = verified(tmp_path, config_record(NOW, WITH_NEXT), decision(1, decision=allowed(seen())), answer)
    assert code == 0, lines


@pytest.mark.parametrize(
    "records",
    [
        [decision(1, decision=denied(seen()))],
        [decision(1, decision=denied(seen())), config_record(NOW, WITH_NEXT)],
        [config_record(NOW, WITH_NEXT), decision(1, decision=denied(seen(engine=LATER)))],
        [config_record(NOW, WITH_NEXT, ("policy_invalid", "")), decision(1, decision=denied(seen()))],
        [decision(1), outcome(1, decisions=[allowed(seen(), "response")])],
    ],
)
def test_a_shadow_of_a_candidate_that_no_record_names_is_damage(tmp_path: Path, records: list[DecisionRecord]) -> None:
    """Not before its record, not after a refused one, not of another candidate."""
    code, lines = verified(tmp_path, *records)
    assert code == 1
    assert any("candidate policies that no open or config record" in line for line in lines)


# --- told -----------------------------------------------------------------------------------------------------------


def test_what_would_be_let_in_comes_first(log: Path) -> None:
    """By candidate, newest first; by rule and stage; each answer once, however often it was judged."""
    summary = summarised(LogReader(log).records())
    newest, oldest = summary.candidates
    assert (newest.revision, newest.judged, newest.changed, newest.failed) == ("next-1", 6, 5, {"policy_timeout": 1})
    assert [(row.change, row.rule, row.stage, row.count) for row in newest.rows] == [
        ("deny_to_allow", "PII-002", "request", 1),
        ("allow_to_deny", "C-1", "request", 2),
        ("allow_to_deny", "C-1", "response", 1),
        ("allow_to_deny", "C-9", "request", 1),
        ("obligations", "C-2", "request", 1),
    ]
    assert newest.rows[1].decisions == [decision(1)["id"], decision(5)["id"]]
    assert newest.rows[4].obligation == "adds redact PERSON drop"
    assert (oldest.revision, [row.rule for row in oldest.rows]) == ("next-2", ["OLD-1"])
    assert [(row.rule, row.severity, row.count) for row in summary.rules.rows] == [("PII-002", "high", 1)]
    assert (newest.mean_us, newest.most_us) == (40, 40)


def test_examples_are_few_and_the_newest(tmp_path: Path) -> None:
    """However many there were."""
    records = [{**decision(n, decision=allowed(seen("deny", "C-1"))), "ts_us": n} for n in range(50)]
    (row,) = summarised(records).candidates[0].rows
    assert (row.count, row.decisions) == (50, [decision(n)["id"] for n in (47, 48, 49)])


def test_verdicts_of_a_connection_are_counted_once(tmp_path: Path) -> None:
    """Each message that was decided has a record of its own beside the outcome of the connection."""
    message = decision(7, decision=allowed(seen("deny", "C-1")), connection=decision(0)["id"])
    closed = outcome(0, status=101, decisions=[allowed(seen("deny", "C-1"))])
    (row,) = summarised({**record, "ts_us": 1} for record in (message, closed)).candidates[0].rows
    assert row.count == 1


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, output and complaints of ``guard log``."""
    code = main(["log", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_guard_log_shadow_tells_the_newest_candidate(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences for people, in the order in which they matter; the earlier candidate is named."""
    code, out, _ = command(capsys, "shadow", "--dir", log)
    assert code == 0
    assert out.index("DENY -> ALLOW") < out.index("ALLOW -> DENY") < out.index("OTHER OBLIGATIONS")
    assert "Candidate next-1: 6 requests, messages and answers were judged; 5 would be decided otherwise." in out
    assert "NO DECISION  policy_timeout 1" in out
    assert "next-2 (1)" in out
    assert "OLD-1" not in out
    assert "1  PII-002  high  request  e.g. " + decision(1)["id"] in out.split("Rules in shadow mode")[1]


def test_guard_log_shadow_as_json_and_of_one_revision(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document with everything; ``--revision`` and ``--since`` narrow it."""
    _, out, _ = command(capsys, "shadow", "--dir", log, "--json")
    assert [made["revision"] for made in json.loads(out)["candidates"]] == ["next-1", "next-2"]
    _, out, _ = command(capsys, "shadow", "--dir", log, "--json", "--revision", "next-2")
    assert [made["revision"] for made in json.loads(out)["candidates"]] == ["next-2"]
    _, out, _ = command(capsys, "shadow", "--dir", log, "--since", "2999-01-01")
    assert "No candidate judged anything." in out


@pytest.mark.parametrize("words", [["--since", "soon"], ["--since", "12"], ["--since", "-1h"]])
def test_a_time_that_is_none_is_wrong_usage(
    log: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str]
) -> None:
    """Exit code 3, and how it is written."""
    code, _, complaint = command(capsys, "shadow", "--dir", log, *words)
    assert code == 3
    assert "--since" in complaint


def test_since_is_an_age_or_a_time() -> None:
    """Ages count back from now; a time without a zone is UTC."""
    now = 10**15
    assert since_us("", now) == 0
    assert [now - since_us(text, now) for text in ("30s", "2m", "1h", "1d", "1w")] == [
        30_000_000, 120_000_000, 3_600_000_000, 86_400_000_000, 604_800_000_000,
    ]  # fmt: skip
    assert since_us("9999999w", now) == 0
    assert since_us("1970-01-02", now) == since_us("1970-01-02T01:00:00+01:00", now) == 86_400_000_000


def test_tail_marks_what_would_change_and_finds_it(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--changed`` leaves the others out; a candidate's rule is found by its id."""
    _, out, _ = command(capsys, "tail", "--dir", log, "--changed")
    lines = out.splitlines()
    assert len(lines) == 6
    assert lines[1].endswith("rule in shadow would deny (PII-002)  candidate would deny (C-1)")
    assert lines[3].endswith("PII-002  candidate would allow")
    assert lines[4].endswith("candidate would oblige otherwise")
    _, out, _ = command(capsys, "tail", "--dir", log)
    assert "candidate failed (policy_timeout)" in out
    assert [record["id"] for record in LogReader(log).records(Filter(rule="C-9"))] == [decision(5)["id"]]


def test_show_says_what_the_candidate_would_have_done(log: Path) -> None:
    """Of the request and of the answer, each once, with the rule and its place."""
    reader = LogReader(log)

    def said(number: int) -> list[str]:
        return next(s.sentences for s in explain(reader.find(decision(number)["id"])) if s.title == "Candidate")

    assert said(1) == [
        "Revision next-1 would have denied the request: C-1 (low) at n.rego:7.",
        "Revision next-1 would have denied the answer: C-1 (low) at n.rego:7.",
    ]
    assert said(2) == ["Revision next-1 would have allowed the request."]
    assert said(3) == [
        "Revision next-1 would have allowed the request, with other obligations: C-2 adds redact PERSON drop."
    ]
    assert said(4) == ["Revision next-1 came to no decision on the request: policy_timeout."]


def test_a_reload_says_which_candidate_came() -> None:
    """In a sentence of its own."""
    record = {**config_record(NOW, WITH_NEXT), "seq": 1, "origin": "o", "ts_us": 1, "id": "x"}
    (section,) = [section for section in explain_reload(record) if section.title == "Candidate"]
    assert section.sentences == ["none before, next-1 from here on, in shadow."]
