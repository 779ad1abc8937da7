"""Several worker processes under one server: each opens the log after the fork, as an origin of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from guard.testing import assert_verified
from tests.compat.conftest import seeing
from tests.compat.fleet import START_SECONDS, Running, launch
from tests.compat.matrix import HTTP1_SERVERS, STARLETTE, Pair
from tests.compat.page import WORKERS
from tests.components import require_package

CLIENTS = 20


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Running]]]:
    """Every server with two workers, all starting at once."""
    with ThreadPoolExecutor(max_workers=len(HTTP1_SERVERS)) as pool:
        started = {
            server: pool.submit(launch, Pair(server, STARLETTE), tmp_path_factory.mktemp("workers"), workers=2)
            for server in HTTP1_SERVERS
        }
        yield started
    for future in started.values():
        if future.exception() is None:
            future.result().stop()


def wait_for_both(running: Running) -> None:
    """Until each worker has opened its log."""
    until = time.monotonic() + START_SECONDS
    while len(list(running.state.glob("log/*-[01]/seg/*.jsonl"))) < 2:
        assert time.monotonic() < until, running.said()[-2000:]
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("server", HTTP1_SERVERS)
def test_two_workers_write_two_logs_that_verify(
    server: str, launched: dict[str, Future[Running]], request: pytest.FixtureRequest
) -> None:
    """Whichever worker answers, its decision is in its own log; both are whole, closed where the server let them, and
    both stand in the list of writers."""
    for name in Pair(server, STARLETTE).distributions:
        require_package(name)
    running = launched[server].result()
    try:
        wait_for_both(running)
        decided = set()
        for number in range(CLIENTS):
            with running.client() as client:
                answer = client.post("/ai/echo", json={"text": f"hello {number}"})
                assert (answer.status_code, json.loads(answer.text)["echo"]) == (200, f"hello {number}")
                decided.add(answer.headers["x-guard-decision-id"])
        for decision in decided:
            assert running.record("outcome", decision)["status"] == 200
    finally:
        running.stop()
    report = assert_verified(running.state)
    *writers, listed = report.origins
    assert [origin.accounts.boots for origin in writers] == [1, 1]
    # Hypercorn ends its other workers with a signal as soon as one has ended: that one's log may lack its close.
    unclosed = sum(origin.accounts.boots_unclosed for origin in writers)
    assert unclosed <= (1 if server == "hypercorn" else 0)
    assert listed.accounts.records["writer"] == 4 - unclosed
    assert sum(origin.accounts.records.get("decision", 0) for origin in report.origins) >= CLIENTS
    seeing(request.config, server, "", WORKERS)("two logs, both whole")
