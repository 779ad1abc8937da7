"""``guard schema``: the JSON Schema of guard.toml, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.config.schema import DIRECTIVE, FILE, schema_text
from guard.errors import ConfigError


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file, or into this directory.")
    ] = None,
) -> None:
    """Print the JSON Schema of guard.toml: editors complete and check the file with it."""
    if output is None:
        typer.echo(schema_text(), nl=False)
        return
    target = output / FILE if output.is_dir() else output
    try:
        target.write_text(schema_text(), encoding="utf-8")
    except OSError as error:
        mend = "check the path, its permissions and the free space"
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(target), mend=mend) from None
    typer.echo(f"wrote {target}")
    typer.echo(f"next: put this line at the head of the guard.toml beside it: {DIRECTIVE} ./{target.name}")
