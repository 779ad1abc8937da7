"""``guard schema``: the JSON Schemas of guard.toml, for editors, and of the records of the log, for their readers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.config.schema import DIRECTIVE, FILE, schema_text
from guard.errors import ConfigError
from guard.record import published


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file, or into this directory.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="That of the records of the signed log instead.")] = False,
) -> None:
    """Print the JSON Schema of guard.toml: editors complete and check the file with it."""
    text = published.schema_text() if record else schema_text()
    if output is None:
        typer.echo(text, nl=False)
        return
    target = output / (published.FILE if record else FILE) if output.is_dir() else output
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        mend = "check the path, its permissions and the free space"
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(target), mend=mend) from None
    typer.echo(f"wrote {target}")
    if record:
        return
    typer.echo(f"next: put this line at the head of the guard.toml beside it: {DIRECTIVE} ./{target.name}")
