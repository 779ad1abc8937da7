"""WebSocket messages of the guard's own, and the answer to a handshake, read and written like the headers of any answer
(RFC 6455, sections 4.2.2, 5.5 and 7.4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.types import Message

from guard.errors import ContentRefused, ObligationFailed
from guard.obligations.deny import denial
from guard.types import Decision

Headers = Sequence[tuple[bytes, bytes]]
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
_PROTOCOL: Final = b"sec-websocket-protocol"
_REASON_BYTES: Final = 123  # a control frame holds 125 bytes, two of them the code


def headers_of(accept: Message) -> Headers:
    """The headers of a ``websocket.accept``; the subprotocol that the app chose stands among them, as on the wire."""
    headers = [(name.lower(), value) for name, value in accept.get("headers", ())]
    chosen = accept.get("subprotocol")
    return headers if not chosen else [*headers, (_PROTOCOL, chosen.encode())]


def accepting(accept: Message, headers: Headers) -> Message:
    """The message with these headers. Raises ``ObligationFailed`` for a subprotocol that is not ASCII."""
    if not accept.get("subprotocol"):
        return {**accept, "headers": list(headers)}
    try:
        chosen = headers[-1][1].decode("ascii")
    except UnicodeDecodeError:
        raise ObligationFailed("The new text cannot stand in a subprotocol", where="rewriting the headers") from None
    return {**accept, "headers": list(headers[:-1]), "subprotocol": chosen}


def closing(decision: Decision, code: int = POLICY_VIOLATION) -> Message:
    """The close that a decision leads to, with as much of its first reason as fits."""
    first = decision.reasons[0]
    reason = f"{first.rule or first.code}: {first.title}".encode()[:_REASON_BYTES].decode(errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": reason}


def turning_away(decision: Decision, *, decision_id: str, request_id: str, status: int) -> list[Message]:
    """The whole denial of a handshake, for a server with the ASGI extension ``websocket.http.response``."""
    answer = denial(decision, decision_id=decision_id, request_id=request_id, dialect="openai", status=status)
    return [
        {"type": "websocket.http.response.start", "status": answer.status, "headers": answer.headers},
        {"type": "websocket.http.response.body", "body": answer.body},
    ]


def size_of(message: Message) -> int:
    """The bytes of a message, as it is sent."""
    text = message.get("text")
    return len(message.get("bytes") or b"") if text is None else len(text.encode(errors="replace"))


def body_of(message: Message) -> bytes:
    """What a message says. Raises ``ContentRefused`` for one that is text and binary at once: servers differ in which
    of them they send, and apps in which they read."""
    text, data = message.get("text"), message.get("bytes") or b""
    if text is None:
        return data
    if data:
        raise ContentRefused("text_invalid", "the message is text and binary at once", mend="send one of them")
    return utf8(text)


def utf8(text: str) -> bytes:
    """The bytes of a text message. Raises ``ContentRefused`` for a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ContentRefused("text_invalid", "the message holds a lone surrogate", mend="send valid UTF-8") from None
