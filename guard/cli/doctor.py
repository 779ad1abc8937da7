"""``guard doctor``: everything about an installation that stops the guard, or lets something past it.

Exit codes: 0 nothing, or warnings only; 1 a problem; 3 usage. Nothing is changed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from guard.cli.diagnosis.check import Check, Verdict, worst

_WIDTH: Final = 80
_NARROWEST: Final = 20
_INDENT: Final = 9
_COLOURS: Final[dict[Verdict, str]] = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    *,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The guard.toml; else as the app finds it.")
    ] = None,
    app: Annotated[
        str, typer.Option("--app", metavar="MODULE:ATTR", help="Import this app and look where the guard stands in it.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Diagnose the installation: packages, configuration, policies, keys, log, clock, servers, mount order."""
    if app and not all(app.partition(":")):
        raise typer.BadParameter("--app is module:attribute, as the server takes it")
    checks = list(examine(config, app))
    verdict = worst(checks)
    if as_json:
        typer.echo(json.dumps({"verdict": verdict, "checks": [msgspec.to_builtins(check) for check in checks]}))
    else:
        _tell(checks)
    if verdict == "problem":
        raise typer.Exit(1)


def examine(config: Path | None = None, app: str = "") -> Iterator[Check]:
    """All checks, in the order in which one that fails explains those after it."""
    from guard.cli.diagnosis import installation

    yield from installation.check_installation()
    # What follows imports the guard whole, which a broken installation may not let happen.
    try:
        from guard.cli.diagnosis import anchors, configuration, engine, mounting, servers, sharing, state
    except ImportError as error:
        yield Check("import", "problem", f"the guard cannot be imported: {error}", mend="reinstall policy-guard")
        return
    loaded, checks = configuration.check_file(config)
    yield from checks
    if loaded is not None:
        yield from configuration.check_extras(loaded)
        bundle, checks = configuration.check_policies(loaded)
        yield from checks
        yield from engine.check_engine(loaded, bundle)
        yield from configuration.check_detectors(loaded)
        yield from configuration.check_fit_of(loaded, bundle, config)
        yield from state.check_state(loaded.state_directory, loaded)
        yield from anchors.check_anchors(loaded)
        yield from sharing.check_sharing(loaded)
    yield from servers.check_servers(loaded)
    yield from servers.check_forwarded(loaded, os.environ)
    if app:
        yield from mounting.check_app(app, loaded, config)


def _tell(checks: Sequence[Check]) -> None:
    """A block for each check; problems last, where the eye is when the command ends."""
    for verdict in _COLOURS:
        for check in checks:
            if check.verdict == verdict:
                _tell_one(check)
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in _COLOURS}
    plural = {verdict: verdict if count == 1 or verdict == "ok" else f"{verdict}s" for verdict, count in counts.items()}
    typer.echo(", ".join(f"{count} {plural[verdict]}" for verdict, count in counts.items() if count))


def _tell_one(check: Check) -> None:
    head, *rest = _wrapped(f"{check.check}: {check.what}")
    # ``style`` colours; ``echo`` takes the colours away again where the output is no terminal.
    typer.echo(typer.style(f"{check.verdict:<{_INDENT}}", fg=_COLOURS[check.verdict]) + head)
    for line in rest:
        typer.echo(" " * _INDENT + line)
    if check.verdict == "ok":
        return
    for label, text in (("where", check.where), ("mend", check.mend)):
        for number, line in enumerate(_wrapped(text, 7)):
            typer.echo(" " * _INDENT + f"{f'{label}:' if not number else '':<7}{line}")


def _wrapped(text: str, indent: int = 0) -> list[str]:
    """Lines of at most 80 columns, or fewer on a narrow terminal; a path or a command that is longer stays in one
    piece, so that it can be copied."""
    columns = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
    width = max(columns - _INDENT - indent, _NARROWEST)
    safe = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return [
        line
        for paragraph in safe.splitlines()
        for line in textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False)
    ]
