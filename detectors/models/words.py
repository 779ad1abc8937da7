"""Options that several words of ``guard model`` share, and how they print."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from detectors.models.directory import VERSION
from guard.errors import ConfigError
from guard.types import CommandHost

_COLUMNS: Final = 80
_NARROWEST: Final = 40

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
ModelKey = Annotated[
    Path | None, typer.Option("--model-key", metavar="FILE", help="A public key in PEM that must have signed it.")
]
SigningKey = Annotated[
    Path | None, typer.Option("--signing-key", metavar="FILE", help="A private Ed25519 key in PEM: sign what is made.")
]
LexiconFile = Annotated[
    Path | None, typer.Option("--lexicon", metavar="FILE", help="A lexicon of your own; else the shipped one.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Where the model goes: a name that ends in .npz.")
]
Log = Annotated[
    Path | None, typer.Option("--log", metavar="DIR", help="The log or its state directory; else the configuration's.")
]


def host_of(context: typer.Context) -> CommandHost:
    """What ``guard`` hands over. Raises ``ConfigError`` outside of it."""
    host = context.obj
    if not isinstance(host, CommandHost):
        raise ConfigError("this word reads the log, which guard hands over", mend="call it as: guard model …")
    return host


def output_of(path: Path, *, force: bool = False) -> Path:
    """Where a model may be written. Raises ``ConfigError`` for another ending, or a file that is there."""
    if path.suffix != ".npz":
        raise ConfigError("a model's file ends in .npz", where=str(path), mend=f"write -o {path.with_suffix('.npz')}")
    if path.exists() and not force:
        raise ConfigError("the file exists", where=str(path), mend="name another with -o, or overwrite it with --force")
    if not path.parent.is_dir():
        raise ConfigError("there is no such directory", where=str(path.parent), mend="make it, or name another with -o")
    return path


def checked_name(name: str | None) -> str | None:
    """What a version is to be called. Raises ``ConfigError``."""
    if name is not None and not VERSION.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a version", where="--name", mend="at most 32 letters, digits, dots and dashes"
        )
    return name


def tell(lines: Mapping[str, object], told: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a table of two columns, or ``told`` as JSON."""
    if as_json:
        typer.echo(json.dumps(told))
        return
    width = max(map(len, lines), default=0) + 2
    for name, value in lines.items():
        first, *more = wrapped(str(value), width) or [""]
        # What stays in one piece, such as a digest, moves to the left where it would not fit.
        column = width if width + len(first) <= _COLUMNS else len(name) + 2
        typer.echo(f"{name:<{column}}{first}".rstrip())
        for line in more:
            typer.echo(" " * width + line)


def wrapped(text: str, indent: int) -> list[str]:
    """The lines of a text of which each is to stand behind ``indent`` blanks; a path or a digest stays in one piece."""
    width = max(_COLUMNS - indent, _NARROWEST)
    if 0 < len(text) <= width:
        return [text]  # with its blanks, which draw bars
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
