"""``guard policy test``: runs the tests of policies, as ``opa test`` does."""

from __future__ import annotations

import enum
import json
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from guard import rego
from guard.cli.complaints import complain, unusable, warn
from guard.cli.policy.failures import reasons, swallowed
from guard.cli.policy.given import AsJson, Config, Directories, NoShipped, load_or_exit
from guard.cli.policy.reports import as_json as report_as_json
from guard.cli.policy.reports import as_opa, junit
from guard.cli.terminal import verdict_stands
from guard.errors import ConfigError, GuardError, PolicyInvalid
from guard.policy.coverage import Coverage
from guard.policy.runner import SECONDS, Report, Result, run_tests

_RULE: Final = "-" * 80
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


class Format(enum.StrEnum):
    """How results are printed."""

    PRETTY = "pretty"
    JSON = "json"


def duration(text: str) -> float:
    """Seconds of ``5s``, ``500ms``, ``1m`` or ``5``. Raises ``typer.BadParameter``."""
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not seconds:
        raise typer.BadParameter(f"{text} is no duration above zero, such as 500ms, 5s or 1m")
    return seconds


def run_test_rules(
    directories: Directories,
    *,
    config: Config = None,
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
    form: Annotated[
        Format, typer.Option("--format", "-f", help="pretty, or json: the array (with --coverage, the report) of opa.")
    ] = Format.PRETTY,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell every test, not only failures.")] = False,
    run: Annotated[
        str, typer.Option("--run", "-r", metavar="PATTERN", help="Only tests whose name matches (RE2).")
    ] = "",
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="How long one test may take: 500ms, 5s, 1m.")
    ] = f"{SECONDS:g}s",
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Tell which lines of the policies no test reached.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(min=0, max=100, metavar="PERCENT", help="Fail below this coverage; implies --coverage.")
    ] = 0.0,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit's XML, too.")
    ] = None,
    fail_on_empty: Annotated[
        bool, typer.Option("--fail-on-empty/--allow-empty", help="Whether it is a failure that no test was run.")
    ] = True,
) -> None:
    """Run every test_ rule of the directories, as opa test does.

    A failing test is told with the expression that was not true, and what its operands held. Exit codes: 0 all
    passed, 1 a test failed, or coverage is below the threshold, 3 wrong usage.
    """
    measured = coverage or threshold > 0
    seconds = duration(timeout)
    bundle = load_or_exit(directories, config, no_shipped=no_shipped)
    try:
        report = run_tests(bundle, pattern=run, coverage=measured, seconds=seconds)
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None
    except ConfigError as error:
        raise typer.BadParameter(f"{error.what}; {error.mend}", param_hint="--run") from None
    if junit_file is not None:
        _write(junit_file, junit(report))
    with verdict_stands():
        if as_json:
            typer.echo(json.dumps(report_as_json(report)))
        elif form is Format.JSON:
            opa = as_opa(report) if report.coverage is None else report.coverage.as_opa()
            typer.echo(rego.render(opa))
        else:
            _tell(report, verbose=verbose)
    if not as_json:
        for line in swallowed(report):
            warn(line)
    below = report.coverage is not None and report.coverage.percent < threshold
    if below and report.coverage is not None:
        _complain_of(report.coverage, threshold)
    if not report.results:
        _complain_of_nothing(run, fatal=fail_on_empty)
    raise typer.Exit(0 if report.ok and not below and (report.results or not fail_on_empty) else 1)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unusable(error, what="the results cannot be written") from None


def _complain_of(coverage: Coverage, threshold: float) -> None:
    what = f"coverage is {coverage.percent:.1f} %, below the threshold of {threshold:g} %"
    complain(GuardError(what, mend="test the lines that are not reached, or remove what nothing needs"))


def _complain_of_nothing(pattern: str, *, fatal: bool) -> None:
    what = f"no test was run: none matches {pattern}" if pattern else "no test was run"
    mend = "guard policy test -v lists the names" if pattern else "name rules test_… in files named *_test.rego"
    if fatal:
        complain(GuardError(what, mend=mend))
    else:
        warn(f"{what}; {mend}")


def _tell(report: Report, *, verbose: bool) -> None:
    place = ""
    for result in report.results:
        if result.outcome == "PASS" and not verbose:
            continue
        if result.file != place:
            place = result.file
            typer.echo(f"{place}:")
        _tell_result(result, verbose=verbose)
    if report.results:
        typer.echo(_RULE)
        for outcome, count in report.counts().items():
            if count or outcome == "PASS":
                typer.echo(f"{outcome}: {count}/{len(report.results)}")
    if report.coverage is not None:
        _tell_coverage(report.coverage, verbose=verbose)


def _tell_result(result: Result, *, verbose: bool) -> None:
    time = "" if result.outcome == "SKIPPED" else f" ({result.duration_ns / 1_000_000:.3f}ms)"
    typer.echo(f"{result.name}: {result.outcome}{time}")
    for case in result.cases:
        if verbose and case.passed:
            typer.echo(f"  {'.'.join(case.name)}: PASS")
    for line in reasons(result):
        typer.echo(f"  {line}")
    if result.output:
        typer.echo("  printed:")
    for line in result.output:
        typer.echo(f"    {line}")


def _tell_coverage(coverage: Coverage, *, verbose: bool) -> None:
    for file, found in sorted(coverage.files.items()):
        if found.missed or verbose:
            missed = f", not reached: {_ranges(found.missed_rows)}" if found.missed else ""
            typer.echo(f"{file}: {found.percent:.1f} %{missed}")
    typer.echo(f"coverage: {coverage.percent:.1f} %")


def _ranges(rows: list[int]) -> str:
    """``3, 7-9, 12``."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][-1] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
