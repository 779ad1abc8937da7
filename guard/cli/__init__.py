"""The ``guard`` command. Exit codes: 0 done, 1 failed, 2 as a command documents it, 3 usage, 130 interrupted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final

import typer

from guard.errors import GuardError

COMMAND_GROUP: Final = "guard.commands"
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 3
EXIT_INTERRUPTED: Final = 130


def build() -> typer.Typer:
    """The command with all its sub-commands; those of other packages come through entry points."""
    from guard.cli import demo, log, policy, project

    app = typer.Typer(
        name="guard",
        help="Policy-driven security middleware for AI gateways and any ASGI app.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.command("demo")(demo.demo)
    app.command("init")(project.init)
    app.command("check")(project.check)
    app.add_typer(policy.app, name="policy")
    app.add_typer(log.app, name="log")
    for point in sorted(entry_points(group=COMMAND_GROUP), key=lambda p: p.name):
        app.add_typer(point.load(), name=point.name)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Errors go to stderr as what, where and mend."""
    from guard.telemetry import setup

    setup("WARNING")
    try:
        outcome = build()(args=list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except GuardError as error:
        typer.echo(report(error), err=True)
        return EXIT_FAILED
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away (head, less): not an error of ours.
        sys.stderr.close()
        return 0
    except Exception as error:
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return EXIT_USAGE
    return outcome if isinstance(outcome, int) else 0


def report(error: GuardError) -> str:
    """An error for people, in up to three lines."""
    lines = [f"error: {error.what}"]
    if error.where:
        lines.append(f"where: {error.where}")
    if error.mend:
        lines.append(f"mend:  {error.mend}")
    return "\n".join(lines)
