"""``docs/hostile-input.md``: a row for each case, with what ``benchmarks.hostile`` measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tests.hostile.case import Case

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hostile-input.md"
KINDS = {
    "size": "Size and density",
    "JSON": "JSON: nesting, keys, numbers",
    "text": "Charsets and disguises",
    "regular expressions": "Texts that stall regular expressions",
    "compressed requests": "Compressed requests",
    "lengths and framing": "Lengths and framing",
    "slow": "Slow and broken senders",
    "head and target": "Heads and targets",
    "forms, parts and records": "Forms, parts, records, markup",
    "answers": "Answers of the app or the provider",
    "WebSocket": "WebSocket",
}
"""Kind of a case -> its heading, in the order of the page."""

_HEAD = """# Hostile input

What is malformed, oversized, endless, compressed beyond reason or made to stall a parser, over a real socket against
the whole guard: uvicorn (h11), default limits, the shipped policies, real detectors, a signed log. Each row is a file
in `tests/hostile/cases/` and a test; `python -m benchmarks.hostile --write` measures them and writes this page. The
bodies of [malformed bodies](malformed-bodies.md) take the same way in the same tests.

Each case hides an e-mail address or a card number where it can, and none of them reached the app, or the client of an
answer, in clear. GUARD-010 is enforced here: what cannot be inspected is denied. As shipped, that rule is in shadow
mode: an image or a binary message passes, and [coverage](coverage.md) says so in its decision.

- **answer**: the status, and the codes or rules of a refusal. `server`: refused by the ASGI server, which parses before
  the guard sees anything. `closed`: the connection ended. Where a detector did not finish within
  `detect_deadline_ms`, GUARD-001 denies; on a slower machine more rows say so.
- **memory**: the largest size of the server process during the case, less its size before.
- **held**: the longest time for which the process held its event loop, without the time in which the machine let it
  wait.
- **stall**: the longest that an unrelated small request waited, sent over and over on a connection of its own, less
  its usual time. This has the machine's noise in it.

Cases that come out above the bound are measured again, and the least is told: what the process does itself comes back
each time. The bound is 50 ms of **held**. What stays above it is sent to the same server without the guard, too: h11
and websockets parse in Python, and a flood of tiny frames costs the server that much alone. Under httptools, which
uvicorn takes if it is installed, `chunks_of_one_byte` holds 8 ms.

"""


class Row(msgspec.Struct, frozen=True):
    """What one case came to: megabytes and milliseconds. ``bare_ms`` is ``held_ms`` of the same server without the
    guard, measured where the guard's was above the bound."""

    answer: str
    memory_mb: float
    held_ms: float
    stall_ms: float
    bare_ms: float | None = None


def escaped(text: str) -> str:
    """A cell's text."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|").strip()


def render(cases: Sequence[Case], rows: Mapping[str, Row], note: str) -> str:
    """The page."""
    lines = [_HEAD.rstrip("\n"), "", note]
    for kind, heading in KINDS.items():
        lines += ["", f"## {heading}", "", "| case | what | answer | memory MB | held ms | stall ms |"]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        for case in cases:
            if case.kind == kind:
                row = rows[case.name]
                cells = [f"`{case.name}`", escaped(case.what), row.answer, f"{row.memory_mb:.0f}"]
                held = f"{row.held_ms:.0f}" + ("" if row.bare_ms is None else f" (without the guard {row.bare_ms:.0f})")
                lines.append("| " + " | ".join([*cells, held, f"{row.stall_ms:.0f}"]) + " |")
    return "\n".join(lines) + "\n"
