"""FastAPI, with ``app.add_middleware``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel

from guard import GuardMiddleware
from guard.config import GuardConfig
from tests.compat.apps import contract
from tests.compat.apps.starlette_app import lifespan


class Text(BaseModel):
    """The body of ``/ai/echo``."""

    text: str


class Message(BaseModel):
    """One message of a chat."""

    role: str
    content: str


class Chat(BaseModel):
    """The body of ``/ai/chat``."""

    messages: list[Message]


app = FastAPI(lifespan=lifespan)


@app.get("/ai/hello")
@app.head("/ai/hello")
async def hello() -> dict[str, str]:
    return {"text": "hello"}


@app.post("/ai/echo")
async def echo(body: Text, request: Request) -> dict[str, Any]:
    return contract.echo(body.text, effect=request.scope["guard"].effect)


@app.post("/ai/never")
async def never() -> dict[str, str]:
    contract.note("never")
    return {}


@app.post("/ai/form")
async def form(text: Annotated[str, Form()]) -> dict[str, Any]:
    return contract.echo(text)


@app.post("/ai/upload")
async def upload(
    text: Annotated[str, Form()], note: Annotated[UploadFile, File()], picture: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    return contract.upload(text, await note.read(), await picture.read())


@app.post("/ai/chat")
async def chat(body: Chat) -> StreamingResponse:
    return StreamingResponse(contract.chat(body.messages[0].content), media_type="text/event-stream")


@app.get("/ai/leak")
async def leak() -> dict[str, str]:
    return contract.leak()


@app.get("/ai/file")
async def file() -> FileResponse:
    return FileResponse(contract.file())


@app.post("/own/large")
async def large(request: Request) -> dict[str, Any]:
    return contract.large(await request.body())


@app.get("/own/flow")
async def flow() -> StreamingResponse:
    return StreamingResponse(contract.flow(), media_type="text/event-stream")


@app.post("/own/release")
async def release() -> dict[str, str]:
    return contract.release()


@app.get("/own/endless")
async def endless() -> StreamingResponse:
    return StreamingResponse(contract.endless(), media_type="text/event-stream")


@app.websocket("/ai/ws")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(contract.echo_message(await socket.receive_text()))
    except WebSocketDisconnect:
        return


def build(_framework: str, config: GuardConfig) -> FastAPI:
    """The app under its guard."""
    app.add_middleware(GuardMiddleware, config=config)
    return app
