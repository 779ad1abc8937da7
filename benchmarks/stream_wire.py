"""Streams over a loopback socket: when their first bytes and texts arrive, how late each text is, what it costs."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness import Client, Server, http_request, quantile, serving
from benchmarks.stream_corpus import occurrences
from benchmarks.stream_targets import COSTS_PATH, PATH, pieces

TARGETS: Final = {"no guard": "bare", "live": "live", "buffered": "buffered", "presidio per piece": "presidio"}
"""Way -> factory in ``benchmarks.stream_targets``."""
_ASKED: Final = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Tell me about the plan."}]}


class Heard(NamedTuple):
    """One stream as its client saw it; times in milliseconds."""

    first_byte: float
    """From the making of the first event to the first byte of the body."""
    first_text: float
    """From the making of the first text to its first character."""
    late: list[float]
    """From the making of each text to its last character."""
    said: str


class Arrived(NamedTuple):
    """What came, in order: when, the number of the event, and its text. An event may come in two."""

    at: float
    number: int
    text: str


async def heard(server: Server) -> tuple[float, list[Arrived]]:
    """Ask for one stream: when its first byte came, and all events. Raises ``RuntimeError`` if it is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        head = http_request("POST", PATH, json.dumps(_ASKED).encode())
        writer.write(head.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        status = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in status.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"the target answered {status[:100]!r}")
        arrived: list[Arrived] = []
        first = 0.0
        buffer = b""
        while chunk := await reader.read(65_536):
            now = time.monotonic_ns() / 1e6
            first = first or now
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"data: {"):
                    data = json.loads(line[6:])
                    arrived.append(Arrived(now, data["created"], data["choices"][0]["delta"].get("content") or ""))
    finally:
        writer.close()
        await writer.wait_closed()
    return first, arrived


def judged(first: float, arrived: Sequence[Arrived], made: Sequence[float]) -> Heard:
    """``made[number]``: when the event of that number was made."""
    begun = next(one for one in arrived if one.text.strip())
    last = {one.number: one.at for one in arrived}
    late = [at - made[number] for number, at in sorted(last.items())]
    return Heard(first - made[0], begun.at - made[begun.number], late[1:-1], "".join(one.text for one in arrived))


def measured(streams: int = 3) -> list[dict[str, Any]]:
    """A row for each way, over ``streams`` streams, which take turns: medians of the times to the first byte and text,
    how late texts are, CPU microseconds of the event loop's thread for each event, values that leak."""
    with ExitStack() as stack:
        environ = {"BENCH_STATE": stack.enter_context(tempfile.TemporaryDirectory())}
        servers = {
            way: stack.enter_context(
                serving(way, f"benchmarks.stream_targets:{factory}", environ, log_file=Path(os.devnull))
            )
            for way, factory in TARGETS.items()
        }
        return asyncio.run(_measured(servers, streams))


async def _measured(servers: dict[str, Server], streams: int) -> list[dict[str, Any]]:
    by_way: dict[str, list[Heard]] = {way: [] for way in servers}
    costs: dict[str, list[float]] = {way: [] for way in servers}
    for turn in range(streams + 1):
        for way, server in servers.items():
            first, arrived = await heard(server)
            told = await _told(server)
            if turn:  # the first is for caches
                by_way[way].append(judged(first, arrived, [made / 1e6 for made, _ in told]))
                costs[way] += [cost / 1e3 for _, cost in told]
    alone = quantile([one.first_byte for one in by_way["no guard"]], 0.5)
    return [{"way": way, **dict(_figures(by_way[way], costs[way], alone))} for way in servers]


async def _told(server: Server) -> list[tuple[int, int]]:
    async with Client.connected(server) as client:
        _, body = await client.send(http_request("GET", COSTS_PATH))
    return [(made, cost) for made, cost in json.loads(body)]


def _figures(heard: list[Heard], costs: list[float], alone: float) -> Iterator[tuple[str, float]]:
    late = [delay for one in heard for delay in one.late]
    first_byte = quantile([one.first_byte for one in heard], 0.5)
    yield "first_byte_ms", round(first_byte, 2)
    yield "added_to_first_byte_ms", round(first_byte - alone, 2)
    yield "first_text_ms", round(quantile([one.first_text for one in heard], 0.5), 2)
    yield "late_ms_p50", round(quantile(late, 0.5), 2)
    yield "late_ms_p95", round(quantile(late, 0.95), 2)
    yield "us_per_event_p50", round(quantile(costs, 0.5), 1)
    yield "us_per_event_p95", round(quantile(costs, 0.95), 1)
    yield "leaked", max(occurrences(one.said) for one in heard)
    yield "values", occurrences("".join(pieces()))
