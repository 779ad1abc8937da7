"""What a person reads: lines that fit a terminal, whole lines in a pipe, and a reader that may go away."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from rich.console import Console
from rich.markup import escape

_NARROWEST: Final = 20


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process with 1, which has a meaning of its own in our commands."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output. Colours only on a terminal, and without ``NO_COLOR``."""
    return _Console(highlight=False, soft_wrap=True)


def hanging(out: Console, head: str, text: str, *, indent: int) -> None:
    """Print ``head`` (markup of ``indent`` visible characters) and ``text`` (plain), wrapped below its beginning.

    Where no terminal is, the text stays on one line, so that it can be searched and cut.
    """
    lines = textwrap.wrap(text, max(out.width - indent, _NARROWEST), break_on_hyphens=False) if out.is_terminal else []
    first, *rest = lines or [text]
    out.print(f"{head}{escape(first)}".rstrip())
    for line in rest:
        out.print(" " * indent + escape(line))


def printable(text: str) -> str:
    """Text of a log without what would drive the reader's terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def mute() -> None:
    """Nobody reads our output any more (``head`` had enough): let the rest of it vanish, at exit too."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def verdict_stands() -> Iterator[None]:
    """Around the printing of a verdict: the exit code tells it, whether or not somebody reads to the end."""
    try:
        yield
    except BrokenPipeError:
        mute()
