"""Decisions find their outcomes in one pass, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import pytest

from guard.record.export import exchanges as joining
from guard.record.export.exchanges import exchanges
from guard.record.export.ocsf import events
from guard.record.export.table import rows
from guard.types import DecisionRecord
from tests.record.exchanged import placed
from tests.record.logs import decision, outcome


def opened(boot: str, origin: str = "policy-guard-0") -> DecisionRecord:
    """What of an ``open`` record is looked at."""
    return placed({"kind": "open"}, boot=boot, origin=origin)


def joined(*records: DecisionRecord) -> list[tuple[int, str, bool]]:
    """Number of the decision, ending, and whether it has an outcome."""
    return [
        (int(found.decision["id"][-12:], 16), found.ending, found.outcome is not None) for found in exchanges(records)
    ]


def test_outcomes_meet_their_decisions_in_the_order_of_completion() -> None:
    """Interleaved requests; a denial is over at once."""
    records = [decision(0), decision(1), decision(2, effect="deny"), outcome(1), outcome(0)]
    assert joined(*map(placed, records)) == [(2, "none", False), (1, "recorded", True), (0, "recorded", True)]


def test_a_message_of_a_connection_has_no_outcome_of_its_own() -> None:
    """The connection has; nothing is missing."""
    message = decision(1, connection="0198c0de-0000-7000-8000-000000000000")
    assert joined(placed(decision(0)), placed(message), placed(outcome(0))) == [
        (1, "none", False),
        (0, "recorded", True),
    ]


def test_what_a_boot_left_open_is_missing_when_the_next_begins() -> None:
    """A process that ended takes its requests with it; the other origin's go on."""
    first = [placed(decision(0), boot="a" * 16), placed(decision(1), boot="b" * 16, origin="policy-guard-1")]
    after = [opened("c" * 16), placed(outcome(0), boot="c" * 16)]
    last = placed(outcome(1), boot="b" * 16, origin="policy-guard-1")
    assert joined(*first, *after, last) == [(0, "missing", False), (1, "recorded", True)]


def test_the_same_id_in_two_origins_is_two_exchanges() -> None:
    """An outcome belongs to the decision of its own log."""
    records = [
        placed(decision(0)),
        placed(decision(0), origin="policy-guard-1"),
        placed(outcome(0), origin="policy-guard-1"),
    ]
    assert joined(*records) == [(0, "recorded", True), (0, "missing", False)]


def test_a_decision_that_stands_twice_is_told_twice() -> None:
    """Only a log that was tampered with has that; an export leaves nothing out."""
    assert joined(placed(decision(0), 1), placed(decision(0), 2), placed(outcome(0))) == [
        (0, "missing", False),
        (0, "recorded", True),
    ]


def test_an_outcome_without_its_decision_is_no_exchange() -> None:
    """A log that begins in the middle."""
    assert joined(placed(outcome(5)), placed(decision(1)), placed(outcome(1))) == [(1, "recorded", True)]


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the oldest goes out without its outcome, and says so; the rest are joined."""
    monkeypatch.setattr(joining, "MAX_HELD", 3)
    records = [placed(decision(number), number) for number in range(5)]
    records += [placed(outcome(number), 10 + number) for number in range(5)]
    assert joined(*records) == [
        (0, "unjoined", False),
        (1, "unjoined", False),
        (2, "recorded", True),
        (3, "recorded", True),
        (4, "recorded", True),
    ]


def test_a_guard_in_shadow_mode_lets_denied_requests_go_on() -> None:
    """They have an outcome, and wait for it."""
    assert joined(placed(decision(0, effect="deny", mode="shadow")), placed(outcome(0))) == [(0, "recorded", True)]


def test_an_export_begins_before_the_log_has_ended() -> None:
    """Events and rows come as records are read: of a log without end, the first hundred are there."""

    def endless() -> Iterator[DecisionRecord]:
        for number in count():
            yield placed(decision(number), 2 * number)
            yield placed(outcome(number), 2 * number + 1)

    assert len(list(islice(events(exchanges(endless())), 100))) == 100
    assert len(list(islice(rows(exchanges(endless())), 100))) == 100
