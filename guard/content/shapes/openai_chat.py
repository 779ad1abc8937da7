"""OpenAI chat completions: the request, the answer, and the chunks of a streamed answer.

Source: the public API reference of ``POST /v1/chat/completions`` and the fields that compatible servers add
(``reasoning``, ``reasoning_content``).
"""

from __future__ import annotations

from typing import Final

from guard.content import coverage
from guard.content.places import (
    ARGUMENTS,
    LOOSE,
    MEASURE,
    METADATA,
    NUMBER,
    SCHEMA,
    TEXT,
    Place,
    numbers,
    words,
)
from guard.content.shapes.shape import Shape

ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_ROLE: Final = words(*ROLES)
_TYPE: Final = words(
    "function", "custom", "text", "image_url", "input_audio", "file", "refusal", "input_text", "content"
)
_URL: Final = Place(kind="url")
_IMAGE: Final = Place(kind="url", members={"url": _URL, "detail": words("auto", "low", "high")})
_FILE: Final = Place(
    members={"file_data": Place(kind="media", reason=coverage.FILE), "filename": TEXT, "file_id": METADATA}
)
_AUDIO: Final = Place(
    members={
        "id": METADATA,
        "data": Place(kind="media", reason=coverage.AUDIO),
        "transcript": TEXT,
        "expires_at": MEASURE,
        "format": words("wav", "mp3", "flac", "opus", "pcm16"),
        "voice": METADATA,
    }
)
CONTENT: Final = Place(
    members={
        "type": _TYPE,
        "text": TEXT,
        "refusal": TEXT,
        "input_text": TEXT,
        "image_url": _IMAGE,
        "video_url": _IMAGE,
        "input_audio": _AUDIO,
        "file": _FILE,
    }
)
"""A message's content: a string, or a list of parts. What has another type is read member by member."""


def _calls(text: Place, arguments: Place, *, streamed: bool) -> tuple[Place, Place]:
    """The places of ``tool_calls`` and of the older ``function_call``."""
    name = Place(provenance="assistant", fact="tool_call", joined=streamed)
    function = Place(members={"name": name, "arguments": arguments}, provenance="assistant")
    call = Place(
        provenance="assistant",
        members={
            "id": METADATA,
            "index": NUMBER,
            "type": _TYPE,
            "function": function,
            "custom": Place(members={"name": name, "input": text}),
        },
    )
    return Place(items=call, indexed=streamed, provenance="assistant"), function


_TOOL_CALLS, _FUNCTION_CALL = _calls(TEXT, ARGUMENTS, streamed=False)
_CITATION: Final = Place(
    members={
        "type": words("url_citation"),
        "url_citation": Place(members={"url": _URL, "title": TEXT, "start_index": NUMBER, "end_index": NUMBER}),
    }
)
MESSAGE: Final = Place(
    roles=ROLES,  # type: ignore[arg-type]
    members={
        "role": _ROLE,
        "content": CONTENT,
        "name": METADATA,
        "refusal": TEXT,
        "reasoning": TEXT,
        "reasoning_content": TEXT,
        "tool_calls": _TOOL_CALLS,
        "tool_call_id": METADATA,
        "function_call": _FUNCTION_CALL,
        "audio": _AUDIO,
        "annotations": Place(items=_CITATION),
    },
)
_FUNCTION: Final = Place(
    kind="open",
    provenance="definition",
    members={
        "name": Place(provenance="definition", fact="tool"),
        "description": Place(provenance="definition"),
        "parameters": SCHEMA,
        "schema": SCHEMA,
        "strict": NUMBER,
        "format": SCHEMA,
    },
    rest=SCHEMA,
)
_FORMAT_SCHEMA: Final = Place(
    provenance="definition",
    members={"name": TEXT, "description": TEXT, "schema": SCHEMA, "strict": NUMBER},
    rest=SCHEMA,
)
_CHOICE_NAME: Final = Place(provenance="metadata", members={"name": Place(provenance="metadata")})
_TOOL_CHOICE: Final = Place(
    provenance="metadata",
    words=frozenset({"auto", "none", "required"}),
    members={"type": _TYPE, "function": _CHOICE_NAME, "custom": _CHOICE_NAME, "name": METADATA},
)
_MODEL: Final = Place(provenance="metadata", fact="model")

REQUEST: Final = Place(
    provenance="unknown",
    members={
        "model": _MODEL,
        "messages": Place(provenance="user", items=MESSAGE),
        "tools": Place(
            provenance="definition",
            items=Place(
                provenance="definition",
                members={"type": _TYPE, "function": _FUNCTION, "custom": _FUNCTION},
                rest=SCHEMA,
            ),
        ),
        "functions": Place(provenance="definition", items=_FUNCTION),
        "tool_choice": _TOOL_CHOICE,
        "function_call": _TOOL_CHOICE,
        "response_format": Place(
            provenance="definition",
            members={"type": words("text", "json_object", "json_schema"), "json_schema": _FORMAT_SCHEMA},
            rest=SCHEMA,
        ),
        "prediction": Place(provenance="user", members={"type": _TYPE, "content": CONTENT}),
        "stop": Place(provenance="metadata"),
        "user": METADATA,
        "safety_identifier": METADATA,
        "prompt_cache_key": METADATA,
        "metadata": METADATA,
        "audio": _AUDIO,
        "modalities": words("text", "audio"),
        "service_tier": words("auto", "default", "flex", "priority"),
        "reasoning_effort": words("none", "minimal", "low", "medium", "high", "xhigh"),
        "verbosity": words("low", "medium", "high"),
        "stream_options": Place(members={"include_usage": NUMBER, "include_obfuscation": NUMBER}),
        "logit_bias": Place(kind="number", provenance="metadata", rest=NUMBER),
    }
    | numbers(
        "temperature",
        "top_p",
        "n",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "seed",
        "parallel_tool_calls",
        "store",
    ),
)

_COUNTS: Final = Place(
    members=numbers(
        "cached_tokens",
        "audio_tokens",
        "text_tokens",
        "image_tokens",
        "reasoning_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    )
)
_USAGE: Final = Place(
    members={"prompt_tokens": NUMBER, "completion_tokens": NUMBER, "total_tokens": NUMBER}
    | {"prompt_tokens_details": _COUNTS, "completion_tokens_details": _COUNTS}
)
ERROR: Final = Place(kind="open", members={"message": TEXT, "type": METADATA, "param": METADATA, "code": METADATA})


def _answer(choices: Place) -> Place:
    return Place(
        provenance="unknown",
        members={
            "id": METADATA,
            "object": words("chat.completion", "chat.completion.chunk"),
            "created": MEASURE,
            "model": _MODEL,
            "choices": choices,
            "usage": _USAGE,
            "system_fingerprint": METADATA,
            "service_tier": words("auto", "default", "flex", "priority"),
            "error": ERROR,
        },
    )


_CHOICE: Final = {
    "index": NUMBER,
    "finish_reason": words("stop", "length", "tool_calls", "content_filter", "function_call"),
    "logprobs": Place(kind="fragments"),
}
RESPONSE: Final = _answer(Place(items=Place(provenance="assistant", members=_CHOICE | {"message": MESSAGE})))

_PIECE: Final = Place(provenance="assistant", joined=True)
_JSON_PIECE: Final = Place(kind="json", provenance="assistant", joined=True, rest=LOOSE)
_STREAMED_CALLS, _STREAMED_CALL = _calls(_PIECE, _JSON_PIECE, streamed=True)
_DELTA: Final = Place(
    provenance="assistant",
    token="/message",  # noqa: S106
    members={
        "role": _ROLE,
        "content": Place(provenance="assistant", joined=True, members={"type": _TYPE, "text": _PIECE}),
        "refusal": _PIECE,
        "reasoning": _PIECE,
        "reasoning_content": _PIECE,
        "tool_calls": _STREAMED_CALLS,
        "function_call": _STREAMED_CALL,
        "audio": Place(
            members={
                "id": METADATA,
                "data": Place(kind="media", reason=coverage.AUDIO),
                "transcript": _PIECE,
                "expires_at": MEASURE,
            }
        ),
        "annotations": Place(items=_CITATION),
    },
    rest=_PIECE,
)
"""A chunk's delta. Its strings are pieces, those of unknown members too: servers add fields of their own."""

CHUNK: Final = _answer(
    Place(
        indexed=True,
        items=Place(provenance="assistant", members=_CHOICE | {"delta": _DELTA, "message": MESSAGE}),
    )
)

OPENAI_CHAT: Final = Shape(
    "openai.chat",
    operation="chat",
    path_suffixes=("/chat/completions",),
    request=REQUEST,
    response=RESPONSE,
    events={"": CHUNK},
    stream_words=frozenset({"[DONE]"}),
    joins=True,
)

__all__ = ["OPENAI_CHAT"]
