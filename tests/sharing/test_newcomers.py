"""A replica that starts late knows whom the others know: from a snapshot that one of them left, and the stream."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from detectors.anomaly import TailModel
from guard.exchange.sharing import snapshots
from guard.exchange.sharing.sealing import Seal
from guard.exchange.sharing.snapshots import Snapshots, SnapshotUnusable, Standing
from guard.exchange.sharing.store import Store
from guard.types import BehaviourEvent, DetectorInfo
from tests.sharing.replicas import KEYED, OTHER_KEY, START_S, Replica, Replicas, heard_by, requests
from tests.sharing.server import RedisServer, until


def known_to(replica: Replica, events: list[BehaviourEvent]) -> str | None:
    """Whose past the next request of the last caller is compared with."""
    last = events[-1]
    return replica.model.score(BehaviourEvent(last.principal, last.time_s + 60.0, last.features)).scope


def steady(count: int = 600) -> list[BehaviourEvent]:
    """One caller, a request every six seconds: long enough to be known."""
    who = KEYED.pseudonym("behaviour", "steady")
    return [BehaviourEvent(who, START_S + 6.0 * number, {"size_bytes": 900.0}) for number in range(count)]


def snapshot_left(replica: Replica) -> None:
    """Wait until it has left a snapshot."""
    until(lambda: replica.sharing.state().snapshots > 0, why=replica.sharing.state)


def test_a_newcomer_knows_callers_from_the_snapshot(replicas: Replicas, server: RedisServer) -> None:
    """The stream is gone, the snapshot is there: when the start returns, a known caller is compared with its own
    past."""
    first, traffic = replicas.make(snapshot_seconds=1).start(), steady()
    for event in traffic:
        first.let_in(event)
    until(lambda: first.sharing.state().sent == len(traffic))
    snapshot_left(first)
    first.stop()
    with server.client() as client:
        client.delete("policy-guard:{test}:lessons")
    newcomer = replicas.make(snapshot_seconds=300).start()
    assert known_to(newcomer, traffic) == "own"
    assert newcomer.sharing.state().received == 0
    assert known_to(replicas.make(), traffic) == "global"


def test_what_came_after_the_snapshot_is_learned_once(replicas: Replicas) -> None:
    """Snapshot and stream overlap; a newcomer's memory is that of the replica that left the snapshot, byte for byte."""
    first, traffic = replicas.make(snapshot_seconds=1).start(), requests(random.Random(4), 120)
    for event in traffic[:80]:
        first.let_in(event)
    snapshot_left(first)
    for event in traffic[80:]:
        first.let_in(event)
    until(lambda: first.sharing.state().sent == len(traffic))
    newcomer = replicas.make(snapshot_seconds=300).start()
    until(lambda: newcomer.model.dump() == first.model.dump(), why=newcomer.sharing.state)  # type: ignore[attr-defined]
    assert newcomer.received() == 40
    assert newcomer.sharing.state().missed == 0


def test_without_a_snapshot_the_whole_stream_is_read(replicas: Replicas) -> None:
    """``behaviour_snapshot_seconds = 0``: a newcomer that knows nobody reads what the stream holds."""
    first, traffic = replicas.make().start(), steady()
    for event in traffic:
        first.let_in(event)
    until(lambda: first.sharing.state().sent == len(traffic))
    newcomer = replicas.make().start()
    heard_by([newcomer], len(traffic))
    assert known_to(newcomer, traffic) == "own"


def test_what_a_file_holds_is_not_learned_again(replicas: Replicas) -> None:
    """Without a shared snapshot, a process that read its own file goes on from when that was written."""
    first, traffic = replicas.make().start(), requests(random.Random(5), 30)
    for event in traffic[:20]:
        first.let_in(event)
    until(lambda: first.sharing.state().sent == 20)
    time.sleep(0.002)  # the server names messages by its clock, in milliseconds
    kept, written_s = TailModel(), time.time()
    kept.restore(first.model.dump())  # type: ignore[attr-defined]
    for event in traffic[20:]:
        first.let_in(event)
    until(lambda: first.sharing.state().sent == 30)
    again = replicas.make(kept).start(since_s=written_s)
    heard_by([again], 10)
    assert kept.dump() == first.model.dump()  # type: ignore[attr-defined]


class Newer(TailModel):
    """Ours, of a version to come."""

    @property
    def info(self) -> DetectorInfo:
        """Another version."""
        return DetectorInfo("behaviour", "999", "0" * 64)


def test_versions_share_lessons_and_no_snapshots(replicas: Replicas) -> None:
    """While an update is rolled out, both versions learn from each other, and each leaves a snapshot of its own."""
    old, new = replicas.make(snapshot_seconds=1).start(), replicas.make(Newer(), snapshot_seconds=1).start()
    for event in requests(random.Random(6), 10):
        old.let_in(event)
    heard_by([new], 10)
    snapshot_left(old)
    snapshot_left(new)
    for model in (TailModel(), Newer()):
        newcomer = replicas.make(model, snapshot_seconds=300).start()
        assert model.dump() == old.model.dump()  # type: ignore[attr-defined]
        newcomer.stop()


def store_of(server: RedisServer) -> Store:
    """The test's own way to the server."""
    from guard.config.sharing import SharingConfig

    return Store(SharingConfig(url=server.url, name="test"))


def left_by(server: RedisServer, model: TailModel, keyed: object = KEYED) -> DetectorInfo:
    """A snapshot of a model, put there."""
    seal = Seal(keyed, "test")  # type: ignore[arg-type]
    Snapshots(store_of(server), seal).leave(model.info, model.dump(), Standing(b"0-0", {}))
    return model.info


@pytest.mark.parametrize("damage", ["a chunk is gone", "a chunk of another", "no snapshot", "cut"])
def test_a_snapshot_that_is_none_is_told_and_left_alone(
    replicas: Replicas, server: RedisServer, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The start goes on without it, by the stream; the model is as it was."""
    taught = TailModel()
    for event in steady(50):
        taught.learn(event, "allow")
    left_by(server, taught)
    with server.client() as client:
        (chunks,), (manifest,) = server.names("list"), server.names("hash")
        if damage == "a chunk is gone":
            client.delete(chunks)
        elif damage == "a chunk of another":
            left_by(server, TailModel())
            (fresh,) = [key for key in server.names("list") if key != chunks]
            client.lset(chunks, 0, client.lindex(fresh, 0))
            client.hset(manifest, "g", chunks.rpartition(b":")[2])
        elif damage == "no snapshot":
            client.hset(manifest, "m", b"nonsense")
        elif damage == "cut":
            client.lset(chunks, 0, client.lindex(chunks, 0)[:-20])
    newcomer = replicas.make(snapshot_seconds=300).start()
    until(lambda: "behaviour" in caplog.text)
    assert newcomer.model.dump() == TailModel().dump()  # type: ignore[attr-defined]
    first = replicas.make().start()
    first.let_in(steady(1)[0])
    heard_by([newcomer], 1)


def test_a_snapshot_that_is_too_large_is_not_left(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told with the mend, and nothing of it lies on the server."""
    monkeypatch.setattr(snapshots, "MOST_BYTES", 100)
    replicas.make(snapshot_seconds=1).start()
    until(lambda: "no snapshot of behaviour could be shared" in caplog.text)
    assert "lower max_principals" in caplog.text
    assert [key.rpartition(b":")[2] for key in replicas.server.names()] == [b"turn"]


def test_an_older_snapshot_leaves_room(server: RedisServer) -> None:
    """A snapshot takes the place of the one before, whose chunks expire within minutes; all expires in a week."""
    info = left_by(server, TailModel())
    left_by(server, TailModel())
    with server.client() as client:
        lives = sorted(client.ttl(key) for key in server.names("list"))
        assert len(lives) == 2
        assert lives[0] <= 120 < 86_400 * 6 < lives[1] <= 86_400 * 7
    model = TailModel()
    assert Snapshots(store_of(server), Seal(KEYED, "test")).take(info, model) == Standing(b"0-0", {})


def test_snapshots_under_another_key_lie_apart(server: RedisServer) -> None:
    """A replica with another pseudonym key finds none, replaces none, and none that is put in its place opens."""
    info = left_by(server, TailModel())
    other = Snapshots(store_of(server), Seal(OTHER_KEY, "test"))
    assert other.take(info, TailModel()) is None
    assert left_by(server, TailModel(), OTHER_KEY) == info
    assert Snapshots(store_of(server), Seal(KEYED, "test")).take(info, TailModel()) == Standing(b"0-0", {})
    with server.client() as client:
        first, second = server.names("hash")
        client.hset(first, mapping=client.hgetall(second))
    failed = 0
    for seal in (Seal(KEYED, "test"), Seal(OTHER_KEY, "test")):
        try:
            Snapshots(store_of(server), seal).take(info, TailModel())
        except SnapshotUnusable as error:
            failed += "another pseudonym key" in str(error)
    assert failed == 1


def test_a_server_that_was_away_at_the_start_brings_no_snapshot_later(replicas: Replicas, tmp_path: Path) -> None:
    """By then the process has learned by itself: what it learned is kept, and what the stream holds is added."""
    first, traffic = replicas.make(snapshot_seconds=1).start(), steady(20)
    for event in traffic:
        first.let_in(event)
    snapshot_left(first)
    away = tmp_path / "s"
    late = replicas.make(snapshot_seconds=300, url=f"unix://{away}").start()
    other = BehaviourEvent("other", START_S, {"size_bytes": 1.0})
    late.let_in(other)
    away.symlink_to(replicas.server.socket)
    heard_by([late], len(traffic))
    heard_by([first], 1)
    assert late.model.score(other).features == first.model.score(other).features
