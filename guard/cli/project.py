"""``guard init`` writes a configuration, its schema for editors, and a first policy with its test and an input."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from guard.config.schema import FILE, schema_text
from guard.errors import ConfigError

_STARTER: Final = {
    "guard.toml": Path("guard.toml"),
    "example.rego": Path("policies/guard/rules/example/example.rego"),
    "example_test.rego": Path("policies/guard/rules/example/example_test.rego"),
    "input.json": Path("input.json"),
}
_NEXT: Final = (
    ("next:", "guard check && guard policy test policies"),
    ("then:", "guard policy eval -d policies -i input.json -f pretty data.guard.decision"),
)


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are written.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write guard.toml, its schema for editors, a starter policy with its test, and an input to try it with."""
    starter = files("guard.cli").joinpath("starter")
    texts = {target: starter.joinpath(source).read_text(encoding="utf-8") for source, target in _STARTER.items()}
    # Beside the file that names it, so that editors need no network.
    texts[Path(FILE)] = schema_text()
    targets = {directory / path: text for path, text in texts.items()}
    existing = [str(target) for target in targets if target.exists()]
    if existing and not force:
        raise ConfigError(
            "these files exist, nothing was written",
            where=", ".join(existing),
            mend="overwrite them with --force, or name another directory",
        )
    for target, text in targets.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            mend = "check the path, its permissions and the free space"
            raise ConfigError(f"the file cannot be written: {error.strerror}", where=str(target), mend=mend) from None
    if as_json:
        typer.echo(json.dumps({"written": [str(target) for target in targets]}))
        return
    for target in targets:
        typer.echo(f"wrote {target}")
    where = "" if directory == Path() else f"cd {shlex.quote(str(directory))} && "
    for label, command in _NEXT:
        typer.echo(f"{label} {where}{command}")
