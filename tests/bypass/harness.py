"""The whole guard around an app, in memory: default limits, the shipped policies, the detectors pii and secrets.

One exchange goes through, and its outcome says whether what it hid was caught, refused, or named in coverage.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from guard.config import load_config
from guard.keyed import KeyedHash
from guard.middleware import GuardMiddleware
from guard.runtime import Runtime
from tests.flow.rig import Answer, MemoryLog, body_of

JSON_HEAD = (("content-type", "application/json"),)
FINE = b'{"id":"c","object":"chat.completion","model":"m","choices":[]}'


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request, or with ``reply`` what the app answers to a plain one. ``pieces`` are its body messages."""

    method: str = "POST"
    path: str = "/v1/chat/completions"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = JSON_HEAD
    pieces: tuple[bytes, ...] = ()
    reply: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``result``: ``caught``, ``refused``, ``named`` or ``silent``; ``how`` says it for people: what was redacted, the
    rules that denied, the code of the refusal, the reasons in coverage."""

    result: str
    how: str
    status: int


class Harness:
    """The guard, ready for any number of exchanges."""

    def __init__(self, directory: Path) -> None:
        config = load_config(
            environ={},
            state_directory=directory,
            detectors={"enabled": ("pii", "secrets"), "behaviour": None},
            routes=({"path": "/**", "provider": "outside"},),
            providers={"outside": {"external": True}},
        )
        self._log = MemoryLog()
        runtime = Runtime(config, log=self._log, keyed=KeyedHash("test", b"k" * 32))
        self._seen: list[tuple[Any, bytes]] = []
        self._answer = Message(pieces=(FINE,))
        self._guard = GuardMiddleware(self._app, runtime=runtime)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self._seen.append((scope, await body_of(receive)))
        head = [(name.encode(), value.encode()) for name, value in self._answer.headers]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for piece in self._answer.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(self, message: Message, hidden: tuple[str, ...]) -> Outcome:
        """Send a message and judge it. ``hidden`` are texts, spelled as they are sent, that must not get through."""
        self._seen.clear()
        self._log.records.clear()
        request = message
        self._answer = Message(pieces=(FINE,))
        if message.reply:
            self._answer = message
            plain = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
            request = Message(path=message.path, pieces=(json.dumps(plain).encode(),))
        answer = await self._exchange(request)
        if message.reply:
            through = _texts(answer.body, *(value.encode() for value in answer.headers.values()))
            got_through = bool(answer.messages) and answer.status == 200
        else:
            through = [text for scope, body in self._seen for text in _texts(body, *_beside(scope))]
            got_through = bool(self._seen)
        leaked = any(secret in text for secret in hidden for text in through)
        return self._judged(answer.status, leaked=leaked, got_through=got_through)

    async def _exchange(self, request: Message) -> Answer:
        incoming = [
            {"type": "http.request", "body": piece, "more_body": number < len(request.pieces) - 1}
            for number, piece in enumerate(request.pieces or (b"",))
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(dict(message))

        scope = {
            "type": "http",
            "method": request.method,
            "path": unquote_to_bytes(request.path).decode("utf-8", "replace"),
            "raw_path": request.path.encode(),
            "query_string": request.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
            "client": ("10.0.0.7", 1234),
            "extensions": {},
        }
        await self._guard(scope, receive, send)
        return Answer(sent)

    def _judged(self, status: int, *, leaked: bool, got_through: bool) -> Outcome:
        records = self._log.records
        why = sorted({(one.get("rule") or one["code"]) for record in records for one in _all(record, "why")})
        rules = [one for one in why if one[:1].isupper()]
        if not got_through or status >= 400:
            if rules:
                return Outcome(result="caught", how="denied " + ", ".join(rules), status=status)
            return Outcome(result="refused", how=", ".join(why) or f"status {status}", status=status)
        done = sorted({str(entity) for record in records for entity in (record.get("redactions") or ())})
        if not leaked and rules:
            return Outcome(result="caught", how="denied " + ", ".join(rules), status=status)
        if not leaked:
            how = "redacted " + ", ".join(done) if done else "removed"
            return Outcome(result="caught", how=how, status=status)
        named = sorted({reason for record in records for reason in _reasons(record)})
        if named:
            return Outcome(result="named", how=", ".join(named), status=status)
        return Outcome(result="silent", how="not seen", status=status)


def _all(record: dict[str, Any], member: str) -> list[Any]:
    """The elements of this member of the record and of the decisions in it."""
    return [one for part in (record, *record.get("decisions", ())) for one in part.get(member, ())]


def _reasons(record: dict[str, Any]) -> list[str]:
    """What a record says was not inspected."""
    coverage = record.get("coverage") or record.get("policy_input", {}).get("coverage", {})
    return [one["reason"] for kind in ("skipped", "incomplete") for one in coverage.get(kind, ())]


def _beside(scope: Any) -> list[bytes]:
    """What an app sees of a request beside its body, as sent and decoded."""
    heads = [part for pair in scope["headers"] for part in pair]
    query = scope["query_string"]
    raw = scope["raw_path"]
    return [*heads, query, unquote_to_bytes(query.replace(b"+", b" ")), raw, unquote_to_bytes(raw)]


def _texts(*parts: bytes) -> list[str]:
    """The parts as texts, and once more with JSON read, so that escapes hide nothing from the judge."""
    found = []
    for part in parts:
        text = part.decode("utf-8", "replace")
        found.append(text)
        found += [_plain(line.removeprefix("data: ")) for line in (text, *text.splitlines())]
        if "%" in text:
            found.append(unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace"))
    return found


def _plain(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return ""
