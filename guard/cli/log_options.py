"""Which log is meant: what all of ``guard log`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.config import load_config
from guard.record.verify import find_origins

Directory = Annotated[
    Path | None,
    typer.Option("--dir", "-d", metavar="DIR", help="The log or its state directory; else the configuration's."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of sentences.")]


def directory_of(given: Path | None) -> Path:
    """The log in a state directory, or what was given. Raises ``ConfigError``."""
    if given is None:
        return load_config().state_directory / "log"
    inner = given / "log"
    # A state directory has keys before it has a log.
    is_state = inner.is_dir() or (given / "keys").is_dir()
    return inner if is_state and not find_origins(given) else given
