"""Every place where text lives, as templates: ``{P}`` is what is planted; ``Held`` is JSON held in a string; ``B64`` a
text in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.bypass.harness import JSON_HEAD, Message

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
MCP = "/mcp"


class Held(NamedTuple):
    """JSON held in a string."""

    value: Any


class B64(NamedTuple):
    """A text in base64, in a string, behind ``prefix``."""

    text: str
    prefix: str = ""


class Image(NamedTuple):
    """A picture that holds a text, in base64, behind ``prefix``: nothing that is read."""

    text: str
    prefix: str = ""


class Position(NamedTuple):
    """One place. ``side``: ``request`` or ``answer``. ``pieces`` are body messages; one JSON template is the body."""

    group: str
    where: str
    message: Message
    body: Any = None
    raw: tuple[str, ...] = ()

    @property
    def side(self) -> str:
        """Which way the text goes."""
        return "answer" if self.message.reply else "request"


def planted(template: Any, text: str) -> Any:
    """The template with the text in it."""
    match template:
        case Held(value):
            return json.dumps(planted(value, text), ensure_ascii=False)
        case B64(inner, prefix):
            return prefix + base64.b64encode(inner.replace("{P}", text).encode()).decode()
        case Image(inner, prefix):
            picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xd8" + inner.replace("{P}", text).encode() + bytes(40)
            return prefix + base64.b64encode(picture).decode()
        case str():
            return template.replace("{P}", text)
        case list():
            return [planted(one, text) for one in template]
        case dict():
            return {planted(key, text): planted(value, text) for key, value in template.items()}
    return template


def hidden_in(position: Position, text: str) -> tuple[str, ...]:
    """What must not get through: the text, and what carries it."""
    return (text, *(planted(carrier, text) for carrier in _carriers(position.body)))


def _carriers(template: Any) -> Iterator[B64 | Image]:
    match template:
        case B64() | Image():
            yield template
        case Held(value):
            yield from _carriers(value)
        case list():
            for one in template:
                yield from _carriers(one)
        case dict():
            for one in template.values():
                yield from _carriers(one)


def message_of(position: Position, text: str) -> Message:
    """The message with the text planted, in every one of its parts."""
    message = position.message
    pieces = tuple(one.replace("{P}", text).encode() for piece in position.raw for one in _spread(piece, text))
    if position.body is not None:
        pieces = (json.dumps(planted(position.body, text), ensure_ascii=False).encode(),)
    return Message(
        method=message.method,
        path=message.path.replace("{P}", quote(text, safe="")),
        query=message.query.replace("{P}", quote(text, safe="")),
        headers=tuple((name.replace("{P}", text), value.replace("{P}", text)) for name, value in message.headers),
        pieces=pieces,
        reply=message.reply,
    )


def _spread(piece: str, text: str) -> list[str]:
    """A piece for each character of the text, where the template says ``{EACH}``."""
    return [piece.replace("{EACH}", json.dumps(one)[1:-1]) for one in text] if "{EACH}" in piece else [piece]


def _json(group: str, path: str, bodies: dict[str, Any], *, reply: bool = False) -> Iterator[Position]:
    for where, body in bodies.items():
        yield Position(group, where, Message(path=path, reply=reply), body)


def _raw(group: str, media_type: str, bodies: dict[str, str | tuple[str, ...]], **more: Any) -> Iterator[Position]:
    for where, body in bodies.items():
        pieces = (body,) if isinstance(body, str) else body
        yield Position(group, where, Message(headers=(("content-type", media_type),), **more), None, pieces)


def _user(content: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


def _turn(role: str, **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": role, **members}]}


def _with(**members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}


def _function(**members: Any) -> dict[str, Any]:
    return _with(tools=[{"type": "function", "function": {"name": "f", **members}}])


def _call(**members: Any) -> dict[str, Any]:
    return _turn("assistant", tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", **members}}])


_CHAT_BODIES: dict[str, Any] = {
    "user message": _user("write to {P} now"),
    "text part": _user([{"type": "text", "text": "{P}"}]),
    "part of an unknown type": _user([{"type": "mystery", "text": "{P}"}]),
    "text under another key of a part": _user([{"type": "text", "caption": "{P}"}]),
    "content as an object": _user({"text": "{P}"}),
    "system message": _turn("system", content="{P}"),
    "developer message": _turn("developer", content="{P}"),
    "assistant message": _turn("assistant", content="{P}"),
    "refusal": _turn("assistant", refusal="{P}"),
    "tool result": _turn("tool", tool_call_id="c", content="{P}"),
    "tool result, JSON in a string": _turn("tool", tool_call_id="c", content=Held({"x": ["{P}"]})),
    "function result": _turn("function", name="f", content="{P}"),
    "message of an unknown role": _turn("critic", content="{P}"),
    "name of a message": _turn("user", content="x", name="{P}"),
    "role itself": _turn("{P}", content="x"),
    "tool-call arguments": _call(arguments=Held({"to": "{P}"})),
    "tool-call arguments, nested JSON": _call(arguments=Held({"x": Held({"y": [Held({"to": "{P}"})]})})),
    "tool-call arguments, key": _call(arguments=Held({"{P}": 1})),
    "tool-call arguments, no JSON": _call(arguments="to={P}"),
    "legacy function_call": _turn("assistant", function_call={"name": "f", "arguments": Held({"to": "{P}"})}),
    "custom tool call": _turn("assistant", tool_calls=[{"id": "c", "type": "custom", "custom": {"input": "{P}"}}]),
    "tool description": _function(description="{P}"),
    "tool parameter description": _function(parameters={"properties": {"x": {"description": "{P}"}}}),
    "tool parameter name": _function(parameters={"properties": {"{P}": {}}}),
    "tool enum and default": _function(parameters={"properties": {"x": {"enum": ["a"], "default": "{P}"}}}),
    "legacy functions": _with(functions=[{"name": "f", "description": "{P}"}]),
    "response_format schema": _with(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"description": "{P}"}}}
    ),
    "metadata value": _with(metadata={"note": "{P}"}),
    "metadata key": _with(metadata={"{P}": "x"}),
    "user": _with(user="{P}"),
    "safety_identifier": _with(safety_identifier="{P}"),
    "stop": _with(stop=["END", "{P}"]),
    "prediction": _with(prediction={"type": "content", "content": "{P}"}),
    "web_search_options": _with(web_search_options={"user_location": {"approximate": {"city": "{P}"}}}),
    "unknown field": _with(notes={"deep": [["{P}"]]}),
    "flags that ask to skip": _with(guardrails=[], disable_guardrails=True, notes="{P}"),
    "image URL, query": _user([{"type": "image_url", "image_url": {"url": "https://x.test/i?m={P}"}}]),
    "image URL, data: of a text": _user(
        [{"type": "image_url", "image_url": {"url": B64("write to {P}, please", "data:text/plain;base64,")}}]
    ),
    "file part, text in base64": _user([{"type": "file", "file": {"file_data": B64("write to {P}, please")}}]),
    "file part, file name": _user([{"type": "file", "file": {"file_id": "f", "filename": "{P}"}}]),
    "image, data: URL": _user([{"type": "image_url", "image_url": {"url": Image("{P}", "data:image/png;base64,")}}]),
    "file part, no text": _user([{"type": "file", "file": {"file_data": Image("{P}")}}]),
    "audio part": _user([{"type": "input_audio", "input_audio": {"data": Image("{P}"), "format": "wav"}}]),
    "audio part, text in its place": _user([{"type": "input_audio", "input_audio": {"data": "{P}"}}]),
    "model name": {"model": "{P}", "messages": [{"role": "user", "content": "hi"}]},
    "messages as a string": {"model": "m", "messages": "{P}"},
}
_RESPONSES_BODIES: dict[str, Any] = {
    "input": {"model": "m", "input": "{P}"},
    "input message": {"input": [{"role": "user", "content": [{"type": "input_text", "text": "{P}"}]}]},
    "instructions": {"input": "x", "instructions": "{P}"},
    "function_call arguments": {"input": [{"type": "function_call", "arguments": Held({"to": "{P}"})}]},
    "function_call_output": {"input": [{"type": "function_call_output", "output": Held({"x": "{P}"})}]},
    "reasoning summary": {"input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "{P}"}]}]},
    "computer_call_output": {"input": [{"type": "computer_call_output", "output": {"current_url": "https://x/{P}"}}]},
    "tool description": {"input": "x", "tools": [{"type": "function", "name": "f", "description": "{P}"}]},
    "MCP tool headers": {"input": "x", "tools": [{"type": "mcp", "headers": {"x-note": "{P}"}}]},
    "prompt variables": {"prompt": {"id": "p", "variables": {"name": "{P}"}}},
    "text format schema": {"input": "x", "text": {"format": {"type": "json_schema", "schema": {"title": "{P}"}}}},
    "input_file, text in base64": {
        "input": [{"content": [{"type": "input_file", "file_data": B64("to {P}, please", "data:text/plain;base64,")}]}]
    },
    "metadata": {"input": "x", "metadata": {"a": "{P}"}},
}
_OTHER_BODIES: dict[str, tuple[str, Any]] = {
    "completions prompt": ("/v1/completions", {"model": "m", "prompt": "{P}"}),
    "completions prompts": ("/v1/completions", {"model": "m", "prompt": ["x", "{P}"]}),
    "completions suffix": ("/v1/completions", {"model": "m", "prompt": "x", "suffix": "{P}"}),
    "embeddings input": ("/v1/embeddings", {"model": "m", "input": "{P}"}),
    "embeddings inputs": ("/v1/embeddings", {"model": "m", "input": ["x", "{P}"]}),
    "moderations input": ("/v1/moderations", {"input": "{P}"}),
    "moderations parts": ("/v1/moderations", {"input": [{"type": "text", "text": "{P}"}]}),
    "images prompt": ("/v1/images/generations", {"prompt": "{P}"}),
    "speech input": ("/v1/audio/speech", {"input": "{P}", "voice": "x"}),
    "speech instructions": ("/v1/audio/speech", {"input": "x", "instructions": "{P}"}),
    "batch of requests": ("/v1/batch", [{"body": _user("{P}")}]),
    "alias path": ("/chat/completions", _user("{P}")),
    "doubled and trailing slash": ("/v1//chat/completions/", _user("{P}")),
    "path in capitals": ("/V1/Chat/Completions", _user("{P}")),
}


def _blocks(*blocks: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": list(blocks)}]}


_ANTHROPIC_BODIES: dict[str, Any] = {
    "user message": _user("{P}"),
    "text block": _blocks({"type": "text", "text": "{P}"}),
    "system": _with(system="{P}"),
    "system block": _with(system=[{"type": "text", "text": "{P}"}]),
    "tool_use input": _blocks({"type": "tool_use", "id": "t", "name": "f", "input": {"to": {"x": "{P}"}}}),
    "tool_result": _blocks({"type": "tool_result", "tool_use_id": "t", "content": "{P}"}),
    "tool_result block": _blocks({"type": "tool_result", "content": [{"type": "text", "text": "{P}"}]}),
    "thinking": _blocks({"type": "thinking", "thinking": "{P}"}),
    "signature that is a text": _blocks({"type": "thinking", "thinking": "x", "signature": B64("write to {P} now")}),
    "document, text": _blocks({"type": "document", "source": {"type": "text", "data": "{P}"}, "title": "x"}),
    "document, text in base64": _blocks(
        {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": B64("write to {P} now")}}
    ),
    "image": _blocks({"type": "image", "source": {"media_type": "image/png", "data": Image("{P}")}}),
    "encrypted signature": _blocks({"type": "thinking", "thinking": "x", "signature": Image("{P}")}),
    "document title and context": _blocks({"type": "document", "source": {"type": "url"}, "title": "{P}"}),
    "search result": _blocks({"type": "search_result", "title": "x", "content": [{"type": "text", "text": "{P}"}]}),
    "citation": _blocks({"type": "text", "text": "x", "citations": [{"cited_text": "{P}"}]}),
    "image as a URL": _blocks({"type": "image", "source": {"type": "url", "url": "https://x/{P}"}}),
    "tool description": _with(tools=[{"name": "f", "description": "{P}", "input_schema": {}}]),
    "tool schema": _with(tools=[{"name": "f", "input_schema": {"properties": {"x": {"description": "{P}"}}}}]),
    "metadata.user_id": _with(metadata={"user_id": "{P}"}),
    "stop_sequences": _with(stop_sequences=["{P}"]),
    "mcp_servers token": _with(mcp_servers=[{"type": "url", "url": "https://x", "authorization_token": "{P}"}]),
    "unknown block": _blocks({"type": "mystery", "payload": {"a": "{P}"}}),
}


def _rpc(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


_MCP_BODIES: dict[str, Any] = {
    "tools/call arguments": _rpc("tools/call", {"name": "f", "arguments": {"to": "{P}"}}),
    "tools/call nested arguments": _rpc("tools/call", {"name": "f", "arguments": {"a": [{"b": Held({"c": "{P}"})}]}}),
    "tools/call tool name": _rpc("tools/call", {"name": "{P}", "arguments": {}}),
    "tools/call _meta": _rpc("tools/call", {"name": "f", "_meta": {"x": "{P}"}}),
    "prompts/get arguments": _rpc("prompts/get", {"name": "p", "arguments": {"x": "{P}"}}),
    "resources/read uri": _rpc("resources/read", {"uri": "file:///{P}"}),
    "completion/complete argument": _rpc("completion/complete", {"argument": {"name": "x", "value": "{P}"}}),
    "sampling/createMessage": _rpc("sampling/createMessage", {"messages": [{"content": {"text": "{P}"}}]}),
    "initialize clientInfo": _rpc("initialize", {"clientInfo": {"name": "{P}"}}),
    "notification": {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": {"x": "{P}"}}},
    "a batch": [_rpc("ping", {}), _rpc("tools/call", {"arguments": {"x": "{P}"}})],
    "id": {"jsonrpc": "2.0", "id": "{P}", "method": "ping"},
}
_MCP_ANSWERS: dict[str, Any] = {
    "tool result": {"result": {"content": [{"type": "text", "text": "{P}"}]}},
    "tool result, JSON in a string": {"result": {"content": [{"type": "text", "text": Held({"x": "{P}"})}]}},
    "structuredContent": {"result": {"structuredContent": {"rows": [{"x": "{P}"}]}}},
    "resource text": {"result": {"contents": [{"uri": "x", "text": "{P}"}]}},
    "resource blob, text in base64": {"result": {"contents": [{"uri": "x", "blob": B64("write to {P}, please")}]}},
    "tools/list description": {"result": {"tools": [{"name": "f", "description": "{P}"}]}},
    "error message": {"error": {"code": -1, "message": "{P}"}},
    "error data": {"error": {"code": -1, "message": "x", "data": {"row": "{P}"}}},
}


def _choice(**message: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}}],
    }


_CHAT_ANSWERS: dict[str, Any] = {
    "content": _choice(content="{P}"),
    "content parts": _choice(content=[{"type": "text", "text": "{P}"}]),
    "refusal": _choice(content=None, refusal="{P}"),
    "reasoning_content": _choice(content="x", reasoning_content="{P}"),
    "tool-call arguments": _choice(
        tool_calls=[{"id": "c", "function": {"name": "f", "arguments": Held({"a": "{P}"})}}]
    ),
    "citation URL": _choice(content="x", annotations=[{"url_citation": {"url": "https://x/{P}", "title": "t"}}]),
    "audio transcript": _choice(content=None, audio={"id": "a", "transcript": "{P}"}),
    "unknown member": _choice(content="x", extra={"deep": "{P}"}),
    "error message": {"error": {"message": "{P}", "type": "x"}},
}
_ANTHROPIC_ANSWERS: dict[str, Any] = {
    "text block": {"type": "message", "content": [{"type": "text", "text": "{P}"}]},
    "thinking block": {"type": "message", "content": [{"type": "thinking", "thinking": "{P}"}]},
    "tool_use input": {"type": "message", "content": [{"type": "tool_use", "name": "f", "input": {"a": "{P}"}}]},
    "web search result": {"content": [{"type": "web_search_tool_result", "content": [{"title": "{P}", "url": "x"}]}]},
    "error": {"type": "error", "error": {"type": "x", "message": "{P}"}},
}
_RESPONSES_ANSWERS: dict[str, Any] = {
    "output text": {"output": [{"content": [{"type": "output_text", "text": "{P}"}]}]},
    "function_call arguments": {"output": [{"type": "function_call", "arguments": Held({"a": "{P}"})}]},
    "reasoning summary": {"output": [{"type": "reasoning", "summary": [{"text": "{P}"}]}]},
    "file search result": {"output": [{"type": "file_search_call", "results": [{"text": "{P}"}]}]},
}
_PART = '--b\r\ncontent-disposition: form-data; name="{n}"{f}\r\n{h}\r\n{v}\r\n--b--\r\n'


def _part(value: str = "x", *, name: str = "n", file: str = "", head: str = "") -> str:
    return _PART.replace("{n}", name).replace("{f}", file).replace("{h}", head).replace("{v}", value)


_PARTS: dict[str, str | tuple[str, ...]] = {
    "field": _part("{P}"),
    "field name": _part(name="{P}"),
    "file name": _part("x", file='; filename="{P}.txt"'),
    "text file": _part("write {P}", file='; filename="a.txt"', head="content-type: text/plain\r\n"),
    "JSON file": _part('{"a":"{P}"}', file='; filename="a.json"', head="content-type: application/json\r\n"),
    "text file of no declared type": _part(
        "write {P}", file='; filename="a.bin"', head="content-type: application/octet-stream\r\n"
    ),
    "header of a part": _part("x", head="x-note: {P}\r\n"),
    "image file": _part("\0\1{P}", file='; filename="a.png"', head="content-type: image/png\r\n"),
    "transcription prompt": _part("{P}", name="prompt"),
    "field cut between body messages": (
        '--b\r\ncontent-disposition: form-data; name="n"\r\n\r\nwrite ',
        "{P}\r\n--b--\r\n",
    ),
}


def _at(where: str, path: str = CHAT, query: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Position:
    return Position(
        "Beside the body", where, Message(path=path, query=query, headers=JSON_HEAD + headers), _user("hello")
    )


_BESIDE = (
    _at("query value", query="note={P}"),
    _at("query name", query="{P}=1"),
    _at("query, JSON in a value", query="filter=%7B%22a%22%3A%22{P}%22%7D"),
    _at("path segment", path="/v1/users/{P}/notes"),
    _at("header", headers=(("x-note", "{P}"),)),
    _at("Referer", headers=(("referer", "https://x.test/?m={P}"),)),
    _at("User-Agent", headers=(("user-agent", "agent ({P})"),)),
    _at("Cookie", headers=(("cookie", "a={P}"),)),
    _at("baggage", headers=(("baggage", "who={P}"),)),
    _at("Idempotency-Key", headers=(("idempotency-key", "{P}"),)),
)


def _sse(*data: Any) -> tuple[str, ...]:
    return tuple(f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in data)


def _delta(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


_STREAMS: dict[str, str | tuple[str, ...]] = {
    "OpenAI chat, one event": _sse(_delta(content="mail {P} "), "[DONE]"),
    "OpenAI chat, an event for each character": _sse(_delta(content="mail ")) + _sse(_delta(content="{EACH}")),
    "OpenAI chat, tool arguments in single characters": (
        *_sse(_delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": '{"a":"'}}])),
        *_sse(_delta(tool_calls=[{"index": 0, "function": {"arguments": "{EACH}"}}])),
        *_sse(_delta(tool_calls=[{"index": 0, "function": {"arguments": '"}'}}])),
    ),
    "OpenAI chat, reasoning": _sse(_delta(reasoning_content="mail {P} "), "[DONE]"),
    "OpenAI chat, tool arguments": _sse(
        _delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": '{"a":"{P}"}'}}]), "[DONE]"
    ),
    "OpenAI chat, body messages cut an event": tuple(_sse(_delta(content="mail {P} "))[0].partition("{P}")),
    "Anthropic text": tuple(
        f"event: {one['type']}\ndata: {json.dumps(one)}\n\n"
        for one in (
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "mail {P} "}},
        )
    ),
    "OpenAI chat, refusal in single characters": _sse(_delta(refusal="mail ")) + _sse(_delta(refusal="{EACH}")),
    "events of no known shape": _sse({"x": "{P}"}),
    "text events": _sse("mail {P}"),
    "event name": ("event: {P}\ndata: {}\n\n",),
    "comment": (": {P}\n\ndata: {}\n\n",),
}

_PART_AT = {"output_index": 0, "content_index": 0, "summary_index": 0, "item_id": "i"}


def _said(kind: str, text: str = "{EACH}") -> dict[str, Any]:
    return {"type": f"response.{kind}", "delta": text, **_PART_AT}


_ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "mail {P} "}]}
_RESPONSES_STREAMS: dict[str, str | tuple[str, ...]] = {
    "Responses, an event for each character": _sse(_said("output_text.delta", "mail "), _said("output_text.delta")),
    "Responses, refusal": _sse(_said("refusal.delta", "mail "), _said("refusal.delta")),
    "Responses, reasoning summary": _sse(_said("reasoning_summary_text.delta")),
    "Responses, tool arguments in single characters": _sse(
        _said("function_call_arguments.delta", '{"a":"'),
        _said("function_call_arguments.delta"),
        _said("function_call_arguments.delta", '"}'),
    ),
    "Responses, a kind of delta to come": _sse(_said("thought_text.delta")),
    "Responses, whole text at the end": _sse({"type": "response.output_text.done", "text": "mail {P}", **_PART_AT}),
    "Responses, whole item at the end": _sse({"type": "response.output_item.done", "output_index": 0, "item": _ITEM}),
    "Responses, whole response at the end": _sse({"type": "response.completed", "response": {"output": [_ITEM]}}),
}


def _lines(*records: Any) -> tuple[str, ...]:
    return tuple(json.dumps({"model": "m", "done": False, **record}) + "\n" for record in records)


_LINES: dict[str, str | tuple[str, ...]] = {
    "Ollama chat, a line for each character": _lines(
        {"message": {"role": "assistant", "content": "mail "}}, {"message": {"role": "assistant", "content": "{EACH}"}}
    ),
    "Ollama generate, a line for each character": _lines({"response": "mail "}, {"response": "{EACH}"}),
    "Ollama chat, tool call": _lines(
        {"message": {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": "{P}"}}}]}}
    ),
    "records, a line each": _lines({"x": "{P}"}, {"y": 1}),
}

_XML = "<a><b c='{P}'>{P}</b></a>"
POSITIONS = (
    *_json("OpenAI chat", CHAT, _CHAT_BODIES),
    *_json("OpenAI Responses", RESPONSES, _RESPONSES_BODIES),
    *(
        position
        for where, (path, body) in _OTHER_BODIES.items()
        for position in _json("Other APIs", path, {where: body})
    ),
    *_json("Anthropic messages", MESSAGES, _ANTHROPIC_BODIES),
    *_json("MCP (JSON-RPC)", MCP, _MCP_BODIES),
    *_raw(
        "Other bodies",
        "application/x-www-form-urlencoded",
        {"form value": "a=1&note={P}", "form name": "{P}=1", "form, JSON in a value": 'a={"x":"{P}"}'},
    ),
    *_raw("Other bodies", "text/plain", {"text": "write to {P}", "JSON sent as text": '{"a":"{P}"}'}),
    *_raw("Other bodies", "application/x-ndjson", {"NDJSON": '{"a":1}\n{"b":"{P}"}\n'}),
    *_raw("Other bodies", "application/xml", {"XML, element and attribute": _XML}),
    *_raw("Other bodies", "application/octet-stream", {"JSON sent as bytes": '{"a":"{P}"}', "other bytes": "\0\1{P}"}),
    *_raw("Other bodies", "image/png", {"an image": "\0\1{P}"}),
    *_raw("Multipart", "multipart/form-data; boundary=b", _PARTS),
    *_BESIDE,
    *_json("OpenAI chat", CHAT, _CHAT_ANSWERS, reply=True),
    *_json("OpenAI Responses", RESPONSES, _RESPONSES_ANSWERS, reply=True),
    *_json("Anthropic messages", MESSAGES, _ANTHROPIC_ANSWERS, reply=True),
    *_json("MCP (JSON-RPC)", MCP, _MCP_ANSWERS, reply=True),
    *_raw("Streams", "text/event-stream", _STREAMS, reply=True),
    *_raw("Streams", "text/event-stream", _RESPONSES_STREAMS, reply=True, path=RESPONSES),
    *_raw("Streams", "application/x-ndjson", _LINES, reply=True, path="/api/chat"),
    *_raw("Streams", "text/plain", {"plain text, single characters": ("mail ", "{EACH}", " now")}, reply=True),
    *_raw("Other bodies", "text/plain", {"text": "write to {P}"}, reply=True),
    *_raw("Other bodies", "text/html", {"HTML": "<p title='{P}'>{P}</p>"}, reply=True),
    *_raw("Other bodies", "application/x-ndjson", {"NDJSON": '{"a":1}\n{"b":"{P}"}\n'}, reply=True),
    Position(
        "Beside the body",
        "header of the answer",
        Message(headers=(*JSON_HEAD, ("x-note", "{P}")), reply=True),
        {"ok": True},
    ),
)
