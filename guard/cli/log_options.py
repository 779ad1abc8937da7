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
    place = load_config().state_directory if given is None else given
    if given is not None and find_origins(place):
        return place
    inner = place / "log"
    return inner if inner.is_dir() else place
