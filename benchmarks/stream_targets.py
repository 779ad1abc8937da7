"""What ``benchmarks.stream`` asks over a socket: an app that streams a chat completion, alone, behind the guard (live
and buffered), and behind presidio on each event alone.

Each event has its number in ``created``. At ``COSTS_PATH`` the process tells of the events since it was last asked:
when each was made (nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share), and the CPU time of its
event loop's thread while ``send`` took it, in nanoseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any, Final

from benchmarks.stream_corpus import corpus, words

PATH: Final = "/v1/chat/completions"
COSTS_PATH: Final = "/__costs"
SENTENCES: Final = 20
PAUSE_SECONDS: Final = 0.005
"""Between two events: 200 a second, as fast models say them."""


def pieces() -> list[str]:
    """The texts of the events."""
    return words(corpus(1, SENTENCES))


class App:
    """The app. ``wrapped`` is what stands in front of it, by default nothing."""

    def __init__(self) -> None:
        self._costs: list[tuple[int, int]] = []
        self.wrapped: Any = self.stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The costs, or the app behind what stands in front of it."""
        if scope["type"] != "http" or scope["path"] != COSTS_PATH:
            await self.wrapped(scope, receive, send)
            return
        body = json.dumps(self._costs).encode()
        self._costs.clear()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def stream(self, scope: Any, receive: Any, send: Any) -> None:
        """One streamed answer; the lifespan."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._event(send, {"role": "assistant", "content": ""})
        for piece in pieces():
            await asyncio.sleep(PAUSE_SECONDS)
            await self._event(send, {"content": piece})
        await self._event(send, {}, "stop")
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    async def _event(self, send: Any, delta: dict[str, str], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        data = {
            "id": "chatcmpl-aBcDeFgHiJ",
            "object": "chat.completion.chunk",
            "created": len(self._costs),
            "model": "m",
        }
        body = b"data: %s\n\n" % json.dumps({**data, "choices": [choice]}).encode()
        made, started = time.monotonic_ns(), time.thread_time_ns()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        self._costs.append((made, time.thread_time_ns() - started))


def bare() -> Any:
    """The app alone."""
    return App()


def _guarded(mode: str) -> Any:
    from guard.config import load_config
    from guard.middleware import GuardMiddleware

    config = load_config(
        environ={},
        state_directory=f"{os.environ['BENCH_STATE']}/{mode}",
        routes=({"path": "/v1/**", "provider": "bench", "streams": mode},),
        providers={"bench": {"external": True}},
    )
    app = App()
    app.wrapped = GuardMiddleware(app.stream, config)
    return app


def live() -> Any:
    """The whole guard with its defaults: shipped policies, detectors, signed log."""
    return _guarded("live")


def buffered() -> Any:
    """The same, its streams rewritten whole."""
    return _guarded("buffer")


def presidio() -> Any:
    """Presidio's own recognizers on the text of each event alone."""
    from benchmarks.stream_presidio import hidden

    app = App()

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message.get("body", b"").startswith(b"data: {"):
                data = json.loads(message["body"][6:])
                delta = data["choices"][0]["delta"]
                if delta.get("content"):
                    delta["content"] = hidden(delta["content"])
                    message = {**message, "body": b"data: %s\n\n" % json.dumps(data).encode()}
            await send(message)

        await app.stream(scope, receive, sending)

    app.wrapped = wrapped
    return app
