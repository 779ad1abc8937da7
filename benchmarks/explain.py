"""What explaining costs: ``python -m benchmarks.explain [--json]``.

The same policies and inputs, three ways in one run, in turns: ``bare`` records nothing, ``always on`` is what every
decision does (the bodies that held, by number; what they read was found at load), ``traced`` is coverage tracing, the
way that was rejected. CPU microseconds a decision, the least of the rounds. Then whole decisions of the shipped
policies, ``decide`` included, and what loading pays once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import msgspec

from benchmarks.harness import emit, show
from benchmarks.rego import REF, policy, request
from guard import rego
from guard.policy.bundle import Bundle, load_bundle
from guard.policy.embedded import EmbeddedEngine, compile_bundle
from guard.policy.engine import decide
from guard.policy.explain import trails_of
from guard.rego.gen_rules import RuleWriter
from guard.types import Verdict
from tests.policy.documents import CONFIG_DATA, document, varied

ENTRYPOINT: Final = "data.guard.decision"
_ROUNDS: Final = 9
_SECONDS: Final = 0.1
_FAR: Final = 1e9


class Bare(EmbeddedEngine):
    """The embedded engine as it would be if it explained nothing."""

    def __init__(self, bundle: Bundle) -> None:
        with _unrecorded():
            super().__init__(bundle, ENTRYPOINT)

    async def evaluate(self, document: Any, *, deadline: float) -> Verdict:
        """The value alone."""
        verdict = await super().evaluate(document, deadline=deadline)
        return msgspec.structs.replace(verdict, fired=None, trails={})


@contextmanager
def _unrecorded() -> Iterator[None]:
    with patch.object(RuleWriter, "fired", lambda _writer, _rule: None):
        yield


def in_turns(calls: Sequence[Callable[[], object]], decisions: int) -> list[float]:
    """CPU microseconds a decision of each call, the least of the rounds; every round asks all of them."""
    began = time.perf_counter()
    for call in calls:
        call()
    count = max(1, int(_SECONDS * len(calls) / (time.perf_counter() - began)))
    least = [float("inf")] * len(calls)
    for number in range(_ROUNDS):
        order = range(len(calls)) if number % 2 else reversed(range(len(calls)))
        for each in order:
            start = time.process_time()
            for _ in range(count):
                calls[each]()
            least[each] = min(least[each], (time.process_time() - start) / count / decisions * 1e6)
    return [round(each, 2) for each in least]


def over(run: Callable[[Any], object], inputs: Sequence[Any]) -> None:
    """One evaluation of each input."""
    for each in inputs:
        run(each)


def evaluations() -> list[dict[str, Any]]:
    """The engine alone."""
    bundle = load_bundle(data=CONFIG_DATA)
    bare_data = load_bundle(data={"guard": {**CONFIG_DATA["guard"], "settings": {}}})
    called = (
        "package bench\n\nlisted(x) if x > 2\nlisted(x) if x == 1\ndeny contains x if { some x in input; listed(x) }"
    )
    cases: list[tuple[str, Any, Any, str, list[Any]]] = [
        ("50 rules, one denies", {"b.rego": policy(50)}, None, REF, [request(50, 1)]),
        ("500 rules, one denies", {"b.rego": policy(500)}, None, REF, [request(500, 1)]),
        ("50 rules, no index", {"b.rego": policy(50, indexed=False)}, None, REF, [request(50, 1, indexed=False)]),
        ("a function that holds 500 times", {"b.rego": called}, None, REF, [list(range(500))]),
        ("shipped, clean, no settings", bare_data.modules, bare_data.data, ENTRYPOINT, [document()]),
        ("shipped, clean, all settings", bundle.modules, bundle.data, ENTRYPOINT, [document()]),
        ("shipped, varied", bundle.modules, bundle.data, ENTRYPOINT, varied(30)),
    ]
    rows = []
    for name, modules, data, ref, inputs in cases:
        with _unrecorded():
            bare = rego.compile(modules, data).prepare(ref)
        program = rego.compile(modules, data)
        traced = partial(program.trace, ref)
        calls = [partial(over, each, inputs) for each in (bare, program.prepare(ref), traced)]
        rows.append(_row(name, in_turns(calls, len(inputs))))
    return rows


def whole_decisions() -> list[dict[str, Any]]:
    """``decide``: the engine, and reasons joined with what is known of their rules."""
    bundle = load_bundle(data=CONFIG_DATA)
    engines = [Bare(bundle), EmbeddedEngine(bundle, ENTRYPOINT)]
    denied = [each for each in varied(60) if each["coverage"]["incomplete"] and each["stage"] == "request"]
    rows = []
    with asyncio.Runner() as runner:
        for name, documents in (
            ("decide, clean", [document()]),
            ("decide, denied", denied),
            ("decide, varied", varied(30)),
        ):

            async def ask(engine: Any, documents: Sequence[Any] = documents) -> None:
                for each in documents:
                    await decide(engine, each, stage=each["stage"], deadline=_FAR)

            calls = [partial(_run, runner, ask, engine) for engine in engines]
            rows.append(_row(name, in_turns(calls, len(documents))))
    return rows


def _run(runner: asyncio.Runner, ask: Callable[[Any], Coroutine[Any, Any, None]], engine: Any) -> None:
    runner.run(ask(engine))


def _row(name: str, times: list[float]) -> dict[str, Any]:
    bare, marked, *rest = times
    return {"case": name, "bare": bare, "always_on": marked, "percent": round((marked / bare - 1) * 100, 1)} | (
        {"traced": rest[0]} if rest else {}
    )


def loading() -> dict[str, float]:
    """Milliseconds of CPU that a load pays."""
    bundle = load_bundle(data=CONFIG_DATA)
    start = time.process_time()
    program = compile_bundle(bundle.modules, bundle.data)
    compiled = time.process_time()
    trails_of(program)
    return {
        "compile_ms": round((compiled - start) * 1e3, 1),
        "trails_ms": round((time.process_time() - compiled) * 1e3, 1),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    rows, load = [*evaluations(), *whole_decisions()], loading()
    if options.json:
        emit({"benchmark": "explain", "decisions": rows, "load": load})
        return 0
    cells = [
        [row["case"], row["bare"], row["always_on"], f"{row['percent']:+} %", row.get("traced", "-")] for row in rows
    ]
    show("A decision, in CPU microseconds", ["case", "bare", "always on", "more", "traced"], cells)
    show("Loading the shipped policies", ["what", "ms"], [[key, value] for key, value in load.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
