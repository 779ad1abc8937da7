"""What a framework would not do: endpoints that break off, wait, lie about their length, or answer before they read.

It waits at gates: a test opens one by making a file, when it has done what it wanted to do meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guard import GuardMiddleware
from guard.config import GuardConfig, load_config
from guard.record.keys import load_or_create_keys
from guard.record.log import SignedLog
from guard.runtime import Runtime, load_detectors
from guard.types import DecisionRecord, DetectContext, DetectorInfo, Finding, Receipt, Segment
from tests.compat.apps import contract
from tests.compat.apps.bare_app import serve_lifespan, serve_websocket, stream, whole

BOUND = 256 * 1024
BIG = 9 * 2**20
WAITS = "wait in detection"
_GATE_SECONDS = 10.0
JSON = [(b"content-type", b"application/json")]
TEXT = [(b"content-type", b"text/plain")]


def _gate(name: str) -> Path:
    return contract.directory() / f"open {name}"


async def through_gate(name: str) -> None:
    """Say that somebody waits, and wait until the gate is open."""
    contract.note(f"at {name}")
    until = time.monotonic() + _GATE_SECONDS
    while not _gate(name).exists() and time.monotonic() < until:  # noqa: ASYNC110 - it is opened by another process
        await asyncio.sleep(0.01)


class GateDetector:
    """Finds nothing, and takes as long as the test wants for a text that asks for it."""

    info = DetectorInfo("gate", "1", "0" * 64)
    entities: frozenset[str] = frozenset()

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Wait, in a worker thread, if the text says so."""
        if any(WAITS in segment.text for segment in segments):
            contract.note("at detection")
            until = time.monotonic() + _GATE_SECONDS
            while not _gate("detection").exists() and time.monotonic() < until:
                time.sleep(0.01)
        return []


class GatedLog:
    """The signed log, but the decision of one route waits."""

    def __init__(self, log: SignedLog) -> None:
        self._log = log
        self.start, self.stop, self.status = log.start, log.stop, log.status

    async def append(self, record: DecisionRecord) -> Receipt:
        """Make a record durable, after the gate if it has one."""
        if record["kind"] == "decision" and record["what"]["route"] == "/ai/commit":
            await through_gate("commit")
        return await self._log.append(record)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Lifespan, WebSocket and HTTP."""
    if scope["type"] == "lifespan":
        await serve_lifespan(receive, send)
    elif scope["type"] == "websocket":
        await serve_websocket(receive, send)
    elif scope["path"] in WIRE:
        await WIRE[scope["path"]](scope, receive, send)
    else:
        contract.note(f"called {scope['path']}")
        await whole(receive)
        await answer(send, {"text": "hello"})


async def answer(send: Any, value: Any, status: int = 200) -> None:
    await answer_with(send, json.dumps(value).encode(), JSON, status)


async def answer_with(send: Any, body: bytes, headers: Any, status: int = 200, step: int = 1 << 20) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for start in range(0, len(body), step):
        await send({"type": "http.response.body", "body": body[start : start + step], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def large(scope: Any, receive: Any, send: Any) -> None:
    """Reads piece by piece, as a well-behaved upload handler does."""
    held, digest, more = scope["compat.held"], hashlib.sha256(), True
    while more:
        message = await receive()
        held.release(len(message.get("body", b"")))
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, {"sha256": digest.hexdigest(), "most": held.most, "message": held.message})


async def early(_scope: Any, _receive: Any, send: Any) -> None:
    await answer_with(send, b"too much", TEXT, 413)


async def extensions(scope: Any, receive: Any, send: Any) -> None:
    await whole(receive)
    await answer(send, sorted(scope.get("extensions") or {}))


async def raises(_scope: Any, receive: Any, send: Any) -> None:
    await whole(receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b'data: {"text": "first"}\n\n', "more_body": True})
    contract.note("raising")
    raise RuntimeError("in the middle of a stream")


async def error(_scope: Any, _receive: Any, send: Any) -> None:
    await answer(send, {"error": f"no such person: {contract.SSN}"}, 500)


async def no_content(_scope: Any, _receive: Any, send: Any) -> None:
    await answer_with(send, contract.SECRET.encode(), TEXT, 204)


async def not_modified(_scope: Any, _receive: Any, send: Any) -> None:
    await answer_with(send, contract.SECRET.encode(), [*TEXT, (b"etag", b'"1"')], 304)


async def short(_scope: Any, _receive: Any, send: Any) -> None:
    await answer_with(send, b"twelve bytes", [*TEXT, (b"content-length", b"40")])


async def big(_scope: Any, _receive: Any, send: Any) -> None:
    await answer_with(send, b"x" * BIG, TEXT)


async def trickle(_scope: Any, _receive: Any, send: Any) -> None:
    await answer_with(send, json.dumps(contract.leak()).encode(), [*JSON, (b"x-app", b"leaked")], step=1)


async def compute(_scope: Any, receive: Any, send: Any) -> None:
    await whole(receive)
    contract.note("called /ai/compute")
    await through_gate("compute")
    await answer(send, {"text": "computed"})


async def half(_scope: Any, receive: Any, send: Any) -> None:
    await whole(receive)
    contract.note("called /ai/half")
    await send({"type": "http.response.start", "status": 200, "headers": JSON})
    await send({"type": "http.response.body", "body": b'{"text": "half', "more_body": True})
    await through_gate("half")
    await send({"type": "http.response.body", "body": b' and half"}'})


async def endless(_scope: Any, receive: Any, send: Any) -> None:
    contract.note("called /own/endless")
    await stream(contract.endless(), receive, send)


WIRE = {
    "/own/large": large,
    "/own/early": early,
    "/own/extensions": extensions,
    "/own/raises": raises,
    "/ai/error": error,
    "/own/204": no_content,
    "/own/304": not_modified,
    "/own/short": short,
    "/own/big": big,
    "/ai/trickle": trickle,
    "/ai/compute": compute,
    "/ai/half": half,
    "/own/endless": endless,
}


class Held:
    """How many bytes of a body the guard has taken from the server and not given to the app yet."""

    def __init__(self) -> None:
        self._now = self.most = self.message = 0

    def take(self, size: int) -> None:
        """The guard received ``size`` bytes."""
        self._now += size
        self.most = max(self.most, self._now)
        self.message = max(self.message, size)

    def release(self, size: int) -> None:
        """The app received ``size`` bytes."""
        self._now -= size


def counted(guarded: Any) -> Any:
    """Outside of the guard: count what it takes."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await guarded(scope, receive, send)
            return
        held = Held()

        async def counting() -> Any:
            message = await receive()
            held.take(len(message.get("body", b"")))
            return message

        await guarded({**scope, "compat.held": held}, counting, send)

    return outer


def build(_framework: str, config: GuardConfig) -> Any:
    """The app under its guard, between the counters."""
    wired = load_config(
        environ={},
        state_directory=config.state_directory,
        limits={"max_body_bytes": BOUND, "inspect_limit_bytes": BOUND, "detect_deadline_ms": 20_000},
        detectors={"enabled": ("pii", "secrets"), "behaviour": ""},
        policy={"settings": {"max_request_bytes": 2**30}},
        providers={"away": {"external": True}, "own": {"external": False}},
        routes=(
            {"path": "/own/large", "provider": "own", "large_bodies": "pass"},
            {"path": "/ai/commit", "provider": "away"},
            {"path": "/ai/detection", "provider": "away"},
            *({"path": path, "provider": "away" if path.startswith("/ai") else "own"} for path in WIRE),
            {"path": "/ai/**", "provider": "away"},
            {"path": "/own/**", "provider": "own"},
        ),
    )
    keys = load_or_create_keys(wired.state_directory / "keys")
    log = GatedLog(SignedLog(wired.state_directory / "log", name=wired.record.name, signer=keys.signer))
    detectors = [*load_detectors(wired), GateDetector()]
    runtime = Runtime(wired, detectors=detectors, log=log, keyed=keys.keyed)
    return counted(GuardMiddleware(app, runtime=runtime))
