"""OPA's conformance cases against `guard.rego`: ``python tests/conformance/run.py [DIR] [--json] [--failed]``.

DIR (default ``$OPA_CONFORMANCE_DIR``) is a directory of YAML files in the format of OPA's ``v1/test/cases``. Each case
runs in bounded time. Prints totals by category, or with ``--json`` one object ``{cases, passed, failed, by_category}``;
``--failed`` adds the name and the reason of each failure. Exits 1 under ``--floor SHARE`` (0..1).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from guard import rego
from guard.rego.errors import CompileError, EvalError, RegoError

SECONDS_PER_CASE = 10
MAX_STEPS = 5_000_000


class Loader(yaml.SafeLoader):
    """YAML with the scalars of JSON only: ``yes`` is a string and there are no time stamps."""


Loader.yaml_implicit_resolvers = {}
for pattern, tag, first in (
    (r"(?:true|false)$", "bool", "tf"),
    (r"(?:null|~|)$", "null", ["n", "~", ""]),
    (r"-?(?:0|[1-9][0-9]*)$", "int", "-0123456789"),
    (r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "float", "-0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


def load_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """Decimal only: no octal, no sexagesimal."""
    return int(loader.construct_scalar(node))


def load_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    """JSON's notation, exponents without a sign included."""
    return float(loader.construct_scalar(node))


Loader.add_constructor("tag:yaml.org,2002:int", load_int)
Loader.add_constructor("tag:yaml.org,2002:float", load_float)


def cases(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(category, case) of every file."""
    for path in sorted(directory.rglob("*.yaml")):
        document = yaml.load(path.read_text(encoding="utf-8"), Loader)
        for case in (document or {}).get("cases") or ():
            yield path.parent.name, case


def normal(value: Any, *, ordered: bool) -> Any:
    """A form in which equal JSON values are equal in Python: numbers by value, booleans apart."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return [type(value).__name__, value]
    if isinstance(value, (int, float)):
        return ["number", value]
    if isinstance(value, list):
        items = [normal(item, ordered=ordered) for item in value]
        return ["list", items if ordered else sorted(items, key=json.dumps)]
    return {_key(key): normal(item, ordered=ordered) for key, item in value.items()}


def _key(key: Any) -> str:
    """A key of the YAML text as JSON has it."""
    return key if isinstance(key, str) else json.dumps(key)


def solutions(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The bindings that the case's query has."""
    modules = {f"test-{number}.rego": text for number, text in enumerate(case.get("modules") or ())}
    program = rego.compile(modules, case.get("data"), capabilities=rego.Capabilities.newest())
    query = case["query"]
    value: Any = case.get("input", rego.UNDEFINED) if "input" in case else rego.UNDEFINED
    if "input_term" in case:
        query = f"{query} with input as {case['input_term']}"
    found = program.query(
        query,
        value,
        max_steps=MAX_STEPS,
        deadline=time.monotonic() + SECONDS_PER_CASE,
        strict_builtin_errors=bool(case.get("strict_error")),
    )
    return [row.get("bindings", {}) for row in found]


def verdict(case: dict[str, Any]) -> str:
    """Empty where the case passes, else the reason."""
    wants_error = "want_error_code" in case or "want_error" in case
    try:
        found = solutions(case)
    except CompileError as error:
        codes = {each.code for each in error.errors}
        return "" if wants_error and accepted(case, codes, str(error)) else f"load: {error}"
    except EvalError as error:
        return "" if wants_error and accepted(case, {error.code}, str(error)) else f"error: {error}"
    except RegoError as error:
        return f"error: {type(error).__name__}: {error}"
    if wants_error:
        return f"no error, want {case.get('want_error_code')}: {case.get('want_error')}; got {found}"
    if "want_result" not in case:
        return ""
    ordered = not case.get("sort_bindings")
    got = sorted((normal(row, ordered=ordered) for row in found), key=json.dumps)
    want = sorted((normal(row, ordered=ordered) for row in case["want_result"] or ()), key=json.dumps)
    return "" if got == want else f"value: got {found}, want {case['want_result']}"


def accepted(case: dict[str, Any], codes: set[str], message: str) -> bool:
    """Whether an error is the one that the case wants."""
    code = case.get("want_error_code")
    return (code is None or code in codes) and str(case.get("want_error") or "") in message


def bounded(case: dict[str, Any]) -> str:
    """`verdict` with an alarm, so that no case can hang the run."""

    def ring(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS_PER_CASE + 5)
    try:
        return verdict(case)
    except TimeoutError:
        return "timeout"
    except Exception as error:  # noqa: BLE001 - an error that is not ours is a failure of the case
        return f"crash: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def main() -> int:
    """Run the cases and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", default=os.environ.get("OPA_CONFORMANCE_DIR"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--failed", action="store_true", help="name each failure and its reason")
    parser.add_argument("--floor", type=float, default=0.0, help="the share of passed cases that must be reached")
    options = parser.parse_args()
    if not options.directory or not Path(options.directory).is_dir():
        parser.error("name the directory of the cases, or set OPA_CONFORMANCE_DIR")
    totals: dict[str, dict[str, int]] = {}
    failures: list[dict[str, str]] = []
    for category, case in cases(Path(options.directory)):
        count = totals.setdefault(category, {"cases": 0, "passed": 0})
        count["cases"] += 1
        reason = bounded(case)
        count["passed"] += not reason
        if reason:
            failures.append({"note": str(case.get("note")), "reason": reason})
    total = sum(each["cases"] for each in totals.values())
    passed = sum(each["passed"] for each in totals.values())
    summary: dict[str, Any] = {"cases": total, "passed": passed, "failed": total - passed, "by_category": totals}
    if options.failed:
        summary["failures"] = failures
    if options.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        report(summary, failures if options.failed else [])
    return 0 if total and passed / total >= options.floor else 1


def report(summary: dict[str, Any], failures: list[dict[str, str]]) -> None:
    """The totals for people."""
    for category, count in sorted(summary["by_category"].items()):
        mark = " " if count["passed"] == count["cases"] else "*"
        print(f"{mark} {category:45} {count['passed']:5} / {count['cases']}")
    for failure in failures:
        print(f"FAIL {failure['note']}: {failure['reason']}")
    share = summary["passed"] / summary["cases"] if summary["cases"] else 0.0
    print(f"{summary['passed']} of {summary['cases']} passed ({share:.1%})")


if __name__ == "__main__":
    sys.exit(main())
