"""A model provider that needs no key and no network: OpenAI's and Anthropic's wire formats over a script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from guard.testing import anthropic_wire, openai_wire, responses_wire
from guard.testing.script import Reply, Script, default_script

__all__ = ["Received", "mock_model"]


class Received(msgspec.Struct, frozen=True):
    """A request as it reached the provider: the body's bytes and the headers in order, names in lower case."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class MidStreamDeath(ConnectionError):
    """Raised on purpose in the middle of a stream: the server then breaks the connection."""


def mock_model(script: Script | None = None) -> Starlette:
    """An ASGI app that answers ``/v1/chat/completions``, ``/v1/responses``, ``/v1/messages`` and ``/v1/models``,
    plain and streamed.

    ``script`` maps each ``Call`` to a ``Reply``; by default ``default_script``. ``app.state.received`` lists what
    arrived, oldest first. Answers depend on the script, the request's bytes and its number only.
    """
    provider = _Provider(script or default_script)
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", provider.chat, methods=["POST"]),
            Route("/v1/responses", provider.responses, methods=["POST"]),
            Route("/v1/messages", provider.messages, methods=["POST"]),
            Route("/v1/models", provider.models, methods=["GET"]),
            Route("/v1/models/{name}", provider.model, methods=["GET"]),
        ]
    )
    app.state.received = provider.received
    return app


class _Provider:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.received: list[Received] = []

    async def chat(self, request: Request) -> Response:
        """``POST /v1/chat/completions``."""
        return await self._openai(request, openai_wire)

    async def responses(self, request: Request) -> Response:
        """``POST /v1/responses``."""
        return await self._openai(request, responses_wire)

    async def _openai(self, request: Request, wire: Any) -> Response:
        ident = await self._take(request)
        headers = {"x-request-id": f"req_{ident}", "openai-version": "2020-10-01"}
        try:
            call = wire.read(_body(self.received[-1]))
        except ValueError as error:
            return JSONResponse(openai_wire.error(400, str(error)), 400, headers)
        reply = self._script(call)
        if reply.status != 200:
            return JSONResponse(openai_wire.error(reply.status, reply.text), reply.status, headers | _retry(reply))
        if call.stream:
            return _streamed(reply, wire.events(call, reply, ident), headers)
        return await _whole(reply, wire.answer(call, reply, ident), headers)

    async def messages(self, request: Request) -> Response:
        """``POST /v1/messages``."""
        ident = await self._take(request)
        headers = {"request-id": f"req_{ident}"}
        try:
            call = anthropic_wire.read(_body(self.received[-1]))
        except ValueError as error:
            return JSONResponse(anthropic_wire.error(400, str(error), f"req_{ident}"), 400, headers)
        reply = self._script(call)
        if reply.status != 200:
            body = anthropic_wire.error(reply.status, reply.text, f"req_{ident}")
            return JSONResponse(body, reply.status, headers | _retry(reply))
        if call.stream:
            return _streamed(reply, anthropic_wire.events(call, reply, ident), headers)
        return await _whole(reply, anthropic_wire.answer(call, reply, ident), headers)

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``, in Anthropic's shape for clients that name its version."""
        await self._take(request)
        return JSONResponse(_wire(request).models())

    async def model(self, request: Request) -> Response:
        """``GET /v1/models/{name}``."""
        ident = await self._take(request)
        name = request.path_params["name"]
        if name in openai_wire.MODELS:
            return JSONResponse(_wire(request).model(name))
        message = f"The model '{name}' does not exist"
        if _wire(request) is anthropic_wire:
            return JSONResponse(anthropic_wire.error(404, message, f"req_{ident}"), 404)
        return JSONResponse(openai_wire.error(404, message), 404)

    async def _take(self, request: Request) -> str:
        """Record a request; 24 hex digits that identify it."""
        body = await request.body()
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        self.received.append(Received(request.method, request.url.path, headers, body))
        return hashlib.sha256(b"%d:" % len(self.received) + body).hexdigest()[:24]


def _wire(request: Request) -> Any:
    return anthropic_wire if "anthropic-version" in request.headers else openai_wire


def _body(received: Received) -> dict[str, Any]:
    try:
        body = received.json
    except ValueError:
        raise ValueError("could not parse the JSON body of the request") from None
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def _retry(reply: Reply) -> dict[str, str]:
    return {"retry-after": "1"} if reply.status == 429 else {}


async def _whole(reply: Reply, body: dict[str, Any], headers: dict[str, str]) -> Response:
    if reply.delay_seconds:
        await anyio.sleep(reply.delay_seconds)
    if reply.dies_after_pieces is None:
        return JSONResponse(body, headers=headers)
    encoded = json.dumps(body, ensure_ascii=False).encode()

    async def half() -> AsyncIterator[bytes]:
        yield encoded[: len(encoded) // 2]
        raise MidStreamDeath("the mock model dies in the middle of its answer")

    return StreamingResponse(half(), headers=headers, media_type="application/json")


def _streamed(reply: Reply, events: Iterator[bytes], headers: dict[str, str]) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for number, event in enumerate(events):
            if number == reply.dies_after_pieces:
                raise MidStreamDeath("the mock model dies in mid-stream")
            if reply.delay_seconds:
                await anyio.sleep(reply.delay_seconds)
            yield event

    return StreamingResponse(body(), headers=headers | {"cache-control": "no-cache"}, media_type="text/event-stream")
