"""A tree on a terminal: guides before every line, values in a few characters, colours only where somebody looks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape

from guard.cli.terminal import printable
from guard.policy.places import Read

_NARROWEST: Final = 24
_VALUE: Final = 100
SEVERITIES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}


class Twig(msgspec.Struct):
    """A line of a tree and what stands below it. ``head`` is printed in ``style`` before the text."""

    head: str
    text: str = ""
    style: str = "bold"
    below: Sequence[Twig] = ()


class _Guides(msgspec.Struct, frozen=True):
    """What stands before a line: of a child, of the last child, below a child that is not the last."""

    child: str = "├─ "
    last: str = "└─ "
    along: str = "│  "


_ASCII: Final = _Guides("|- ", "`- ", "|  ")


def print_tree(out: Console, root: Twig) -> None:
    """Print a tree from the left edge; guides in ASCII where the output is not in Unicode."""
    _print(out, root, "", "", _Guides() if out.encoding.startswith("utf") else _ASCII)


def _print(out: Console, twig: Twig, first: str, rest: str, guides: _Guides) -> None:
    head, text = printable(twig.head), printable(twig.text)
    used = len(first) + len(head) + bool(head and text)
    lines = [text]
    if out.is_terminal and text:
        lines = textwrap.wrap(text, max(out.width - used, _NARROWEST), break_on_hyphens=False) or [text]
    label = f"[{twig.style}]{escape(head)}[/]" if head and twig.style else escape(head)
    out.print(f"[dim]{first}[/]{label}{' ' if head and lines[0] else ''}{escape(lines[0])}".rstrip())
    guide = rest + (guides.along if twig.below else "   ")
    for line in lines[1:]:
        out.print(f"[dim]{guide}[/]" + " " * max(used - len(guide), 0) + escape(line))
    for number, child in enumerate(twig.below):
        last = number == len(twig.below) - 1
        first, following = (guides.last, "   ") if last else (guides.child, guides.along)
        _print(out, child, rest + first, rest + following, guides)


def spelled(value: Any) -> str:
    """A value as JSON; a long one is cut."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}… ({len(text)} characters)"


def read_line(read: Read) -> Twig:
    """A place and what stood there."""
    if not read.known:
        return Twig(read.path, "(not in the record)" if len(read.path) > 1 else "and more", style="")
    if not read.total:
        return Twig(read.path, "(nothing there)", style="")
    more = read.total - len(read.values)
    shown = ", ".join(map(spelled, read.values))
    return Twig(read.path, f"= {shown}" + (f", and {more} more" if more else ""), style="")


def operand_line(read: Read) -> Twig:
    """An operand of an expression and what it held."""
    return read_line(read) if read.total else Twig(read.path, "is undefined", style="")


def group(head: str, below: Sequence[Twig], text: str = "") -> list[Twig]:
    """A twig of that name, if anything stands below it."""
    return [Twig(head, text, below=below)] if below else []
