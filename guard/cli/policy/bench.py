"""``guard policy bench``: how long one evaluation takes, and how many steps; on opa too."""

from __future__ import annotations

import gc
import json
import time
from typing import Annotated, Any, Final

import typer

from guard import rego
from guard.cli.complaints import complain
from guard.cli.policy.given import AsJson, BundlePath, Config, DataPaths, InputFile, NoShipped, load_or_exit, read_input
from guard.cli.policy.real_opa import RealOpa, as_files
from guard.errors import PolicyEvaluationError, PolicyInvalid
from guard.policy.bundle import Bundle
from guard.policy.embedded import MAX_STEPS, compile_bundle
from guard.policy.metadata import diagnostics

_WARM_UP: Final = 20
_MOST: Final = 1_000_000
_LONGEST_SECONDS: Final = 60.0
_CORRECT: Final = "correct the query, the policy or the input"
_TIMER: Final = "histogram_timer_rego_query_eval_ns"


def bench(
    query: Annotated[str, typer.Argument(metavar="REF", help="A reference, for example: data.guard.decision")],
    *,
    data: DataPaths = None,
    input_file: InputFile = None,
    bundle_path: BundlePath = None,
    config: Config = None,
    no_shipped: NoShipped = False,
    seconds: Annotated[
        float, typer.Option(min=0.01, max=_LONGEST_SECONDS, help="How long to measure, at most a million times.")
    ] = 1.0,
    with_opa: Annotated[bool, typer.Option("--with-opa", help="Measure opa bench beside it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a reference again and again, and tell the times.

    Evaluations are those of the request path: prepared once, with strict built-in errors. Times are wall times of one
    thread, in microseconds. opa's are its own query timer, which leaves out reading the input.
    """
    opa = RealOpa() if with_opa else None
    bundle = load_or_exit(data or [], config, no_shipped=no_shipped, bundle=bundle_path)
    arguments = [] if input_file is None else [read_input(input_file)]
    try:
        found = {"guard": _measured(bundle, query, arguments, seconds)}
    except rego.CompileError as error:
        complain(PolicyInvalid(diagnostics(error)))
        raise typer.Exit(1) from None
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None
    except rego.RegoError as error:
        raise PolicyEvaluationError(str(error), where=query, mend=_CORRECT) from None
    if opa is not None:
        found[f"opa {opa.version}"] = _opa(opa, bundle, query, arguments)
    if as_json:
        typer.echo(json.dumps({"query": query, "results": found}))
        return
    for name, figures in found.items():
        typer.echo(f"{name}:")
        for label, value in figures.items():
            typer.echo(f"  {label:<24} {value:>12,}")


def _measured(bundle: Bundle, query: str, arguments: list[Any], seconds: float) -> dict[str, float]:
    program = compile_bundle(bundle.modules, bundle.data)
    run = program.prepare(query)
    limits: dict[str, Any] = {"max_steps": MAX_STEPS, "strict_builtin_errors": True}
    if run(*arguments, **limits) is rego.UNDEFINED:
        raise PolicyEvaluationError("the query is undefined: there is nothing to measure", where=query, mend=_CORRECT)
    for _ in range(_WARM_UP):
        run(*arguments, **limits)
    times: list[int] = []
    gc.collect()
    now = start = time.perf_counter_ns()
    end = start + int(seconds * 1e9)
    while now < end and len(times) < _MOST:
        run(*arguments, **limits)
        before, now = now, time.perf_counter_ns()
        times.append(now - before)
    return {**_figures(times), "steps": _steps(program, query, arguments)}


def _figures(times: list[int]) -> dict[str, float]:
    """Microseconds, from nanoseconds; percentiles are the nearest rank's."""
    times.sort()
    count = len(times)
    ranks = {f"p{share}_us": times[min(count - 1, count * share // 100)] for share in (50, 90, 99)}
    return {
        "evaluations": count,
        "evaluations_per_second": round(count * 1e9 / sum(times)),
        "min_us": round(times[0] / 1000, 1),
        **{name: round(value / 1000, 1) for name, value in ranks.items()},
        "max_us": round(times[-1] / 1000, 1),
    }


def _steps(program: rego.Program, query: str, arguments: list[Any]) -> int:
    """The smallest budget with which the evaluation ends: the steps that it takes."""
    enough, short = MAX_STEPS, -1
    while enough - short > 1:
        middle = (enough + short) // 2
        try:
            program.eval(query, *arguments, max_steps=middle, strict_builtin_errors=True)
            enough = middle
        except rego.StepLimitError:
            short = middle
    return enough


def _opa(opa: RealOpa, bundle: Bundle, query: str, arguments: list[Any]) -> dict[str, float]:
    with as_files(bundle, tests=False) as (directory, _):
        command = ["bench", "--format", "json", "--data", ".", query]
        if arguments:
            (directory / ".input.json").write_text(json.dumps(arguments[0]), encoding="utf-8")
            command += ["--input", ".input.json", "--ignore", ".*"]
        found = opa.json(command, cwd=directory)
    if not isinstance(found, dict) or "N" not in found:
        raise PolicyEvaluationError("opa bench has no result", where=query, mend="try opa bench by hand")
    timer = found["Extra"]
    return {
        "evaluations": found["N"],
        "evaluations_per_second": round(1e9 * found["N"] / found["T"]),
        "min_us": round(timer[f"{_TIMER}_min"] / 1000, 1),
        "p50_us": round(timer[f"{_TIMER}_median"] / 1000, 1),
        "p90_us": round(timer[f"{_TIMER}_90%"] / 1000, 1),
        "p99_us": round(timer[f"{_TIMER}_99%"] / 1000, 1),
        "max_us": round(timer[f"{_TIMER}_max"] / 1000, 1),
    }
