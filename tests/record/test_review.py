"""Reading the log: queries, explanations in plain sentences, and the ``guard log`` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.cli import log_verify, main
from guard.record.build import Change, Spent
from guard.review.explain import explain
from guard.review.query import Exchange, Filter, LogReader, RecordNotFound
from guard.types import ANONYMOUS, Decision
from tests.record.logs import CARDS, ENGINE, Opened, decision, document, outcome, twelve_records

NOT_RECORDED = "note:  this reading is not recorded: the keys beside the log cannot be read\n"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The directory of a log of twelve records."""
    twelve_records(tmp_path / "log")
    return tmp_path / "log"


def said(exchange: Exchange) -> dict[str, str]:
    """The explanation by heading."""
    return {section.title: " ".join(section.sentences) for section in explain(exchange)}


# --- queries --------------------------------------------------------------------------------------------------------


def test_records_come_oldest_first_and_filtered(log: Path) -> None:
    """All records in order; by effect, rule, kind and exchange."""
    reader = LogReader(log)
    assert [record["seq"] for record in reader.records()] == list(range(12))
    assert [r["id"] for r in reader.records(Filter(rule="PII-002"))] == [decision(1)["id"], decision(5)["id"]]
    assert {r["kind"] for r in reader.records(Filter(effect="deny"))} == {"decision"}
    assert [r["kind"] for r in reader.records(Filter(id_prefix=decision(2)["id"]))] == ["decision", "outcome"]
    assert len(list(reader.records(Filter(kind="outcome")))) == 4
    assert reader.unreadable == 0


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [11]), (3, [9, 10, 11]), (8, list(range(4, 12)))])
def test_the_last_records_are_read_from_the_end(log: Path, count: int, expected: list[int]) -> None:
    """``tail`` crosses segments and keeps the order."""
    assert [record["seq"] for record in LogReader(log).tail(count)] == expected
    assert len(LogReader(log).tail(100)) == 12


def test_shadow_rules_and_verdicts_on_answers_are_found(tmp_path: Path) -> None:
    """A rule that only would have denied, and one that denied an answer, are found by their id."""
    shadow = Decision(stage="request", effect="allow", would_deny=(CARDS,), engine=ENGINE)
    leak = Decision(stage="response", effect="deny", reasons=(CARDS,), engine=ENGINE)
    with Opened(tmp_path) as opened:
        opened.commit(decision(0, decision=shadow), outcome(0, decisions=(leak,)))
    reader = LogReader(tmp_path)
    assert [record["kind"] for record in reader.records(Filter(rule="PII-002"))] == ["decision", "outcome"]
    assert [record["kind"] for record in reader.records(Filter(effect="deny"))] == ["outcome"]


def test_a_decision_is_found_by_its_beginning_or_as_the_last(log: Path) -> None:
    """A prefix that means one decision finds it with its outcome; one that means none or several says so."""
    reader = LogReader(log)
    found = reader.find(decision(2)["id"])
    assert found.outcome is not None
    assert found.outcome["decision_ref"] == found.decision["id"] == decision(2)["id"]
    assert reader.find("last").decision["id"] == decision(5)["id"]
    assert reader.find(decision(1)["id"]).outcome is None
    with pytest.raises(RecordNotFound, match="6 decisions begin so"):
        reader.find("0198c0de")
    with pytest.raises(RecordNotFound, match="no decision has an id"):
        reader.find("ffff")
    with pytest.raises(RecordNotFound, match="no log here"):
        LogReader(log / "nowhere")


def test_an_empty_log_has_no_last_decision(tmp_path: Path) -> None:
    """A log without decisions says so."""
    Opened(tmp_path).close()
    with pytest.raises(RecordNotFound, match="no decision"):
        LogReader(tmp_path).find("last")


def test_following_shows_what_is_committed_from_now_on(tmp_path: Path) -> None:
    """New commits, new segments and new origins appear; what is not yet committed does not."""
    first = Opened(tmp_path, segment_records=3)
    first.commit(decision(0))
    others: list[Opened] = []

    def torn_write() -> None:
        with (first.slot.path / "seg" / "000001.jsonl").open("ab") as file:
            file.write(b'{"boot":"half')

    steps = iter([lambda: first.commit(outcome(0), decision(1)), lambda: others.append(Opened(tmp_path)), torn_write])

    def pause(_seconds: float) -> None:
        next(steps)()  # then StopIteration: nothing more will come

    seen: list[tuple[str, str]] = []
    following = LogReader(tmp_path).follow(pause=pause)
    with pytest.raises(RuntimeError, match="StopIteration"):
        seen.extend((record["origin"], record["kind"]) for record in following)
    assert seen == [("policy-guard-0", "outcome"), ("policy-guard-0", "decision"), ("policy-guard-1", "open")]
    first.kill()
    others[0].kill()


def test_lines_that_are_no_records_are_counted(log: Path) -> None:
    """Reading a damaged log goes on, and says how much it could not read."""
    segment = log / "policy-guard-0" / "seg" / "000000.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"kind":"outcome"', b'"kind":"outcome', 1))
    reader = LogReader(log)
    assert len(list(reader.records())) == 11
    assert reader.unreadable == 1


# --- explanations ---------------------------------------------------------------------------------------------------


def find(tmp_path: Path, *records: dict[str, Any]) -> dict[str, str]:
    """Write the records of one exchange and explain it."""
    with Opened(tmp_path) as opened:
        opened.commit(*records)
    return said(LogReader(tmp_path).find("last"))


def test_a_denial_is_explained_in_plain_sentences(tmp_path: Path) -> None:
    """Who, what, which rule with id and title, where, what was found, the remedy, what was not inspected."""
    text = find(tmp_path, decision(1, effect="deny"))
    who = decision(1)["who"]
    assert text["Decision"] == "The request was denied, and answered 403."
    assert text["Who"].startswith(f"The user {who['id']} of tenant acme from {who['ip']}, identified by jwt")
    assert text["What"] == "POST on route /v1/**, a chat call to the model gpt-4o of provider openai."
    assert text["Why"] == (
        'Rule PII-002 (high), "Card numbers stay with providers that may hold them": 1 card number(s) for openai. '
        "At /messages/0/content. Remedy: Remove the number, or choose a model of a provider with pci = true. "
        "The rule stands in policies/pii.rego:12."
    )
    assert text["Found"].startswith("1 CREDIT_CARD at /messages/0/content, score 0.99 (pii).")
    assert text["Not inspected"] == "headers: not_inspected."
    assert text["Answer"] == "The app was not called."
    assert "embedded engine 1, revision rev-7" in text["Policy"]


def test_an_allowed_request_is_explained_with_its_answer(tmp_path: Path) -> None:
    """Obligations, redactions, restored placeholders and the answer's fate."""
    text = find(tmp_path, decision(0, redactions={"PERSON": 2}, request_body=b"12345"), outcome(0))
    assert text["Decision"] == "The request was allowed."
    assert text["What"].endswith("with a body of 5 bytes.")
    assert text["Done"] == ("redact (entity PERSON) for rule PII-001: pending. Rewritten in the request: 2 PERSON.")
    assert text["Answer"] == (
        "The client was sent 200 and 512 bytes. Rewritten in the answer: 1 PERSON. 1 placeholder was restored. "
        "Not inspected: headers: not_inspected. It took 90.0 ms."
    )


def test_tokens_are_told_with_who_counted_them(tmp_path: Path) -> None:
    """What a call counts against its limits, what was reserved, and by whom it was counted."""
    spent = Spent(reserved=500, used=120, source="provider")
    text = find(tmp_path, decision(0), outcome(0, spent=spent))["Answer"]
    assert "It counts 120 tokens against its limits, as the provider counted them; 500 were reserved before" in text
    text = find(tmp_path / "b", decision(0), outcome(0, spent=Spent(500, 500, "reserved")))["Answer"]
    assert "500 tokens against its limits, all that were reserved, since nobody could count them;" in text
    assert "tokens" not in find(tmp_path / "c", decision(0), outcome(0))["Answer"]


def test_what_would_have_changed_the_decision_is_told(tmp_path: Path) -> None:
    """A counterfactual that was recorded, in a sentence."""
    changes = (Change("input.anomaly.score", 870, 599, "allow"),)
    text = find(tmp_path, decision(1, effect="deny", changes=changes))
    assert text["Otherwise"] == "It would have been allowed if input.anomaly.score were 599, not 870."
    assert "Otherwise" not in find(tmp_path / "b", decision(1, effect="deny"))


def test_a_missing_outcome_is_said(tmp_path: Path) -> None:
    """An allowed request without outcome is not passed over."""
    assert find(tmp_path, decision(0))["Answer"].startswith("No outcome is recorded")


def test_an_answer_that_was_withheld_is_explained(tmp_path: Path) -> None:
    """A denied answer names its rule and what the app had said."""
    leak = Decision(stage="response", effect="deny", reasons=(CARDS,), engine=ENGINE)
    text = find(tmp_path, decision(0), outcome(0, status=403, aborted="denied", decisions=(leak,)))
    assert "The app had answered 200. The answer was withheld" in text["Answer"]
    assert "Rule PII-002" in text["Answer"]
    gone = outcome(0, status=None, upstream_status=None, aborted="gone", policy_input=None, redactions={})
    text = find(tmp_path / "b", decision(0), gone)
    assert text["Answer"].startswith("The client was sent nothing. It did not go out whole: gone.")


def test_refusals_outages_and_anonymous_callers_are_explained(tmp_path: Path) -> None:
    """A body that was refused unread, a guard that could not decide, a caller without identity."""
    refusal = decision(
        0, effect="deny", principal=ANONYMOUS, client_ip=None, policy_input=None, refusal=("json_invalid", "/a")
    )
    text = find(tmp_path / "a", refusal)
    assert text["Decision"] == "The request's body was refused unread: json_invalid at /a, and answered 403."
    assert text["Who"] == "An anonymous caller, not authenticated."
    out = Decision(stage="request", effect="deny", outage=True)
    text = find(tmp_path / "b", decision(0, decision=out, http_status=503, policy_input=None))
    assert "could not decide (guard: guard_error), and answered 503." in text["Decision"]
    assert text["Policy"] == "No policy was asked."


def test_long_lists_are_cut_in_the_telling(tmp_path: Path) -> None:
    """Many findings, positions and features are counted past the first, and a capped record says so."""
    many = document(
        findings=[{"type": "X", "detector": "d", "score": 10, "pointer": "", "count": 1}] * 20,
        anomaly={"score": 900, "features": [{"name": "rate", "value": 9, "expected": 1, "share": 1000}]},
        coverage={
            "inspected": [],
            "skipped": [{"pointer": f"/{n}", "reason": "limit"} for n in range(20)],
            "incomplete": [{"detector": "pii", "reason": "deadline"}],
        },
    )
    why = msgspec.structs.replace(CARDS, pointers=tuple(f"/p{n}" for n in range(20)), message="Stop!")
    denied = Decision(stage="request", effect="deny", reasons=(why,), would_deny=(why,), engine=ENGINE)
    text = find(
        tmp_path, {**decision(0, policy_input=many, decision=denied), "truncated": True, "dropped": ["who.roles"]}
    )
    assert text["Found"].endswith("12 more kinds of finding.")
    assert text["Behaviour"] == "Behaviour scored 0.90, mostly by rate (100 %)."
    assert "12 more positions. The detector pii did not finish: deadline." in text["Not inspected"]
    assert "/p7 and 12 more." in text["Why"]
    assert text["Would deny"] == text["Why"]
    assert "was too long; cut: who.roles." in text["Record"]


# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``guard log``."""
    code = main(["log", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_tail_prints_a_line_for_each_record(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain text where no terminal is; JSON lines for programs."""
    code, out, err = run("tail", "--dir", str(log), "-n", "3", capsys=capsys)
    assert (code, err) == (0, NOT_RECORDED)
    lines = out.splitlines()
    assert len(lines) == 3
    assert "deny" in lines[1]
    assert lines[1].endswith("POST /v1/** gpt-4o  PII-002")
    assert "\x1b" not in out
    code, out, _ = run("tail", "--dir", str(log), "--effect", "deny", "--json", capsys=capsys)
    assert [json.loads(line)["id"] for line in out.splitlines()] == [decision(1)["id"], decision(5)["id"]]


def test_show_explains_and_says_when_it_cannot(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 with sentences or JSON; exit 1 with what, where and mend on stderr."""
    code, out, _ = run("show", "last", "--dir", str(log), capsys=capsys)
    assert code == 0
    assert "Remedy: Remove the number" in out
    code, out, _ = run("show", decision(2)["id"], "--dir", str(log), "--json", capsys=capsys)
    assert json.loads(out)["outcome"]["decision_ref"] == decision(2)["id"]
    code, out, err = run("show", "ffff", "--dir", str(log), capsys=capsys)
    assert (code, out) == (1, "")
    assert err.startswith("error: no decision has an id")
    assert "mend:" in err


def test_verify_has_its_documented_exit_codes(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 whole, 1 tampered, 2 incomplete, 3 usage."""
    code, out, _ = run("verify", str(log), capsys=capsys)
    assert code == 0
    assert out.startswith("WHOLE: policy-guard-0, 12 records verified")
    assert "not proven: origin" in out
    assert run("verify", str(log), "--require-anchor", capsys=capsys)[0] == 2
    code, _, err = run("verify", str(tmp_path / "nowhere"), capsys=capsys)
    assert code == 3
    assert err.startswith("error: there is no log here")
    assert run("verify", str(log), "--trust", str(tmp_path / "none"), capsys=capsys)[0] == 3
    assert run("verify", "--unknown", capsys=capsys)[0] == 3
    assert run("tail", "--dir", str(log), "--effect", "maybe", capsys=capsys)[0] == 3
    segment = log / "policy-guard-0" / "seg" / "000000.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"effect":"deny"', b'"effect":"eeny"', 1))
    code, out, _ = run("verify", str(log), "--json", capsys=capsys)
    report = json.loads(out)
    assert (code, report["status"], report["exit_code"]) == (1, "tampered", 1)
    assert report["origins"][0]["damages"][0]["seq"] == 3
    assert log_verify.print_verification(log) == 1


def test_the_directory_comes_from_the_configuration(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --dir the log is the one of the configuration's state directory."""
    monkeypatch.setenv("GUARD_STATE_DIRECTORY", str(log.parent))
    monkeypatch.chdir(log.parent)
    assert run("verify", capsys=capsys)[0] == 0


def test_a_log_does_not_drive_the_terminal(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Attack: escape sequences and markup in a forged record are shown, not obeyed."""
    segment = log / "policy-guard-0" / "seg" / "000001.jsonl"
    forged = segment.read_bytes().replace(b'"model":"gpt-4o"', b'"model":"\\u001b[2J[red]x"')
    segment.write_bytes(forged)
    _, out, _ = run("tail", "--dir", str(log), "-n", "6", capsys=capsys)
    assert "\x1b" not in out
    assert "\\x1b[2J[red]x" in out
    _, out, _ = run("show", "last", "--dir", str(log), capsys=capsys)
    assert "\x1b" not in out


def test_unreadable_lines_are_warned_of(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``tail`` of a damaged log says on stderr that it did not read everything."""
    segment = log / "policy-guard-0" / "seg" / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"kind":"close"', b'"kind":"close', 1))
    code, _, err = run("tail", "--dir", str(log), capsys=capsys)
    assert (code, err) == (0, NOT_RECORDED + "warning: 1 line is no record and is left out; run: guard log verify\n")


def test_following_prints_records_of_another_process(log: Path) -> None:
    """``guard log tail -f`` shows what a running writer commits."""
    code = "import sys; from guard.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "log", "tail", "-f", "-n", "1", "--json", "--dir", str(log)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["kind"] == "close"
        with Opened(log) as opened:
            opened.commit(decision(9))
        kinds = [json.loads(process.stdout.readline())["kind"] for _ in range(3)]
        process.terminate()
    assert kinds == ["open", "decision", "close"]
