"""What somebody else puts into the stream, another key, another clock: dropped or bounded, counted, and told."""

from __future__ import annotations

import random
import time
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly import TailModel
from guard.exchange.sharing import lessons as lessons_
from guard.exchange.sharing.lessons import AHEAD_S, MOST_LESSONS, from_elsewhere, pack, unpack
from guard.exchange.sharing.sealing import Seal, SealBroken
from guard.exchange.sharing.telling import Complaints
from guard.types import BehaviourEvent, BehaviourOutcome
from tests.sharing.replicas import KEYED, OTHER_KEY, START_S, Replica, Replicas, heard_by, requests
from tests.sharing.server import RedisServer, until

STREAM = "policy-guard:{test}:lessons"
EVENT = requests(random.Random(9), 1)[0]


def put(server: RedisServer, *envelopes: bytes, field: bytes = b"m") -> None:
    """Put messages into the stream, as whoever may write there can."""
    with server.client() as client:
        for envelope in envelopes:
            client.xadd(STREAM, {field: envelope})


def one_more(replica: Replica, seal: Seal, server: RedisServer, number: int) -> None:
    """A good message comes after all that was put before."""
    before = replica.received()
    put(server, seal.seal(b"L", number, pack([(EVENT, None)])))
    heard_by([replica], before + 1)


def test_another_key_is_told_with_the_mend(replicas: Replicas, caplog: pytest.LogCaptureFixture) -> None:
    """Replicas with different pseudonym keys learn nothing from each other; each says why, once a minute at most."""
    ours, theirs = replicas.make().start(), replicas.make().start(OTHER_KEY)
    for event in requests(random.Random(1), 5):
        ours.let_in(event)
        until(lambda: ours.sharing.state().queued == 0)
    until(lambda: theirs.sharing.state().refused >= 1)
    until(lambda: ours.sharing.state().sent == 5)
    assert theirs.received() == 0
    said = [record.getMessage() for record in caplog.records if "does not open here" in record.getMessage()]
    assert len(said) == 1
    assert "give all replicas one pseudonym key" in said[0]
    assert theirs.sharing.counters()["sharing_refused"] == theirs.sharing.state().refused


GOOD = Seal(KEYED, "test")
FORGED = GOOD.seal(b"L", 7, pack([(EVENT, None)]))
GARBAGE = {
    "empty": b"",
    "short": b"pgb1",
    "words": b"hello",
    "long": random.Random(1).randbytes(100_000),
    "our head, other content": FORGED[:37] + bytes(len(FORGED) - 37),
    "another sender's name on it": FORGED[:13] + bytes(16) + FORGED[29:],
    "another number": FORGED[:29] + (8).to_bytes(8, "big") + FORGED[37:],
    "another kind": GOOD.seal(b"C", 1, pack([(EVENT, None)])),
    "another kind's name on it": FORGED[:4] + b"C" + FORGED[5:],
    "no zlib": GOOD.seal(b"L", 100, b"plain"),
    "no lessons": GOOD.seal(b"L", 101, zlib.compress(msgspec.msgpack.encode({"a": 1}))),
    "cut": GOOD.seal(b"L", 102, pack([(EVENT, None)])[:-5]),
    "a bomb": GOOD.seal(b"L", 103, zlib.compress(bytes(8 << 20))),
    "too many": GOOD.seal(b"L", 104, pack([(EVENT, None)] * (MOST_LESSONS + 1))),
    "no number": GOOD.seal(b"L", 105, pack([(BehaviourEvent("p", float("nan"), {}), None)])),
    "no number in a feature": GOOD.seal(b"L", 106, pack([(BehaviourEvent("p", 1.0, {"a": float("inf")}), None)])),
    "no number in an outcome": GOOD.seal(b"L", 107, pack([(EVENT, BehaviourOutcome(float("-inf")))])),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_dropped_and_counted(replicas: Replicas, server: RedisServer, what: str) -> None:
    """Nothing is learned from it, it is counted, and what follows is read."""
    replica, before = replicas.make().start(), TailModel()
    put(server, GARBAGE[what])
    one_more(replica, Seal(KEYED, "test"), server, 0)
    before.learn(EVENT, "allow")
    assert replica.model.dump() == before.dump()  # type: ignore[attr-defined]
    assert replica.sharing.state().refused == 1


def test_other_fields_and_other_types(
    replicas: Replicas, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A message without our field is garbage; a key that is no stream is a failure of the server, until it is one."""
    replica = replicas.make().start()
    put(server, b"x", field=b"other")
    until(lambda: replica.sharing.state().refused == 1)
    with server.client() as client:
        client.delete(STREAM)
        client.set(STREAM, "no stream")
        until(lambda: replica.sharing.state().failures > 0)
        assert "WRONGTYPE" in caplog.text
        client.delete(STREAM)
    one_more(replica, Seal(KEYED, "test"), server, 0)


def test_repeats_are_learned_once(replicas: Replicas, server: RedisServer) -> None:
    """Who can write there may repeat what he read, whole or in another order: numbers tell."""
    replica, seal, one = replicas.make().start(), Seal(KEYED, "test"), TailModel()
    traffic = requests(random.Random(2), 31)
    envelopes = [seal.seal(b"L", at, pack([(e, None) for e in traffic[at : at + 10]])) for at in (0, 10, 20)]
    put(server, *envelopes, *envelopes, *reversed(envelopes))
    overlapping = seal.seal(b"L", 25, pack([(e, None) for e in traffic[25:]]))
    put(server, overlapping)
    heard_by([replica], 31)
    for event in traffic:
        one.learn(event, "allow")
    assert replica.model.dump() == one.dump()  # type: ignore[attr-defined]
    state = replica.sharing.state()
    assert (state.received, state.refused, state.missed) == (31, 0, 0)


def test_a_clock_ahead_carries_no_count_into_the_future(
    replicas: Replicas, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica an hour ahead: its times are cut to ours, so that present requests are counted as present; told."""
    replica, seal, now = replicas.make().start(), Seal(KEYED, "test"), time.time()
    ahead = [BehaviourEvent("p", now + 3600.0, {"size_bytes": 1.0})] * 3
    put(server, seal.seal(b"L", 0, pack([(event, BehaviourOutcome(now + 3601.0)) for event in ahead])))
    put(server, seal.seal(b"L", 3, pack([(event, None) for event in ahead])))
    heard_by([replica], 6)
    told = {f.name: f.value for f in replica.model.score(BehaviourEvent("p", now + 20.0, {})).features}
    assert (told["requests_10s"], told["requests_1m"]) == (1.0, 4.0)
    assert replica.sharing.state().ahead == 6
    assert "the clock of another replica is ahead" in caplog.text


def test_what_comes_late_is_not_counted_as_present() -> None:
    """After an outage, a minute of lessons comes at once: it neither looks like a burst, nor clears the counts of what
    this replica let in meanwhile."""
    model, now = TailModel(), START_S  # where a bucket of counts begins
    for number in range(6):
        model.learn(BehaviourEvent("p", now + number, {"size_bytes": 1.0}), "allow")
    late = [BehaviourEvent("p", now - 60.0 + number, {"size_bytes": 1.0}) for number in range(40)]
    for event in late:
        given_here, _ = from_elsewhere((event, BehaviourOutcome(event.time_s, 5000.0, error=True)), now)
        model.learn(given_here[0], "allow")
        model.settle(*given_here)  # type: ignore[arg-type]
    told = {f.name: f.value for f in model.score(BehaviourEvent("p", now + 6.0, {"size_bytes": 1.0})).features}
    assert (told["requests_10s"], told["requests_1m"]) == (7.0, 7.0)
    assert not {"error_ratio", "tokens_out", "cost_1h"} & told.keys()


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=20)
events = st.builds(
    BehaviourEvent,
    words,
    numbers,
    st.dictionaries(words, numbers, max_size=4),
    words,
    st.dictionaries(words, st.lists(words, max_size=3).map(tuple), max_size=3),
    st.booleans(),
)
outcomes = st.none() | st.builds(BehaviourOutcome, numbers, st.none() | numbers, st.booleans(), st.booleans())


@given(st.lists(st.tuples(events, outcomes), max_size=20))
def test_messages_come_back_as_they_were(given_lessons: list[lessons_.Lesson]) -> None:
    """Whatever numbers and names a lesson holds."""
    assert unpack(pack(given_lessons)) == given_lessons


@given(events, outcomes, numbers)
def test_times_are_cut_and_nothing_else(event: BehaviourEvent, outcome: BehaviourOutcome | None, now_s: float) -> None:
    """No time lies more than two seconds after this machine's; all else is as it was."""
    (cut, after), was_cut = from_elsewhere((event, outcome), now_s)
    assert cut.time_s == min(event.time_s, now_s + AHEAD_S)
    assert msgspec.structs.replace(cut, time_s=event.time_s, elsewhere=False) == event
    late = [event.time_s, *([] if outcome is None else [outcome.time_s])]
    assert was_cut == any(time_s > now_s + AHEAD_S for time_s in late)
    if outcome is not None and after is not None:
        assert after.time_s == min(outcome.time_s, now_s + AHEAD_S)
        assert msgspec.structs.replace(after, time_s=outcome.time_s) == outcome


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1), st.data())
def test_an_envelope_opens_whole_or_not_at_all(data: bytes, number: int, draw: st.DataObject) -> None:
    """Replicas of one key read each other; one changed bit anywhere and it does not open."""
    seal = Seal(KEYED, "test")
    envelope = seal.seal(b"L", number, data)
    opened = Seal(KEYED, "test").open(b"L", envelope)
    assert (opened.data, opened.number, opened.sender) == (data, number, seal.sender)
    bit = draw.draw(st.integers(0, 8 * len(envelope) - 1))
    changed = bytearray(envelope)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        Seal(KEYED, "test").open(b"L", bytes(changed))
    for other in (Seal(OTHER_KEY, "test"), Seal(KEYED, "other")):
        with pytest.raises(SealBroken) as broken:
            other.open(b"L", envelope)
        assert broken.value.foreign


def test_complaints_are_rare(caplog: pytest.LogCaptureFixture) -> None:
    """At once, then once a minute with how often it happened since; each kind by itself."""
    now = 0.0
    complaints = Complaints(lambda: now)
    for now in (0.0, 1.0, 59.0, 60.0, 61.0):  # noqa: B007
        complaints.add("it is odd", "so", "look")
    complaints.add("it is even", "so", "look", 3)
    assert [line.split(" count=")[1].split()[0] for line in caplog.messages] == ["1", "3", "3"]
