"""Starlette: the guard as middleware, around a mounted sub-app, inside one, and between other middlewares."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from guard import GuardMiddleware
from guard.config import GuardConfig
from tests.compat.apps import contract

ORIGIN = "https://app.example"


@contextlib.asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """The app's own startup and shutdown."""
    contract.note("up")
    yield
    contract.note("down")


async def hello(_request: Request) -> Response:
    return JSONResponse({"text": "hello"})


async def echo(request: Request) -> Response:
    body = await request.json()
    return JSONResponse(contract.echo(body["text"], effect=request.scope["guard"].effect))


async def never(_request: Request) -> Response:
    contract.note("never")
    return JSONResponse({})


async def form(request: Request) -> Response:
    fields = await request.form()
    return JSONResponse(contract.echo(str(fields["text"])))


async def upload(request: Request) -> Response:
    async with request.form() as form:
        note, picture = form["note"], form["picture"]
        assert not isinstance(note, str)
        assert not isinstance(picture, str)
        return JSONResponse(contract.upload(str(form["text"]), await note.read(), await picture.read()))


async def chat(request: Request) -> Response:
    body = await request.json()
    return StreamingResponse(contract.chat(body["messages"][0]["content"]), media_type="text/event-stream")


async def leak(_request: Request) -> Response:
    return JSONResponse(contract.leak())


async def file(_request: Request) -> Response:
    return FileResponse(contract.file())


async def large(request: Request) -> Response:
    return JSONResponse(contract.large(await request.body()))


async def flow(_request: Request) -> Response:
    return StreamingResponse(contract.flow(), media_type="text/event-stream")


async def release(_request: Request) -> Response:
    return JSONResponse(contract.release())


async def endless(_request: Request) -> Response:
    return StreamingResponse(contract.endless(), media_type="text/event-stream")


async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(contract.echo_message(await socket.receive_text()))


def routes() -> list[BaseRoute]:
    """The endpoints."""
    return [
        Route("/ai/hello", hello),
        Route("/ai/echo", echo, methods=["POST"]),
        Route("/ai/never", never, methods=["POST"]),
        Route("/ai/form", form, methods=["POST"]),
        Route("/ai/upload", upload, methods=["POST"]),
        Route("/ai/chat", chat, methods=["POST"]),
        Route("/ai/leak", leak),
        Route("/ai/file", file),
        Route("/own/large", large, methods=["POST"]),
        Route("/own/flow", flow),
        Route("/own/release", release, methods=["POST"]),
        Route("/own/endless", endless),
        WebSocketRoute("/ai/ws", websocket),
    ]


def build(framework: str, config: GuardConfig) -> Any:
    """One of the four ways to mount the guard with Starlette."""
    guard: Middleware = Middleware(GuardMiddleware, config=config)
    if framework == "Starlette, mounted sub-app":
        return Starlette(routes=[Mount("/sub", app=Starlette(routes=routes()))], middleware=[guard], lifespan=lifespan)
    if framework == "Starlette, guard in a sub-app":
        inner = Starlette(routes=routes(), middleware=[guard])
        return Starlette(routes=[Mount("/sub", app=inner)], lifespan=lifespan)
    if framework == "Starlette, GZip outside, CORS inside":
        cors: Middleware = Middleware(CORSMiddleware, allow_origins=[ORIGIN], allow_methods=["*"])
        outside: Middleware = Middleware(GZipMiddleware, minimum_size=1)
        return Starlette(routes=routes(), middleware=[outside, guard, cors], lifespan=lifespan)
    return Starlette(routes=routes(), middleware=[guard], lifespan=lifespan)
