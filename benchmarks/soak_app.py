"""What ``benchmarks.soak`` serves: an app that answers in every way, the guard in front of it, and its vital signs.

The vital signs are asked for at ``VITALS_PATH``, past the guard. They are read from ``/proc`` and glibc, so this needs
Linux.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import resource
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from guard.middleware import GuardMiddleware

VITALS_PATH: Final = "/__vitals"
OBJECTS_PATH: Final = "/__objects"
_OURS: Final = ("guard.", "detectors.", "uvicorn.", "starlette.")


async def _chat(request: Request) -> Response:
    """Chat completions in OpenAI's shape: the answer says what was asked, whole or in events of a few words."""
    asked = json.loads(await request.body())
    text = f"You wrote: {asked['messages'][-1]['content']}"
    if asked.get("stream"):
        return StreamingResponse(_events(text), media_type="text/event-stream")
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return JSONResponse({"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice]})


async def _stream(request: Request) -> Response:
    """The text that was sent, in events of a few words. No model is asked, so nothing is redacted in the answer."""
    return StreamingResponse(_events(json.loads(await request.body())["text"]), media_type="text/event-stream")


async def _events(text: str) -> AsyncIterator[bytes]:
    for start in range(0, len(text), 48):
        yield _event(text[start : start + 48])
    yield b"data: [DONE]\n\n"


def _event(text: str) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def _endless(_request: Request) -> Response:
    """A stream that is longer than any client of the soak stays for."""

    async def events() -> AsyncIterator[bytes]:
        for number in range(500):
            yield _event(f"This is part {number}. ")
            await asyncio.sleep(0.002)

    return StreamingResponse(events(), media_type="text/event-stream")


async def _fails_late(_request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        yield _event("The beginning of an answer.")
        raise RuntimeError("the app fails in the middle of its answer")

    return StreamingResponse(events(), media_type="text/event-stream")


async def _messages(request: Request) -> Response:
    """Anthropic's Messages."""
    asked = json.loads(await request.body())["messages"][-1]["content"]
    block = {"type": "text", "text": f"You wrote: {asked}"}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [block], "usage": usage}
    return JSONResponse({**message, "stop_reason": "end_turn", "stop_sequence": None})


async def _size(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


async def _item(request: Request) -> Response:
    return JSONResponse({"item": request.path_params["item"], "query": request.url.query})


async def _download(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield bytes(16_384)

    return StreamingResponse(pieces(), media_type="application/octet-stream")


async def _fails(_request: Request) -> Response:
    raise RuntimeError("the app fails before it answers")


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _talk(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return


def answering() -> Starlette:
    """The app alone."""
    return Starlette(
        routes=[
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/local/stream", _stream, methods=["POST"]),
            Route("/local/endless", _endless, methods=["POST"]),
            Route("/local/fails-late", _fails_late, methods=["POST"]),
            Route("/v1/messages", _messages, methods=["POST"]),
            Route("/size", _size, methods=["POST"]),
            Route("/items/{item}", _item, methods=["GET", "HEAD"]),
            Route("/download", _download),
            Route("/fails", _fails, methods=["POST"]),
            Route("/health", _health),
            WebSocketRoute("/talk", _talk),
        ]
    )


def guarded() -> Vitals:
    """The whole guard over the app, configured by ``$SOAK_DIRECTORY/guard.toml``, which is watched."""
    guard = GuardMiddleware(answering(), Path(os.environ["SOAK_DIRECTORY"]) / "guard.toml", reload=True)
    return Vitals(guard)


class Vitals:
    """The guard, with the vital signs of its process beside it."""

    def __init__(self, guard: GuardMiddleware) -> None:
        self._guard = guard
        self._active = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a scope, and count it while it lasts."""
        if scope["type"] == "lifespan":
            await self._guard(scope, receive, send)
        elif scope["path"] == VITALS_PATH:
            await JSONResponse(self._signs())(scope, receive, send)
        elif scope["path"] == OBJECTS_PATH:
            await JSONResponse(_objects())(scope, receive, send)
        else:
            self._active += 1
            try:
                await self._guard(scope, receive, send)
            finally:
                self._active -= 1

    def _signs(self) -> dict[str, int | float]:
        # Looked at before the collection: what waits for the collector is memory in use, too.
        rss_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
        gc.collect()
        state = self._guard.runtime.reload_state
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "active": self._active,
            "rss_bytes": rss_bytes,
            "native_bytes": _native_bytes(),
            "blocks": sys.getallocatedblocks(),
            "fds": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - entries, not paths
            "threads": threading.active_count(),
            "tasks": len(asyncio.all_tasks()),
            "reloads": state.reloads if state else 0,
            "reloads_failed": state.failures if state else 0,
            "cpu_seconds": used.ru_utime + used.ru_stime,
        }


class _Mallinfo2(ctypes.Structure):
    """What ``mallinfo2(3)`` of glibc returns."""

    # Ten counters; of these, the fifth is what was mapped for large blocks and the eighth what is in use of the arenas.
    _fields_ = tuple((name, ctypes.c_size_t) for name in "abcdefghij")


def _native_bytes() -> int:
    """Bytes in use of the C library's allocator: what is left of resident memory once its free space is taken away."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    told = mallinfo2()
    return int(told.e + told.h)


def _objects() -> dict[str, int]:
    """How many objects of each class of ours and of the server are alive."""
    gc.collect()
    kinds = Counter(type(thing) for thing in gc.get_objects())
    named = {f"{kind.__module__}.{kind.__qualname__}": count for kind, count in kinds.items()}
    return {name: count for name, count in named.items() if name.startswith(_OURS)}
