"""The whole guard on one request, against the bare app and the naive composition: ``python -m benchmarks.request``.

A 500-character chat request and a PII-dense one of the same shape, over a real socket to uvicorn, one connection.
Targets take turns within each round, so that the machine's moods fall on all of them; figures are medians over rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.harness import Client, Server, emit, fdatasync_ms, http_request, median_of, quantile, serving, show
from benchmarks.targets import PATH, passing

CLEAN: Final = (
    "Please explain in a few plain sentences how a heat pump moves warmth from a cold garden into a warm living room, "
    "why it needs less electricity than a heater that makes warmth, and what happens on a very cold night. Start with "
    "the refrigerant and the compressor, then the expansion valve, and end with the part that people misunderstand "
    "most often. Use no formula, keep it friendly, and write it for somebody who has never heard of thermodynamics "
    "but likes to know how things work at home. Thank you!"
)
DENSE: Final = (
    "Customer Jane Roe (jane.roe@northwind-traders.com, +1 212 555 4567) paid from GB82 WEST 1234 5698 7654 32 and "
    "asks us to call (415) 555-2671 or write to accounts@contoso-supplies.org. Her server 203.0.114.7 and backup "
    "198.51.101.23 were reached by m.mustermann@beispiel-firma.de, phone +49 30 901820, IBAN DE89 3704 0044 0532 0130 "
    "00. Please draft a reply to both, copy legal@northwind-traders.com and mention ticket 8812."
)
CALLERS: Final = 2000
TARGETS: Final = ("bare", "excluded", "guarded", "naive")


def _body(text: str) -> bytes:
    document = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 256}
    return json.dumps(document).encode()


def _requests(body: bytes) -> list[bytes]:
    return [http_request("POST", PATH, body, f"user-{number}") for number in range(CALLERS)]


async def _round(client: Client, requests: Iterator[bytes], count: int) -> dict[str, float]:
    before = await client.cpu_seconds()
    times = []
    for request in itertools.islice(requests, count):
        started = time.perf_counter()
        status, body = await client.send(request)
        times.append((time.perf_counter() - started) * 1e3)
        if status != 200:
            raise RuntimeError(f"the target answered {status}: {body[:300]!r}")
    cpu = await client.cpu_seconds() - before
    return {"cpu_ms": cpu / count * 1e3, "p50_ms": quantile(times, 0.5), "p99_ms": quantile(times, 0.99)}


async def _measure(servers: list[Server], rounds: int, count: int) -> dict[str, dict[str, dict[str, float]]]:
    results: dict[str, dict[str, list[dict[str, float]]]] = {
        kind: {server.name: [] for server in servers} for kind in ("clean", "dense")
    }
    async with contextlib.AsyncExitStack() as stack:
        clients = [(s.name, await stack.enter_async_context(Client.connected(s))) for s in servers]
        for kind, text in (("clean", CLEAN), ("dense", DENSE)):
            body = _body(text)
            requests = {s.name: itertools.cycle(_requests(body)) for s in servers}
            for name, client in clients:
                await _round(client, requests[name], 30)
            for _ in range(rounds):
                for name, client in clients:
                    results[kind][name].append(await _round(client, requests[name], count))
    return {kind: {name: median_of(r) for name, r in by.items()} for kind, by in results.items()}


async def _pass_through_us(state: str, rounds: int = 7, count: int = 20_000) -> float:
    """CPU that the guard adds to a request on an excluded route, in microseconds.

    Measured in this process: over a socket it drowns in what the server spends.
    """
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        """An app that costs nothing."""

    async def cost(inner: Any) -> float:
        started = time.thread_time()
        for _ in range(count):
            await inner(scope, None, None)
        return (time.thread_time() - started) / count * 1e6

    layer = passing(nothing, state)
    return statistics.median([await cost(layer) - await cost(nothing) for _ in range(rounds)])


def run(rounds: int, count: int) -> dict[str, Any]:
    """Measure all targets and derive what the budgets speak of."""
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(tempfile.TemporaryDirectory())
        policy = stack.enter_context(serving("policy", "benchmarks.targets:policy_service"))
        environ = {"BENCH_STATE": state, "BENCH_POLICY_PORT": str(policy.port)}
        servers = [stack.enter_context(serving(n, f"benchmarks.targets:{n}", environ)) for n in TARGETS]
        sync = fdatasync_ms()
        measured = asyncio.run(_measure(servers, rounds, count))
        pass_through = asyncio.run(_pass_through_us(state))
    derived = {}
    for kind, by in measured.items():
        guard_cpu = by["guarded"]["cpu_ms"] - by["bare"]["cpu_ms"]
        naive_cpu = by["naive"]["cpu_ms"] - by["bare"]["cpu_ms"]
        derived[kind] = {
            "added_cpu_ms": round(guard_cpu, 4),
            "added_p50_ms": round(by["guarded"]["p50_ms"] - by["bare"]["p50_ms"], 4),
            "added_p99_ms": round(by["guarded"]["p99_ms"] - by["bare"]["p99_ms"], 4),
            "naive_added_cpu_ms": round(naive_cpu, 4),
            "cpu_ratio_to_naive": round(guard_cpu / naive_cpu, 4),
            "excluded_added_cpu_ms": round(by["excluded"]["cpu_ms"] - by["bare"]["cpu_ms"], 4),
        }
    return {
        "benchmark": "request",
        "rounds": rounds,
        "requests_per_round": count,
        "fdatasync_p50_ms": round(sync, 4),
        "pass_through_cpu_us": round(pass_through, 2),
        "targets": measured,
        "guard": derived,
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.request", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=150, help="requests a round")
    options = parser.parse_args()
    result = run(options.rounds, options.requests)
    if options.json:
        emit(result)
        return
    for kind in ("clean", "dense"):
        rows = [(n, r["cpu_ms"], r["p50_ms"], r["p99_ms"]) for n, r in result["targets"][kind].items()]
        show(f"{kind} request", ("target", "CPU ms", "p50 ms", "p99 ms"), rows)
        figures = result["guard"][kind]
        print(
            f"  the guard adds {figures['added_cpu_ms']:.3f} ms CPU, {figures['added_p50_ms']:.3f} ms p50, "
            f"{figures['added_p99_ms']:.3f} ms p99; {figures['cpu_ratio_to_naive']:.3f} of the naive CPU\n"
        )
    print(f"fdatasync p50 in this run: {result['fdatasync_p50_ms']:.3f} ms")
    print(f"a layer that only passes (excluded route, in process): {result['pass_through_cpu_us']:.2f} us CPU")


if __name__ == "__main__":
    main()
