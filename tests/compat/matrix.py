"""What is combined with what: frameworks, servers, and the cells that every pair is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass

STARLETTE = "Starlette"
MOUNTED = "Starlette, mounted sub-app"
INSIDE = "Starlette, guard in a sub-app"
BETWEEN = "Starlette, GZip outside, CORS inside"
DJANGO = "Django"
BARE = "bare ASGI"
WIRE_FRAMEWORK = "none"
"""An app that does what no framework would: served for the cells of ``WIRE``, and no column of a table."""

# The distributions that a framework's app needs beside what the package itself brings.
FRAMEWORKS: dict[str, tuple[str, ...]] = {
    STARLETTE: ("python-multipart",),
    MOUNTED: ("python-multipart",),
    INSIDE: ("python-multipart",),
    BETWEEN: ("python-multipart",),
    "FastAPI": ("fastapi", "python-multipart"),
    "Litestar": ("litestar",),
    "Quart": ("quart",),
    DJANGO: ("django",),
    BARE: ("python-multipart",),
}
PREFIXES = {MOUNTED: "/sub", INSIDE: "/sub"}


@dataclass(frozen=True)
class Server:
    """A server program. ``command`` is what follows ``python -m``; ``{port}`` and ``{workers}`` are filled in."""

    distributions: tuple[str, ...]
    command: str
    http2: bool = False
    one_worker: str = "1"


_TARGET = "tests.compat.apps.factory:create"
_UVICORN = f"uvicorn {_TARGET} --factory --host 127.0.0.1 --port {{port}} --workers {{workers}} --log-level warning"
_GRANIAN = (
    f"granian {_TARGET} --factory --interface asgi --host 127.0.0.1 --port {{port}} --workers {{workers}}"
    " --log-level warning --workers-kill-timeout 10 --http {http}"
)
_HYPERCORN = f"hypercorn {_TARGET}() --bind 127.0.0.1:{{port}} --workers {{workers}} --log-level warning"

SERVERS: dict[str, Server] = {
    "uvicorn": Server(("uvicorn", "websockets"), _UVICORN),
    "granian": Server(("granian",), _GRANIAN.replace("{http}", "1")),
    # With 0 workers hypercorn serves in the process that was started.
    "hypercorn": Server(("hypercorn",), _HYPERCORN, one_worker="0"),
    "granian HTTP/2": Server(("granian", "h2"), _GRANIAN.replace("{http}", "2"), http2=True),
    "hypercorn HTTP/2": Server(("hypercorn", "h2"), _HYPERCORN, http2=True, one_worker="0"),
}
HTTP1_SERVERS = tuple(name for name, server in SERVERS.items() if not server.http2)


@dataclass(frozen=True)
class Pair:
    """One server with one framework on it."""

    server: str
    framework: str

    def __str__(self) -> str:
        return f"{self.server}-{self.framework}"

    @property
    def core(self) -> bool:
        """Whether it belongs to the short run."""
        return self.server == "uvicorn" and self.framework in {STARLETTE, "FastAPI"}

    @property
    def prefix(self) -> str:
        """What stands before the paths of the app."""
        return PREFIXES.get(self.framework, "")

    @property
    def distributions(self) -> tuple[str, ...]:
        """What must be installed."""
        return (*SERVERS[self.server].distributions, *FRAMEWORKS.get(self.framework, ()), "websockets")

    def lacks(self, cell: str) -> bool:
        """Whether a cell has no meaning for this pair."""
        return SERVERS[self.server].http2 and cell in {"websocket", "continue"}

    def command(self, port: int, *, workers: int = 1) -> list[str]:
        """The command line that serves it."""
        server = SERVERS[self.server]
        filled = server.command.format(port=port, workers=workers if workers > 1 else server.one_worker)
        return [sys.executable, "-m", *filled.split()]


PAIRS = (
    *(Pair(server, framework) for server in HTTP1_SERVERS for framework in FRAMEWORKS),
    *(Pair(server, STARLETTE) for server, settings in SERVERS.items() if settings.http2),
)

CELLS = {
    "json": ("JSON", "an address in a JSON body reaches the app as a placeholder and the client in clear"),
    "form": ("form", "the same in an urlencoded form"),
    "upload": ("upload", "the same in a multipart form: a field, a text file, and a picture whose gap is spoken"),
    "large": ("large upload", 'a body past the bound, where `large_bodies = "pass"`, is whole in the app'),
    "stream": ("SSE restored", "a streamed chat answer has its placeholders put back, over chunk borders"),
    "flow": (
        "SSE flows",
        "where nothing is redacted or restored, an event arrives while the app still waits with the next",
    ),
    "websocket": ("WebSocket", "no message passes uninspected"),
    "denial": ("denial", "403 with the reasons, typed for SDKs, with `X-Guard-Decision-Id`; the app is not called"),
    "leak": ("answer denied", "an answer with a secret is replaced whole"),
    "file": ("file", "an SSN in a file response does not leave, by its path or in a range"),
    "head": ("HEAD", "the status and headers of the app, no body, decided"),
    "options": ("OPTIONS", "answered by the app, decided"),
    "continue": ("100-continue", "a client that waits for 100 Continue gets it, then its answer"),
    "half": (
        "half a body",
        "a client that leaves in the middle of its body is a refusal on record, no call",
    ),
    "leave": ("leaves early", "a client that leaves an answer ends the app's stream; the outcome says so"),
    "lifespan": ("lifespan", "start and stop of guard and app; the log is closed, verifies, holds nothing in clear"),
}
"""Cells in the order in which a pair is asked: the name of the test -> heading, meaning. The last stops the server."""

WIRE = {
    "large": ("upload past the bound", '8 MiB where `large_bodies = "pass"`: all of it, never held whole'),
    "broken_upload": ("leaves such an upload", "the app is told, the outcome counts what passed"),
    "refused": ("refused upload", "elsewhere 413, before the body is sent"),
    "early": ("early answer", "an app that answers before it has read the body is heard at once"),
    "leaves_head": ("leaves in its headers", "was never a request"),
    "leaves_body": ("leaves in its body", "a refusal on record, the app is not called"),
    "leaves_detection": ("leaves during detection", "the decision falls; whether the app is called; the outcome"),
    "leaves_commit": ("leaves during the commit", "the same while the decision is being made durable"),
    "leaves_compute": ("leaves while the app works", "the same while the app computes"),
    "leaves_half": ("leaves half an answer", "the same in the middle of a buffered answer, of which nothing had left"),
    "leaves_stream": ("leaves a stream", "the app is told, and the outcome says why the answer was not whole"),
    "trickle": (
        "denied in pieces",
        "an answer in pieces of one byte, with a secret at its end: nothing of it leaves",
    ),
    "error": ("error answer", "personal data in a 500 of the app"),
    "bodiless": ("204 and 304", "what an app sends behind them"),
    "length": ("false Content-Length", "an answer shorter than it says does not look whole"),
    "big": ("9 MiB answer", "past `limits.answer_buffer_bytes`, where nothing is to be redacted"),
    "extensions": ("extensions", "paths, early hints, push and trailers are not offered to the app"),
    "raises": ("app fails in a stream", "how the stream ends for the client"),
    "websocket_http2": ("WebSocket over HTTP/2", "RFC 8441: messages inspected as over HTTP/1.1"),
    "quiet": (
        "afterwards",
        "the log is closed and verifies, holds nothing in clear; the server's log, no failure of the guard",
    ),
}
"""Cells that are asked of every server: the name of the test -> heading, meaning. The last stops the server."""


def wire_lacks(server: str, cell: str) -> bool:
    """Whether a cell of ``WIRE`` has no meaning for a server."""
    return cell == "websocket_http2" and not SERVERS[server].http2
