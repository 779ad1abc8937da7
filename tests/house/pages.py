"""The pages and their tables.

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. Its first columns come from the code; the last
ones are prose, written by hand and kept by the first column. ``make docs`` refreshes the first and keeps the second;
the house tests hold the pages against the code.
"""

from __future__ import annotations

import re
import sys

from tests.house.config_tables import configuration_tables
from tests.house.error_tables import error_tables
from tests.house.source import ROOT
from tests.house.table import MISSING, Table, cells, row_of

_TABLE = re.compile(r"<!-- table: (?P<name>.+?) -->\n(?P<body>.*?)<!-- /table -->", re.DOTALL)


def tables() -> list[Table]:
    """Every table that the pages must hold."""
    return [*configuration_tables(), *error_tables()]


def written(page: str) -> dict[str, tuple[int, list[list[str]]]]:
    """The tables that stand in a page: name -> the line of its marker, and the cells of its rows."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return {
        match["name"]: (
            text.count("\n", 0, match.start()) + 1,
            [cells(line) for line in match["body"].splitlines()[2:] if line.strip()],
        )
        for match in _TABLE.finditer(text)
    }


def render(table: Table, old: list[list[str]]) -> str:
    """The table in Markdown; prose is kept by the first column."""
    kept = {row[0]: row[len(row) - table.prose :] for row in old if len(row) == len(table.header)}
    lines = [row_of(table.header), row_of(["---"] * len(table.header))]
    lines += [row_of([*row, *kept.get(row[0], [MISSING] * table.prose)]) for row in table.rows]
    return f"<!-- table: {table.name} -->\n" + "".join(lines) + "<!-- /table -->"


def refreshed(page: str, tables_of_page: list[Table]) -> str:
    """The page's text with its tables as the code has them now. A table without a marker is appended."""
    text = (ROOT / page).read_text(encoding="utf-8")
    standing = written(page)
    for table in tables_of_page:
        if table.name not in standing:
            text += f"\n<!-- table: {table.name} -->\n<!-- /table -->\n"
    by_name = {table.name: table for table in tables_of_page}

    def replace(match: re.Match[str]) -> str:
        table = by_name.get(match["name"])
        return render(table, standing.get(table.name, (0, []))[1]) if table else match[0]

    return _TABLE.sub(replace, text)


def main() -> int:
    """Rewrite the tables of both pages; 1 if prose is missing afterwards."""
    missing = 0
    by_page: dict[str, list[Table]] = {}
    for table in tables():
        by_page.setdefault(table.page, []).append(table)
    for page, tables_of_page in by_page.items():
        text = refreshed(page, tables_of_page)
        (ROOT / page).write_text(text, encoding="utf-8")
        for row, line in enumerate(text.splitlines(), start=1):
            if MISSING in line:
                print(f"{page}:{row}: {line}")
                missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
