"""The table of decisions: RFC 4180, a row each, and nothing in it that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.record.export.exchanges import Exchange
from guard.record.export.table import COLUMNS, harmless, moment, rows
from guard.types import Reason
from tests.record.exchanged import BROKEN, EXCHANGES, exchange, placed, verdict
from tests.record.logs import decision

PAGE = Path(__file__).parents[2] / "docs" / "exports.md"
STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


def table(*exchanges: Exchange) -> list[dict[str, str]]:
    """The table, read back by Python's own reader."""
    text = b"".join(rows(exchanges)).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_each_decision_is_one_row_under_the_documented_columns() -> None:
    """The head is ``COLUMNS``, and the page describes each of them in that order."""
    told = table(*EXCHANGES.values())
    assert len(told) == len(EXCHANGES)
    assert all(tuple(row) == COLUMNS for row in told)
    section = PAGE.read_text(encoding="utf-8").partition("\n## CSV\n")[2].partition("\n## ")[0]
    documented = [
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert tuple(documented) == COLUMNS


def test_lines_end_in_cr_lf_and_every_cell_is_quoted() -> None:
    """RFC 4180 section 2."""
    text = b"".join(rows([EXCHANGES["denied"]]))
    assert text.count(b"\r\n") == 2
    assert text.count(b"\n") == 2
    assert all(line.startswith(b'"') and line.endswith(b'"') for line in text.split(b"\r\n")[:-1])


def test_a_row_tells_request_and_answer_together() -> None:
    """The cells of an exchange that was rewritten on both ways, of a denied request, and of a denied answer."""
    both = exchange(redactions={"PERSON": 2}, answer={"redactions": {"PERSON": 1, "IBAN": 1}, "restored": 3})
    (row,) = table(both)
    assert row["time"] == "2025-10-09T08:53:20.000001Z"
    assert (row["effect"], row["action"], row["outcome"], row["status"]) == ("allow", "modified", "recorded", "200")
    assert (row["redactions"], row["restored"]) == ("IBAN:1; PERSON:3", "3")
    assert (row["origin"], row["seq"]) == ("policy-guard-0", "1")
    denied, answer = table(EXCHANGES["denied"], EXCHANGES["denied_answer"])
    assert (denied["effect"], denied["stage"], denied["rules"], denied["status"]) == (
        "deny",
        "request",
        "PII-002",
        "403",
    )
    assert (denied["outcome"], denied["upstream_status"], denied["duration_us"]) == ("none", "", "")
    assert (answer["effect"], answer["stage"], answer["rules"]) == ("deny", "response", "SEC-001")
    assert answer["titles"] == "'=secret"


def test_of_two_failures_the_one_that_stopped_it_is_told() -> None:
    """A request that passed although the policies did not answer, and whose answer was stopped because they did not."""
    stopped = verdict("deny", stage="response", outage=True, reasons=(BROKEN,))
    open_then_closed = exchange(
        decision=verdict(fail_open="engine_unavailable", engine=None), answer={"decisions": (stopped,)}
    )
    (row,) = table(open_then_closed)
    assert (row["action"], row["failure"]) == ("failed_closed", "policy:policy_timeout:closed")
    (row,) = table(EXCHANGES["failed_open"])
    assert (row["action"], row["effect"], row["failure"]) == ("failed_open", "allow", "policy:policy_timeout:open")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("before", ["", " ", "\u3000", "\xa0"])
def test_what_looks_like_a_formula_is_made_harmless(start: str, before: str) -> None:
    """CSV injection: the cell begins with an apostrophe, behind spaces as well, and in full-width forms."""
    cell = harmless(f"{before}{start}HYPERLINK(1)")
    assert cell.startswith("'")
    assert cell.endswith("HYPERLINK(1)")
    assert cell.isprintable()


@pytest.mark.parametrize("text", ["deny", "a=b", "", "'quoted'", "1-2", "hmac:k1:0a"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    """Only the beginning of a cell makes a formula."""
    assert harmless(text) == text


@given(st.text(), st.text(), st.text())
def test_no_text_of_a_record_makes_a_formula_or_another_row(title: str, rule: str, route: str) -> None:
    """Whatever policies and clients call things, the table keeps its shape and runs nothing."""
    reason = Reason(code="policy_denied", rule=rule, title=title, message="", severity="low")
    made = decision(route=route, decision=verdict("deny", reasons=(reason,)))
    text = b"".join(rows([Exchange(placed(made), None, "none")])).decode("utf-8", "strict")
    told = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert [len(row) for row in told] == [len(COLUMNS)] * 2
    for cell in told[1]:
        assert cell.isprintable()
        assert not cell.lstrip().startswith(tuple(STARTS))


def test_a_time_that_no_calendar_holds_is_given_as_a_number() -> None:
    """A line that was tampered with may claim any time; the export does not fail on it."""
    assert moment(10**18) == "1000000000000000000"
    assert moment(2**53 - 1) == "2255-06-05T23:47:34.740991Z"
    assert moment(0) == "1970-01-01T00:00:00.000000Z"
