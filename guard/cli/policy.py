"""``guard policy``: check, test, try out and hand over policies.

The shipped policies are added to the author's, because rules are decided together with them; ``--no-shipped`` leaves
them out. Exit codes: 0 done; 1 errors in policies, failed tests or no answer from the server; 3 usage.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from guard import rego
from guard.cli.checking.policies import plain_setting, setting_of
from guard.cli.complaints import STRICT, complain, remarks_of, tell
from guard.cli.complaints import as_json as remark_as_json
from guard.cli.terminal import verdict_stands
from guard.config import OpaConfig, load_config
from guard.errors import ConfigError, GuardError, PolicyEvaluationError, PolicyInvalid
from guard.policy.bundle import Bundle, bundle_data, load_bundle
from guard.policy.embedded import MAX_STEPS, compile_bundle
from guard.policy.fit import Setting, check_fit
from guard.policy.metadata import CODE, diagnostics
from guard.policy.remarks import Remark
from guard.policy.runner import Report, run_tests

app = typer.Typer(
    name="policy",
    help="Check, test, try out and hand over policies.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Directories = Annotated[list[Path], typer.Argument(metavar="DIR", help="Directories or files of policies.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="A guard.toml whose providers, tenants and settings become data."
    ),
]
NoShipped = Annotated[bool, typer.Option("--no-shipped", help="Leave out the policies that come with the guard.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of lines.")]


_GIVE_INPUT: Final = "give a JSON file, for example of: guard log show last --input"


@app.command()
def check(
    directories: Directories,
    *,
    config: Config = None,
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
) -> None:
    """Compile policies and tests, and check annotations, fields and obligations.

    Compiles modules and tests together with the shipped policies, holds every rule against its METADATA, and every
    reference to input against the schema of the policy document.
    """
    remarks: list[Remark] = []
    bundle = None
    try:
        bundle = _load(directories, config, no_shipped=no_shipped)
        compile_bundle({**bundle.modules, **bundle.tests}, bundle.data, strict=strict)
        remarks += check_fit(bundle, plain_setting() if config is None else _setting(config))
        if not bundle.own & bundle.modules.keys():
            what = "no file NAME.rego was found, only the shipped policies were checked"
            remarks.append(Remark("warning", CODE, what, ", ".join(map(str, directories)), "name another directory"))
    except PolicyInvalid as error:
        remarks += remarks_of(error)
    errors = [remark for remark in remarks if remark.level == "error"]
    milder = [remark for remark in remarks if remark.level != "error"]
    failed = bool(errors or (strict and any(remark.level == "warning" for remark in milder)))
    if as_json:
        told: dict[str, Any] = {"ok": not failed, "errors": [*map(remark_as_json, errors)]}
        for level, name in (("warning", "warnings"), ("info", "notes")):
            told[name] = [remark_as_json(remark) for remark in milder if remark.level == level]
        if bundle is not None:
            rules = {identifier: rule.mode for identifier, rule in sorted(bundle.rules.items())}
            told |= {"digest": bundle.digest, "rules": rules}
        typer.echo(json.dumps(told))
    else:
        if bundle is not None and not errors:
            _tell_bundle(bundle)
        tell(milder)
        tell(errors, codes=True)
    if failed:
        raise typer.Exit(1)


def _setting(config: Path) -> Setting:
    from guard.cli.checking.detectors import each_detector

    loaded = load_config(config)
    found = [detector for _, detector in each_detector(loaded)]
    detectors = [detector for detector in found if not isinstance(detector, Exception)]
    return setting_of(loaded, detectors if len(detectors) == len(found) else None)


def _tell_bundle(bundle: Bundle) -> None:
    shadow = sum(rule.mode == "shadow" for rule in bundle.rules.values())
    typer.echo(
        f"ok: {len(bundle.modules)} modules, {len(bundle.rules)} rules ({shadow} in shadow mode), "
        f"revision {bundle.revision}"
    )
    for identifier, rule in sorted(bundle.rules.items()):
        if rule.location.file in bundle.own:
            typer.echo(f"  {identifier:<10} {rule.mode:<8} {rule.title}  ({rule.location})")


@app.command(name="test")
def run_test_rules(
    directories: Directories,
    *,
    config: Config = None,
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell every test, not only failures.")] = False,
    run: Annotated[
        str, typer.Option("--run", "-r", metavar="PATTERN", help="Only tests whose name matches (RE2).")
    ] = "",
    coverage: Annotated[bool, typer.Option("--coverage", help="Tell which lines no test reached.")] = False,
) -> None:
    """Run every test_ rule of the directories, as opa test does."""
    bundle = _load_or_exit(directories, config, no_shipped=no_shipped)
    try:
        report = run_tests(bundle, pattern=run, coverage=coverage)
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None
    with verdict_stands():
        if as_json:
            typer.echo(json.dumps(report.as_json()))
        else:
            _tell(report, verbose=verbose)
    if not report.results:
        complain(GuardError("no test was run", mend="name rules test_… in files named *_test.rego"))
    raise typer.Exit(0 if report.ok else 1)


@app.command(name="eval")
def evaluate(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="For example: data.guard.decision")],
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", metavar="DIR", help="A directory or file of policies; may be repeated."),
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="The input, JSON; - is stdin.")
    ] = None,
    config: Config = None,
    no_shipped: NoShipped = False,
    strict: Annotated[bool, typer.Option("--strict-builtin-errors", help="A failing built-in is an error.")] = False,
) -> None:
    """Evaluate a query, and print what opa eval --format json prints."""
    bundle = _load_or_exit(data or [], config, no_shipped=no_shipped)
    arguments: dict[str, Any] = {} if input_file is None else {"input": _input(input_file)}
    try:
        program = compile_bundle(bundle.modules, bundle.data)
        result = program.query(query, **arguments, max_steps=MAX_STEPS, strict_builtin_errors=strict, exact=True)
    except rego.CompileError as error:
        complain(PolicyInvalid(diagnostics(error)))
        raise typer.Exit(1) from None
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None
    except rego.RegoError as error:
        raise PolicyEvaluationError(str(error), where=query, mend="correct the policy or the input") from None
    typer.echo(_as_opa_prints(result))


@app.command()
def push(
    directories: Directories,
    *,
    url: Annotated[str, typer.Option(metavar="URL", help="The OPA server; else policy.opa.url.")] = "",
    config: Config = None,
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
) -> None:
    """Put policies and data onto an OPA server."""
    from guard.policy.opa import OpaEngine

    settings = load_config(config)
    bundle = _load_or_exit(directories, config, no_shipped=no_shipped)
    compile_bundle(bundle.modules, bundle.data)
    target = _target(settings.policy.opa, url)

    async def put() -> None:
        engine = OpaEngine(target, settings.policy.entrypoint)
        await engine.start()
        try:
            await engine.push(bundle)
        finally:
            await engine.stop()

    asyncio.run(put())
    if as_json:
        typer.echo(json.dumps({"url": target.url, "modules": sorted(bundle.modules), "revision": bundle.revision}))
        return
    typer.echo(f"pushed {len(bundle.modules)} modules, revision {bundle.revision}, to {target.url}")


def _as_opa_prints(result: list[dict[str, Any]]) -> str:
    """The result set as ``opa eval --format json`` writes it: sorted members, and Go's escapes for HTML."""
    rows = [
        {
            "expressions": [{**each, "value": _sorted(each["value"])} for each in row["expressions"]],
            **({"bindings": _sorted(row["bindings"])} if row.get("bindings") else {}),
        }
        for row in result
    ]
    text = rego.render({"result": rows} if rows else {})
    for character in "<>&\u2028\u2029":  # they can only stand in strings
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _target(settings: OpaConfig, url: str) -> OpaConfig:
    try:
        return OpaConfig(**(settings.model_dump() | ({"url": url} if url else {})))
    except ValueError:
        raise ConfigError("the address is no http(s)://host:port", where=f"--url {url}", mend="correct it") from None


def _load(directories: Sequence[Path], config: Path | None, *, no_shipped: bool) -> Bundle:
    data = None if config is None else bundle_data(load_config(config))
    return load_bundle(directories=directories, shipped=not no_shipped, data=data)


def _load_or_exit(directories: Sequence[Path], config: Path | None, *, no_shipped: bool) -> Bundle:
    try:
        return _load(directories, config, no_shipped=no_shipped)
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None


def _input(path: Path) -> Any:
    try:
        text = sys.stdin.read() if path == Path("-") else path.read_text("utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigError(f"the input cannot be read: {error.strerror}", where=str(path), mend=_GIVE_INPUT) from None
    except json.JSONDecodeError as error:
        what = f"the input is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ConfigError(what, where=str(path), mend=_GIVE_INPUT) from None
    except (ValueError, RecursionError) as error:
        what = f"the input is not JSON in UTF-8: {type(error).__name__}"
        raise ConfigError(what, where=str(path), mend=_GIVE_INPUT) from None


def _tell(report: Report, *, verbose: bool) -> None:
    place = ""
    for result in report.results:
        if result.outcome == "PASS" and not verbose:
            continue
        if result.file != place:
            place = result.file
            typer.echo(f"{place}:")
        time = "" if result.outcome == "SKIPPED" else f" ({result.duration_us / 1000:.3f}ms)"
        typer.echo(f"{result.name}: {result.outcome}{time}")
        if result.detail:
            typer.echo(f"  {result.detail}")
        for case, passed in result.cases.items():
            if verbose or not passed:
                typer.echo(f"  {case}: {'PASS' if passed else 'FAIL'}")
    if report.results:
        typer.echo("-" * 80)
        for outcome, count in report.counts().items():
            if count or outcome == "PASS":
                typer.echo(f"{outcome}: {count}/{len(report.results)}")
    if report.coverage is not None:
        for file, lines in report.coverage.missed.items():
            typer.echo(f"{file}: not reached: {', '.join(map(str, lines))}")
        typer.echo(f"coverage: {report.coverage.percent:.1f} %")
