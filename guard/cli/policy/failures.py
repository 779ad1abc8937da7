"""What a failing test is told with: the expressions at which it ended, and what their operands held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from guard import rego
from guard.policy.runner import Report, Result, headline
from guard.rego.stops import Operand, Stop

_WIDEST: Final = 200
_SHORTENED: Final = "…"


def reasons(result: Result) -> Iterator[str]:
    """Lines on why a test did not pass; none for one that did."""
    if result.detail and not result.stops:
        yield result.detail
    for stop in result.stops:
        yield from told(stop)
    for case in result.cases:
        if not case.passed:
            yield f"{'.'.join(case.name)}: FAIL"
            for stop in case.stops:
                yield from _indented(told(stop))


def swallowed(report: Report) -> Iterator[str]:
    """A line for each test in which a built-in of the policies failed: a request that does the same is not decided."""
    for result in report.results:
        if result.swallowed:
            first = result.swallowed[0]
            more = f", and {len(result.swallowed) - 1} more" if len(result.swallowed) > 1 else ""
            where = f"{first.file}:{first.row}"
            yield f"{result.name}: a request that does this is answered 503: {where}: {first.message}{more}"


def told(stop: Stop) -> Iterator[str]:
    """A stop, its operands, and below them the rules that it asked in vain."""
    yield headline(stop) + (f"  (the last of {stop.tries} tries)" if stop.tries > 1 else "")
    for operand in stop.operands:
        yield f"  {operand.text}: {_values(operand)}"
    for inner in stop.inner:
        yield from _indented(told(inner))


def as_json(stop: Stop) -> dict[str, Any]:
    """A stop for programs. An operand without ``values`` was undefined."""
    return {
        "rule": stop.rule,
        "file": stop.file,
        "row": stop.row,
        "col": stop.col,
        "text": stop.text,
        "tries": stop.tries,
        "operands": [{"text": operand.text, "values": list(operand.values)} for operand in stop.operands],
        "inner": [as_json(inner) for inner in stop.inner],
    }


def _values(operand: Operand) -> str:
    return ", ".join(_short(rego.compact(value)) for value in operand.values) or "undefined"


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[:_WIDEST] + _SHORTENED


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
