"""The door: a pure ASGI middleware that holds configuration only.

``app.add_middleware(GuardMiddleware, config="guard.toml")`` in Starlette and FastAPI, ``GuardMiddleware(app,
config=...)`` around any other ASGI app.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard import content as reading
from guard import health
from guard.config import GuardConfig, Route
from guard.errors import GuardError
from guard.exchange import Conversation, Exchange, Matched, Services, undecided
from guard.obligations.deny import dialect_of, unavailable
from guard.reload import ConfigSource
from guard.runtime import Runtime
from guard.telemetry import get_logger

_log = get_logger("guard.middleware")
_EVERYTHING: Final = Route(path="/**")
# Empty and dot segments, backslashes, parameters of a segment, and what is still percent-encoded after decoding.
_UNRESOLVED: Final = re.compile(r"//|/\.{1,2}(/|$)|[\\;%]")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*([^?#]*)")


class GuardMiddleware:
    """Runs every request of the inspected routes, and its answer, through the guard."""

    def __init__(
        self,
        app: ASGIApp,
        /,
        config: GuardConfig | str | Path | None = None,
        *,
        runtime: Runtime | None = None,
        reload: bool | None = None,
        **keywords: Any,
    ) -> None:
        """``config`` is a ``GuardConfig`` or the path of a ``guard.toml``; ``keywords`` override its top-level keys.

        With ``reload``, the file and its policies are watched, and edits take effect while the app serves; ``None``
        leaves it to the key ``reload`` of the configuration. Raises ``ConfigError`` or ``PolicyInvalid``: an app whose
        guard cannot be built does not start.
        """
        if runtime is None:
            source = None
            if not isinstance(config, GuardConfig):
                source = ConfigSource.of(config, keywords if reload is None else {**keywords, "reload": reload})
                config = source.load()
            elif keywords:
                raise TypeError("keywords override a file, not a GuardConfig: use config.model_copy(update=...)")
            elif config.reload if reload is None else reload:
                raise TypeError("reload reads a file again: give its path, not a GuardConfig")
            runtime = Runtime(config, source=source)
        self.app = app
        self.runtime = runtime
        self._routing = (runtime.config, Routes(runtime.config.routes, runtime.config.health_path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self.app, self.runtime).run(scope, receive, send)
            return
        # Taken once: a reload between here and the exchange must not mix two configurations.
        services = self.runtime.services
        routes = self._routes(self.runtime.config if services is None else services.config)
        if scope["path"] in routes.probes and kind == "http" and scope["method"] in health.METHODS:
            await self._tell(routes.probes[scope["path"]], scope, send)
            return
        matched = routes.match(scope["path"], scope.get("method", "WEBSOCKET"), scope.get("root_path", ""))
        if not matched.route.inspect:
            self.runtime.excluded_requests += 1
            await self.app(scope, receive, send)
        else:
            await self._inspect(services, matched, scope, receive, send)

    def _routes(self, config: GuardConfig) -> Routes:
        routing = self._routing
        if routing[0] is not config:
            self._routing = routing = (config, Routes(config.routes, config.health_path))
        return routing[1]

    async def _tell(self, probe: health.Probe, scope: Scope, send: Send) -> None:
        """Health. Where no lifespan came, an orchestrator that waits for readiness is who starts the guard."""
        self.runtime.health_requests += 1
        if probe in ("report", "ready") and self.runtime.services is None:
            with suppress(GuardError):  # told as health, and logged where it failed
                await self.runtime.ready()
        await health.answer(probe, self.runtime, scope, send)

    async def _inspect(
        self, services: Services | None, matched: Matched, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if services is None:
            try:
                services = await self.runtime.ready()
            except GuardError as error:
                await self._serve_without(error, matched, scope, receive, send)
                return
        kind = Exchange if scope["type"] == "http" else Conversation
        await kind(services, matched, self.app, scope=scope, receive=receive, send=send).run()

    async def _serve_without(
        self, error: GuardError, matched: Matched, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """There is no guard: 503, or on to the app if the route fails open and the guard was not stopped on purpose."""
        runtime, route = self.runtime, matched.route
        if route.unsafe_fail_open and not runtime.stopped:
            runtime.tally.opened(route.path, error.code, "request")
            runtime.tally.unrecorded += 1
            await self.app({**scope, "guard": undecided(error)}, receive, send)
            return
        dialect = dialect_of(reading.choose(route.shape, scope["path"]).name, scope["path"])
        message = "The guard is stopped." if runtime.stopped else "The guard could not start; its log says why."
        await unavailable(send, scope, dialect, code=error.code, message=message)


class Routes:
    """The routes of the configuration; the first that matches decides, and what none matches is inspected. ``probes``
    are the paths that the guard answers itself."""

    def __init__(self, routes: Sequence[Route], health_path: str | None = None) -> None:
        self.probes = health.probes(health_path)
        self._routes = [(_pattern(route.path), _methods(route), self._matched(route)) for route in routes]
        # The same, but for a path that has something in each segment.
        self._filled = [(_pattern(each.route.path, "[^/]+"), methods, each) for _, methods, each in self._routes]
        self._otherwise = self._matched(_EVERYTHING)
        self._exact = any(not route.path.endswith("/**") for route in routes)

    def match(self, path: str, method: str, root_path: str = "") -> Matched:
        """The route of a request; marked ambiguous if a reader that resolves the path would take another.

        Starlette reads a path with and without the ``root_path`` in front alike; not every server puts it there.
        """
        method = method.upper()  # as Django and Quart read it
        matched = self._first(path, method)
        if root_path and not path.startswith(root_path) and self._first(root_path + path, method) is not matched:
            return dataclasses.replace(self._otherwise, ambiguous=True)
        if (_UNRESOLVED.search(path) and self._first(_resolved(path), method) is not matched) or (
            self._exact and path != "/" and self._hangs_on_slash(path, method, matched)
        ):
            return dataclasses.replace(self._otherwise, ambiguous=True)
        return matched

    def _hangs_on_slash(self, path: str, method: str, matched: Matched) -> bool:
        """Whether an inspected route before the matched one has this path but for its last slash, over which Litestar
        reads; or less would be inspected only because ``*`` stands for nothing (``/files/`` of ``/files/*``)."""
        if matched.route.path == path:
            return False  # the owner tells them apart
        other = path[:-1] if path.endswith("/") else path + "/"
        for pattern, methods, each in self._filled:
            if each is matched:
                return path.endswith("/") and not _is_guarded(each.route) and not pattern.fullmatch(path)
            if pattern.fullmatch(other) and (not methods or method in methods):
                return each.route.inspect
        return False

    def _matched(self, route: Route) -> Matched:
        def same_route(path: str, method: str) -> bool:
            other = self.match(path, method)
            return other.route is route and not other.ambiguous and path not in self.probes

        parts = route.path.removesuffix("/**").split("/")
        literal = frozenset(index for index, part in enumerate(parts, -1) if part not in ("", "*"))
        return Matched(route, frozenset(route.field_names), literal=literal, same_route=same_route)

    def _first(self, path: str, method: str) -> Matched:
        for pattern, methods, matched in self._routes:
            if pattern.fullmatch(path) and (not methods or method in methods):
                return matched
        return self._otherwise


def _resolved(path: str) -> str:
    """The path as the most obliging reader sees it: decoded again, without parameters, empty and dot segments, and that
    of a target in absolute form (RFC 9112, section 3.2.2) alone."""
    plain = re.sub(r";[^/]*", "", unquote(path)).replace("\\", "/")
    if absolute := _ABSOLUTE.match(plain):
        plain = absolute[1] or "/"
    return posixpath.normpath(re.sub(r"/+", "/", plain))


def _is_guarded(route: Route) -> bool:
    return route.inspect and not route.unsafe_fail_open and route.large_bodies == "refuse"


def _methods(route: Route) -> frozenset[str]:
    """The methods of a route. Who answers GET answers HEAD (RFC 9110, section 9.3.2)."""
    methods = {method.upper() for method in route.methods}
    return frozenset(methods | {"HEAD"} if "GET" in methods else methods)


def _pattern(path: str, segment: str = "[^/]*") -> re.Pattern[str]:
    rest = path.endswith("/**")
    parts = (path[:-3] if rest else path).split("/")
    pattern = "/".join(segment if part == "*" else re.escape(part) for part in parts)
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
            if not any(route.unsafe_fail_open for route in self._runtime.config.routes):
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            _log.warning("serving without a guard: routes that fail open pass, all others are refused")
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
