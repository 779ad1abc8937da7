"""The app of the crash test: it leaves a trace of every request that reaches it, in a file of its own, synced."""

from __future__ import annotations

import os
from typing import Any

from guard.config import load_config
from guard.middleware import GuardMiddleware


def create() -> Any:
    """For ``uvicorn --factory``; directories come from the environment."""
    trace = os.open(os.environ["TRACE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        os.write(trace, scope["guard"].decision_id.encode() + b"\n")
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}"})

    config = load_config(
        environ={},
        state_directory=os.environ["STATE"],
        detectors={"enabled": ("secrets",), "behaviour": None},
    )
    return GuardMiddleware(app, config)
