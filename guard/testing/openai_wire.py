"""OpenAI's Chat Completions on the wire, as its API reference and its SDK describe it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from guard.testing.script import Call, Reply, Tool

CREATED: Final = 1_767_225_600
MODELS: Final = ("mock-small", "mock-large")
_MAX_CHOICES: Final = 8
_ERRORS: Final = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def read(body: dict[str, Any]) -> Call:
    """The call that a request body makes. Raises ``ValueError`` naming what is missing."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str):
        raise ValueError("you must provide a model parameter")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise ValueError("'messages' must be a non-empty array of objects")
    last = messages[-1]
    users = [message for message in messages if message.get("role") == "user"]
    options, choices = body.get("stream_options"), body.get("n")
    return Call(
        shape="openai",
        model=body["model"],
        text=_text(users[-1].get("content")) if users else "",
        tool_result=_text(last.get("content")) if last.get("role") == "tool" else None,
        tools=tuple(_tools(body.get("tools"))),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=min(max(choices, 1), _MAX_CHOICES) if isinstance(choices, int) else 1,
        input_tokens=max(1, sum(len(_text(message.get("content"))) for message in messages) // 4),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _tools(tools: Any) -> Iterator[Tool]:
    for tool in tools if isinstance(tools, list) else []:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield Tool(function["name"], function.get("parameters") or {})


def answer(call: Call, reply: Reply, ident: str) -> dict[str, Any]:
    """A ``chat.completion`` object."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.tool_use is not None:
        function = {"name": reply.tool_use.name, "arguments": _compact(reply.tool_use.arguments)}
        message["content"] = reply.text or None
        message["tool_calls"] = [{"id": f"call_{ident}", "type": "function", "function": function}]
    choice = {"message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion",
        "created": CREATED,
        "model": call.model,
        "choices": [{"index": index, **choice} for index in range(call.choices)],
        "usage": _usage(call, reply),
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    }


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_use else "stop"


def _usage(call: Call, reply: Reply) -> dict[str, Any]:
    output = reply.output_tokens * call.choices
    return {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": output,
        "total_tokens": call.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def events(call: Call, reply: Reply, ident: str) -> Iterator[bytes]:
    """The server-sent events of a streamed answer, the last one ``[DONE]``."""
    frame: dict[str, Any] = {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    }
    trailer = {"usage": None} if call.include_usage else {}
    for delta, finish in [*((delta, None) for delta in _deltas(reply, ident)), ({}, _finish(reply))]:
        for index in range(call.choices):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield _event({**frame, "choices": [choice], **trailer})
    if call.include_usage:
        yield _event({**frame, "choices": [], "usage": _usage(call, reply)})
    yield b"data: [DONE]\n\n"


def _deltas(reply: Reply, ident: str) -> Iterator[dict[str, Any]]:
    first: dict[str, Any] = {"role": "assistant", "content": "" if reply.text else None, "refusal": None}
    if reply.text or reply.tool_use is None:
        yield {**first, "content": ""}
        for piece in pieces(reply.text, reply.chunk_code_points):
            yield {"content": piece}
        first = {}
    if reply.tool_use is not None:
        head = {"name": reply.tool_use.name, "arguments": ""}
        yield {**first, "tool_calls": [{"index": 0, "id": f"call_{ident}", "type": "function", "function": head}]}
        for piece in pieces(_compact(reply.tool_use.arguments), reply.chunk_code_points):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of ``size`` code points."""
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _event(data: object) -> bytes:
    return f"data: {_compact(data)}\n\n".encode()


def _compact(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def error(status: int, message: str) -> dict[str, Any]:
    """An error object."""
    kind, code = _ERRORS.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def model(name: str) -> dict[str, Any]:
    """A ``model`` object."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "policy-guard"}


def models() -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [model(name) for name in MODELS]}
