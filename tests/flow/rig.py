"""A guard whose engine, detector and log do what a test says, and a driver that speaks ASGI to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from guard.config import load_config
from guard.errors import LogUnavailable
from guard.keyed import KeyedHash
from guard.middleware import GuardMiddleware
from guard.runtime import Runtime
from guard.types import (
    BehaviourModel,
    DetectContext,
    Detector,
    DetectorInfo,
    EngineInfo,
    Finding,
    IntentModel,
    Receipt,
    RuleInfo,
    Segment,
    Verdict,
)

ALLOW: dict[str, Any] = {"allow": True, "reasons": [], "obligations": []}
App = Callable[[Any, Any, Any], Awaitable[None]]


def deny(rule: str = "R-1", message: str = "no") -> dict[str, Any]:
    """A policy's answer that denies."""
    return {"allow": False, "reasons": [{"id": rule, "message": message, "pointers": []}], "obligations": []}


def oblige(*obligations: Mapping[str, Any]) -> dict[str, Any]:
    """A policy's answer that allows under obligations."""
    return {"allow": True, "reasons": [], "obligations": [{"id": "R-1", **o} for o in obligations]}


class ScriptedEngine:
    """Answers each stage as told: a value, or an exception to raise."""

    info = EngineInfo("scripted", "1", "r1", "0" * 64)
    rules: Mapping[str, RuleInfo] = {}

    def __init__(self, request: Any = ALLOW, response: Any = ALLOW) -> None:
        self._answers = {"request": request, "response": response}
        self.documents: list[Mapping[str, Any]] = []

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """The scripted answer of the document's stage."""
        self.documents.append(document)
        answer = self._answers[document["stage"]]
        if callable(answer):
            answer = answer(document)
        if isinstance(answer, Exception):
            raise answer
        return Verdict(answer)


WORDS = {"jane@corp.com": "EMAIL_ADDRESS", "hunter2": "PASSWORD"}


class WordDetector:
    """Finds the word ``jane@corp.com`` as EMAIL_ADDRESS and ``hunter2`` as PASSWORD."""

    info = DetectorInfo("words", "1", "0" * 64)
    entities = frozenset(WORDS.values())
    local = entities

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Every occurrence of every word."""
        found = []
        for index, segment in enumerate(segments):
            for word, entity in WORDS.items():
                start = segment.text.find(word)
                while start >= 0:
                    found.append(Finding(entity, index, start, start + len(word), 0.9, "words"))
                    start = segment.text.find(word, start + 1)
        return found


class MemoryLog:
    """Keeps records in a list; fails from the ``fail_at``-th append on."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self._fail_at = fail_at
        self.waiting = asyncio.Event()

    async def start(self) -> None:
        """Nothing to open."""

    async def append(self, record: dict[str, Any]) -> Receipt:
        """Keep a record, after a turn of the loop as a real log takes."""
        self.waiting.set()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.records.append(record)  # a caller that is cancelled leaves its record in the log
            raise
        if self._fail_at is not None and len(self.records) >= self._fail_at:
            raise LogUnavailable("the disk is full")
        self.records.append(record)
        return Receipt(len(self.records) - 1, str(record.get("id")))

    async def stop(self) -> None:
        """Nothing to close."""

    def kinds(self) -> list[str]:
        """The kinds of the records, in order."""
        return [record["kind"] for record in self.records]


class Answer:
    """What the client received."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.status = messages[0]["status"] if messages else 0
        self.headers = {k.decode(): v.decode() for k, v in messages[0]["headers"]} if messages else {}
        self.body = b"".join(m.get("body", b"") for m in messages[1:])

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Rig:
    """One guard around one app."""

    def __init__(
        self,
        tmp_path: Path,
        app: App,
        *,
        engine: ScriptedEngine | None = None,
        log: MemoryLog | None = None,
        detectors: Sequence[Detector] | None = None,
        behaviour: BehaviourModel | None = None,
        intent: IntentModel | None = None,
        **config: Any,
    ) -> None:
        self.engine = engine or ScriptedEngine()
        self.log = log or MemoryLog()
        named = {"enabled": (), "behaviour": None}
        loaded = load_config(environ={}, state_directory=tmp_path, **{"detectors": named, **config})
        self.runtime = Runtime(
            loaded,
            detectors=[WordDetector()] if detectors is None else detectors,
            behaviour=behaviour,
            intent=intent,
            engine=self.engine,
            log=self.log,
            keyed=KeyedHash("test", b"k" * 32),
        )
        self.guard = GuardMiddleware(app, runtime=self.runtime)

    async def call(
        self,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        body: Any = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        messages: Sequence[dict[str, Any]] | None = None,
        on_send: Callable[[dict[str, Any]], None] | None = None,
        **scope: Any,
    ) -> Answer:
        """Send one request and gather the answer."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = [("content-type", "application/json"), *headers]
        incoming = list(messages or [{"type": "http.request", "body": body, "more_body": False}])
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if on_send:
                on_send(message)

        full = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers],
            "client": ("10.0.0.7", 1234),
            "extensions": {},
            **scope,
        }
        await self.guard(full, receive, send)
        return Answer(sent)


def chat(text: str, **more: Any) -> dict[str, Any]:
    """An OpenAI chat request with one user message."""
    return {"model": "small-1", "messages": [{"role": "user", "content": text}], **more}


def answering(
    body: bytes | Callable[[bytes], bytes],
    *,
    content_type: str = "application/json",
    status: int = 200,
    headers: Sequence[tuple[bytes, bytes]] = (),
    seen: list[Any] | None = None,
) -> App:
    """An app that reads the whole request and answers with these bytes; ``seen`` gets (scope, body)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = await body_of(receive)
        if seen is not None:
            seen.append((scope, request))
        content = body(request) if callable(body) else body
        start = [(b"content-type", content_type.encode()), (b"content-length", str(len(content)).encode()), *headers]
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    return app


def streaming(*events: bytes) -> App:
    """An app that answers with server-sent events, each in a body message of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def delta(text: str) -> bytes:
    """One event of an OpenAI chat stream."""
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


async def body_of(receive: Any) -> bytes:
    """The whole body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
