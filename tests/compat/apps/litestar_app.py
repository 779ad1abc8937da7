"""Litestar, wrapped from outside: its own middleware runs after routing and never sees the lifespan."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, WebSocket, get, head, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.response import File, Stream

from guard import GuardMiddleware
from guard.config import GuardConfig
from tests.compat.apps import contract


@get("/ai/hello")
async def hello() -> dict[str, str]:
    return {"text": "hello"}


@head("/ai/hello")
async def hello_head() -> None:
    return None


@post("/ai/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
    body = await request.json()
    return contract.echo(body["text"], effect=request.scope["guard"].effect)  # type: ignore[typeddict-item]


@post("/ai/never", status_code=200)
async def never() -> dict[str, str]:
    contract.note("never")
    return {}


@post("/ai/form", status_code=200)
async def form(request: Request[Any, Any, Any]) -> dict[str, Any]:
    fields = await request.form()
    return contract.echo(fields["text"])


@post("/ai/upload", status_code=200)
async def upload(request: Request[Any, Any, Any]) -> dict[str, Any]:
    fields = await request.form()
    return contract.upload(fields["text"], await fields["note"].read(), await fields["picture"].read())


@post("/ai/chat", status_code=200)
async def chat(request: Request[Any, Any, Any]) -> Stream:
    body = await request.json()
    return Stream(contract.chat(body["messages"][0]["content"]), media_type="text/event-stream")


@get("/ai/leak")
async def leak() -> dict[str, str]:
    return contract.leak()


@get("/ai/file")
async def file() -> File:
    return File(contract.file(), media_type="text/plain")


@post("/own/large", status_code=200)
async def large(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return contract.large(await request.body())


@get("/own/flow")
async def flow() -> Stream:
    return Stream(contract.flow(), media_type="text/event-stream")


@post("/own/release", status_code=200)
async def release() -> dict[str, str]:
    return contract.release()


@get("/own/endless")
async def endless() -> Stream:
    return Stream(contract.endless(), media_type="text/event-stream")


@websocket("/ai/ws")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(contract.echo_message(await socket.receive_text()))
    except WebSocketDisconnect:
        return


def build(_framework: str, config: GuardConfig) -> GuardMiddleware:
    """The app under its guard."""
    handlers = [hello, hello_head, echo, never, form, upload, chat, leak, file, large, flow, release, endless, socket]
    app = Litestar(
        route_handlers=handlers,
        on_startup=[lambda: contract.note("up")],
        on_shutdown=[lambda: contract.note("down")],
        openapi_config=None,
    )
    return GuardMiddleware(app, config)  # type: ignore[arg-type]
