"""What a decision costs: ``python -m benchmarks.rego [--json] [--regopy-python PROGRAM]``.

The embedded engine, a real OPA server over HTTP on a kept connection, and regopy in a process of its own, over the same
policies (5, 50 and 500 rules of the usual shape: equality on one field first; one rule denies) and the same inputs (1,
10 and 100 KB). Then: compiling, a megabyte of base data, rules without a field to index, and the shipped policies.

Times are microseconds per decision. ``cpu`` is this process's own time, ``wall`` the least median of the rounds. OPA
takes the input as the text of a request; the embedded engine and regopy (whose bundle is built before) take the parsed
object.
OPA needs ``opa`` on the path. regopy stays out of the project's locks: it is looked for in the Python that
``--regopy-python`` or ``REGOPY_PYTHON`` names (``python -m venv V && V/bin/pip install regopy==1.5.2``, then
``V/bin/python``), else in this one. What is missing is said in one line and left out.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.harness import emit, show
from guard import rego
from guard.policy.bundle import load_bundle
from guard.policy.embedded import compile_bundle
from tests.policy.documents import CONFIG_DATA, document, varied
from tests.policy.servers import opa_server

RULES: Final = (5, 50, 500)
KILOBYTES: Final = (1, 10, 100)
REF: Final = "data.bench.deny"
_ROUNDS: Final = 5
_SECONDS: Final = 0.15
_REGOPY: Final = Path(__file__).with_name("rego_regopy.py")

_WANTED: Final = {
    "opa": "put OPA 1.18.1 on the path as `opa`",
    "regopy": "python -m venv V && V/bin/pip install regopy==1.5.2, then REGOPY_PYTHON=V/bin/python",
}

Times = dict[str, float]


def policy(rules: int, *, indexed: bool = True) -> str:
    """A module of so many rules; ``indexed`` ones begin with an equality on one field."""
    first = 'input.action == "act{0}"' if indexed else 'startswith(input.action, "act{0}-")'
    rule = (
        'deny contains {{"id": "R{0}", "message": message}} if {{\n\t' + first + "\n\tinput.amount > {0}\n\t"
        'some role in input.roles\n\trole == "r{1}"\n\t'
        'message := sprintf("%s may not do %d", [input.user, {0}])\n}}\n'
    )
    return "package bench\n\n" + "\n".join(rule.format(number, number % 7) for number in range(rules))


def request(rules: int, kilobytes: int, *, indexed: bool = True) -> dict[str, Any]:
    """An input of about that size that one of the rules denies."""
    text = "what a prompt may say, in sixty-four characters or a little more "
    found: dict[str, Any] = {
        "action": f"act{rules - 2}" + ("" if indexed else "-x"),
        "amount": 1000,
        "roles": [f"r{number}" for number in range(7)],
        "user": "jane",
        "messages": [],
    }
    while len(json.dumps(found)) < kilobytes * 1000 - 100:
        found["messages"].append({"role": "user", "content": text})
    return found


def measured(call: Callable[[], object]) -> Times:
    """Microseconds a call, CPU and wall, the least of the rounds."""
    call()
    began = time.perf_counter()
    call()
    count = max(3, min(20_000, int(_SECONDS / max(time.perf_counter() - began, 1e-7))))
    cpu, wall = [], []
    for _ in range(_ROUNDS):
        cpu_began, began = time.process_time(), time.perf_counter()
        for _ in range(count):
            call()
        cpu.append((time.process_time() - cpu_began) / count)
        wall.append((time.perf_counter() - began) / count)
    return {"cpu": round(min(cpu) * 1e6, 1), "wall": round(min(wall) * 1e6, 1)}


def compiled(source: str, data: Any = None) -> tuple[rego.Program, float]:
    """A program, and the CPU milliseconds that compiling took."""
    began = time.process_time()
    program = rego.compile({"bench.rego": source}, data)
    return program, round((time.process_time() - began) * 1e3, 1)


class Opa:
    """A real server on one kept connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def send(self, method: str, path: str, body: bytes) -> bytes:
        """One request. Raises RuntimeError for an answer that is no success."""
        self.connection.request(method, path, body, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"OPA answered {answer.status}: {content[:300]!r}")
        return content

    def load(self, source: str) -> float:
        """Put the module; wall milliseconds."""
        began = time.perf_counter()
        self.send("PUT", "/v1/policies/bench", source.encode())
        return round((time.perf_counter() - began) * 1e3, 1)

    def wall(self, body: bytes, want: int) -> float:
        """The median of the wall time of a decision, in microseconds."""
        if len(json.loads(self.send("POST", "/v1/data/bench/deny", body))["result"]) != want:
            raise RuntimeError("OPA does not decide as the embedded engine does")
        times = []
        until = time.perf_counter() + _SECONDS * _ROUNDS
        while time.perf_counter() < until:
            began = time.perf_counter()
            self.send("POST", "/v1/data/bench/deny", body)
            times.append(time.perf_counter() - began)
        return round(statistics.median(times) * 1e6, 1)


@contextmanager
def running_opa() -> Iterator[Opa | None]:
    """A server for the block; None where there is no ``opa``."""
    if shutil.which("opa") is None:
        yield None
        return
    with opa_server("--skip-version-check") as url:
        yield Opa(url)


def regopy_times(program: str, source: str, text: str) -> Times | None:
    """What regopy takes, asked of a Python that has it; None where it has not."""
    given = json.dumps({"source": source, "input": text, "ref": REF, "seconds": _SECONDS, "rounds": _ROUNDS})
    try:
        done = subprocess.run([program, str(_REGOPY)], input=given, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return json.loads(done.stdout) if done.returncode == 0 else None


def decisions(opa: Opa | None, regopy: str) -> list[dict[str, Any]]:
    """One row for each number of rules and size of input."""
    rows = []
    for rules in RULES:
        source = policy(rules)
        program, compile_ms = compiled(source)
        load_ms = opa.load(source) if opa else None
        for kilobytes in KILOBYTES:
            row = decision(program, request(rules, kilobytes), opa, regopy, source)
            rows.append({"rules": rules, "kb": kilobytes, "compile_ms": compile_ms, "opa_load_ms": load_ms} | row)
    return rows


def decision(program: rego.Program, value: dict[str, Any], opa: Opa | None, regopy: str, source: str) -> dict[str, Any]:
    """The times of one policy with one input on each engine."""
    run = program.prepare(REF)
    if len(run(value)) != 1:
        raise RuntimeError("one rule should deny")
    ours = measured(lambda: run(value))
    row: dict[str, Any] = {"ours": ours, "opa_wall": None, "opa_ratio": None, "regopy": None, "regopy_ratio": None}
    if opa:
        row["opa_wall"] = opa.wall(json.dumps({"input": value}).encode(), 1)
        row["opa_ratio"] = round(row["opa_wall"] / ours["wall"], 1)
    third = regopy_times(regopy, source, json.dumps(value))
    if third:
        row["regopy"], row["regopy_ratio"] = third, round(third["cpu"] / ours["cpu"], 1)
    return row


def shipped(data: dict[str, Any]) -> Callable[..., Any]:
    """The shipped policies over what a configuration gives."""
    bundle = load_bundle(data=data)
    return compile_bundle(bundle.modules, bundle.data).prepare("data.guard.decision")


def others() -> dict[str, Any]:
    """Base data, rules that no index helps, and the shipped policies: on an ordinary request without a setting, with
    every setting that a rule waits for (a budget and a redaction come of it), and on documents of all kinds."""
    plain, _ = compiled(policy(50))
    megabyte = {"big": {f"k{number}": {"v": "x" * 80} for number in range(10_000)}}
    heavy, heavy_ms = compiled(policy(50), megabyte)
    value = request(50, 1)
    scan, _ = compiled(policy(500, indexed=False))
    scanned = request(500, 1, indexed=False)
    decide, plainly = shipped(CONFIG_DATA), shipped({"guard": {**CONFIG_DATA["guard"], "settings": {}}})
    clean, many = document(), varied(30)
    return {
        "without_data": measured(lambda: plain.eval(REF, value)),
        "with_1_mb_of_data": measured(lambda: heavy.eval(REF, value)),
        "data_bytes": len(json.dumps(megabyte)),
        "compile_with_data_ms": heavy_ms,
        "500_rules_without_index": measured(lambda: scan.eval(REF, scanned)),
        "shipped_clean": measured(lambda: plainly(clean, strict_builtin_errors=True)),
        "shipped_clean_all_settings": measured(lambda: decide(clean, strict_builtin_errors=True)),
        "shipped_varied": {
            key: round(time_ / len(many), 1)
            for key, time_ in measured(lambda: [decide(each, strict_builtin_errors=True) for each in many]).items()
        },
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    named = os.environ.get("REGOPY_PYTHON", sys.executable)
    parser.add_argument("--regopy-python", default=named, help="a Python program that has regopy")
    options = parser.parse_args()
    with running_opa() as opa:
        rows = decisions(opa, options.regopy_python)
    extra = others()
    missing = [name for name, key in (("opa", "opa_wall"), ("regopy", "regopy")) if rows[0][key] is None]
    if options.json:
        emit({"benchmark": "rego", "decisions": rows, "others": extra, "missing": missing})
        return 0
    columns = ["rules / input", "compile ms", "cpu", "wall", "OPA load ms", "OPA wall", "x", "regopy cpu", "x"]
    cells = [
        [
            f"{row['rules']} / {row['kb']} KB",
            row["compile_ms"],
            row["ours"]["cpu"],
            row["ours"]["wall"],
            *[_or(row[key]) for key in ("opa_load_ms", "opa_wall", "opa_ratio")],
            *[_or(row["regopy"] and row["regopy"]["cpu"]), _or(row["regopy_ratio"])],
        ]
        for row in rows
    ]
    show("A decision, in microseconds", columns, cells)
    show("", ["other", "cpu", "wall"], [[key, *value.values()] for key, value in extra.items() if type(value) is dict])
    for name in missing:
        print(f"{name} is not there, its columns are left out: {_WANTED[name]}")
    return 0


def _or(value: Any) -> Any:
    return "-" if value is None else value


if __name__ == "__main__":
    sys.exit(main())
