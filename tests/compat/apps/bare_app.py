"""ASGI without a framework, as far as the protocol goes: it uses ``http.response.pathsend`` wherever it is offered."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request

from guard import GuardMiddleware
from guard.config import GuardConfig
from tests.compat.apps import contract

EVENTS = [(b"content-type", b"text/event-stream")]
TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Lifespan, WebSocket and HTTP."""
    if scope["type"] == "lifespan":
        await serve_lifespan(receive, send)
    elif scope["type"] == "websocket":
        await serve_websocket(receive, send)
    else:
        await serve_http(scope, receive, send)


async def serve_lifespan(receive: Any, send: Any) -> None:
    await receive()
    contract.note("up")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    contract.note("down")
    await send({"type": "lifespan.shutdown.complete"})


async def serve_websocket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": contract.echo_message(message["text"])})


async def serve_http(scope: Any, receive: Any, send: Any) -> None:
    streams = {"/own/flow": contract.flow, "/own/endless": contract.endless}
    path = scope["path"]
    if path in streams:
        await stream(streams[path](), receive, send)
    elif path == "/ai/chat":
        body = json.loads(await whole(receive))
        await stream(contract.chat(body["messages"][0]["content"]), receive, send)
    elif path in {"/ai/file", "/free/file"}:
        await send_file(scope, send)
    else:
        body = json.dumps(await answer(scope, receive)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def answer(scope: Any, receive: Any) -> Any:
    """The JSON answers."""
    match scope["path"]:
        case "/ai/echo":
            return contract.echo(json.loads(await whole(receive))["text"], effect=scope["guard"].effect)
        case "/ai/never":
            return contract.note("never")
        case "/ai/form":
            async with Request(scope, receive).form() as form:
                return contract.echo(str(form["text"]))
        case "/ai/upload":
            async with Request(scope, receive).form() as form:
                note: Any = form["note"]
                picture: Any = form["picture"]
                return contract.upload(str(form["text"]), await note.read(), await picture.read())
        case "/own/large":
            return contract.large(await whole(receive))
        case "/ai/leak":
            return contract.leak()
        case "/own/release":
            return contract.release()
    return {"text": "hello"}


async def whole(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def send_file(scope: Any, send: Any) -> None:
    path = contract.file()
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    if "http.response.pathsend" in (scope.get("extensions") or {}):
        contract.note("path sent")
        await send({"type": "http.response.pathsend", "path": str(path)})
    else:
        await send({"type": "http.response.body", "body": path.read_bytes()})


async def stream(chunks: AsyncIterator[bytes], receive: Any, send: Any) -> None:
    """Send a stream until it ends or the client leaves."""
    await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
    sending = asyncio.create_task(send_all(chunks, send))
    leaving = asyncio.create_task(left(receive))
    done, pending = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    for task in done:
        task.result()


async def send_all(chunks: AsyncIterator[bytes], send: Any) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def build(_framework: str, config: GuardConfig) -> GuardMiddleware:
    """The app under its guard."""
    return GuardMiddleware(app, config)
