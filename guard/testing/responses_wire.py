"""OpenAI's Responses on the wire, as its API reference and its SDK describe it. Errors are as in chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from guard.testing.openai_wire import CREATED, pieces
from guard.testing.script import Call, Reply, Tool

__all__ = ["answer", "events", "read"]


def read(body: dict[str, Any]) -> Call:
    """The call that a request body makes. Raises ``ValueError`` naming what is missing."""
    given = body.get("input")
    if not isinstance(body.get("model"), str):
        raise ValueError("you must provide a model parameter")
    if not isinstance(given, str | list) or not given:
        raise ValueError("'input' must be a string or a non-empty array")
    items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    users = [given] if isinstance(given, str) else [_text(i.get("content")) for i in items if i.get("role") == "user"]
    last: dict[str, Any] = items[-1] if items else {}
    return Call(
        shape="openai",
        model=body["model"],
        text=users[-1] if users else "",
        tool_result=_text(last.get("output")) if last.get("type") == "function_call_output" else None,
        tools=tuple(_tools(body.get("tools"))),
        stream=body.get("stream") is True,
        input_tokens=max(1, sum(map(len, users)) // 4),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _tools(tools: Any) -> Iterator[Tool]:
    for tool in tools if isinstance(tools, list) else []:
        if isinstance(tool, dict) and tool.get("type") == "function" and isinstance(tool.get("name"), str):
            yield Tool(tool["name"], tool.get("parameters") or {})


def answer(call: Call, reply: Reply, ident: str) -> dict[str, Any]:
    """A ``response`` object."""
    output = [_message(reply.text, ident)] if reply.text or reply.tool_use is None else []
    if reply.tool_use is not None:
        output.append(_function(reply.tool_use.name, _compact(reply.tool_use.arguments), ident))
    return _response(call, ident, "completed", output) | {"usage": _usage(call, reply)}


def _response(call: Call, ident: str, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": call.model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _usage(call: Call, reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": call.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": call.input_tokens + reply.output_tokens,
    }


def _message(text: str | None, ident: str) -> dict[str, Any]:
    """A message; one that has only begun without a text."""
    state = "in_progress" if text is None else "completed"
    content = [] if text is None else [_part(text)]
    return {"id": f"msg_{ident}", "type": "message", "status": state, "role": "assistant", "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _function(name: str, arguments: str, ident: str, status: str = "completed") -> dict[str, Any]:
    return {
        "id": f"fc_{ident}", "type": "function_call", "status": status, "call_id": f"call_{ident}",
        "name": name, "arguments": arguments,
    }  # fmt: skip


def events(call: Call, reply: Reply, ident: str) -> Iterator[bytes]:
    """The server-sent events of a streamed answer, numbered from 0. Each text comes in pieces, and then whole in the
    end of the text, of its part, of its item and of the response."""
    whole = answer(call, reply, ident)
    begun = _response(call, ident, "in_progress", [])
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(whole["output"]):
        said += _item(item, {"output_index": index, "item_id": item["id"]}, reply, ident)
    said.append({"type": "response.completed", "response": whole})
    for number, event in enumerate(said):
        yield f"event: {event['type']}\ndata: {_compact({**event, 'sequence_number': number})}\n\n".encode()


def _item(item: dict[str, Any], at: dict[str, Any], reply: Reply, ident: str) -> Iterator[dict[str, Any]]:
    index = {"output_index": at["output_index"]}
    if item["type"] == "message":
        text = item["content"][0]["text"]
        part = at | {"content_index": 0}
        yield {"type": "response.output_item.added", "item": _message(None, ident)} | index
        yield {"type": "response.content_part.added", "part": _part("")} | part
        for piece in pieces(text, reply.chunk_code_points):
            yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | part
        yield {"type": "response.output_text.done", "text": text, "logprobs": []} | part
        yield {"type": "response.content_part.done", "part": _part(text)} | part
    else:
        name, arguments = item["name"], item["arguments"]
        yield {"type": "response.output_item.added", "item": _function(name, "", ident, "in_progress")} | index
        for piece in pieces(arguments, reply.chunk_code_points):
            yield {"type": "response.function_call_arguments.delta", "delta": piece} | at
        yield {"type": "response.function_call_arguments.done", "name": name, "arguments": arguments} | at
    yield {"type": "response.output_item.done", "item": item} | index


def _compact(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
