"""A hostile case: one TOML file in ``cases/``, read into a frozen value.

What is big is generated: a *material* is a text, or a list whose first element names a generator of
``tests.hostile.material`` and whose others are its arguments, materials themselves.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

DIRECTORY = Path(__file__).parent / "cases"
MAIL = "leak.me@example-bank.com"
CARD = "4111 1111 1111 1111"
CANARIES = (MAIL, CARD)
"""What a case hides; no app and no client of another's answer may see it in clear."""
CONTROL = "/__hostile"
"""Where the target reports, outside of the guard."""
SIDE = "side"
"""The case name of unrelated requests."""

Material = Any
"""``str`` or a list, as the module's docstring says; the type of a TOML value cannot be narrower."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the app answers: ``first``, ``then`` over and over, ``last``, each in a message of its own."""

    status: int = 200
    headers: tuple[str, ...] = ("content-type: application/json",)
    more_headers: int = 0
    """So many header fields more."""
    first: Material = ""
    then: Material = ""
    times: int = 0
    last: Material = ""
    pause_ms: float = 0


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attack and what must come of it.

    ``answers`` are the outcomes that are right: a status and, for a refusal, a code or rule id; ``server`` instead of a
    code says that the ASGI server refused it before the guard; ``closed`` that the connection ended without an answer;
    ``ws ...`` is the outcome of a WebSocket. ``sent`` overrides everything: the very bytes of the connection.
    """

    name: str = ""
    what: str
    kind: str
    answers: tuple[str, ...]
    slow: bool = False
    impatient: bool = False
    """Sent to a server with ``body_timeout_seconds = 1``."""
    method: str = "POST"
    path: str = "/v1/chat/completions"
    headers: tuple[str, ...] = ("content-type: application/json",)
    body: Material = None
    framing: Literal["length", "chunked", "none"] = "length"
    chunk_bytes: int = 65_536
    sent: Material = None
    piece_bytes: int = 0
    pause_ms: float = 0
    ends: Literal["wait", "close", "half-close"] = "wait"
    websocket: tuple[Material, ...] = ()
    deflated: bool = False
    """Offer permessage-deflate in the handshake."""
    reply: Reply | None = None
    reaches: bool = False
    """Whether the app may see the request although its answer is none of a success."""
    memory_mb: int = 160
    """What the process may grow by, with room for a machine's moods: the default bounds allow a body of 10 MB."""


@cache
def load(name: str) -> Case:
    """The case of that name. Raises ``msgspec.ValidationError`` for a file that is none."""
    case = msgspec.toml.decode((DIRECTORY / f"{name}.toml").read_bytes(), type=Case)
    return msgspec.structs.replace(case, name=name)


def all_cases() -> list[Case]:
    """Every case, by name."""
    return [load(path.stem) for path in sorted(DIRECTORY.glob("*.toml"))]
