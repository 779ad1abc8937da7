"""A simulated week: what 200 principals of ten tenants ask, and ten kinds of attack among it. Seeded, no real data.

Every principal has habits of its own: hours, rate, sizes, endpoints, models, tools, clients. One in five comes new in
the last two days. Three in a hundred ordinary requests are unusual in some way without being an attack (a large file, a
rare endpoint, a long answer, another network), as people are. Attacks come in the last two days, from principals that
send ordinary requests, too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from guard.types import BehaviourEvent, BehaviourOutcome

START_S: Final = 1_760_313_600.0
"""A Monday, midnight UTC."""
DAY_S: Final = 86_400.0
ATTACKS_FROM: Final = 5
DAYS: Final = 7

PLANTED: Final = {
    "burst": ("requests_10s", "requests_1m", "pace_per_minute"),
    "bulk_upload": ("size_bytes", "tokens_estimate", "cost_1h"),
    "harvest": ("tokens_out", "cost_1h"),
    "stolen_key": ("client_surprise",),
    "odd_hour": ("hour_surprise",),
    "new_model": ("model_surprise", "endpoint_surprise"),
    "probing": ("refusal_ratio", "error_ratio"),
    "personal_data": ("finding_density",),
    "new_tools": ("tool_surprise",),
    "low_and_slow": ("tokens_out", "size_bytes", "tokens_estimate", "cost_1h"),
}
"""The kinds of attack, and the features that give them away."""

_MODELS: Final = ("small", "large", "code", "vision", "embed", "audio")
_ENDPOINTS: Final = ("/v1/chat", "/v1/responses", "/v1/embeddings", "/v1/files", "/v1/batches", "/internal")
_TOOLS: Final = ("search", "read", "write", "mail", "sql", "shell", "browse", "calendar", "pay", "deploy")


class Row(NamedTuple):
    """One request, what comes of it if it is let in, and which attack it belongs to, if any."""

    event: BehaviourEvent
    outcome: BehaviourOutcome
    kind: str
    episode: int
    new: bool
    """Whether its principal came within the last two days."""


class _Person:
    """The habits of one principal."""

    def __init__(self, rng: random.Random, index: int) -> None:
        self.name = f"p{index}"
        self.group = f"tenant-{index % 10}"
        self.new = rng.random() < 0.2
        self.machine = rng.random() < 0.25
        self.per_day = rng.lognormvariate(3.7, 0.6)
        self.middle = rng.gauss(12.0, 2.5)
        self.width = rng.uniform(2.0, 3.5)
        self.size, self.size_sd = rng.gauss(7.6, 0.8), rng.uniform(0.3, 0.8)
        self.out, self.out_sd = rng.gauss(5.6, 0.6), rng.uniform(0.3, 0.7)
        self.entropy = rng.gauss(4.35, 0.08)
        self.density = max(0.0, rng.gauss(0.4, 0.4))
        self.turns = rng.randint(1, 6)
        self.errors = rng.uniform(0.0, 0.03)
        self.models = rng.sample(_MODELS[:5], rng.choice((1, 1, 2, 3)))
        self.endpoints = rng.sample(_ENDPOINTS[:4], rng.choice((1, 1, 2)))
        self.tools = rng.sample(_TOOLS[:7], rng.choice((0, 1, 2, 3)))
        self.agents = [f"agent-{rng.randrange(12)}" for _ in range(rng.choice((1, 1, 2)))]
        self.networks = [f"net-{index}-{n}" for n in range(rng.choice((1, 1, 2)))]

    def times(self, rng: random.Random, day: int) -> Iterator[float]:
        """Ordinary requests of a day; people rest at weekends and come in sessions."""
        share = 1.0 if self.machine or day < 5 else 0.25
        left = _poisson(rng, self.per_day * share)
        while left > 0:
            hour = rng.uniform(0, 24) if self.machine else rng.gauss(self.middle, self.width)
            now = START_S + day * DAY_S + (hour % 24) * 3600
            for _ in range(min(left, 1 if self.machine else rng.randint(1, 6))):
                yield now
                now += rng.expovariate(1 / 45)
                left -= 1

    def row(self, rng: random.Random, time_s: float, kind: str = "", episode: int = 0) -> Row:
        """One request, ordinary unless it belongs to an attack."""
        size, out = rng.gauss(self.size, self.size_sd), rng.gauss(self.out, self.out_sd)
        density, entropy = rng.expovariate(1 / (self.density + 0.05)), rng.gauss(self.entropy, 0.09)
        model, endpoint = _one(rng, self.models), _one(rng, self.endpoints)
        agent, network = _one(rng, self.agents), _one(rng, self.networks)
        tools = tuple(tool for tool in self.tools if rng.random() < 0.6)
        error, refused = rng.random() < self.errors, rng.random() < 0.004
        odd = "" if kind or rng.random() >= 0.03 else rng.choice(("size", "out", "model", "network", "density", "tool"))
        if kind == "bulk_upload" or odd == "size":
            size += rng.uniform(2.0, 4.0) if kind else abs(rng.gauss(0, 1.5))
        if kind == "harvest" or odd == "out":
            out += rng.uniform(1.6, 3.0) if kind else abs(rng.gauss(0, 1.5))
        if kind == "stolen_key" or odd == "network":
            network = f"net-x-{rng.randrange(1000)}" if odd else f"net-attacker-{episode}"
            agent = agent if odd else "agent-99"
        if kind == "new_model" or odd == "model":
            model = rng.choice(_MODELS[:5]) if odd else rng.choice(_MODELS)
            endpoint = endpoint if odd else rng.choice(_ENDPOINTS[3:])
        if kind == "probing":
            refused, error = rng.random() < 0.7, rng.random() < 0.3
        if kind == "personal_data" or odd == "density":
            density += rng.uniform(6.0, 20.0) if kind else rng.uniform(0.0, 4.0)
        if kind == "new_tools" or odd == "tool":
            tools = (rng.choice(_TOOLS[:7]),) if odd else (*tools, "shell", "deploy", "pay")[-3:]
        if kind == "low_and_slow":
            size, out = size + 0.7, out + 0.8
        tokens = math.exp(size) / 4
        features = {
            "size_bytes": math.exp(size),
            "tokens_estimate": tokens,
            "messages": float(max(1, round(rng.gauss(self.turns, 1)))),
            "entropy_bits": entropy,
            "finding_density": density,
        }
        labels = {
            "endpoint": (endpoint,),
            "model": (model,),
            "agent": (agent,),
            "network": (network,),
            "tools": tools,
        }
        event = BehaviourEvent(self.name, time_s, features, self.group, labels)
        outcome = BehaviourOutcome(time_s + 2.0, math.exp(out), error, refused)
        return Row(event, outcome, kind, episode, self.new)


def week(seed: int, *, principals: int = 200, attacks: int = 12) -> list[Row]:
    """The rows of a week in the order of time; ``attacks`` episodes of each kind."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    people = [_Person(rng, index) for index in range(principals)]
    rows = [
        person.row(rng, time_s)
        for person in people
        for day in range(ATTACKS_FROM if person.new else 0, DAYS)
        for time_s in person.times(rng, day)
    ]
    episode = 0
    for kind in PLANTED:
        for _ in range(attacks):
            episode += 1
            # A machine has no odd hour.
            person = rng.choice([one for one in people if kind != "odd_hour" or not one.machine])
            rows += [person.row(rng, time_s, kind, episode) for time_s in _episode(rng, person, kind)]
    rows.sort(key=lambda row: row.event.time_s)
    return rows


def _episode(rng: random.Random, person: _Person, kind: str) -> list[float]:
    """When an attack's requests come."""
    day = START_S + rng.choice((ATTACKS_FROM, DAYS - 1)) * DAY_S
    hour = rng.gauss(person.middle, 1.0) % 24
    if kind == "odd_hour":
        hour = (person.middle + 12 + rng.uniform(-1, 1)) % 24
    start = day + hour * 3600
    if kind == "low_and_slow":
        return [START_S + ATTACKS_FROM * DAY_S + (2 * DAY_S) * n / 60 + rng.uniform(0, 600) for n in range(60)]
    count, gap = (60, 0.5) if kind == "burst" else (rng.randint(10, 20), 20.0)
    times = []
    for _ in range(count):
        times.append(start)
        start += rng.expovariate(1 / gap)
    return times


def _one(rng: random.Random, of: list[str]) -> str:
    """The first is used most."""
    return of[0] if len(of) == 1 or rng.random() < 0.7 else rng.choice(of[1:])


def _poisson(rng: random.Random, mean: float) -> int:
    count, total = 0, rng.expovariate(1.0)
    while total < mean:
        count += 1
        total += rng.expovariate(1.0)
    return count
