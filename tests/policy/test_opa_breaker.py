"""The circuit breaker: who does not answer is not asked, by a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from guard.errors import EngineUnavailable
from guard.policy.opa.breaker import Breaker

LIMIT = 3
OPEN_SECONDS = 2.0
MOMENT = datetime(2026, 11, 22, 23, 45, tzinfo=UTC)


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def breaker(clock: Clock) -> Breaker:
    return Breaker(LIMIT, OPEN_SECONDS, clock=clock, now=lambda: MOMENT)


def test_it_opens_after_so_many_outages_in_a_row_and_says_since_when() -> None:
    """One fewer changes nothing; the refusal names the count, the breaker and the moment."""
    tried = breaker(Clock())
    assert [tried.failed() for _ in range(LIMIT - 1)] == [False, False]
    tried.check()
    assert tried.failed()
    with pytest.raises(EngineUnavailable) as caught:
        tried.check("http://opa:8181")
    assert caught.value.code == "engine_unavailable"
    assert caught.value.what == (
        "OPA did not answer 3 times in a row: the circuit breaker is open since 2026-11-22T23:45:00Z."
    )
    assert caught.value.where == "http://opa:8181"


def test_an_answer_in_between_starts_the_count_again() -> None:
    """Outages that are not in a row open nothing."""
    tried = breaker(Clock())
    for _ in range(5):
        tried.failed()
        tried.failed()
        assert not tried.succeeded()
    assert tried.state == "closed"


def test_the_first_probe_is_due_at_once_and_the_next_after_open_seconds() -> None:
    """A server that only stumbled is back within one round trip; one that is down is asked at a steady pace."""
    clock = Clock()
    tried = breaker(clock)
    for _ in range(LIMIT):
        tried.failed()
    assert tried.probe_in() == 0
    tried.probing()
    assert (tried.state, tried.probe_in()) == ("half open", OPEN_SECONDS)
    with pytest.raises(EngineUnavailable):
        tried.check()
    assert not tried.failed(), "it was open before"
    assert tried.state == "open"
    clock.seconds += OPEN_SECONDS
    assert tried.probe_in() == 0


@pytest.mark.parametrize("probed", [True, False], ids=["a probe", "a late answer"])
def test_any_answer_closes_it(probed: bool) -> None:
    """The probe's, or one to a request that was sent before it opened; the count starts at nought."""
    tried = breaker(Clock())
    for _ in range(LIMIT):
        tried.failed()
    if probed:
        tried.probing()
    assert tried.succeeded()
    tried.check()
    assert not tried.failed()


class Machine(RuleBasedStateMachine):
    """Any order of outages, answers, probes and time, against the law written down once more."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.tried = breaker(self.clock)
        self.in_a_row = 0

    @rule()
    def outage(self) -> None:
        """A question without an answer."""
        self.in_a_row += 1
        assert self.tried.failed() == (self.in_a_row == LIMIT)

    @rule()
    def answer(self) -> None:
        """Somebody was answered."""
        assert self.tried.succeeded() == (self.in_a_row >= LIMIT)
        self.in_a_row = 0

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        """Time alone opens and closes nothing."""
        self.clock.seconds += seconds

    @precondition(lambda self: self.tried.probe_in() <= 0)
    @rule()
    def probe(self) -> None:
        """A probe that is due is one, and the next is not due yet."""
        self.tried.probing()
        assert self.tried.probe_in() == pytest.approx(OPEN_SECONDS)

    @invariant()
    def refuses_while_open(self) -> None:
        """Requests pass if and only if fewer than the limit failed in a row."""
        assert (self.tried.state == "closed") == (self.in_a_row < LIMIT)
        if self.in_a_row >= LIMIT:
            with pytest.raises(EngineUnavailable):
                self.tried.check()
        else:
            self.tried.check()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
