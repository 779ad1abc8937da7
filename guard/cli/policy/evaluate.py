"""``guard policy eval``: evaluates a query, and prints what ``opa eval`` prints."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from guard import rego
from guard.cli.complaints import complain
from guard.cli.policy.explaining import Explain, Full, Json, Rules, explain_query, known
from guard.cli.policy.formats import Format, printed
from guard.cli.policy.given import BundlePath, Config, DataPaths, InputFile, NoShipped, load_or_exit, read_input
from guard.errors import PolicyEvaluationError, PolicyInvalid
from guard.policy.embedded import MAX_STEPS, compile_bundle
from guard.policy.metadata import diagnostics
from guard.policy.why import Author

_NO_PARTIAL: Final = "partial evaluation is not supported; opa eval --partial does it"


def evaluate(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="For example: data.guard.decision")],
    *,
    data: DataPaths = None,
    input_file: InputFile = None,
    bundle_path: BundlePath = None,
    config: Config = None,
    no_shipped: NoShipped = False,
    form: Annotated[Format, typer.Option("--format", "-f", help="As opa eval: how the result is printed.")] = (
        Format.JSON
    ),
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if the query is undefined.")] = False,
    fail_defined: Annotated[bool, typer.Option("--fail-defined", help="Exit with 1 if the query is defined.")] = False,
    partial: Annotated[bool, typer.Option("--partial", "-p", hidden=True)] = False,
    unknowns: Annotated[list[str] | None, typer.Option("--unknowns", "-u", hidden=True)] = None,
    strict: Annotated[bool, typer.Option("--strict-builtin-errors", help="A failing built-in is an error.")] = False,
    explain: Explain = False,
    full: Full = False,
    rule: Rules = None,
    as_json: Json = False,
) -> None:
    """Evaluate a query, and print what opa eval prints, or with --explain why it is so.

    What print() says goes to stderr. Exit codes: 0 done, 1 an error, or --fail or --fail-defined, 3 wrong usage.
    """
    if partial or unknowns:
        raise typer.BadParameter(_NO_PARTIAL, param_hint="--partial" if partial else "--unknowns")
    bundle = load_or_exit(data or [], config, no_shipped=no_shipped, bundle=bundle_path)
    arguments: dict[str, Any] = {} if input_file is None else {"input": read_input(input_file)}
    try:
        program = compile_bundle(bundle.modules, bundle.data)
        if explain or full or rule:
            author = Author(bundle, program)
            silent = author.identifiers() if full else known(rule or [], author.identifiers())
            defined = explain_query(author, query, arguments, silent=silent, strict=strict, as_json=as_json)
            _exit_if(fail, fail_defined, defined=defined)
            return
        options: dict[str, Any] = {"strict_builtin_errors": strict, "exact": True, "print_hook": _print}
        result = program.query(query, **arguments, max_steps=MAX_STEPS, **options)
    except rego.CompileError as error:
        complain(PolicyInvalid(diagnostics(error)))
        raise typer.Exit(1) from None
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None
    except rego.RegoError as error:
        raise PolicyEvaluationError(str(error), where=query, mend="correct the policy or the input") from None
    text = printed(result, form)
    if text:
        typer.echo(text)
    _exit_if(fail, fail_defined, defined=bool(result))


def _exit_if(fail: bool, fail_defined: bool, *, defined: bool) -> None:
    if (fail and not defined) or (fail_defined and defined):
        raise typer.Exit(1)


def _print(line: str) -> None:
    typer.echo(line, err=True)
