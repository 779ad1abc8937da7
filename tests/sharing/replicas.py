"""Replicas without their guards: a model each, and what shares its lessons."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from detectors.anomaly import TailModel
from guard.config.sharing import SharingConfig
from guard.exchange.sharing import Sharing
from guard.keyed import KeyedHash
from guard.types import BehaviourEvent, BehaviourModel, BehaviourOutcome
from tests.sharing.server import RedisServer, until

KEYED = KeyedHash("abcd1234", b"k" * 32)
OTHER_KEY = KeyedHash("wxyz1234", b"o" * 32)
START_S = 1_700_000_000.0


class Replica:
    """A model that shares."""

    def __init__(self, sharing: Sharing, model: BehaviourModel) -> None:
        self.sharing = sharing
        self.model = model
        self.heard = 0

    def start(self, keyed: KeyedHash = KEYED, since_s: float | None = None) -> Replica:
        """Begin to share."""
        asyncio.run(self.sharing.start(keyed, since_s))
        return self

    def stop(self) -> None:
        """Share what is left, and end."""
        asyncio.run(self.sharing.stop())

    def let_in(self, event: BehaviourEvent, outcome: BehaviourOutcome | None = None) -> None:
        """As the guard does after a decision, and after an answer if there is an ``outcome``."""
        if outcome is None:
            self.model.learn(event, "allow")
        else:
            self.model.settle(event, outcome)  # type: ignore[attr-defined]
        self.sharing.learned(event, outcome)

    def received(self) -> int:
        """Lessons of others so far."""
        return self.sharing.state().received


class Replicas:
    """Makes replicas around one server."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.made: list[Replica] = []

    def make(
        self,
        model: BehaviourModel | None = None,
        *,
        name: str = "test",
        snapshot_seconds: int = 0,
        stream_messages: int = 20_000,
        url: str = "",
    ) -> Replica:
        """A replica that is not started yet."""
        config = SharingConfig(url=url or self.server.url, name=name, stream_messages=stream_messages)
        model = TailModel() if model is None else model
        replica = Replica(Sharing(config, lambda: model, snapshot_seconds=snapshot_seconds), model)
        self.made.append(replica)
        return replica

    def close(self) -> None:
        """Stop all."""
        for replica in self.made:
            replica.stop()


def requests(rng: random.Random, count: int, *, gap_s: float = 10.0, start_s: float = START_S) -> list[BehaviourEvent]:
    """Requests of four principals of two tenants, in the order of their times."""
    found, now = [], start_s
    for _ in range(count):
        now += rng.expovariate(1.0 / gap_s)
        who = rng.randrange(4)
        features = {
            "size_bytes": rng.lognormvariate(7.5, 0.5),
            "tokens_estimate": rng.lognormvariate(6.0, 0.5),
            "messages": float(rng.randint(1, 6)),
        }
        labels = {"endpoint": ("POST /v1/** chat",), "model": (f"{rng.randrange(3):016x}",)}
        found.append(BehaviourEvent(KEYED.pseudonym("behaviour", f"p{who}"), now, features, f"g{who % 2}", labels))
    return found


def heard_by(replicas: Iterable[Replica], count: int) -> None:
    """Wait until each of them has been taught so many lessons of others, in all."""
    for replica in replicas:
        until(lambda replica=replica: replica.received() >= count, why=replica.sharing.state)  # type: ignore[misc]
