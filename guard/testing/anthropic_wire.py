"""Anthropic's Messages on the wire, as its API reference and its SDK describe it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from guard.testing.openai_wire import MODELS, pieces
from guard.testing.script import Call, Reply, Tool

_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def read(body: dict[str, Any]) -> Call:
    """The call that a request body makes. Raises ``ValueError`` naming what is missing."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str):
        raise ValueError("model: Field required")
    if not isinstance(body.get("max_tokens"), int):
        raise ValueError("max_tokens: Field required")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise ValueError("messages: at least one message is required")
    users = [message for message in messages if message.get("role") == "user"]
    content = users[-1].get("content") if users else ""
    results = [
        _text(block.get("content"))
        for block in (content if isinstance(content, list) else [])
        if isinstance(block, dict) and block.get("type") == "tool_result"
    ]
    return Call(
        shape="anthropic",
        model=body["model"],
        text=_text(content),
        tool_result=" ".join(results) if results else None,
        tools=tuple(_tools(body.get("tools"))),
        stream=body.get("stream") is True,
        input_tokens=max(1, sum(len(_text(message.get("content"))) for message in messages) // 4),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return " ".join(block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str))


def _tools(tools: Any) -> Iterator[Tool]:
    for tool in tools if isinstance(tools, list) else []:
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            yield Tool(tool["name"], tool.get("input_schema") or {})


def _blocks(reply: Reply, ident: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.text or reply.tool_use is None:
        blocks.append({"type": "text", "text": reply.text, "citations": None})
    if reply.tool_use is not None:
        use = reply.tool_use
        blocks.append({"type": "tool_use", "id": f"toolu_{ident}", "name": use.name, "input": dict(use.arguments)})
    return blocks


def _message(call: Call, ident: str, content: list[dict[str, Any]], stop: str | None, output: int) -> dict[str, Any]:
    return {
        "id": f"msg_{ident}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": call.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
            "service_tier": "standard",
        },
    }


def answer(call: Call, reply: Reply, ident: str) -> dict[str, Any]:
    """A ``message`` object."""
    return _message(call, ident, _blocks(reply, ident), _stop(reply), reply.output_tokens)


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.tool_use else "end_turn"


def events(call: Call, reply: Reply, ident: str) -> Iterator[bytes]:
    """The server-sent events of a streamed answer, from ``message_start`` to ``message_stop``, with one ``ping``."""
    yield _event({"type": "message_start", "message": _message(call, ident, [], None, 1)})
    for index, block in enumerate(_blocks(reply, ident)):
        is_text = block["type"] == "text"
        empty: dict[str, Any] = {**block, **({"text": ""} if is_text else {"input": {}})}
        yield _event({"type": "content_block_start", "index": index, "content_block": empty})
        if index == 0:
            yield _event({"type": "ping"})
        whole = block["text"] if is_text else json.dumps(block["input"], ensure_ascii=False)
        for piece in pieces(whole, reply.chunk_code_points):
            delta = (
                {"type": "text_delta", "text": piece}
                if is_text
                else {"type": "input_json_delta", "partial_json": piece}
            )
            yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield _event({"type": "content_block_stop", "index": index})
    yield _event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": _stop(reply), "stop_sequence": None},
            "usage": {"output_tokens": reply.output_tokens},
        }
    )
    yield _event({"type": "message_stop"})


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def error(status: int, message: str, request_id: str) -> dict[str, Any]:
    """An error object."""
    kind = _ERRORS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}


def model(name: str) -> dict[str, Any]:
    """A ``model`` object."""
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def models() -> dict[str, Any]:
    """The first and only page of models."""
    return {"data": [model(name) for name in MODELS], "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
