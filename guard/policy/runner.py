"""Runs the tests of policies: rules named ``test_…`` in packages beside the rules, as ``opa test`` runs them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import re2

from guard import rego
from guard.errors import ConfigError
from guard.policy.bundle import Bundle
from guard.policy.cases import with_cases
from guard.policy.embedded import MAX_STEPS, compile_bundle
from guard.rego.nodes import Module
from guard.rego.parser import parse_module

Outcome = Literal["PASS", "FAIL", "ERROR", "SKIPPED"]
_SECONDS: Final = 10.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One test. ``detail`` says where a failing test stopped; ``cases`` are those of a test with cases by name."""

    name: str
    file: str
    row: int
    col: int
    outcome: Outcome
    duration_us: int
    detail: str = ""
    cases: Mapping[str, bool] = {}


class Covered(msgspec.Struct, frozen=True):
    """Which heads of rules and lines of bodies no test reached, by file, and the share of those reached in percent."""

    missed: Mapping[str, tuple[int, ...]]
    percent: float


class Report(msgspec.Struct, frozen=True):
    """All results, in the order of files and lines."""

    results: tuple[Result, ...]
    coverage: Covered | None = None

    @property
    def ok(self) -> bool:
        """Something was tested and nothing failed."""
        return bool(self.results) and all(result.outcome in {"PASS", "SKIPPED"} for result in self.results)

    def counts(self) -> dict[Outcome, int]:
        """How many tests had each outcome."""
        outcomes: tuple[Outcome, ...] = ("PASS", "FAIL", "ERROR", "SKIPPED")
        return {outcome: sum(result.outcome == outcome for result in self.results) for outcome in outcomes}

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        found: dict[str, Any] = {"ok": self.ok, "counts": self.counts(), "results": msgspec.to_builtins(self.results)}
        if self.coverage is not None:
            found["coverage"] = msgspec.to_builtins(self.coverage)
        return found


def run_tests(bundle: Bundle, *, pattern: str = "", coverage: bool = False, seconds: float = _SECONDS) -> Report:
    """Run every test rule of the bundle.

    A test passes if its value is true, or, for a test with cases by name, if every case is. ``pattern`` (RE2) picks
    tests by their full name; each may take ``seconds``. Raises ``PolicyInvalid`` if modules and tests do not compile
    together, ``ConfigError`` if the pattern is none.
    """
    try:
        wanted = re2.compile(pattern) if pattern else None
    except re2.error as error:
        raise ConfigError("the pattern is no regular expression", where=pattern, mend="see RE2's syntax") from error
    tests = bundle.tests
    modules, names = with_cases(tests)
    program = compile_bundle({**bundle.modules, **modules}, bundle.data)
    chosen = [t for t in program.tests if t.file in tests and (wanted is None or wanted.search(t.path))]
    reached: set[tuple[str, int]] = set()
    results = []
    for test in sorted(chosen, key=lambda t: (t.file, t.row)):
        result = _skipped(test) if test.todo else _run(program, test, tests, names.get(test.path), seconds)
        results.append(result)
        if coverage and not test.todo:
            reached |= _reached(program, test, seconds)
    return Report(tuple(results), _covered(bundle, reached) if coverage else None)


def _skipped(test: rego.TestRule) -> Result:
    return Result(name=test.path, file=test.file, row=test.row, col=test.col, outcome="SKIPPED", duration_us=0)


def _run(
    program: rego.Program, test: rego.TestRule, sources: Mapping[str, str], names: str | None, seconds: float
) -> Result:
    started = time.perf_counter_ns()
    limits: dict[str, Any] = {"max_steps": MAX_STEPS, "deadline": time.monotonic() + seconds}
    cases: dict[str, bool] = {}
    detail = ""
    outcome: Outcome = "FAIL"
    try:
        value = program.eval(test.path, {}, **limits)
        if names is not None:
            due: Any = program.eval(names, {}, **limits)
            held = value if isinstance(value, dict) else {}
            cases = {str(name): held.get(str(name)) is True for name in due}
    except rego.RegoError as error:
        outcome, detail = "ERROR", str(error)
    else:
        if value is True or (cases and all(cases.values())):
            outcome = "PASS"
        elif names is not None and not cases:
            detail = f"{test.file}:{test.row}: the test has no cases"
        elif value is rego.UNDEFINED:
            detail = _where(program, test, sources, seconds)
        elif not cases:
            detail = f"{test.file}:{test.row}: the value is not true"
    return Result(
        name=test.path,
        file=test.file,
        row=test.row,
        col=test.col,
        outcome=outcome,
        duration_us=(time.perf_counter_ns() - started) // 1000,
        detail=detail,
        cases=cases,
    )


def _where(program: rego.Program, test: rego.TestRule, sources: Mapping[str, str], seconds: float) -> str:
    """The last line that the test reached: there it stopped."""
    after = min((h.row for h in program.rule_heads() if h.file == test.file and h.row > test.row), default=None)
    rows = [
        row
        for file, row in _reached(program, test, seconds)
        if file == test.file and row >= test.row and (after is None or row < after)
    ]
    row = max(rows, default=test.row)
    line = sources[test.file].split("\n")[row - 1].strip()
    return f"{test.file}:{row}: not true: {line}"


def _reached(program: rego.Program, test: rego.TestRule, seconds: float) -> frozenset[tuple[str, int]]:
    try:
        trace = program.trace(test.path, {}, max_steps=MAX_STEPS, deadline=time.monotonic() + seconds)
    except rego.RegoError:
        return frozenset()
    return trace.lines


def _covered(bundle: Bundle, reached: set[tuple[str, int]]) -> Covered:
    """Against the lines that can be reached: heads of rules and expressions of their bodies."""
    missed: dict[str, tuple[int, ...]] = {}
    total = 0
    for file, source in bundle.modules.items():
        if file not in bundle.own:
            continue
        lines = _lines(parse_module(file, source, rego.Capabilities().future_keywords))
        total += len(lines)
        if left := sorted(row for row in lines if (file, row) not in reached):
            missed[file] = tuple(left)
    left_out = sum(map(len, missed.values()))
    return Covered(missed, 100.0 if not total else round(100 * (total - left_out) / total, 1))


def _lines(module: Module) -> set[int]:
    rows: set[int] = set()
    rules = list(module.rules)
    while rules:
        rule = rules.pop()
        if rule.orelse is not None:
            rules.append(rule.orelse)
        rows.add(rule.loc.row)
        rows |= {expression.loc.row for expression in rule.body if expression.loc.row}
    return rows
