"""Where the guard stands in an app: outermost, once, and with nothing inside that hides texts from it.

The app is imported, not started. Walked are Starlette's and FastAPI's own lists of middleware, mounted sub-apps, and
any object that holds the app it wraps as ``app`` or ``asgi_app``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.routing import Mount

from guard.cli.diagnosis.check import Check
from guard.config import GuardConfig
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
    return found


def check_app(name: str, config: GuardConfig | None) -> Iterator[Check]:
    """All that is to be said of how the app is mounted."""
    try:
        app = load_app(name)
    except AppUnusable as error:
        yield Check("app", "problem", str(error), name, "name it as the server does, for example main:app")
        return
    except Exception as error:  # noqa: BLE001 - an app's module may raise anything
        what = f"it cannot be imported: {type(error).__name__}: {error}"
        yield Check("app", "problem", what, name, "run it from the directory from which the server is started")
        return
    yield from check_stack(app, name, config)


def check_stack(app: Any, where: str, config: GuardConfig | None) -> Iterator[Check]:
    """The checks of an app object."""
    stack = list(layers(app))
    mounted = [(number, layer) for number, layer in enumerate(stack) if layer.guards]
    if not mounted:
        inner = sorted({layer.prefix for layer in mounts(app) if layer.guards})
        if inner:
            what = f"only {', '.join(inner)} is guarded; the rest of the app is not"
            yield Check(_NAME, "warning", what, where, "mount GuardMiddleware on the outer app")
        else:
            mend = "app.add_middleware(GuardMiddleware, config=...) or GuardMiddleware(app, config=...)"
            yield Check(_NAME, "problem", "there is no GuardMiddleware in the app", where, mend)
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
            yield Layer(type(app))
        if isinstance(app, Starlette):
            # Starlette builds its stack with the first request; this is the list it will build it from.
            for middleware in app.user_middleware:
                if isinstance(middleware.cls, type):
                    yield Layer(middleware.cls)
            return
        app = _inner(app)


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
                yield Layer(layer.kind, path)
            yield from mounts(route.app, path)
