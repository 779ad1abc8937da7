"""Anthropic messages: the request, the answer, and the events of a streamed answer.

Source: the public API reference of ``POST /v1/messages`` and of its streaming events.
"""

from __future__ import annotations

from typing import Final

from guard.content import coverage
from guard.content.places import ARGUMENTS, LOOSE, METADATA, NUMBER, SCHEMA, TEXT, Place, numbers, words
from guard.content.shapes.shape import Shape

_ROLES: Final = {"user": "user", "assistant": "assistant", "system": "system"}
_BLOCK_TYPES: Final = words(
    "text",
    "image",
    "document",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "web_search_tool_result",
    "web_search_result",
)
_CACHE: Final = Place(members={"type": words("ephemeral"), "ttl": words("5m", "1h")})
_OPAQUE: Final = Place(kind="media", reason=coverage.OPAQUE_VALUE)
_CITATION: Final = (
    dict.fromkeys(("cited_text", "document_title", "title", "url", "source"), TEXT)
    | numbers(
        "document_index",
        "start_char_index",
        "end_char_index",
        "start_page_number",
        "end_page_number",
        "start_block_index",
        "end_block_index",
        "search_result_index",
    )
    | {
        "type": words(
            "char_location",
            "page_location",
            "content_block_location",
            "web_search_result_location",
            "search_result_location",
        ),
        "encrypted_index": _OPAQUE,
        "enabled": NUMBER,
    }
)
_CITATIONS: Final = Place(members=_CITATION)

_block: Final[dict[str, Place]] = {}
BLOCKS: Final = Place(members=_block)
"""A string, or a list of content blocks. What has another type is read member by member."""
_block.update(
    {
        "type": _BLOCK_TYPES,
        "text": TEXT,
        "cache_control": _CACHE,
        "citations": _CITATIONS,
        "source": Place(
            kind="url",
            members={
                "type": words("base64", "text", "url", "content", "file"),
                "media_type": METADATA,
                "data": Place(kind="media"),
                "url": Place(kind="url"),
                "file_id": METADATA,
                "content": BLOCKS,
            },
        ),
        "title": TEXT,
        "context": TEXT,
        "url": Place(kind="url"),
        "id": METADATA,
        "name": Place(provenance="assistant", fact="tool_call"),
        "input": ARGUMENTS,
        "tool_use_id": METADATA,
        "content": Place(provenance="tool", members=_block),
        "is_error": NUMBER,
        "thinking": TEXT,
        "signature": _OPAQUE,
        "data": _OPAQUE,
        "encrypted_content": _OPAQUE,
    }
)

_MESSAGE: Final = Place(
    roles=_ROLES,  # type: ignore[arg-type]
    members={"role": words(*_ROLES), "content": BLOCKS},
)
_MODEL: Final = Place(provenance="metadata", fact="model")
_SERVER: Final = Place(
    provenance="definition",
    members={
        "type": words("url"),
        "url": Place(kind="url"),
        "name": TEXT,
        "authorization_token": TEXT,
        "tool_configuration": SCHEMA,
    },
)
REQUEST: Final = Place(
    provenance="unknown",
    members={
        "model": _MODEL,
        "system": Place(provenance="system", members=_block),
        "messages": Place(provenance="user", items=_MESSAGE),
        "tools": Place(
            provenance="definition",
            items=Place(
                kind="open",
                provenance="definition",
                members={
                    "name": Place(provenance="definition", fact="tool"),
                    "description": Place(provenance="definition"),
                    "input_schema": SCHEMA,
                    "type": words("custom"),
                    "cache_control": _CACHE,
                },
                rest=SCHEMA,
            ),
        ),
        "tool_choice": Place(
            provenance="metadata",
            members={
                "type": words("auto", "any", "tool", "none"),
                "name": METADATA,
                "disable_parallel_tool_use": NUMBER,
            },
        ),
        "metadata": Place(kind="open", provenance="metadata", members={"user_id": METADATA}, rest=LOOSE),
        "stop_sequences": Place(provenance="metadata"),
        "thinking": Place(members={"type": words("enabled", "disabled", "adaptive"), "budget_tokens": NUMBER}),
        "service_tier": words("auto", "standard_only"),
        "container": METADATA,
        "mcp_servers": _SERVER,
        "stream": NUMBER,
        "max_tokens": NUMBER,
        "temperature": NUMBER,
        "top_k": NUMBER,
        "top_p": NUMBER,
    },
)

_USAGE: Final = Place(
    members=numbers("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    | {"service_tier": words("standard", "priority", "batch")}
)
_STOP: Final = {
    "stop_reason": words(
        "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"
    ),
    "stop_sequence": Place(provenance="assistant"),
    "container": METADATA,
}
_ERROR: Final = Place(kind="open", members={"message": TEXT, "type": METADATA})
_ANSWER: Final = {
    "id": METADATA,
    "type": words("message", "error"),
    "role": words(*_ROLES),
    "model": _MODEL,
    "content": Place(provenance="assistant", members=_block),
    "usage": _USAGE,
    "error": _ERROR,
    "request_id": METADATA,
} | _STOP
RESPONSE: Final = Place(provenance="unknown", members=_ANSWER)


def _event(kind: str, **members: Place) -> Place:
    return Place(provenance="unknown", members={"type": words(kind), "index": NUMBER} | members)


_PIECE: Final = Place(provenance="assistant", joined=True)
_AT_BLOCK: Final = "/content/{index}"
_BLOCK_START: Final = Place(
    provenance="assistant",
    token=_AT_BLOCK,
    members=_block
    | {
        "text": _PIECE,
        "thinking": _PIECE,
        "name": Place(provenance="assistant", fact="tool_call", joined=True),
        "input": ARGUMENTS,
    },
)
_BLOCK_DELTA: Final = Place(
    provenance="assistant",
    token=_AT_BLOCK,
    members={
        "type": words("text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"),
        "text": _PIECE,
        "thinking": _PIECE,
        "signature": _OPAQUE,
        "partial_json": Place(kind="json", provenance="assistant", joined=True, token="/input", rest=LOOSE),  # noqa: S106
        "citation": Place(token="/citations", members=_CITATION),  # noqa: S106
    },
    rest=_PIECE,
)
_EVENTS: Final = {
    "message_start": _event("message_start", message=Place(token="", provenance="unknown", members=_ANSWER)),
    "content_block_start": _event("content_block_start", content_block=_BLOCK_START),
    "content_block_delta": _event("content_block_delta", delta=_BLOCK_DELTA),
    "content_block_stop": _event("content_block_stop"),
    "message_delta": _event("message_delta", delta=Place(token="", provenance="unknown", members=_STOP), usage=_USAGE),
    "message_stop": _event("message_stop"),
    "ping": _event("ping"),
    "error": _event("error", error=_ERROR, request_id=METADATA),
}

ANTHROPIC_MESSAGES: Final = Shape(
    "anthropic.messages",
    operation="messages",
    path_suffixes=("/v1/messages", "/v1/messages/count_tokens"),
    request=REQUEST,
    response=RESPONSE,
    events=_EVENTS | {"": Place(provenance="unknown")},
    stream_words=frozenset(_EVENTS),
    joins=True,
    in_order=True,
)
