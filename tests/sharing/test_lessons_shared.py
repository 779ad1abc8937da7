"""Replicas learn from each other: whoever saw a request, all judge as if they had."""

from __future__ import annotations

import random
import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.anomaly import TailModel
from guard.types import Anomaly, BehaviourEvent, BehaviourOutcome, DetectorInfo, Effect
from tests.sharing.replicas import KEYED, START_S, Replicas, heard_by, requests

THRESHOLD = 0.8


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=2, max_size=6),
)
def test_all_score_as_one_that_saw_everything(replicas: Replicas, seed: int, turns: list[tuple[int, int]]) -> None:
    """Requests and answers that arrive at three replicas by turns leave the same memory in each, byte for byte, as in
    one model that saw them all."""
    rng, one, name = random.Random(seed), TailModel(), secrets.token_hex(8)
    three = [replicas.make(name=name).start() for _ in range(3)]
    given_to = [0, 0, 0]
    traffic = iter(requests(rng, sum(count for _, count in turns)))
    for who, count in turns:
        for _ in range(count):
            event = next(traffic)
            outcome = BehaviourOutcome(event.time_s + 1.0, float(rng.randint(1, 900)), error=rng.random() < 0.1)
            one.learn(event, "allow")
            one.settle(event, outcome)
            three[who].let_in(event)
            three[who].let_in(event, outcome)
            given_to[who] += 2
        for index, replica in enumerate(three):
            heard_by([replica], sum(given_to) - given_to[index])
    assert [replica.model.dump() for replica in three] == [one.dump()] * 3  # type: ignore[attr-defined]
    probe = requests(rng, 1, start_s=START_S + 86_400.0)[0]
    assert {replica.model.score(probe) for replica in three} == {one.score(probe)}
    for replica in three:
        replica.stop()


def test_a_burst_that_is_spread_is_as_unusual_as_on_one(replicas: Replicas) -> None:
    """Sixty requests in six seconds over three replicas, at four times their lag: the first that scores 0.8 comes at
    most one round after the first on a single guard."""
    one, three = TailModel(), [replicas.make().start() for _ in range(3)]
    who = KEYED.pseudonym("behaviour", "caller")
    past = [BehaviourEvent(who, START_S + index * 10.0, {"size_bytes": 900.0}) for index in range(360)]
    for event in past:
        one.learn(event, "allow")
        three[0].let_in(event)
    heard_by(three[1:], 360)
    burst = [BehaviourEvent(who, START_S + 3700.0 + index * 0.1, {"size_bytes": 900.0}) for index in range(60)]

    def first_denied_on_one() -> int:
        for index, event in enumerate(burst):
            if one.score(event).score >= THRESHOLD:
                return index
            one.learn(event, "allow")
        return len(burst)

    expected, let_in = first_denied_on_one(), 0
    for index, event in enumerate(burst):
        replica = three[index % 3]
        if replica.model.score(event).score >= THRESHOLD:
            break
        replica.let_in(event)
        let_in += 1
        if index % 3 == 2:  # a round is over
            for each in three:
                heard_by([each], let_in // 3 * 2 + (360 if each is not three[0] else 0))
    assert 5 < expected <= let_in <= expected + 3


class Counting:
    """A model without a memory and without an interest in answers."""

    info = DetectorInfo("counting", "1", "c0" * 32)

    def __init__(self) -> None:
        self.learned: list[BehaviourEvent] = []

    def score(self, event: BehaviourEvent) -> Anomaly:
        """Nothing is unusual."""
        return Anomaly(0.0)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Keep it."""
        assert effect == "allow"
        self.learned.append(event)


def test_any_model_takes_part(replicas: Replicas) -> None:
    """One that has neither ``settle`` nor ``dump`` learns what others let in, and from the beginning of the stream."""
    ours = replicas.make(snapshot_seconds=1).start()
    traffic = requests(random.Random(1), 20)
    for event in traffic:
        ours.let_in(event)
        ours.let_in(event, BehaviourOutcome(event.time_s))
    theirs = Counting()
    newcomer = replicas.make(theirs, snapshot_seconds=1).start()
    heard_by([newcomer], 40)
    told = [(event.principal, event.time_s, event.features, event.group, event.labels) for event in theirs.learned]
    assert told == [(e.principal, e.time_s, e.features, e.group, e.labels) for e in traffic]
    assert all(event.elsewhere for event in theirs.learned)
    newcomer.let_in(traffic[0])
    heard_by([ours], 1)


class Failing(Counting):
    """Refuses to learn from one principal."""

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Raise for it."""
        if event.principal == "odd":
            raise KeyError("odd")
        super().learn(event, effect)


def test_a_model_that_raises_does_not_end_the_sharing(replicas: Replicas, caplog: pytest.LogCaptureFixture) -> None:
    """What follows is learned; the failure is told by its class and place, once a minute at most."""
    model = Failing()
    ours, theirs = replicas.make().start(), replicas.make(model).start()
    event = requests(random.Random(1), 1)[0]
    odd = BehaviourEvent("odd", START_S, {})
    for each in (odd, odd, odd, event):
        ours.let_in(each)
    heard_by([theirs], 1)
    assert [learned.principal for learned in model.learned] == [event.principal]
    said = [record.getMessage() for record in caplog.records if "fails with what others" in record.getMessage()]
    assert len(said) == 1
    assert "KeyError" in said[0]


def test_deployments_on_one_server_do_not_meet(replicas: Replicas) -> None:
    """Another name is another stream, whoever has the same key."""
    first, second, other = (replicas.make(name=name).start() for name in ("one", "one", "two"))
    for event in requests(random.Random(1), 5):
        first.let_in(event)
    heard_by([second], 5)
    assert other.received() == 0
