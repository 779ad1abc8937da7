"""A table of a page, and its rows in Markdown."""

from __future__ import annotations

import re
from typing import NamedTuple

MISSING = "**to be written**"


class Table(NamedTuple):
    """``rows`` are the mechanical columns; ``prose`` counts the hand-written columns after them."""

    page: str
    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    prose: int = 1


def cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def row_of(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", r"\|") for cell in cells) + " |\n"
