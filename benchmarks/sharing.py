"""``python -m benchmarks.sharing``: what it costs to share behaviour through Redis, and how fast others know.

Starts a ``redis-server`` of its own on a socket file. One process lets requests in, this one learns of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import harness
from detectors.anomaly import TailModel
from guard.config.sharing import SharingConfig
from guard.exchange.sharing import Sharing
from guard.keyed import KeyedHash
from guard.process import settle
from guard.types import Anomaly, BehaviourEvent, BehaviourModel, DetectorInfo, Effect

KEYED: Final = KeyedHash("abcd1234", b"k" * 32)
START_SECONDS: Final = 20.0
CALLERS: Final = 200


class Clocking:
    """Notes how long after its event each lesson comes."""

    info = DetectorInfo("clocking", "1", "0" * 64)

    def __init__(self) -> None:
        self.late_s: list[float] = []

    def score(self, event: BehaviourEvent) -> Anomaly:  # noqa: ARG002 - of the protocol
        """Nothing is unusual."""
        return Anomaly(0.0)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:  # noqa: ARG002 - of the protocol
        """Note it."""
        self.late_s.append(time.time() - event.time_s)


def event(number: int, time_s: float) -> BehaviourEvent:
    """A request as a guard makes an event of it."""
    who = number % CALLERS
    features = {
        "size_bytes": 900.0 + number % 50, "tokens_estimate": 210.0 + number % 9, "messages": 2.0,
        "entropy_bits": 4.1, "finding_density": 0.0,
    }  # fmt: skip
    labels = {
        "endpoint": ("POST /v1/** chat",),
        "model": (KEYED.digest("model", str(who % 3))[:8].hex(),),
        "agent": (KEYED.digest("agent", str(who % 20))[:8].hex(),),
        "network": (KEYED.digest("network", str(who))[:8].hex(),),
    }
    group = KEYED.pseudonym("behaviour-group", str(who % 10))
    return BehaviourEvent(KEYED.pseudonym("behaviour", str(who)), time_s, features, group, labels)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server of our own."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("needs a Redis server: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="guard-redis-") as directory:
        place = Path(directory) / "s"
        command = [program, "--save", "", "--appendonly", "no", "--port", "0", "--unixsocket", str(place)]
        process = subprocess.Popen([*command, "--dir", directory], stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START_SECONDS
            while not place.exists() and time.monotonic() < until:
                time.sleep(0.01)
            yield f"unix://{place}"
        finally:
            process.kill()
            process.wait()


def sharing(url: str, model: BehaviourModel, name: str) -> Sharing:
    """A replica that is not started yet."""
    return Sharing(SharingConfig(url=url, name=name), lambda: model, snapshot_seconds=0)


def put_us(url: str, count: int) -> dict[str, float]:
    """What sharing adds to a request on the event loop: two lessons, its own and its answer's, CPU of this thread; and
    of the whole process, with the thread that sends them, at 250 requests a second."""
    replica = sharing(url, TailModel(), "put")
    asyncio.run(replica.start(KEYED, None))
    events = [event(number, time.time()) for number in range(count)]
    own, process = time.thread_time(), time.process_time()
    spent = 0.0
    for number, one in enumerate(events):
        before = time.thread_time()
        replica.learned(one)
        replica.learned(one)
        spent += time.thread_time() - before
        if number % 25 == 24:
            time.sleep(0.1)
    asyncio.run(replica.stop())
    empty = time.thread_time()
    for _ in range(count):
        time.thread_time()
        time.thread_time()
    empty = time.thread_time() - empty
    return {
        "on the event loop, µs a request": (spent - empty / 2) / count * 1e6,
        "of the process, µs a request": (time.process_time() - process) / count * 1e6,
        "of this thread, µs a request": (time.thread_time() - own) / count * 1e6,
    }


def _let_in(url: str, name: str, count: int, per_second: float) -> None:
    """Another process: a replica that lets requests in."""
    replica = sharing(url, TailModel(), name)
    asyncio.run(replica.start(KEYED, None))
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        replica.learned(event(number, time.time()))
    while replica.state().sent < count:
        time.sleep(0.01)
    asyncio.run(replica.stop())


@contextlib.contextmanager
def another(url: str, name: str, count: int, per_second: float) -> Iterator[None]:
    """That process, for the length of a block."""
    process = multiprocessing.get_context("spawn").Process(target=_let_in, args=(url, name, count, per_second))
    process.start()
    try:
        yield
    finally:
        process.join()


def lag_ms(url: str, count: int, per_second: float) -> dict[str, float]:
    """From a request at one replica to the moment when another has learned of it."""
    model, name = Clocking(), f"lag-{per_second:g}"
    replica = sharing(url, model, name)
    asyncio.run(replica.start(KEYED, None))
    with another(url, name, count, per_second):
        while len(model.late_s) < count:
            time.sleep(0.01)
    asyncio.run(replica.stop())
    return {f"p{q}, ms": harness.quantile(model.late_s, q / 100) * 1e3 for q in (50, 95, 99)}


def catching_up(url: str, count: int) -> dict[str, float]:
    """A newcomer with a stream to learn: lessons a second, and how late its event loop wakes meanwhile (asked to sleep
    for a millisecond), beside an idle one."""
    with another(url, "stream", count, 1e9):
        pass

    async def late(busy: Any) -> list[float]:
        found = []
        while busy():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            found.append((time.perf_counter() - began - 0.001) * 1e3)
        return found

    async def learn() -> tuple[list[float], list[float], float]:
        ends = time.perf_counter() + 2.0
        idle = await late(lambda: time.perf_counter() < ends)
        replica = sharing(url, TailModel(), "stream")
        began = time.perf_counter()
        await replica.start(KEYED, None)
        loaded = await late(lambda: replica.state().received < count)
        took = time.perf_counter() - began
        await replica.stop()
        return idle, loaded, took

    idle, loaded, took = asyncio.run(learn())
    return {
        "lessons a second": count / took,
        **{f"event loop late, p{q}, ms": harness.quantile(loaded, q / 100) for q in (50, 99)},
        **{f"idle event loop late, p{q}, ms": harness.quantile(idle, q / 100) for q in (50, 99)},
    }


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--lessons", type=int, default=10_000, help="of the newcomer's stream")
    chosen = parser.parse_args(given)
    settle()
    with server() as url:
        result: dict[str, Any] = {
            "cost": put_us(url, 2000),
            "lag at 20 a second": lag_ms(url, 100, 20.0),
            "lag at 500 a second": lag_ms(url, 2000, 500.0),
            "catching up": catching_up(url, chosen.lessons),
        }
    if chosen.json:
        harness.emit(result)
        return
    for name, found in result.items():
        harness.show(name, ("what", "value"), list(found.items()))


if __name__ == "__main__":
    main()
