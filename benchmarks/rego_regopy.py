"""The regopy column of ``benchmarks.rego``: reads a policy and an input from standard input, prints microseconds a
decision. A program of its own, because regopy can bring a process down. Exits 3 where regopy is not installed.
"""

from __future__ import annotations

import importlib
import json
import sys
import time


def main() -> int:
    """Measure one policy with one input."""
    try:
        regopy = importlib.import_module("regopy")
    except ImportError:
        return 3
    given = json.load(sys.stdin)
    interpreter = regopy.Interpreter()
    interpreter.add_module("bench.rego", given["source"])
    bundle = interpreter.build(given["ref"])

    value = json.loads(given["input"])

    def call() -> None:
        interpreter.set_input(value)
        interpreter.query_bundle(bundle)

    began = time.perf_counter()
    call()
    count = max(3, min(20_000, int(given["seconds"] / (time.perf_counter() - began))))
    cpu, wall = [], []
    for _ in range(given["rounds"]):
        cpu_began, began = time.process_time(), time.perf_counter()
        for _ in range(count):
            call()
        cpu.append((time.process_time() - cpu_began) / count)
        wall.append((time.perf_counter() - began) / count)
    print(json.dumps({"cpu": round(min(cpu) * 1e6, 1), "wall": round(min(wall) * 1e6, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
