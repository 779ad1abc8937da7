"""Quart, with ``app.asgi_app`` wrapped."""

from __future__ import annotations

from typing import Any

from quart import Quart, Response, request, send_file, websocket

from guard import GuardMiddleware
from guard.config import GuardConfig
from tests.compat.apps import contract

app = Quart(__name__)


@app.before_serving
async def up() -> None:
    contract.note("up")


@app.after_serving
async def down() -> None:
    contract.note("down")


@app.get("/ai/hello")
async def hello() -> dict[str, str]:
    return {"text": "hello"}


@app.post("/ai/echo")
async def echo() -> dict[str, Any]:
    body = await request.get_json()
    return contract.echo(body["text"], effect=request.scope["guard"].effect)  # type: ignore[typeddict-item]


@app.post("/ai/never")
async def never() -> dict[str, str]:
    contract.note("never")
    return {}


@app.post("/ai/form")
async def form() -> dict[str, Any]:
    return contract.echo((await request.form)["text"])


@app.post("/ai/upload")
async def upload() -> dict[str, Any]:
    fields, files = await request.form, await request.files
    return contract.upload(fields["text"], files["note"].read(), files["picture"].read())


@app.post("/ai/chat")
async def chat() -> Response:
    body = await request.get_json()
    return Response(contract.chat(body["messages"][0]["content"]), content_type="text/event-stream")


@app.get("/ai/leak")
async def leak() -> dict[str, str]:
    return contract.leak()


@app.get("/ai/file")
async def file() -> Response:
    return await send_file(contract.file())


@app.post("/own/large")
async def large() -> dict[str, Any]:
    return contract.large(await request.get_data())  # type: ignore[arg-type]


@app.get("/own/flow")
async def flow() -> Response:
    return Response(contract.flow(), content_type="text/event-stream")


@app.post("/own/release")
async def release() -> dict[str, str]:
    return contract.release()


@app.get("/own/endless")
async def endless() -> Response:
    return Response(contract.endless(), content_type="text/event-stream")


@app.websocket("/ai/ws")
async def socket() -> None:
    while True:
        await websocket.send(contract.echo_message(str(await websocket.receive())))


def build(_framework: str, config: GuardConfig) -> Quart:
    """The app under its guard."""
    app.asgi_app = GuardMiddleware(app.asgi_app, config)  # type: ignore[method-assign, assignment, arg-type]
    return app
