"""The answer to a request that does not pass, in a form that the official SDKs raise as their typed errors.

The body is RFC 9457 problem details and an OpenAI error object at once; on Anthropic's path it has Anthropic's shape.
Status 403 for a denial, because clients retry 408, 409, 429 and 5xx; 503 only for an outage of the guard, 429 only for
a limit that waiting helps against.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from starlette.types import Scope, Send

from guard.types import Decision, Reason

Dialect = Literal["openai", "openai.responses", "anthropic"]
RETRY_AFTER_SECONDS: Final = 5
# What passes sooner than an outage: the crowd of a moment.
_SOONER: Final = {"overloaded": 1}
# The SDKs take Retry-After at its word up to a minute; past that they try again within seconds, in vain.
_PATIENCE_SECONDS: Final = 60
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "api_error",
}


def dialect_of(shape: str, path: str) -> Dialect:
    """In which form the clients of a path expect errors. The Responses API differs in streams only."""
    if shape == "anthropic.messages":
        return "anthropic"
    responses = shape == "openai.responses" or path.rstrip("/").endswith("/responses")
    return "openai.responses" if responses else "openai"


class Denial(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def status_of(decision: Decision) -> int:
    """The status that a denial has by its decision."""
    if decision.outage:
        return 503
    return 403 if decision.retry_after_seconds is None else 429


def denial(
    decision: Decision, *, decision_id: str, request_id: str, dialect: Dialect, status: int | None = None
) -> Denial:
    """The answer to a denied exchange. ``status`` is given for a refused body or credential."""
    code_status = status or status_of(decision)
    problem = _problem(decision.reasons, code_status, decision_id)
    body = _anthropic(problem, code_status, request_id) if dialect == "anthropic" else problem
    headers = [
        (b"content-type", b"application/json" if dialect == "anthropic" else b"application/problem+json"),
        (b"x-guard-decision-id", decision_id.encode()),
        (b"request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
    ]
    seconds = decision.retry_after_seconds
    if code_status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = _SOONER.get(decision.reasons[0].code, RETRY_AFTER_SECONDS)
    if seconds is not None:
        headers.append((b"retry-after", str(seconds).encode()))
    if seconds is None or seconds > _PATIENCE_SECONDS:
        headers.append((b"x-should-retry", b"false"))
    if code_status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer error="invalid_token"'))
    encoded = msgspec.json.encode(body)
    headers.append((b"content-length", str(len(encoded)).encode()))
    return Denial(code_status, headers, encoded)


def error_event(
    decision: Decision,
    *,
    decision_id: str,
    request_id: str,
    dialect: Dialect,
    events_sent: int = 0,
    framing: Literal["event", "line", "message", "text"] = "event",
) -> bytes:
    """The last server-sent event of a stream that is stopped: the SDKs raise it as an error. Of JSON lines it is the
    last line, as Ollama's clients raise it; plain text ends with the reason in brackets, on a line of its own.

    In the Responses API events are numbered from 0, and an error event has its own form (``ResponseErrorEvent``);
    ``error`` stands in it as well, because that is what the Python SDK raises by.
    """
    problem = _problem(decision.reasons, status_of(decision), decision_id)
    if framing == "text":
        return f"\n[stopped: {problem['detail']}]\n".encode()
    if framing in ("line", "message"):
        error = problem["error"]
        line = {"error": error["message"], "code": error["code"], "guard": problem["reasons"], "done": True}
        return msgspec.json.encode(line) + b"\n"
    if dialect == "anthropic":
        body = _anthropic(problem, problem["status"], request_id)
        return b"event: error\ndata: " + msgspec.json.encode(body) + b"\n\n"
    if dialect == "openai.responses":
        error = problem["error"]
        event = {
            "type": "error", "code": error["code"], "message": error["message"], "param": error["param"],
            "sequence_number": events_sent, "error": error, "guard": problem["reasons"],
        }  # fmt: skip
        return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
    return b"data: " + msgspec.json.encode({"error": problem["error"], "guard": problem["reasons"]}) + b"\n\n"


def _problem(reasons: Sequence[Reason], status: int, decision_id: str) -> dict[str, Any]:
    first = reasons[0]
    named = f"[{first.rule}] " if first.rule else ""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    message = f"{named}{first.message}{more}" + (f" {first.remediation}" if first.remediation else "")
    # LiteLLM and routers behind it understand this pair; content means that a position was at fault.
    about_content = first.code == "policy_denied" and any(reason.pointers for reason in reasons)
    code = {"policy_denied": "content_policy_violation" if about_content else "policy_denied"}.get(
        first.code, first.code
    )
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        code, kind = "guard_unavailable", "api_error"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        code = kind = "rate_limit_exceeded"
    elif status == HTTPStatus.FORBIDDEN and not about_content:
        kind = "policy_denied"
    else:
        kind = "invalid_request_error"
    return {
        "type": "about:blank",
        "title": first.title,
        "status": status,
        "detail": message,
        "instance": f"urn:uuid:{decision_id}",
        "decision_id": decision_id,
        "reasons": [_reason(reason) for reason in reasons],
        "error": {"message": message, "type": kind, "param": next(iter(first.pointers), None), "code": code},
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "rule": reason.rule,
        "title": reason.title,
        "message": reason.message,
        "severity": reason.severity,
        "pointers": list(reason.pointers),
        "remediation": reason.remediation,
    }


def _anthropic(problem: dict[str, Any], status: int, request_id: str) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {
            "type": _ANTHROPIC_TYPES.get(status, "api_error"),
            "message": problem["error"]["message"],
            "details": {"error_code": problem["error"]["code"], "reasons": problem["reasons"]},
        },
        "request_id": request_id,
        "decision_id": problem["decision_id"],
    }


async def unavailable(send: Send, scope: Scope, dialect: Dialect, *, code: str, message: str) -> None:
    """Answer 503 (or close a WebSocket) while there is no guard to decide: nothing was recorded, nothing can be."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1011, "reason": "the guard is unavailable"})
        return
    reason = Reason(code=code, title="The guard is unavailable", message=message, severity="critical")
    request_id = "unrecorded"
    answer = denial(
        Decision(stage="request", effect="deny", reasons=(reason,), outage=True),
        decision_id=request_id,
        request_id=request_id,
        dialect=dialect,
    )
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
