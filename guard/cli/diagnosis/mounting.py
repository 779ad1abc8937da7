"""Where the guard stands in an app: outermost, once, and with nothing inside that hides texts from it.

The app is imported, not started. Walked are Starlette's and FastAPI's own lists of middleware, mounted sub-apps, and
any object that holds the app it wraps as ``app`` or ``asgi_app``.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.routing import Mount

from guard.cli.diagnosis.check import Check
from guard.config import GuardConfig
from guard.config.load import find_config_file
from guard.middleware import GuardMiddleware

# What may stand outside: it reads and sets headers, refuses, or changes the bytes on the wire and not the text.
HARMLESS_OUTSIDE: Final = frozenset(
    {
        "AuthenticationMiddleware",
        "BrotliMiddleware",
        "CORSMiddleware",
        "CompressMiddleware",
        "CorrelationIdMiddleware",
        "GZipMiddleware",
        "HTTPSRedirectMiddleware",
        "OpenTelemetryMiddleware",
        "PrometheusMiddleware",
        "ProxyHeadersMiddleware",
        "RequestBodyLimitMiddleware",
        "SentryAsgiMiddleware",
        "ServerErrorMiddleware",
        "SessionMiddleware",
        "TrustedHostMiddleware",
        "ZstdMiddleware",
    }
)
_COMPRESSES: Final = ("gzip", "brotli", "compress", "zstd", "deflate")
_LAYERS: Final = 64
_NAME: Final = "mount order"


class Layer(msgspec.Struct, frozen=True):
    """One ASGI app of a stack, by its class. ``prefix`` is the path under which it is reached."""

    kind: type[Any]
    prefix: str = ""
    config: Any = None
    """What a guard was given as its configuration, if that can be seen: a path or a ``GuardConfig``."""

    @property
    def guards(self) -> bool:
        """Whether it is the guard's middleware."""
        return issubclass(self.kind, GuardMiddleware)

    @property
    def compresses(self) -> bool:
        """Whether its name says that it compresses answers."""
        return any(word in self.kind.__name__.lower() for word in _COMPRESSES)


class AppUnusable(Exception):
    """``module:attribute`` names no app."""


def load_app(name: str) -> Any:
    """The app that ``module:attribute`` names, imported as servers do, from the working directory.

    Raises ``AppUnusable``, or whatever the module raises.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise AppUnusable("give the app as module:attribute")
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is a string
    if here not in sys.path:
        sys.path.insert(0, here)
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise AppUnusable(f"{module} has no attribute {attribute}")
    if not callable(found):
        raise AppUnusable(f"{name} is no ASGI app: it cannot be called")
    required = _required(found)
    if required == 0:
        raise AppUnusable(f"{name} makes an app when it is called, and nothing was called: name an app that is made")
    if required == 2:
        raise AppUnusable(f"{name} is a WSGI app, which no ASGI middleware can stand in front of")
    return found


def _required(app: Any) -> int | None:
    """How many arguments a call needs; ``None`` where that cannot be seen."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind == inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(parameter.kind in plain and parameter.default is parameter.empty for parameter in parameters)


def check_app(name: str, config: GuardConfig | None, path: Path | None = None) -> Iterator[Check]:
    """All that is to be said of how the app is mounted."""
    try:
        app = load_app(name)
    except AppUnusable as error:
        yield Check("app", "problem", str(error), name, "name it as the server does, for example main:app")
        return
    except Exception as error:  # noqa: BLE001 - an app's module may raise anything
        what = f"it cannot be imported: {type(error).__name__}: {error}"
        mend = "run it from the directory from which the server is started"
        if isinstance(error, TypeError) and GuardMiddleware.__name__ in str(error):
            # Litestar's middleware= builds a stack for each route, inside of routing and lifespan.
            mend = "wrap the finished app: app = GuardMiddleware(app, config=...)"
        yield Check("app", "problem", what, name, mend)
        return
    yield from check_stack(app, name, config)
    yield from _configured(app, name, config, path)


def check_stack(app: Any, where: str, config: GuardConfig | None) -> Iterator[Check]:
    """The checks of an app object."""
    stack = list(layers(app))
    mounted = [(number, layer) for number, layer in enumerate(stack) if layer.guards]
    if not mounted:
        yield _unguarded(app, stack, where)
        return
    place = mounted[0][0]
    found = list(_beside(stack[:place], stack[place + 1 :], where, config))
    twice = len(mounted) - 1 + sum(layer.guards for layer in mounts(app))
    if twice:
        what = "the guard is mounted more than once: each request is inspected, decided and recorded again"
        found.append(Check(_NAME, "warning", what, where, "mount it once, on the outermost app"))
    if not found:
        outside = ", ".join(layer.kind.__name__ for layer in stack[:place] if not issubclass(layer.kind, Starlette))
        what = f"only {outside} stands outside the guard" if outside else "the guard is outermost"
        found.append(Check(_NAME, "ok", what, where))
    yield from found


def _unguarded(app: Any, stack: list[Layer], where: str) -> Check:
    inner = sorted({layer.prefix for layer in mounts(app) if layer.guards})
    if inner:
        what = f"only {', '.join(inner)} is guarded; the rest of the app is not"
        what += "; and a mounted app sees no lifespan: the guard starts with the first request, and no stop closes it"
        return Check(_NAME, "warning", what, where, "mount GuardMiddleware on the outer app")
    mend = "app.add_middleware(GuardMiddleware, config=...) or GuardMiddleware(app, config=...)"
    last = stack[-1].kind
    if last in (types.FunctionType, types.MethodType):
        what = "no GuardMiddleware can be seen: the app is a function, and what it calls is not"
        return Check(_NAME, "problem", what, where, f"{mend}, outermost")
    return Check(_NAME, "problem", "there is no GuardMiddleware in the app", where, mend)


def _configured(app: Any, where: str, config: GuardConfig | None, path: Path | None) -> Iterator[Check]:
    """The guard of the app reads the configuration that was examined, and no other."""
    if config is None:
        return
    examined = find_config_file(path)
    for layer in (*layers(app), *mounts(app)):
        if not layer.guards:
            continue
        if isinstance(layer.config, GuardConfig):
            other = layer.config != config
            said = "a GuardConfig of its own"
        else:
            read = find_config_file(layer.config)
            other = (read and read.resolve()) != (examined and examined.resolve())
            said = str(read or "the defaults")
        if other:
            what = f"the guard of the app runs under {said}, and {examined or 'the defaults'} was examined"
            yield Check("app configuration", "warning", what, where, "name the same file with --config")


def _beside(outside: list[Layer], inside: list[Layer], where: str, config: GuardConfig | None) -> Iterator[Check]:
    for layer in outside:
        name = layer.kind.__name__
        if name not in HARMLESS_OUTSIDE and not issubclass(layer.kind, Starlette):
            what = f"{name} stands outside the guard: what it answers or changes is not inspected"
            mend = "add GuardMiddleware last with add_middleware, or first in the list of middleware"
            yield Check(_NAME, "warning", what, where, mend)
    for layer in inside:
        name = layer.kind.__name__
        if layer.compresses:
            what = f"{name} stands inside the guard: it compresses nothing, as the guard asks for plain answers"
            yield Check(_NAME, "warning", what, where, f"move {name} outside of the guard")
        elif name == "AuthenticationMiddleware" and config is not None and config.identity.scope_user:
            what = "AuthenticationMiddleware stands inside the guard, which sees every caller as anonymous"
            mend = "move it outside of the guard, or turn identity.scope_user off"
            yield Check(_NAME, "problem", what, where, mend)


def layers(app: Any) -> Iterator[Layer]:
    """The stack from the outermost ASGI app inwards, as far as it can be seen."""
    seen: set[int] = set()
    while app is not None and id(app) not in seen and len(seen) < _LAYERS:
        seen.add(id(app))
        if "asgi_app" not in getattr(app, "__dict__", {}):  # Quart: wrapped from within, it is no layer of its own
            yield Layer(type(app), config=app.runtime.config if isinstance(app, GuardMiddleware) else None)
        if isinstance(app, Starlette):
            # Starlette builds its stack with the first request; this is the list it will build it from.
            for middleware in app.user_middleware:
                if isinstance(middleware.cls, type):
                    given = middleware.kwargs.get("config", next(iter(middleware.args), None))
                    yield Layer(middleware.cls, config=given)
            return
        if type(app).__module__.startswith("litestar."):
            yield from _of_litestar(app)
            return
        app = _inner(app)


def _of_litestar(app: Any) -> Iterator[Layer]:
    """Litestar's own list: classes, or ``DefineMiddleware`` around them."""
    for each in getattr(app, "middleware", ()):
        kind = getattr(each, "middleware", each)
        if isinstance(kind, type):
            yield Layer(kind)


def _inner(app: Any) -> Any:
    """What an ASGI app wraps: ``app`` for most, ``asgi_app`` for Quart, if an object of its own."""
    held = getattr(app, "__dict__", {})
    return next((held[name] for name in ("asgi_app", "app", "_app") if callable(held.get(name))), None)


def mounts(app: Any, prefix: str = "") -> Iterator[Layer]:
    """The layers of sub-apps that are mounted under a path."""
    while app is not None and not isinstance(app, Starlette):
        app = _inner(app)
    for route in getattr(app, "routes", ()):
        if isinstance(route, Mount):
            path = prefix + route.path
            for layer in layers(route.app):
                yield Layer(layer.kind, path, layer.config)
            yield from mounts(route.app, path)
