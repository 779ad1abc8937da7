"""The app of the tests that break a real server's guard: it echoes, and streams until the file ``GO`` is there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from guard.config import load_config
from guard.middleware import GuardMiddleware


def create() -> Any:
    """For servers' ``--factory``; directories come from the environment."""
    go = Path(os.environ["GO"])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        await receive()
        stream = scope["path"] == "/stream"
        kind = b"text/event-stream" if stream else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        if stream:
            await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
            while not await asyncio.to_thread(go.exists):  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
            await send({"type": "http.response.body", "body": b"data: last\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"" if stream else b"{}"})

    config = load_config(
        environ={},
        state_directory=os.environ["STATE"],
        detectors={"enabled": ("secrets",), "behaviour": None},
        routes=({"path": "/open", "unsafe_fail_open": True},),
        record={"heartbeat_seconds": 0.5},
        health_path="/health",
    )
    return GuardMiddleware(app, config)
