"""What an ASGI scope says about a request, and the scope that the app is given instead. Pure functions."""

from __future__ import annotations

import re
import time
from typing import Final

from starlette.types import Scope

from guard.exchange.beside import METHODS
from guard.exchange.judge import Caller
from guard.exchange.services import Matched
from guard.types import GuardContext, Principal

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# W3C Trace Context, section 3.2: no version ff, no id of zeros only.
_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
# The app would answer these in a form that cannot be inspected, or they describe a body that it will not see.
_NOT_INWARDS: Final = frozenset(
    {
        b"accept-encoding",
        b"range",
        b"if-range",
        b"content-encoding",
        b"content-length",
        b"transfer-encoding",
        b"te",
        b"trailer",
        b"expect",
    }
)
DIGESTS: Final = frozenset({b"content-md5", b"digest", b"content-digest", b"repr-digest"})
"""Headers that no longer hold once a body was rewritten."""
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})


def caller_of(scope: Scope, matched: Matched, principal: Principal, decision_id: str) -> Caller:
    """The caller of a request. A client's request id is taken if it is harmless, else ``decision_id`` stands for it."""
    request_id = trace_id = None
    sampled = False
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode()
        elif name == b"traceparent" and (trace := _TRACEPARENT.fullmatch(value)):
            trace_id, sampled = trace[1].decode(), bool(int(trace[2], 16) & 1)
    client = scope.get("client")
    return Caller(
        principal=principal,
        method=_method(scope),
        route=matched.route.path,
        provider=matched.route.provider,
        client_ip=client[0] if client else None,
        request_id=request_id or decision_id,
        trace_id=trace_id,
        time_us=time.time_ns() // 1000,
        fail_open=matched.route.unsafe_fail_open,
        decision_id=decision_id,
        trace_sampled=sampled,
    )


def _method(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    method: str = scope["method"].upper()  # as Django and Quart read it
    return method if method in METHODS else "OTHER"


def inner_scope(scope: Scope, body: bytes, context: GuardContext, *, rewritten: bool, large: bool = False) -> Scope:
    """The scope for the app: headers that fit the inspected body, ``scope["guard"]``, and no way to answer past us.

    Of a ``large`` body, which follows in pieces, the client's own Content-Length stays.
    """
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if (name not in _NOT_INWARDS or (large and name == b"content-length")) and not (rewritten and name in DIGESTS)
    ]
    if not large and (body or scope.get("method") in _BODY_METHODS):
        headers.append((b"content-length", str(len(body)).encode()))
    # pathsend and zerocopysend answer with bytes that we never see, trailers and push with what we do not read.
    extensions = {
        name: value
        for name, value in (scope.get("extensions") or {}).items()
        if not name.startswith(("http.response.", "websocket.http.response"))
    }
    return {**scope, "headers": headers, "extensions": extensions, "guard": context}
