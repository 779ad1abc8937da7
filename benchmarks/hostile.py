"""What hostile input costs others: ``python -m benchmarks.hostile [--json] [--write] [--case NAME]``.

Each case of ``tests/hostile/cases`` is sent to a guarded server in a process of its own, while another process sends
small unrelated requests to the same server. Told are the answer, the growth of the process, how long its event loop was
held, and how long an unrelated request waited. A case above the bound is repeated and its least figures are told; one
that stays above is sent to the same server without the guard, which shows whose stall it is.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import emit, show
from tests.hostile.case import SIDE, Case, all_cases, load
from tests.hostile.page import PAGE, Row, render
from tests.hostile.running import Running, Seen, serving

BOUND_MS: Final = 50.0
_PAUSE_SECONDS: Final = 0.005
_BASELINE_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 0.1
_SIDE_BODY: Final = json.dumps({"model": "m", "messages": [{"role": "user", "content": "How are you today?"}]})


def bystander(port: int) -> None:
    """Send small requests for ever; print when each began (``time.monotonic``, seconds) and how long it took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while True:
        user = "".join(random.choices(string.ascii_lowercase, k=16))
        headers = {"content-type": "application/json", "x-forwarded-user": user, "x-hostile-case": SIDE}
        began = time.monotonic()
        connection.request("POST", "/v1/chat/completions", _SIDE_BODY, headers)
        answer = connection.getresponse()
        answer.read()
        print(began, time.monotonic() - began, answer.status, flush=True)
        time.sleep(_PAUSE_SECONDS)


class Bystander:
    """The process that sends unrelated requests, and the file that it writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def worst_ms(self, since: float, until: float) -> float:
        """The longest wait of a request under way between two moments, less the median of those before."""
        while not (times := self._times()) or times[-1][0] < until:
            time.sleep(_PAUSE_SECONDS)
        before = [took for began, took in times if since - 2 * _BASELINE_SECONDS < began < since - 0.01]
        during = [took for began, took in times if began + took >= since and began <= until]
        usual = statistics.median(before) if before else 0.0
        return max([0.0, *[(took - usual) * 1000 for took in during]])

    def _times(self) -> list[tuple[float, float]]:
        lines = self._path.read_text().splitlines()
        whole = [line.split() for line in lines[-20_000:] if line.count(" ") == 2]
        return [(float(began), float(took)) for began, took, status in whole if status == "200"]


@contextlib.contextmanager
def watched(running: Running, directory: Path) -> Iterator[Bystander]:
    """Unrelated requests to a server until the block ends."""
    path = directory / "bystander"
    with path.open("wb") as output:
        command = [sys.executable, "-m", "benchmarks.hostile", "--bystander", str(running.port)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2 * _BASELINE_SECONDS)
        yield Bystander(path)
    finally:
        process.kill()
        process.wait()


def measure(case: Case, running: Running, bystander: Bystander, repeats: int) -> Row:
    """One case; the least of its figures over as many rounds as it needs to come below the bound."""
    seen: list[Seen] = []
    stalls: list[float] = []
    for _ in range(repeats):
        since = time.monotonic()
        seen.append(running.attacked(case))
        time.sleep(_SETTLE_SECONDS)
        stalls.append(bystander.worst_ms(since, time.monotonic()))
        if seen[-1].lag_ms <= BOUND_MS and stalls[-1] <= BOUND_MS:
            break
    held = min(one.lag_ms for one in seen)
    memory = max(one.growth_mb for one in seen)
    return Row(seen[-1].outcome.answer, round(memory, 1), round(held, 1), round(min(stalls), 1))


def run(cases: Sequence[Case], repeats: int) -> dict[str, Row]:
    """All cases, by name."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        sides: dict[bool, tuple[Running, Bystander]] = {}
        for impatient in sorted({case.impatient for case in cases}):
            state = directory / f"guarded-{impatient}"
            running = stack.enter_context(serving(state, impatient=impatient, probe=True))
            sides[impatient] = running, stack.enter_context(watched(running, state))
        for case in cases:
            rows[case.name] = measure(case, *sides[case.impatient], repeats)
            print(f"{case.name}: {rows[case.name]}", file=sys.stderr)
    above = [case for case in cases if rows[case.name].held_ms > BOUND_MS]
    return rows | _without_the_guard(above, rows, repeats) if above else rows


def _without_the_guard(cases: Sequence[Case], rows: dict[str, Row], repeats: int) -> dict[str, Row]:
    compared: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name, serving(Path(name), bare=True, probe=True) as bare:
        for case in cases:
            least = min(bare.attacked(case).lag_ms for _ in range(repeats))
            row = rows[case.name]
            compared[case.name] = Row(row.answer, row.memory_mb, row.held_ms, row.stall_ms, round(least, 1))
    return compared


def _summary(rows: dict[str, Row]) -> dict[str, Any]:
    above = {name: row for name, row in rows.items() if row.held_ms > BOUND_MS}
    return {
        "cases": len(rows),
        "held_above_bound": sorted(above),
        "of_these_the_server_alone": sorted(n for n, row in above.items() if (row.bare_ms or 0.0) > BOUND_MS),
        "stall_above_bound": sorted(name for name, row in rows.items() if row.stall_ms > BOUND_MS),
        "largest_memory_mb": max(row.memory_mb for row in rows.values()),
    }


def _note(rows: dict[str, Row]) -> str:
    told = _summary(rows)
    above, server = told["held_above_bound"], told["of_these_the_server_alone"]
    own = sorted(set(above) - set(server))
    words = [f"{told['cases']} cases; the process grew by at most {told['largest_memory_mb']:.0f} MB."]
    if server:
        named = ", ".join(f"`{name}`" for name in server)
        words.append(f"Held for longer by the ASGI server itself, with and without the guard: {named}.")
    words.append(f"Held for longer by the guard: {', '.join(f'`{n}`' for n in own) or 'none'}.")
    return " ".join(words)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--write", action="store_true", help="write docs/hostile-input.md; needs all cases")
    parser.add_argument("--case", action="append", default=[], help="only this case (may be given again)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds for a case above the bound")
    parser.add_argument("--bystander", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bystander:
        bystander(options.bystander)
    if options.write and options.case:
        parser.error("--write needs all cases")
    cases = [load(name) for name in options.case] or all_cases()
    rows = run(cases, options.repeats)
    if options.write:
        PAGE.write_text(render(cases, rows, _note(rows)), encoding="utf-8")
    if options.json:
        figures = {name: {f: getattr(row, f) for f in row.__struct_fields__} for name, row in rows.items()}
        emit({"benchmark": "hostile", "bound_ms": BOUND_MS, **_summary(rows), "rows": figures})
        return
    table = [
        (name, r.answer, r.memory_mb, r.held_ms, r.stall_ms, "" if r.bare_ms is None else r.bare_ms)
        for name, r in rows.items()
    ]
    show("hostile input", ("case", "answer", "memory MB", "held ms", "stall ms", "bare ms"), table)
    print(_note(rows))


if __name__ == "__main__":
    main()
