"""The results of tests for programs: our own object, the array of ``opa test --format json``, and JUnit's XML."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final
from xml.etree import ElementTree as ET

import msgspec

from guard.cli.policy.failures import as_json as stop_as_json
from guard.cli.policy.failures import reasons
from guard.policy.runner import Case, Report, Result

_NS: Final = 1_000_000_000
_SUITES: Final = "guard policy test"


def as_json(report: Report) -> dict[str, Any]:
    """Our object: ``ok``, ``counts``, ``results`` with the reasons of each failure, and ``coverage`` in OPA's shape."""
    found: dict[str, Any] = {"ok": report.ok, "counts": report.counts(), "results": [*map(_result, report.results)]}
    if report.coverage is not None:
        found["coverage"] = report.coverage.as_opa()
    return found


def _result(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "file": result.file,
        "row": result.row,
        "col": result.col,
        "outcome": result.outcome,
        "duration_us": result.duration_ns // 1000,
        "detail": result.detail,
        "stops": [stop_as_json(stop) for stop in result.stops],
        "cases": [
            {"name": [*case.name], "passed": case.passed, "stops": [*map(stop_as_json, case.stops)]}
            for case in result.cases
        ],
        "output": list(result.output),
        "swallowed": [msgspec.structs.asdict(each) for each in result.swallowed],
    }


def as_opa(report: Report) -> list[dict[str, Any]]:
    """What ``opa test --format json`` prints."""
    return [_opa_result(result) for result in report.results]


def _opa_result(result: Result) -> dict[str, Any]:
    package, _, name = result.name.rpartition(".")
    found: dict[str, Any] = {
        "location": {"file": result.file, "row": result.row, "col": result.col},
        "package": package,
        "name": name,
    }
    if result.problem is not None:
        problem = result.problem
        found["error"] = {"code": problem.code, "message": problem.message}
        if problem.row:
            found["error"]["location"] = {"file": problem.file, "row": problem.row, "col": problem.col}
    elif result.outcome == "FAIL":
        found["fail"] = True
    elif result.outcome == "SKIPPED":
        found["skip"] = True
    found["duration"] = result.duration_ns
    if result.output:
        found["output"] = base64.b64encode(printed(result).encode()).decode()
    if result.cases:
        found["sub_results"] = _sub_results(result.cases)
    return found


def _sub_results(cases: Iterable[Case], depth: int = 0) -> dict[str, Any]:
    """Cases below each other, as their names have parts; one above fails with any below."""
    found: dict[str, Any] = {}
    for name, group in groupby(cases, key=lambda case: case.name[depth]):
        members = list(group)
        found[name] = {"name": name}
        if not all(case.passed for case in members):
            found[name]["fail"] = True
        if len(members[0].name) > depth + 1:
            found[name]["sub_results"] = _sub_results(members, depth + 1)
    return found


def printed(result: Result) -> str:
    """What a test printed, one line for each ``print``."""
    return "".join(f"{line}\n" for line in result.output)


def junit(report: Report) -> str:
    """JUnit's XML as CI systems read it: a suite for each file, a case for each test. Times are seconds."""
    root = ET.Element("testsuites", {"name": _SUITES, **_totals(list(report.results))})
    for file, group in groupby(report.results, key=lambda result: result.file):
        results = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": _xml(file), **_totals(results)})
        for result in results:
            _case(suite, result)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _totals(results: list[Result]) -> dict[str, str]:
    kinds = {"failures": "FAIL", "errors": "ERROR", "skipped": "SKIPPED"}
    counts = {name: str(sum(result.outcome == outcome for result in results)) for name, outcome in kinds.items()}
    return {"tests": str(len(results)), **counts, "time": _seconds(sum(result.duration_ns for result in results))}


def _case(suite: ET.Element, result: Result) -> None:
    package, _, name = result.name.rpartition(".")
    case = ET.SubElement(suite, "testcase", name=_xml(name), classname=_xml(package), file=_xml(result.file))
    case.set("line", str(result.row))
    case.set("time", _seconds(result.duration_ns))
    if result.outcome == "SKIPPED":
        ET.SubElement(case, "skipped", message="todo")
    elif result.outcome != "PASS":
        kind = "failure" if result.outcome == "FAIL" else "error"
        told = ET.SubElement(case, kind, message=_xml(result.detail), type=result.outcome)
        told.text = _xml("\n".join(_lines(result)))
    if result.output:
        ET.SubElement(case, "system-out").text = _xml(printed(result))


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.file}:{result.row}:{result.col}"
    yield from reasons(result)


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / _NS:.6f}"


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 has no place for (section 2.2)."""
    return "".join(c if c in "\t\n" or c.isprintable() or ord(c) > 0x9F else ascii(c)[1:-1] for c in text)
