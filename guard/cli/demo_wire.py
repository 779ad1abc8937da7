"""The client's side of ``guard demo``: sends a scene, and reads what came of it at the client and at the provider."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from guard.cli.demo_script import Scene

_TIMEOUT_SECONDS: Final = 30
Verdict = Literal["ALLOW", "DENY", "REFUSE", "OUTAGE"]


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a scene. ``provider`` is the text that the provider got, ``None`` for nothing; ``client`` the text
    of the answer; ``status``, ``reasons`` and ``decision_id`` are those of the first refused request, else of the last.
    """

    title: str
    requests: int
    passed: int
    verdict: Verdict
    status: int
    decision_id: str | None
    sent: str
    provider: str | None
    client: str | None
    reasons: list[dict[str, Any]]


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    streamed: bool
    decision_id: str | None


def play(scene: Scene, url: str, received: list[Any]) -> Played:
    """Send a scene to the guard at ``url``; ``received`` is what the mock model has got so far, and grows."""
    before = len(received)
    answers = [_send(url, scene) for _ in range(scene.repeat)]
    refused = [answer for answer in answers if answer.status >= 400]
    shown = refused[0] if refused else answers[-1]
    return Played(
        title=scene.title,
        requests=len(answers),
        passed=len(answers) - len(refused),
        verdict=_verdict(shown.status),
        status=shown.status,
        decision_id=shown.decision_id,
        sent=_said(scene.body),
        provider=_said(received[-1].body) if len(received) > before else None,
        client=None if refused else _spoken(shown),
        reasons=_reasons(shown.body) if refused else [],
    )


def _verdict(status: int) -> Verdict:
    if status < 400:
        return "ALLOW"
    if status in {403, 429}:
        return "DENY"
    return "REFUSE" if status < 500 else "OUTAGE"


def _send(url: str, scene: Scene) -> _Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        body = scene.body if isinstance(scene.body, bytes) else json.dumps(scene.body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {scene.key}"}
        connection.request("POST", scene.path, body, headers)
        answer = connection.getresponse()
        streamed = (answer.getheader("content-type") or "").startswith("text/event-stream")
        return _Answer(answer.status, answer.read(), streamed, answer.getheader("x-guard-decision-id"))
    finally:
        connection.close()


def _said(body: dict[str, Any] | bytes) -> str:
    """What a request asks, for people: its texts, or the raw body where it is not to be trusted."""
    try:
        document = json.loads(body, object_pairs_hook=_unambiguous) if isinstance(body, bytes) else body
    except ValueError:
        return body.decode(errors="replace") if isinstance(body, bytes) else ""
    texts = []
    for message in document["messages"]:
        texts += [message["content"]] if message.get("content") else []
        texts += [call["function"]["arguments"] for call in message.get("tool_calls", ())]
    return " | ".join(texts)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _reasons(body: bytes) -> list[dict[str, Any]]:
    document = json.loads(body)
    reasons: list[dict[str, Any]] = document.get("reasons") or document["error"]["details"]["reasons"]
    return reasons


def _spoken(answer: _Answer) -> str:
    """The text of an answer; the concatenated deltas of a stream."""
    if not answer.streamed:
        document = json.loads(answer.body)
        if "choices" in document:
            return str(document["choices"][0]["message"]["content"])
        return "".join(block.get("text", "") for block in document["content"])
    pieces = []
    for line in answer.body.decode().splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            if event.get("type") == "content_block_delta":
                pieces.append(event["delta"].get("text", ""))
    return "".join(pieces)
