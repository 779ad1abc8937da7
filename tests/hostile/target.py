"""What stands behind the guard in the hostile runs: an app that answers as its case says and keeps what reached it,
and the lag of the event loop that both share."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from io import FileIO
from pathlib import Path
from typing import Any

from guard.config import load_config
from guard.middleware import GuardMiddleware
from tests.hostile.case import CONTROL, DIRECTORY, SIDE, load

FINE = (
    b'{"id":"c-1","object":"chat.completion","model":"m",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"Fine."}}]}'
)
PROBE_SECONDS = 0.002


class Watch:
    """How often the app was reached since it was last asked, and how late the event loop came round."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reached = 0
        self.lag_ms = 0.0
        self._written = 0
        self._probe: asyncio.Task[None] | None = None

    async def see(self, *texts: bytes) -> None:
        """A request has reached the app: keep it for whoever looks for canaries, outside of this process."""
        self.reached += 1
        self._written += 1
        await asyncio.to_thread((self.directory / f"seen-{self._written}").write_bytes, b"\n".join(texts))

    def report(self) -> dict[str, Any]:
        """Everything since the last report."""
        if os.environ.get("HOSTILE_PROBE") and self._probe is None:
            self._waits = FileIO(f"/proc/self/task/{threading.get_native_id()}/schedstat")
            self._probe = asyncio.create_task(self._measure())
        told = {"reached": self.reached, "lag_ms": self.lag_ms}
        self.reached, self.lag_ms = 0, 0.0
        return told

    async def _measure(self) -> None:
        """Late by what the process does, not by the machine: a loop that is held up while its process uses no CPU time
        waits for the scheduler, not for us, and so does a thread that could run and is not let (the second figure of
        ``schedstat``, proc_pid_schedstat(5))."""
        waits = self._waits
        while True:
            waited, used, began = waited_s(waits), time.process_time(), time.monotonic()
            await asyncio.sleep(PROBE_SECONDS)
            late = time.monotonic() - began - PROBE_SECONDS - (waited_s(waits) - waited)
            self.lag_ms = max(self.lag_ms, min(late, time.process_time() - used) * 1000)


def waited_s(schedstat: FileIO) -> float:
    """Seconds for which a thread could run and was not let, so far."""
    schedstat.seek(0)
    return int(schedstat.read(100).split()[1]) / 1e9


class App:
    """The app. What it answers to a case lies in files that the runner has made: ``first``, ``then`` and ``last``."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope."""
        if scope["type"] == "websocket":
            await self._converse(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        name = dict(scope["headers"]).get(b"x-hostile-case", b"").decode("latin-1")
        if name != SIDE:
            await self._watch.see(b"".join(parts), scope["query_string"])
        reply = load(name).reply if (DIRECTORY / f"{name}.toml").is_file() else None
        if reply is None:
            head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(FINE))]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": FINE, "more_body": False})
            return
        head = [(k.encode(), v.strip().encode("latin-1")) for k, _, v in (h.partition(":") for h in reply.headers)]
        head += [(b"x-more-%d" % number, b"y") for number in range(reply.more_headers)]
        first, then, last = await asyncio.to_thread(self._pieces)
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        if first:
            await send({"type": "http.response.body", "body": first, "more_body": True})
        for number in range(reply.times):
            await send({"type": "http.response.body", "body": then, "more_body": True})
            if reply.pause_ms or not number % 16:
                await asyncio.sleep(reply.pause_ms / 1000)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _pieces(self) -> list[bytes]:
        return [(self._watch.directory / name).read_bytes() for name in ("first", "then", "last")]

    async def _converse(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            await self._watch.see(text.encode() if text is not None else message["bytes"])
            await send({"type": "websocket.send", "text": "fine"})


class Target:
    """The guard around the app, with the watch's report beside it, outside of the guard."""

    def __init__(self) -> None:
        state = Path(os.environ["HOSTILE_STATE"])
        self._watch = Watch(state)
        app = App(self._watch)
        self._inner: Any = app if os.environ.get("HOSTILE_BARE") else guarded(app, state)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope."""
        if scope["type"] != "http" or scope["path"] != CONTROL:
            await self._inner(scope, receive, send)
            return
        body = json.dumps(self._watch.report()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


def guarded(app: App, state: Path) -> GuardMiddleware:
    """The guard with its defaults: the shipped policies, real detectors, a signed log."""
    config = load_config(
        environ={},
        state_directory=state / "guard",
        limits={"body_timeout_seconds": float(os.environ.get("HOSTILE_BODY_TIMEOUT", "30"))},
        routes=({"path": "/open/**", "inspect": False}, {"path": "/**", "provider": "hostile"}),
        providers={"hostile": {"external": True}},
        # Each case comes from a caller of its own: one that sends as fast as it can is rightly stopped.
        identity={"trusted_header": {"peers": ("127.0.0.1/32",)}},
        # The mode of an owner who lets nothing pass that was not inspected; as shipped, the rule only tells.
        policy={"settings": {"modes": {"GUARD-010": "enforce"}}},
    )
    return GuardMiddleware(app, config)


def target() -> Target:
    """The ASGI app; its state is in ``$HOSTILE_STATE``."""
    return Target()
