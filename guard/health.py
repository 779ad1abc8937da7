"""How a guard fares, told to orchestrators and people: one snapshot, and the ASGI app that serves it.

``live`` says that the event loop runs, ``ready`` whether requests can be decided and recorded, ``metrics`` what there
is to count and to measure. All are answered by the guard itself, never inspected and never forwarded. Telling costs no
I/O and changes nothing: whoever asks often wears nothing out. The answers hold no secret, no personal data and no path
of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, Literal

import msgspec
from starlette.types import Receive, Scope, Send

from guard.condition import Health, report
from guard.runtime import Runtime

__all__ = ["METHODS", "Health", "HealthApp", "Probe", "answer", "probes", "report"]

Probe = Literal["report", "live", "ready", "metrics"]

METHODS: Final = frozenset({"GET", "HEAD"})
_PROBES: Final[Mapping[str, Probe]] = {"": "report", "/live": "live", "/ready": "ready", "/metrics": "metrics"}
_LIVE: Final = b'{"status":"ok"}'
_JSON: Final = b"application/json"
_NO_METRICS: Final = b"Metrics need prometheus-client, which is not installed: pip install 'policy-guard[metrics]'\n"


def probes(path: str | None) -> dict[str, Probe]:
    """The paths that the guard answers itself below ``health_path``; none where it is not configured."""
    return {} if path is None else {path + below: probe for below, probe in _PROBES.items()}


async def answer(probe: Probe, runtime: Runtime, scope: Scope, send: Send) -> None:
    """Answer a GET or HEAD: 200, or 503 where no request can be decided or recorded. ``live`` and ``metrics`` always
    are 200, or for want of the library 501."""
    status, body, media_type = 200, _LIVE, _JSON
    if probe == "metrics":
        status, body, media_type = _metrics(runtime, scope)
    elif probe != "live":
        health = report(runtime)
        status, body = 503 if health.status == "failed" else 200, msgspec.json.encode(health)
    await _respond(send, status, body, scope["method"], media_type=media_type)


def _metrics(runtime: Runtime, scope: Scope) -> tuple[int, bytes, bytes]:
    if find_spec("prometheus_client") is None:
        return 501, _NO_METRICS, b"text/plain; charset=utf-8"
    from guard.metrics import exposition  # an extra

    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    media_type, body = exposition(runtime, accept.decode("latin-1"))
    return 200, body, media_type.encode("latin-1")


class HealthApp:
    """The same answers as an ASGI app of its own, for a port that only the operator reaches: ``/``, ``/live``,
    ``/ready`` and ``/metrics``, below wherever it is mounted.

    It never starts the guard: that is for the app which the guard protects, on its event loop. Until then ``ready`` is
    503 with the code ``not_started``.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await _take_part(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            path = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/")
            method, probe = scope["method"], _PROBES.get(path)
            if probe is None:
                await _respond(send, 404, b'{"status":"unknown path"}', method)
            elif method not in METHODS:
                await _respond(send, 405, b'{"status":"unknown method"}', method, (b"allow", b"GET, HEAD"))
            else:
                await answer(probe, self.runtime, scope, send)


async def _respond(
    send: Send, status: int, body: bytes, method: str, *more: tuple[bytes, bytes], media_type: bytes = _JSON
) -> None:
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _take_part(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
