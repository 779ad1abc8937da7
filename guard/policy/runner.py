"""Runs the tests of policies: rules named ``test_…`` in packages beside the rules, as ``opa test`` runs them."""

from __future__ import annotations

import time
from typing import Any, Final, Literal, NamedTuple

import msgspec
import re2

from guard import rego
from guard.errors import ConfigError
from guard.policy.bundle import Bundle
from guard.policy.cases import Test, prepared
from guard.policy.coverage import Coverage, coverage_of
from guard.policy.embedded import MAX_STEPS, compile_bundle
from guard.rego.stops import Stop

Outcome = Literal["PASS", "FAIL", "ERROR", "SKIPPED"]
SECONDS: Final = 5.0
"""How long one test may take, as in ``opa test``."""


class Problem(msgspec.Struct, frozen=True):
    """What ended a test with an error. ``code`` is OPA's; ``row`` is 0 where no place is known."""

    code: str
    message: str
    file: str = ""
    row: int = 0
    col: int = 0


class Case(msgspec.Struct, frozen=True):
    """A case of a test: its name (several parts, where the head has several variables), whether it held, and where its
    body ended if not."""

    name: tuple[str, ...]
    passed: bool
    stops: tuple[Stop, ...] = ()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One test.

    ``detail`` says in one line why it did not pass, ``stops`` where its body ended. A test with cases by name has
    ``cases``. ``output`` is what it printed. ``swallowed`` are the failures of built-ins in the policies, not in tests,
    that became undefined: where policies decide, which is under strict built-in errors, each of them ends a decision.
    """

    name: str
    file: str
    row: int
    col: int
    outcome: Outcome
    duration_ns: int = 0
    detail: str = ""
    problem: Problem | None = None
    stops: tuple[Stop, ...] = ()
    cases: tuple[Case, ...] = ()
    output: tuple[str, ...] = ()
    swallowed: tuple[Problem, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """All results, in the order of files and lines."""

    results: tuple[Result, ...]
    coverage: Coverage | None = None

    @property
    def ok(self) -> bool:
        """Nothing failed."""
        return all(result.outcome in {"PASS", "SKIPPED"} for result in self.results)

    def counts(self) -> dict[Outcome, int]:
        """How many tests had each outcome."""
        outcomes: tuple[Outcome, ...] = ("PASS", "FAIL", "ERROR", "SKIPPED")
        return {outcome: sum(result.outcome == outcome for result in self.results) for outcome in outcomes}


class _Run(NamedTuple):
    """What every test of a run shares."""

    program: rego.Program
    seconds: float
    policies: frozenset[str]

    def limits(self) -> dict[str, Any]:
        """The bounds of one evaluation that begins now."""
        return {"max_steps": MAX_STEPS, "deadline": time.monotonic() + self.seconds}


def run_tests(bundle: Bundle, *, pattern: str = "", coverage: bool = False, seconds: float = SECONDS) -> Report:
    """Run every test rule of the bundle.

    A test passes if its value is true, or, for a test with cases by name, if every case is. ``pattern`` (RE2) picks
    tests by their full name; each may take ``seconds``. A test that fails is run once more, watched, to tell where it
    ended. Raises ``PolicyInvalid`` if modules and tests do not compile together, ``ConfigError`` if the pattern is
    none.
    """
    wanted = _compiled(pattern) if pattern else None
    own = {file: source for file, source in bundle.modules.items() if file in bundle.own}
    modules, tests = prepared({**own, **bundle.tests})
    policies = frozenset(bundle.modules) - frozenset(bundle.tests)
    run = _Run(compile_bundle({**bundle.modules, **modules}, bundle.data), seconds, policies)
    chosen = [test for test in tests if wanted is None or wanted.search(test.name)]
    results = tuple(_untried(test, "SKIPPED") if test.todo else _result(run, test) for test in chosen)
    if not coverage:
        return Report(results)
    reached = set[rego.Location]().union(
        *[_reached(run, test) for test in chosen if not test.todo and not test.function]
    )
    return Report(results, coverage_of(own, reached))


def _compiled(pattern: str) -> Any:
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        return re2.compile(pattern, quiet)
    except re2.error as error:
        said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        mend = "correct it; the syntax is that of https://github.com/google/re2/wiki/Syntax"
        raise ConfigError(f"the pattern is no regular expression: {said}", where=pattern, mend=mend) from error


def _untried(test: Test, outcome: Outcome) -> Result:
    return Result(name=test.name, file=test.file, row=test.row, col=test.col, outcome=outcome)


def _result(run: _Run, test: Test) -> Result:
    if test.function:
        what = "a test takes no arguments: nothing calls it"
        problem = Problem("rego_type_error", what, test.file, test.row, test.col)
        detail = f"{test.file}:{test.row}: {what}"
        return msgspec.structs.replace(_untried(test, "ERROR"), detail=detail, problem=problem)
    output: list[str] = []
    failures: list[rego.BuiltinError] = []
    started = time.perf_counter_ns()
    result = _untried(test, "ERROR")
    try:
        value = run.program.eval(test.path, {}, **run.limits(), print_hook=output.append, swallowed=failures)
        taken = time.perf_counter_ns() - started
        found = _verdict(run, test, value)
    except rego.RegoError as error:
        taken = time.perf_counter_ns() - started
        found = {"detail": str(error), "problem": _problem(error)}
    swallowed = tuple(dict.fromkeys(_problem(error) for error in failures if error.location.file in run.policies))
    return msgspec.structs.replace(result, **found, duration_ns=taken, output=tuple(output), swallowed=swallowed)


def _problem(error: rego.RegoError) -> Problem:
    if isinstance(error, rego.EvalError):
        return Problem(error.code, error.message, *error.location)
    return Problem("eval_internal_error", str(error))


def _verdict(run: _Run, test: Test, value: Any) -> dict[str, Any]:
    """Outcome and reasons of a test that was evaluated to an end."""
    if test.cases:
        return _cases(run, test, value)
    if value is True:
        return {"outcome": "PASS"}
    if value is rego.UNDEFINED:
        stops = run.program.watch(test.path, {}, **run.limits()).of(test.path)
        return {"outcome": "FAIL", "detail": headline(stops[0]) if stops else "undefined", "stops": stops}
    detail = f"{test.file}:{test.row}: the value is {rego.compact(value)}, not true"
    return {"outcome": "FAIL", "detail": detail}


def _cases(run: _Run, test: Test, value: Any) -> dict[str, Any]:
    due: Any = run.program.eval(test.cases, {}, **run.limits())
    if not due:
        return {"outcome": "FAIL", "detail": f"{test.file}:{test.row}: the test has no cases"}
    held = [_held(value, names) for names in due]
    watched = None if all(held) else run.program.watch(test.path, {}, **run.limits())
    cases = []
    for names, passed in zip(due, held, strict=True):
        where = dict(zip(test.variables, names, strict=True))
        stops = () if passed or watched is None else watched.of(test.path, where)
        cases.append(Case(tuple(map(_key, names)), passed, stops))
    if watched is None:
        return {"outcome": "PASS", "cases": tuple(cases)}
    failed = [".".join(case.name) for case in cases if not case.passed]
    detail = f"{test.file}:{test.row}: {len(failed)} of {len(cases)} cases failed: {', '.join(failed)}"
    return {"outcome": "FAIL", "detail": detail, "cases": tuple(cases)}


def _held(value: Any, names: list[Any]) -> bool:
    """Whether the value of a test has ``true`` for a case."""
    for name in names:
        value = value.get(_key(name)) if isinstance(value, dict) else None
    return value is True


def _key(name: Any) -> str:
    return name if isinstance(name, str) else rego.compact(name)


def headline(stop: Stop) -> str:
    """``file:row: undefined: expression`` or ``file:row: not true: expression``."""
    what = "undefined" if any(not operand.values for operand in stop.operands) else "not true"
    return f"{stop.file}:{stop.row}: {what}: {stop.text}"


def _reached(run: _Run, test: Test) -> frozenset[rego.Location]:
    try:
        return run.program.trace(test.path, {}, **run.limits()).places
    except rego.RegoError:
        return frozenset()
