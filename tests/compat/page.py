"""``docs/compatibility.md``: what the tests saw, one table for each server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from tests.compat.matrix import CELLS, PAIRS, SERVERS, WIRE, Pair, wire_lacks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
WORKERS = "several workers"
Seen = dict[tuple[str, str, str], str]
"""(server, framework, cell) -> outcome; without a framework, as several workers and the wire, it is ``""``."""
ON_THE_WIRE = "Without a framework"

_HEAD = """# Compatibility

Frameworks, servers and what passes through the guard between them. Each cell is a test over a real socket
(`tests/compat/`), and the words in it are what that test saw; a cell that says otherwise than the test fails it.
`GUARD_WRITE_COMPAT=1 python -m pytest tests/compat` writes this page.

How the guard is mounted: Starlette and FastAPI as middleware (`app.add_middleware(GuardMiddleware, ...)`), Quart around
`app.asgi_app`, Litestar, Django and bare ASGI around the whole app. Litestar's own `middleware=` runs after routing and
never sees the lifespan: wrap the app instead. A guard inside a sub-app sees no lifespan: its first request starts it,
and its routes in `guard.toml` are written with the prefix of the mount.

"""

_ANSWERED = (
    "`answered`: the client had left, and the app did not listen for it. The outcome tells what was handed to the",
    "server, which tells nobody that it has thrown it away. An app that listens, as those that stream do, has",
    "`client_left` there.",
)


def expected() -> list[tuple[str, str, str]]:
    """Every cell that the page has."""
    cells = [(pair.server, pair.framework, cell) for pair in PAIRS for cell in CELLS if not pair.lacks(cell)]
    cells += [(server, "", cell) for server in SERVERS for cell in WIRE if not wire_lacks(server, cell)]
    return cells + [(server, "", WORKERS) for server, settings in SERVERS.items() if not settings.http2]


def written() -> Seen:
    """What the page says now; empty where there is none."""
    return parse(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}


def parse(text: str) -> Seen:
    """The cells of a page."""
    seen: Seen = {}
    headings = {heading: cell for cell, (heading, _) in CELLS.items()}
    wire = {heading: cell for cell, (heading, _) in WIRE.items()}
    server, frameworks = "", list[str]()
    for line in text.splitlines():
        if line.startswith("## "):
            server, frameworks = line.removeprefix("## "), []
        elif line.startswith("| ") and not line.startswith("| ---"):
            first, *rest = (cell.strip() for cell in line.strip().strip("|").split("|"))
            if not frameworks:
                frameworks = rest
            elif server == "Several workers":
                seen[first, "", WORKERS] = rest[0]
            elif server == ON_THE_WIRE:
                found = ((name, "", wire[first]) for name in frameworks)
                seen.update((key, word) for key, word in zip(found, rest, strict=True) if word != "-")
            elif server in SERVERS and first in headings:
                found = ((server, name, headings[first]) for name in frameworks)
                seen.update((key, word) for key, word in zip(found, rest, strict=True) if word != "-")
    return seen


def render(seen: Mapping[tuple[str, str, str], str]) -> str:
    """The page."""
    lines = [_HEAD.rstrip("\n"), "", "## What each row asks", ""]
    lines += [f"- **{heading}**: {meaning}." for heading, meaning in CELLS.values()]
    for server in SERVERS:
        lines += ["", f"## {server}", "", *_table(server, seen)]
    lines += ["", f"## {ON_THE_WIRE}", ""]
    lines += [f"- **{heading}**: {meaning}." for heading, meaning in WIRE.values()]
    lines += ["", *_ANSWERED, "", *_wire(seen)]
    lines += ["", "## Several workers", "", "Each worker writes a log of its own (an origin); each log verifies.", ""]
    lines += [*_row(["server", "two workers"]), *_row(["---", "---"])]
    for server, settings in SERVERS.items():
        if not settings.http2:
            lines += _row([server, seen[server, "", WORKERS]])
    lines += ["", "## Versions of the run that wrote this page", "", ", ".join(_versions()) + "."]
    return "\n".join(lines) + "\n"


def _table(server: str, seen: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    frameworks = [pair.framework for pair in PAIRS if pair.server == server]
    yield from _row(["", *frameworks])
    yield from _row(["---"] * (1 + len(frameworks)))
    for cell, (heading, _) in CELLS.items():
        words = ["-" if Pair(server, name).lacks(cell) else seen[server, name, cell] for name in frameworks]
        yield from _row([heading, *words])


def _wire(seen: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    yield from _row(["", *SERVERS])
    yield from _row(["---"] * (1 + len(SERVERS)))
    for cell, (heading, _) in WIRE.items():
        yield from _row([heading, *("-" if wire_lacks(name, cell) else seen[name, "", cell] for name in SERVERS)])


def _row(cells: list[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |"]


def _versions() -> list[str]:
    named = {name for pair in PAIRS for name in pair.distributions} | {"starlette", "httpx2"}
    return [f"{re.sub('[-_.]+', '-', name)} {version(name)}" for name in sorted(named)]
