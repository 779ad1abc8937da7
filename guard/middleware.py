"""The door: a pure ASGI middleware that holds configuration only.

``app.add_middleware(GuardMiddleware, config="guard.toml")`` in Starlette and FastAPI, ``GuardMiddleware(app,
config=...)`` around any other ASGI app.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard.config import GuardConfig, Route, load_config
from guard.errors import GuardError
from guard.exchange import Conversation, Exchange, Matched, Services
from guard.obligations.deny import unavailable
from guard.reload import ConfigSource
from guard.runtime import Runtime
from guard.telemetry import get_logger

_log = get_logger("guard.middleware")
_EVERYTHING: Final = Route(path="/**")
# Empty and dot segments, backslashes, parameters of a segment, and what is still percent-encoded after decoding.
_UNRESOLVED: Final = re.compile(r"//|/\.{1,2}(/|$)|[\\;%]")


class GuardMiddleware:
    """Runs every request of the inspected routes, and its answer, through the guard."""

    def __init__(
        self,
        app: ASGIApp,
        /,
        config: GuardConfig | str | Path | None = None,
        *,
        runtime: Runtime | None = None,
        reload: bool = False,
        **keywords: Any,
    ) -> None:
        """``config`` is a ``GuardConfig`` or the path of a ``guard.toml``; ``keywords`` override its top-level keys.

        With ``reload``, the file and its policies are watched, and edits take effect while the app serves. Raises
        ``ConfigError`` or ``PolicyInvalid``: an app whose guard cannot be built does not start.
        """
        if runtime is None:
            source = None
            if not isinstance(config, GuardConfig):
                source = ConfigSource.of(config, keywords) if reload else None
                config = load_config(config, **keywords)
            elif keywords:
                raise TypeError("keywords override a file, not a GuardConfig: use config.model_copy(update=...)")
            elif reload:
                raise TypeError("reload reads a file again: give its path, not a GuardConfig")
            runtime = Runtime(config, source=source)
        self.app = app
        self.runtime = runtime
        self._routing = (runtime.config, Routes(runtime.config.routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self.app, self.runtime).run(scope, receive, send)
            return
        # Taken once: a reload between here and the exchange must not mix two configurations.
        services = self.runtime.services
        matched = self._match(scope, self.runtime.config if services is None else services.config)
        if not matched.route.inspect:
            self.runtime.excluded_requests += 1
            await self.app(scope, receive, send)
        else:
            await self._inspect(services, matched, scope, receive, send)

    def _match(self, scope: Scope, config: GuardConfig) -> Matched:
        routing = self._routing
        if routing[0] is not config:
            self._routing = routing = (config, Routes(config.routes))
        return routing[1].match(scope["path"], scope.get("method", "WEBSOCKET"))

    async def _inspect(
        self, services: Services | None, matched: Matched, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if services is None:
            try:
                services = await self.runtime.start()
            except GuardError as error:
                _log.error("the guard cannot start", error=str(error))
                await unavailable(send, scope["type"])
                return
        kind = Exchange if scope["type"] == "http" else Conversation
        await kind(services, matched, self.app, scope=scope, receive=receive, send=send).run()


class Routes:
    """The routes of the configuration; the first that matches decides, and what none matches is inspected."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [
            (_pattern(route.path), frozenset(m.upper() for m in route.methods), _matched(route)) for route in routes
        ]
        self._otherwise = _matched(_EVERYTHING)

    def match(self, path: str, method: str) -> Matched:
        """The route of a request; marked ambiguous if a reader that resolves the path would take another."""
        matched = self._first(path, method)
        if _UNRESOLVED.search(path) and self._first(_resolved(path), method) is not matched:
            return dataclasses.replace(self._otherwise, ambiguous=True)
        return matched

    def _first(self, path: str, method: str) -> Matched:
        for pattern, methods, matched in self._routes:
            if pattern.fullmatch(path) and (not methods or method in methods):
                return matched
        return self._otherwise


def _resolved(path: str) -> str:
    """The path as the most obliging reader sees it: decoded again, without parameters, empty and dot segments."""
    plain = re.sub(r";[^/]*", "", unquote(path)).replace("\\", "/")
    return posixpath.normpath(re.sub(r"/+", "/", plain))


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
