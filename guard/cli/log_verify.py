"""``guard log verify``: the whole verification, with its steps, for people and programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from guard.cli.complaints import complain, unusable
from guard.cli.log_options import Json, directory_of
from guard.cli.log_proof import check_proof
from guard.cli.terminal import console, hanging, mute, printable, verdict_stands
from guard.errors import GuardError
from guard.record import steps
from guard.record.report import EXIT_USAGE, EXIT_WHOLE, Report
from guard.record.trust import read_trust
from guard.record.verify import acyclic, size_of
from guard.record.verify import verify as verify_log

_COLOURS: Final = {
    "WHOLE": "green",
    "TORN TAIL": "yellow",
    "INCOMPLETE": "yellow",
    "TAMPERED": "bold red",
    "ok": "green",
    "FAILED": "bold red",
    "note": "yellow",
    "-": "dim",
}
_STEP: Final = re.compile(r"( +\d+\. \w+ +)(ok|FAILED|note|-)( +)(.*)")
_MARK_WIDTH: Final = 7


def verify(
    *,
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="The log, one origin of it, or its state directory; else configured."),
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The keys that you believe: a vkey a line, roots, witnesses.")
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A checkpoint kept elsewhere, or a directory of them; more than once."),
    ] = None,
    require_anchor: Annotated[
        bool, typer.Option("--require-anchor", help="Exit 2 if no anchor from outside is known.")
    ] = False,
    proof: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Not the log: this proof of one record (export --proof).")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The record's line, of a proof that does not carry it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify the log step by step, and say what is not proven.

    Exits 0 whole, 1 tampered, 2 torn tail or an anchor is required and missing, 3 nothing was verified.
    """
    if proof is not None:
        if anchor or require_anchor:
            raise typer.BadParameter("--anchor and --require-anchor are of the log, not of --proof")
        if code := check_proof(proof, trust=trust, record=record, directory=directory, as_json=as_json):
            raise typer.Exit(code)
        return
    if record is not None:
        raise typer.BadParameter("--record goes with --proof")
    try:
        keys = None if trust is None else read_trust(trust)
        log = directory_of(directory)
        with acyclic(), _progress(log) as progress:
            report = verify_log(log, trust=keys, anchors=anchor or (), require_anchor=require_anchor, progress=progress)
    except GuardError as error:
        complain(error)
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        complain(unusable(error, what="the log cannot be read, so nothing was verified"))
        raise typer.Exit(EXIT_USAGE) from None
    _tell(report, as_json=as_json)
    if report.exit_code != EXIT_WHOLE:
        raise typer.Exit(report.exit_code)


def _tell(report: Report, *, as_json: bool) -> None:
    try:
        with verdict_stands():
            if as_json:
                typer.echo(report.to_json())
            else:
                print_report(report)
    except OSError as error:
        mute()
        complain(unusable(error, what="the report cannot be written"))
        raise typer.Exit(report.exit_code or EXIT_USAGE) from None


def print_verification(directory: Path) -> int:
    """Verify a log and print the report for people; returns the exit code of ``guard log verify``."""
    report = verify_log(directory)
    print_report(report)
    return report.exit_code


def print_report(report: Report) -> None:
    """Print a report for people."""
    out = console()
    for line in map(printable, report.lines()):
        headline, colon, rest = line.partition(":")
        if headline in _COLOURS:
            hanging(out, f"[{_COLOURS[headline]}]{headline}[/]{colon} ", rest.lstrip(), indent=len(headline) + 2)
        elif step := _STEP.fullmatch(line):
            lead, mark, _, said = step.groups()
            head = f"{lead}[{_COLOURS[mark]}]{mark:<{_MARK_WIDTH}}[/]"
            hanging(out, head, said, indent=len(lead) + _MARK_WIDTH)
        elif line.startswith("    |"):
            out.print(line, markup=False)
        else:
            hanging(out, "  ", line.lstrip(), indent=4)


@contextmanager
def _progress(log: Path) -> Iterator[steps.Progress | None]:
    """A bar on standard error while the log is read, if a person looks at it."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    columns = (TextColumn("verifying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("verify", total=size_of(log))
        yield lambda count: bar.advance(task, count)
