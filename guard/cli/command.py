"""The command with all its sub-commands, and what becomes of their errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Annotated, Final

import typer

from guard.cli.complaints import complain, unusable
from guard.cli.terminal import mute
from guard.errors import GuardError

COMMAND_GROUP: Final = "guard.commands"
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 3


def build() -> typer.Typer:
    """The command with all its sub-commands; those of other packages come through entry points."""
    from guard.cli import check, demo, doctor, keys, log, policy, project, schema, vault, witness

    app = typer.Typer(
        name="guard",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_guard)
    app.command("demo")(demo.demo)
    app.command("init")(project.init)
    app.command("check")(check.check)
    app.command("doctor")(doctor.doctor)
    app.command("schema")(schema.schema)
    app.command("witness")(witness.witness)
    app.add_typer(policy.app, name="policy")
    app.add_typer(log.app, name="log")
    app.add_typer(vault.app, name="vault")
    app.add_typer(keys.app, name="keys")
    for point in sorted(entry_points(group=COMMAND_GROUP), key=lambda p: p.name):
        app.add_typer(point.load(), name=point.name)
    return app


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"policy-guard {version('policy-guard')}")
        raise typer.Exit


def _guard(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Policy-driven security middleware for AI gateways and any ASGI app.

    Exit codes: 0 done, 1 failed, 2 as a command says, 3 wrong usage, 130 interrupted.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Errors go to stderr as what, where and mend."""
    from guard.cli.host import Host
    from guard.telemetry import setup

    setup("WARNING")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        outcome = build()(args=given, standalone_mode=False, obj=Host())
        sys.stdout.flush()
    except GuardError as error:
        complain(error)
        return EXIT_FAILED
    except typer.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        # The reader of a pipe went away (head, less): not an error of ours.
        mute()
        return 0
    except OSError as error:
        mute()
        complain(unusable(error, what="something cannot be read or written"))
        return EXIT_FAILED
    except Exception as error:
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return EXIT_USAGE
    return outcome if isinstance(outcome, int) else 0
