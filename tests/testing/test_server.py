"""The in-thread server: a real socket, a real lifespan, clean start and stop."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from guard.testing.server import serve


def app_with_lifespan(events: list[str], *, fails: bool = False) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if fails:
            raise LookupError("no database")
        events.append("started")
        yield
        events.append("stopped")

    async def home(request: Request) -> PlainTextResponse:
        assert request.client is not None
        return PlainTextResponse(request.client.host)

    return Starlette(routes=[Route("/", home)], lifespan=lifespan)


def test_app_is_served_between_start_and_stop() -> None:
    """The lifespan has started when the block begins and has ended when it is left; the thread is gone."""
    events: list[str] = []
    before = set(threading.enumerate())
    with serve(app_with_lifespan(events)) as url:
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(url).text == "127.0.0.1"
        assert events == ["started"]
    assert events == ["started", "stopped"]
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_forwarded_addresses_are_not_believed() -> None:
    """The peer is the peer: no header of a client changes ``scope["client"]``."""
    with serve(app_with_lifespan([])) as url:
        assert httpx.get(url, headers={"x-forwarded-for": "10.0.0.1"}).text == "127.0.0.1"


def test_app_that_does_not_start_is_an_error() -> None:
    """A lifespan that fails is told at once; nothing keeps running."""
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="did not start"), serve(app_with_lifespan([], fails=True), lifespan="on"):
        pytest.fail("served an app that did not start")
    assert set(threading.enumerate()) <= before


def test_app_without_a_lifespan_is_served() -> None:
    """A bare ASGI callable that knows HTTP only is an app, too."""

    async def app(scope: dict[str, Any], _receive: object, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with serve(app) as url:
        assert httpx.get(url).status_code == 204


def test_the_blocks_own_error_passes_and_the_server_stops() -> None:
    """A failing test fails with its own error, after a clean stop."""
    events: list[str] = []
    with pytest.raises(ZeroDivisionError), serve(app_with_lifespan(events)):
        raise ZeroDivisionError
    assert events == ["started", "stopped"]


def test_servers_stand_side_by_side() -> None:
    """Each server has a port of its own."""
    with serve(app_with_lifespan([])) as one, serve(app_with_lifespan([])) as other:
        assert one != other
        assert httpx.get(one).status_code == httpx.get(other).status_code == 200
