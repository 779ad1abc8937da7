"""The witness over HTTP: an ASGI app, and the server that runs it.

Bounded everywhere: a body has ``rules.MAX_REQUEST_BYTES`` and ten seconds, and not more than a hundred connections are
served at once. Each request works in a thread, since it waits for the disk.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from guard.errors import ConfigError
from guard.witness.keyring import Keyring
from guard.witness.rules import MAX_REQUEST_BYTES, Answer, Witness

BODY_SECONDS: Final = 10.0
MAX_CONNECTIONS: Final = 100
_SHUTDOWN_SECONDS: Final = 5


def build(witness: Witness, before: Callable[[], None] = lambda: None) -> Starlette:
    """The app. Submission and monitoring prefix are the same: the root. ``before`` is called before each request, in
    its thread."""

    def cosign(body: bytes) -> Answer:
        before()
        return witness.add_checkpoint(body)

    def last(digest: str) -> Answer:
        before()
        return witness.last(digest)

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return _response(Answer(408, "the request took too long\n"))
        if body is None:
            return _response(Answer(413, f"the request has more than {MAX_REQUEST_BYTES} bytes\n"))
        return _response(await asyncio.to_thread(cosign, body))

    async def checkpoint(request: Request) -> Response:
        return _response(await asyncio.to_thread(last, request.path_params["digest"]))

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{digest}/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


def serve(witness: Witness, keyring: Keyring, host: str, port: int, *, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; answers what is under way first. ``started`` is told the address.

    Raises ``ConfigError`` if the address cannot be used or uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError:
        raise ConfigError(
            "the witness needs uvicorn", where="guard witness", mend="pip install 'policy-guard[gateway]'"
        ) from None

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started(f"http://{_shown(host)}:{bound.getsockname()[1]}")

    config = uvicorn.Config(
        build(witness, lambda: keyring.refresh(witness.learn)),
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    with bind(host, port) as bound:
        Server(config).run(sockets=[bound])


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at an address. Raises ``ConfigError``."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((address[0], address[1]), family=family, backlog=MAX_CONNECTIONS)
    except OSError as error:
        raise ConfigError(
            f"the address cannot be used ({error.strerror or error})", where=f"{host}:{port}", mend="choose another"
        ) from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _body(request: Request) -> bytes | None:
    """The body; ``None`` if it is too long, or the client left."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_REQUEST_BYTES:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def _response(answer: Answer) -> Response:
    # The media type is set as it is: Starlette would add a charset to any text.
    return Response(answer.body.encode(), answer.status, headers={"content-type": answer.media_type})
