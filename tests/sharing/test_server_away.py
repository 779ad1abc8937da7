"""The server goes away, comes back, stands still or refuses: requests are decided as before, it is told, and sharing
goes on by itself."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from guard.exchange.sharing import sending, sharing
from guard.exchange.sharing.pausing import LONGEST_S, Backoff
from guard.types import BehaviourEvent
from tests.sharing.replicas import START_S, Replicas, heard_by, requests
from tests.sharing.server import RedisServer, running, until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again soon, so that a test does not wait for it."""
    monkeypatch.setattr("guard.exchange.sharing.pausing.LONGEST_S", 0.3)


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """How many lines of the log hold a text."""
    return sum(text in record.getMessage() for record in caplog.records)


def test_killed_and_started_again(replicas: Replicas, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """What was learned meanwhile arrives when the server is back, empty as it is; told twice: away, and back."""
    caplog.set_level("INFO")
    first, second = replicas.make().start(), replicas.make().start()
    traffic = requests(random.Random(1), 90)
    for event in traffic[:30]:
        first.let_in(event)
    heard_by([second], 30)
    server.kill()
    until(lambda: first.sharing.state().failures > 1 and second.sharing.state().failures > 1)
    for event in traffic[30:60]:
        first.let_in(event)
    assert first.sharing.state().last_error == "ConnectionError"
    server.start()
    for event in traffic[60:]:
        first.let_in(event)
    heard_by([second], 90)
    assert second.model.dump() == first.model.dump()  # type: ignore[attr-defined]
    until(lambda: not first.sharing.state().failures and not second.sharing.state().failures)
    state = second.sharing.state()
    assert (state.missed, state.refused, first.sharing.state().dropped) == (0, 0, 0)
    assert said(caplog, "behaviour is not shared") == said(caplog, "behaviour is shared again") == 2
    assert first.sharing.counters()["sharing_failed"] > 1


def test_a_server_that_lost_what_was_read(replicas: Replicas, server: RedisServer) -> None:
    """It comes back with an older stream, whose newest message was read long ago: nothing is learned twice, nothing new
    is passed over."""
    first, second = replicas.make().start(), replicas.make().start()
    traffic = requests(random.Random(2), 20)
    for event in traffic[:10]:
        first.let_in(event)
    heard_by([second], 10)
    lessons = "policy-guard:{test}:lessons"
    with server.client() as client:
        older = client.xrange(lessons)
        client.delete(lessons)
        for number, (_, fields) in enumerate(older):
            client.xadd(lessons, fields, id=f"1-{number + 1}")  # by a clock that is back in 1970
        client.client_kill_filter(_type="normal", skipme=True)
        for event in traffic[10:]:
            first.let_in(event)
        until(lambda: first.sharing.state().sent == 20)
        newest = client.xrevrange(lessons, count=1)[0][0]
        assert not newest.startswith(b"1-")
    heard_by([second], 20)
    assert second.model.dump() == first.model.dump()  # type: ignore[attr-defined]


def test_away_at_the_start(replicas: Replicas, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The start returns; once the server is there, lessons go both ways."""
    away = tmp_path / "s"
    early = replicas.make(url=f"unix://{away}").start()
    assert said(caplog, "behaviour is not shared") == 1
    traffic = requests(random.Random(3), 8)
    for event in traffic[:4]:
        early.let_in(event)
    other = replicas.make().start()
    for event in traffic[4:]:
        other.let_in(event)
    away.symlink_to(replicas.server.socket)
    heard_by([early, other], 4)


def test_frozen(replicas: Replicas, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and never answers holds up nobody: putting a lesson does not touch it, start and stop give
    up in time."""
    monkeypatch.setattr(sharing, "START_SECONDS", 0.2)
    monkeypatch.setattr(sharing, "STOP_SECONDS", 0.2)
    first = replicas.make().start()
    server.signal(signal.SIGSTOP)
    for event in requests(random.Random(4), 1000):
        first.sharing.learned(event)
    assert first.sharing.state().sent == 0
    late = replicas.make().start()
    assert late.received() == 0
    first.stop()
    late.stop()
    server.signal(signal.SIGCONT)


def test_the_queue_is_bounded(
    replicas: Replicas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not fit drops the oldest; here and elsewhere it is counted, and the others are told once."""
    monkeypatch.setattr(sending.Sender.__init__, "__kwdefaults__", {"queue": 50})
    away = tmp_path / "s"
    first = replicas.make(url=f"unix://{away}").start()
    second = replicas.make().start()
    traffic = requests(random.Random(5), 200)
    first.let_in(traffic[0])
    until(lambda: first.sharing.state().queued == 0)  # it is on its way, and waits there
    for event in traffic[1:]:
        first.let_in(event)
    assert first.sharing.state().queued == 50
    away.symlink_to(replicas.server.socket)
    heard_by([second], 51)
    assert first.sharing.state().dropped == 149
    assert second.sharing.state().missed == 149
    assert said(caplog, "lessons of other replicas never came") == 1
    newest = BehaviourEvent(traffic[-1].principal, traffic[-1].time_s + 60.0, {"size_bytes": 1.0})
    assert second.model.score(newest).features != ()


def test_what_is_left_is_sent_at_the_stop(replicas: Replicas) -> None:
    """A stop right after a lesson shares it."""
    first, second = replicas.make().start(), replicas.make().start()
    for event in requests(random.Random(6), 300):
        first.let_in(event)
    first.stop()
    heard_by([second], 300)


def test_a_stream_that_was_cut_is_noticed(
    replicas: Replicas, server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While one replica could not read, the stream was trimmed past what it had read: the lessons between are counted
    and told."""
    way = tmp_path / "s"
    way.symlink_to(server.socket)
    first, second = replicas.make().start(), replicas.make(url=f"unix://{way}").start()
    traffic = requests(random.Random(7), 40)
    for event in traffic[:10]:
        first.let_in(event)
    heard_by([second], 10)
    with server.client() as client:
        way.unlink()
        client.client_kill_filter(_type="normal", skipme=True)
        until(lambda: second.sharing.state().failures > 0)
        for event in traffic[10:30]:
            first.let_in(event)
        until(lambda: first.sharing.state().sent == 30)
        client.xtrim("policy-guard:{test}:lessons", maxlen=0, approximate=False)
    for event in traffic[30:]:
        first.let_in(event)
    way.symlink_to(server.socket)
    heard_by([second], 20)
    assert second.sharing.state().missed == 20
    assert said(caplog, "lessons of other replicas never came") == 1
    assert second.sharing.counters()["sharing_missed"] == 20


def test_a_full_server_is_told_and_recovers(replicas: Replicas, caplog: pytest.LogCaptureFixture) -> None:
    """``maxmemory`` with ``noeviction`` refuses writes: the lessons wait, and go when there is room."""
    first, second = replicas.make().start(), replicas.make().start()
    with replicas.server.client() as client:
        client.config_set("maxmemory", "1")
        first.let_in(requests(random.Random(8), 1)[0])
        until(lambda: said(caplog, "OutOfMemoryError") == 1)
        client.config_set("maxmemory", "0")
    heard_by([second], 1)


def test_password_and_user(replicas: Replicas, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The password comes from a file, read for each connection: a wrong one is told without being quoted, and once the
    file is right sharing begins."""
    from guard.config.sharing import SharingConfig
    from guard.exchange.sharing import Sharing
    from tests.sharing.replicas import Replica

    file = tmp_path / "password"
    file.write_text("wrong-secret\n")
    with running(
        "--user", "guard", "on", ">right-secret", "~policy-guard:*", "+@all", "--user", "default", "off"
    ) as closed:
        config = SharingConfig(url=closed.url, username="guard", password_file=file)
        model = replicas.make().model
        replica = Replica(Sharing(config, lambda: model, snapshot_seconds=0), model).start()
        until(lambda: replica.sharing.state().last_error == "AuthenticationError")
        assert "secret" not in caplog.text
        file.write_text("right-secret\n")
        replica.let_in(BehaviourEvent("p", START_S, {}))
        until(lambda: replica.sharing.state().sent == 1)
        file.write_text("")
        closed.kill()
        closed.start()
        until(lambda: replica.sharing.state().failures > 0)
        replica.stop()


def test_waits_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as long each time, up to a bound, half of it by chance: replicas do not come back all at once."""
    monkeypatch.setattr("guard.exchange.sharing.pausing.LONGEST_S", LONGEST_S)
    waits = [Backoff() for _ in range(50)]
    first, second = ([backoff.next_s() for backoff in waits] for _ in range(2))
    assert len(set(first)) > 10
    assert 0.12 <= min(first) <= max(first) <= 0.25 <= min(second) <= max(second) <= 0.5
    for _ in range(60):
        last = waits[0].next_s()
    assert LONGEST_S / 2 <= last <= LONGEST_S
    waits[0].clear()
    assert waits[0].next_s() <= 0.25
