"""Budgets: what a limit may say, and what the moving windows let in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.obligations.counters import EXACT, MOST, NEVER, SLOTS, Counters, Draw
from guard.obligations.limit import Limit, draws, limits, reason, retry_after
from guard.types import Location, Obligation, RuleInfo

KEYED = KeyedHash("test", b"k" * 32)
SECOND = 1_000_000_000
DOCUMENT: dict[str, Any] = {
    "subject": {"id": "hmac:test:1", "tenant": "blue"},
    "context": {"client": "hmac:test:2"},
    "resource": {"model": "small-1", "provider": "eu", "route": "/v1/**"},
}


class Clock:
    """A clock that goes as it is told, in nanoseconds."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def draw(key: str = "a", amount: int = 1, budget: int = 3, window_s: int = 60) -> Draw:
    return Draw(key.encode(), amount, budget, window_s * SECOND)


def limited(rule: str = "BUD-1", **params: Any) -> Obligation:
    stated = {"key": "tenant", "budget": {"requests": 10}, "window": "1m", **params}
    return Obligation(type="limit", rule=rule, params={name: value for name, value in stated.items() if value != ""})


def keys_of(*found: Obligation, document: dict[str, Any] = DOCUMENT) -> list[Draw]:
    return list(draws(limits(found), document, KEYED, 7))


# --- what a limit may say -------------------------------------------------------------------------------------------


def test_a_limit_is_read_as_the_rule_wrote_it() -> None:
    """One budget for each unit; other obligations are none of its business."""
    found = limits(
        [
            Obligation(type="annotate", rule="A", params={}),
            limited(key=["tenant", "model"], budget={"requests": 100, "tokens": 2e5}, window="2h"),
        ]
    )
    assert found == (
        Limit("BUD-1", ("tenant", "model"), "requests", 100, "2h", 7200),
        Limit("BUD-1", ("tenant", "model"), "tokens", 200_000, "2h", 7200),
    )
    assert str(found[1]) == "200000 tokens in 2h by tenant and model"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"key": ""}, "limit has no key"),
        ({"budget": ""}, "limit has no budget"),
        ({"window": ""}, "limit has no window"),
        ({"key": "tennant"}, "limit knows no key 'tennant'"),
        ({"key": "Team:blue"}, "limit knows no key"),
        ({"key": "team:" + "x" * 257}, "limit knows no key"),
        ({"key": "team:a b"}, "limit knows no key"),
        ({"key": 7}, "limit needs a key"),
        ({"key": []}, "limit needs a key"),
        ({"key": ["tenant"] * 5}, "limit needs a key"),
        ({"key": ["tenant", "tenant"]}, "a part of its key twice"),
        ({"key": ["tenant", None]}, "a part that is no word"),
        ({"key": [["tenant"]]}, "a part that is no word"),
        ({"budget": {}}, "no budget of requests or tokens"),
        ({"budget": 100}, "no budget of requests or tokens"),
        ({"budget": {"request": 100}}, "no budget of requests or tokens"),
        ({"budget": {"requests": 0}}, "no positive whole number"),
        ({"budget": {"requests": -1}}, "no positive whole number"),
        ({"budget": {"requests": 1.5}}, "no positive whole number"),
        ({"budget": {"requests": True}}, "no positive whole number"),
        ({"budget": {"requests": "100"}}, "no positive whole number"),
        ({"budget": {"tokens": float("inf")}}, "no positive whole number"),
        ({"budget": {"tokens": 10**16}}, "no positive whole number"),
        ({"window": "1w"}, "no window that it can keep"),
        ({"window": "0m"}, "no window that it can keep"),
        ({"window": "32d"}, "no window that it can keep"),
        ({"window": 60}, "no window that it can keep"),
        ({"per": "tenant"}, "limit knows no member 'per'"),
    ],
)
def test_a_limit_that_cannot_be_kept_fails(params: dict[str, Any], said: str) -> None:
    """A mistake never becomes a limit for everybody, or none: the obligation fails, and says what is wrong and how to
    mend it."""
    with pytest.raises(ObligationFailed) as raised:
        limits([limited(**params)])
    assert said in raised.value.what
    assert raised.value.where == "rule BUD-1"
    assert raised.value.mend


def test_too_many_limits_for_one_request_fail() -> None:
    """Sixteen, whatever a rule makes of its data."""
    assert len(limits([limited(key=f"n:{i}") for i in range(16)])) == 16
    with pytest.raises(ObligationFailed, match="17 budgets"):
        limits([limited(key=f"n:{i}") for i in range(17)])


def test_a_counter_belongs_to_rule_unit_window_and_values() -> None:
    """Whatever of these differs, it is another counter; the budget does not make one."""
    base = keys_of(limited())[0].key
    assert keys_of(limited(budget={"requests": 11}))[0].key == base
    others = [
        limited("BUD-2"),
        limited(budget={"tokens": 10}),
        limited(window="2m"),
        limited(key="model"),
        limited(key=["tenant", "model"]),
        limited(key="team:blue"),
    ]
    found = {keys_of(other)[0].key for other in others}
    assert len(found) == len(others)
    assert base not in found
    nobody = {**DOCUMENT, "subject": {"id": "hmac:test:9", "tenant": None}}
    assert keys_of(limited(), document=nobody)[0].key not in {base, *found}
    assert all(len(key) == 16 for key in found)


def test_equal_windows_are_one_however_they_are_written() -> None:
    """60 seconds and a minute are one counter, and the smaller of two budgets for it holds, whichever comes first."""
    one, other = limited(budget={"requests": 5}), limited(budget={"requests": 3}, window="60s")
    assert [d.budget for d in keys_of(one, other)] == [3]
    assert [d.budget for d in keys_of(other, one)] == [3]


def test_the_reason_is_the_rules_own() -> None:
    """Title, severity, remediation and place are those of the annotation; without one there are words of ours."""
    limit = limits([limited()])[0]
    counters = Counters(max_keys=100, clock=Clock())
    wanted = Draw(b"k", 1, 1, 60 * SECOND)
    counters.take([wanted])
    _, (short,) = counters.take([wanted])
    info = RuleInfo(
        id="BUD-1", title="T", severity="low", remediation="R", mode="enforce", location=Location("b.rego", 3)
    )
    said = reason(limit, short, {"BUD-1": info})
    assert (said.code, said.rule, said.title, said.severity) == ("limit_exceeded", "BUD-1", "T", "low")
    assert (said.remediation, said.location) == ("R", info.location)
    assert said.message == "The limit of 10 requests in 1m by tenant is used up, for 60 s."
    assert reason(limit, short, {}).remediation
    _, (never,) = counters.take([Draw(b"k", 2, 1, 60 * SECOND)])
    said = reason(limit, never, {"BUD-1": info})
    assert (said.code, said.title) == ("limit_unreachable", "T")
    assert "max_tokens" in said.remediation


# --- what the windows let in ----------------------------------------------------------------------------------------

# Arrivals: (nanoseconds since the one before, amount).
_gaps = st.one_of(st.integers(0, 3), st.integers(0, 90 * SECOND), st.sampled_from([60 * SECOND, 60 * SECOND - 1]))
_arrivals = st.lists(st.tuples(_gaps, st.integers(1, 5)), max_size=120)


def admitted(arrivals: Sequence[tuple[int, int]], budget: int) -> tuple[list[tuple[int, int]], Counters, Clock]:
    clock = Clock()
    counters = Counters(max_keys=100, clock=clock)
    passed = []
    for gap, amount in arrivals:
        clock.now += gap
        taken, _ = counters.take([draw(amount=amount, budget=budget)])
        if taken:
            passed.append((clock.now, amount))
    return passed, counters, clock


@given(_arrivals, st.integers(1, 40))
def test_no_span_of_a_windows_length_has_more_than_the_budget(arrivals: list[tuple[int, int]], budget: int) -> None:
    """Wherever a window begins: there is no border at which a budget can be spent twice."""
    passed, _, _ = admitted(arrivals, budget)
    for begin, _ in passed:
        assert sum(amount for at, amount in passed if begin <= at < begin + 60 * SECOND) <= budget


@given(_arrivals, st.integers(1, 25))
def test_a_small_budget_is_exact(arrivals: list[tuple[int, int]], budget: int) -> None:
    """Up to 32 events nothing is joined: what a plain log of all events would let in is let in."""
    assert budget <= EXACT
    passed, _, _ = admitted(arrivals, budget)
    expected: list[tuple[int, int]] = []
    now = 0
    for gap, amount in arrivals:
        now += gap
        if amount + sum(n for at, n in expected if at > now - 60 * SECOND) <= budget:
            expected.append((now, amount))
    assert passed == expected


@given(_arrivals, st.integers(1, 40), st.integers(1, 45))
def test_retry_after_is_true(arrivals: list[tuple[int, int]], budget: int, amount: int) -> None:
    """After so many seconds the request is let in, if nobody else takes; a request that can never be is told none."""
    _, counters, clock = admitted(arrivals, budget)
    wanted = [draw(amount=amount, budget=budget)]
    taken, short = counters.take(wanted)
    if taken:
        return
    seconds = retry_after(short)
    assert (seconds is None) == (amount > budget)
    if seconds is not None:
        assert 1 <= seconds <= 60
        clock.now += seconds * SECOND
        assert counters.take(wanted)[0]


@given(
    st.lists(st.tuples(st.integers(0, 20 * SECOND), st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True))),
    st.randoms(use_true_random=False),
)
def test_all_budgets_or_none_whatever_their_order(arrivals: list[tuple[int, list[int]]], dice: Any) -> None:
    """What one budget refuses takes nothing from the others, so the order in which rules state them says nothing."""
    clock = Clock()
    straight, shuffled = (Counters(max_keys=100, clock=clock) for _ in range(2))
    budgets = [draw(str(n), budget=n + 1, window_s=30 + 30 * (n % 2)) for n in range(5)]
    used: list[tuple[int, int]] = []
    for gap, numbers in arrivals:
        clock.now += gap
        wanted = [budgets[n] for n in numbers]
        other = dice.sample(wanted, len(wanted))
        taken, short = straight.take(wanted)
        assert (bool(taken), short) == (bool(shuffled.take(other)[0]), shuffled.take(other)[1] if short else ())
        fits = all(
            sum(1 for at, n in used if n == number and at > clock.now - budgets[number].window_ns) < number + 1
            for number in numbers
        )
        assert bool(taken) is fits
        used += [(clock.now, number) for number in numbers if taken]


def test_a_window_keeps_so_many_numbers_and_no_more() -> None:
    """A million events in a day's window are a hundred numbers, and room comes back at most a 64th late."""
    clock = Clock()
    counters = Counters(max_keys=100, clock=clock)
    day = 86_400
    most = 0
    for _ in range(20_000):
        clock.now += 9 * SECOND
        (taken,), _ = counters.take([draw(budget=10**6, window_s=day)])
        most = max(most, taken.window.size)
    assert SLOTS <= most <= MOST
    exact = day // 9
    assert exact <= taken.window.total <= exact * (1 + 1 / SLOTS) + 1


# --- corrections ----------------------------------------------------------------------------------------------------

_steps = st.lists(
    st.tuples(st.sampled_from(["take", "correct", "wait"]), st.integers(0, 90), st.integers(0, 200)), max_size=80
)


@given(_steps)
def test_what_was_used_is_never_negative_and_never_lost(steps: list[tuple[str, int, int]]) -> None:
    """However reservations are corrected, and however late: the window holds at least what was used in it, as long as
    it counts exactly that, and never less than nothing."""
    clock = Clock()
    counters = Counters(max_keys=100, clock=clock)
    open_: list[tuple[int, Any]] = []
    used: list[tuple[int, int]] = []
    last = None
    for kind, number, amount in steps:
        if kind == "wait":
            clock.now += number * SECOND
        elif kind == "take":
            taken, _ = counters.take([draw(amount=max(1, amount), budget=1000)])
            if taken:
                last = taken[0]
                open_.append((clock.now, last))
                used.append((clock.now, last.draw.amount))
        elif open_:
            at, one = open_.pop(number % len(open_))
            counters.correct(one, amount)
            used.remove((at, one.draw.amount))
            used.append((at, min(amount, one.draw.amount)))
            if amount > one.draw.amount:
                used.append((clock.now, amount - one.draw.amount))
        # What counts now shows in what still fits.
        counting = sum(n for at, n in used if at > clock.now - 60 * SECOND)
        if len(used) <= EXACT and counting < 1000:
            probe = 1000 - counting
            assert not counters.take([draw(amount=probe + 1, budget=1000)])[0]
            found, _ = counters.take([draw(amount=probe, budget=1000)])
            assert found
            counters.correct(found[0], 0)
    assert last is None or last.window.total >= 0


def test_a_correction_after_the_window_has_passed() -> None:
    """What is given back by then counts no longer; what was used beyond it counts from now."""
    clock = Clock()
    counters = Counters(max_keys=100, clock=clock)
    (first,), _ = counters.take([draw(amount=8, budget=10)])
    (second,), _ = counters.take([draw("b", amount=8, budget=10)])
    clock.now += 61 * SECOND
    assert counters.take([draw(amount=10, budget=10)])[0]
    counters.correct(first, 0)
    assert not counters.take([draw(amount=1, budget=10)])[0]
    counters.correct(second, 17)
    assert counters.take([draw("b", amount=1, budget=10)])[0]
    _, (short,) = counters.take([draw("b", amount=1, budget=10)])
    assert short.wait_ns == 60 * SECOND


def test_a_joined_event_gives_back_its_own_part_only() -> None:
    """Events that were joined under load are still corrected one by one."""
    counters = Counters(max_keys=100, clock=Clock())
    taken = [counters.take([draw(amount=5, budget=10**6)])[0][0] for _ in range(EXACT + 50)]
    window = taken[-1].window
    assert window.size < len(taken)
    for one in taken:
        counters.correct(one, 0)
    assert window.total == 0


# --- the bound on keys ----------------------------------------------------------------------------------------------


def test_at_the_bound_new_keys_wait_and_old_ones_go_on() -> None:
    """Nobody loses a count, so nobody gains a budget; room comes with the first end of one, as Retry-After says."""
    clock = Clock()
    counters = Counters(max_keys=100, clock=clock)
    for number in range(100):
        clock.now += SECOND // 10
        assert counters.take([draw(str(number), window_s=60 if number % 2 else 30)])[0]
    assert counters.take([draw("0", window_s=30)])[0]
    taken, short = counters.take([draw("new"), draw("newer")])
    assert not taken
    assert [one.full for one in short] == [True, True]
    assert len(counters) == 100
    seconds = retry_after(short)
    assert seconds is not None
    clock.now += seconds * SECOND
    assert counters.take([draw("new"), draw("newer")])[0]
    assert not counters.take([draw("0", amount=3, window_s=30)])[0]


def test_room_is_made_for_what_is_needed_only() -> None:
    """However many counters have ended: whoever needs one does not wait until all of them are dropped."""
    clock = Clock()
    counters = Counters(max_keys=100, clock=clock)
    for number in range(100):
        counters.take([draw(str(number))])
    clock.now += 60 * SECOND
    assert counters.take([draw("new", window_s=30)])[0]
    assert len(counters) == 100


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), st.integers(0, 400)), max_size=300))
def test_there_are_never_more_counters_than_the_bound(arrivals: list[tuple[int, int]]) -> None:
    """However keys come and go; and those that ended are dropped by and by."""
    clock = Clock()
    counters = Counters(max_keys=20, clock=clock)
    for gap, number in arrivals:
        clock.now += gap
        taken, short = counters.take([draw(str(number), window_s=20 + number % 3)])
        assert bool(taken) != bool(short)
        assert len(counters) <= 20
        if short and short[0].full:
            seconds = retry_after(short)
            assert seconds is not None
            assert seconds <= 22
    clock.now += 60 * SECOND
    for number in range(20):
        assert counters.take([draw(f"n{number}", window_s=20)])[0]


def test_a_use_that_is_already_made_is_counted_past_the_bound() -> None:
    """An answer that cost more than was reserved is not lost because its counter ended while it was written."""
    clock = Clock()
    counters = Counters(max_keys=1, clock=clock)
    (one,), _ = counters.take([draw("slow", amount=1, budget=10)])
    clock.now += 61 * SECOND
    assert counters.take([draw("other")])[0]
    counters.correct(one, 31)
    assert len(counters) == 2
    _, (short,) = counters.take([draw("slow", amount=1, budget=10)])
    assert short.wait_ns == 60 * SECOND


def test_more_than_the_budget_never_fits() -> None:
    """Known as such with a counter and without one, and before every other shortage."""
    counters = Counters(max_keys=100, clock=Clock())
    for _ in range(2):
        _, short = counters.take([draw(budget=1, window_s=90), draw("big", amount=9)])
        assert short[0].wait_ns == NEVER
        assert retry_after(short) is None
        counters.take([draw(budget=1, window_s=90), draw("big")])
