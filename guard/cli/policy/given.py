"""What the words of ``guard policy`` are given: directories, a configuration, and the bundle made of both."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from guard.cli.complaints import complain
from guard.config import BundleConfig, load_config
from guard.errors import ConfigError, PolicyInvalid
from guard.policy.bundle import Bundle, bundle_data, load_bundle
from guard.policy.bundles.opened import open_bundle

Directories = Annotated[list[Path], typer.Argument(metavar="DIR", help="Directories or files of policies.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="A guard.toml whose providers, tenants and settings become data."
    ),
]
NoShipped = Annotated[bool, typer.Option("--no-shipped", help="Leave out the policies that come with the guard.")]
BundlePath = Annotated[
    Path | None,
    typer.Option("--bundle", "-b", metavar="PATH", help="An OPA bundle, a directory or a .tar.gz, instead of -d."),
]
DataPaths = Annotated[
    list[Path] | None,
    typer.Option("--data", "-d", metavar="DIR", help="A directory or file of policies; may be repeated."),
]
InputFile = Annotated[Path | None, typer.Option("--input", "-i", metavar="FILE", help="The input, JSON; - is stdin.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of lines.")]


GIVE_INPUT: Final = "give a JSON file, for example of: guard log show last --input"


def load(directories: Sequence[Path], config: Path | None, *, no_shipped: bool, bundle: Path | None = None) -> Bundle:
    """The author's policies, or those of an OPA bundle, with the shipped ones and the configuration's data. Raises
    ``PolicyInvalid``, ``BundleError`` for a bundle that cannot be taken, ``BadParameter`` for both."""
    if bundle is not None and directories:
        raise typer.BadParameter("give directories or a bundle, not both", param_hint="--bundle")
    opened = None if bundle is None else open_bundle(BundleConfig(source=str(bundle)))
    data = None if config is None else bundle_data(load_config(config))
    return load_bundle(directories=directories, opened=opened, shipped=not no_shipped, data=data)


def load_or_exit(
    directories: Sequence[Path], config: Path | None, *, no_shipped: bool, bundle: Path | None = None
) -> Bundle:
    """As ``load``; errors of policies are told on stderr, and end the command with 1."""
    try:
        return load(directories, config, no_shipped=no_shipped, bundle=bundle)
    except PolicyInvalid as error:
        complain(error)
        raise typer.Exit(1) from None


def read_input(path: Path) -> Any:
    """The input document of a JSON file; ``-`` is stdin. Raises ``ConfigError``."""
    try:
        text = sys.stdin.read() if path == Path("-") else path.read_text("utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigError(f"the input cannot be read: {error.strerror}", where=str(path), mend=GIVE_INPUT) from None
    except json.JSONDecodeError as error:
        what = f"the input is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ConfigError(what, where=str(path), mend=GIVE_INPUT) from None
    except (ValueError, RecursionError) as error:
        what = f"the input is not JSON in UTF-8: {type(error).__name__}"
        raise ConfigError(what, where=str(path), mend=GIVE_INPUT) from None
