"""The door: a pure ASGI middleware that holds configuration only.

``app.add_middleware(GuardMiddleware, config="guard.toml")`` in Starlette and FastAPI, ``GuardMiddleware(app,
config=...)`` around any other ASGI app.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard.config import GuardConfig, Route, load_config
from guard.errors import GuardError
from guard.exchange import Exchange, Matched
from guard.obligations.deny import unavailable
from guard.runtime import Runtime
from guard.telemetry import get_logger

_log = get_logger("guard.middleware")
_EVERYTHING: Final = Route(path="/**")
# Empty and dot segments, backslashes, parameters of a segment, and what is still percent-encoded after decoding.
_AMBIGUOUS: Final = re.compile(r"//|/\.{1,2}(/|$)|[\\;%]")


class GuardMiddleware:
    """Runs every request of the inspected routes, and its answer, through the guard."""

    def __init__(
        self,
        app: ASGIApp,
        config: GuardConfig | str | Path | None = None,
        *,
        runtime: Runtime | None = None,
        **keywords: Any,
    ) -> None:
        """``config`` is a ``GuardConfig`` or the path of a ``guard.toml``; ``keywords`` override its top-level keys.

        Raises ``ConfigError`` or ``PolicyInvalid``: an app whose guard cannot be built does not start.
        """
        if runtime is None:
            if not isinstance(config, GuardConfig):
                config = load_config(config, **keywords)
            elif keywords:
                raise TypeError("keywords override a file, not a GuardConfig: use config.model_copy(update=...)")
            runtime = Runtime(config)
        self.app = app
        self.runtime = runtime
        self._routes = Routes(runtime.config.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self.app, self.runtime).run(scope, receive, send)
            return
        matched = self._routes.match(scope["path"], scope.get("method", "WEBSOCKET"))
        if not matched.route.inspect:
            self.runtime.excluded_requests += 1
            await self.app(scope, receive, send)
        elif kind == "http":
            await self._inspect(matched, scope, receive, send)
        else:
            await _refuse_websocket(scope, receive, send)

    async def _inspect(self, matched: Matched, scope: Scope, receive: Receive, send: Send) -> None:
        services = self.runtime.services
        if services is None:
            try:
                services = await self.runtime.start()
            except GuardError as error:
                _log.error("the guard cannot start", error=str(error))
                await unavailable(send)
                return
        await Exchange(services, matched, self.app, scope=scope, receive=receive, send=send).run()


class Routes:
    """The routes of the configuration; the first that matches decides, and what none matches is inspected."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [
            (_pattern(route.path), frozenset(m.upper() for m in route.methods), _matched(route)) for route in routes
        ]
        self._otherwise = _matched(_EVERYTHING)

    def match(self, path: str, method: str) -> Matched:
        """The route of a request. An ambiguous path is never excluded: the app might resolve it to another route."""
        for pattern, methods, matched in self._routes:
            if pattern.fullmatch(path) and (not methods or method in methods):
                if not matched.route.inspect and _AMBIGUOUS.search(path):
                    break
                return matched
        return self._otherwise


def _matched(route: Route) -> Matched:
    return Matched(route, frozenset(route.field_names))


def _pattern(path: str) -> re.Pattern[str]:
    rest = path.endswith("/**")
    parts = (path[:-3] if rest else path).split("/")
    pattern = "/".join("[^/]*" if part == "*" else re.escape(part) for part in parts)
    return re.compile(pattern + ("(/.*)?" if rest else ""), re.DOTALL)


class Lifespan:
    """Starts and stops the guard around the app's own lifespan, also where the app has none or refuses it."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the lifespan scope. The guard starts before the app and stops after it."""
        startup: Message | None = await receive()
        try:
            await self._runtime.start()
        except GuardError as error:
            _log.error("the guard cannot start", error=str(error))
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        answered = False

        async def app_receive() -> Message:
            nonlocal startup
            if startup is not None:
                message, startup = startup, None
                return message
            return await receive()

        async def app_send(message: Message) -> None:
            nonlocal answered
            answered = True
            if message["type"] != "lifespan.startup.complete":
                await self._runtime.stop()
            await send(message)

        try:
            await self._app(scope, app_receive, app_send)
        except Exception:
            if answered:
                await self._runtime.stop()
                raise
            _log.info("the app takes no part in the lifespan")
        if not answered:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._runtime.stop()
            await send({"type": "lifespan.shutdown.complete"})


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket on an inspected route is refused before it is accepted: its messages cannot be inspected yet."""
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        body = b'{"title":"WebSockets on inspected routes are not supported yet","status":403}'
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": "not supported on inspected routes"})
