"""OpenAI responses: the answer, and the events of a streamed answer. The request is read as JSON of no shape.

A streamed answer says each text in pieces, and then again whole: with the end of the text, of its part, of its item and
of the response. Source: the public API reference of ``POST /v1/responses`` and of its streaming events.
"""

from __future__ import annotations

from typing import Final

from guard.content import coverage
from guard.content.places import LOOSE, MEASURE, METADATA, SCHEMA, TEXT, Place, numbers, words
from guard.content.shapes.shape import Shape

_STATUS: Final = words("completed", "in_progress", "incomplete", "failed", "cancelled", "queued", "searching")
_OPAQUE: Final = Place(kind="media", reason=coverage.OPAQUE_VALUE)
_CITATION: Final = Place(
    members={
        "type": words("url_citation", "file_citation", "container_file_citation", "file_path"),
        "url": Place(kind="url"),
        "title": TEXT,
        "filename": TEXT,
        "file_id": METADATA,
        "container_id": METADATA,
    }
    | numbers("index", "start_index", "end_index")
)
_PIECE: Final = Place(provenance="assistant", joined=True)
_JSON_PIECE: Final = Place(kind="json", provenance="assistant", joined=True, rest=LOOSE)
_WHOLE: Final = Place(provenance="assistant", again=True)
_JSON_WHOLE: Final = Place(kind="json", provenance="assistant", again=True, rest=LOOSE, items=LOOSE)


def _part(text: Place) -> dict[str, Place]:
    return {
        "type": words("output_text", "refusal", "reasoning_text", "summary_text", "text", "audio"),
        "text": text,
        "refusal": text,
        "transcript": text,
        "annotations": Place(items=_CITATION),
        "logprobs": Place(kind="fragments"),
    }


def _item(text: Place, arguments: Place) -> dict[str, Place]:
    """An output item: a message, a reasoning, a call of a tool. What has another type is read member by member."""
    parts = Place(items=Place(provenance="assistant", members=_part(text)))
    return {
        "type": words("message", "reasoning", "function_call", "custom_tool_call", "mcp_call", "code_interpreter_call"),
        "id": METADATA,
        "status": _STATUS,
        "role": words("assistant"),
        "content": parts,
        "summary": parts,
        "encrypted_content": _OPAQUE,
        "call_id": METADATA,
        "name": Place(provenance="assistant", fact="tool_call"),
        "arguments": arguments,
        "input": text,
        "code": text,
        "output": Place(provenance="tool"),
        "result": Place(kind="media"),
        "server_label": METADATA,
    }


_COUNTS: Final = Place(members=numbers("cached_tokens", "reasoning_tokens", "cache_write_tokens"))
_USAGE: Final = Place(
    members=numbers("input_tokens", "output_tokens", "total_tokens")
    | {"input_tokens_details": _COUNTS, "output_tokens_details": _COUNTS}
)
_ERROR: Final = Place(kind="open", members={"message": TEXT, "type": METADATA, "param": METADATA, "code": METADATA})
RESPONSE: Final = Place(
    provenance="unknown",
    members={
        "id": METADATA,
        "object": words("response"),
        "created_at": MEASURE,
        "completed_at": MEASURE,
        "status": _STATUS,
        "model": Place(provenance="metadata", fact="model"),
        "output": Place(items=Place(provenance="assistant", members=_item(_WHOLE, _JSON_WHOLE))),
        "usage": _USAGE,
        "error": _ERROR,
        "incomplete_details": Place(members={"reason": METADATA}),
        "instructions": Place(provenance="system"),
        "tools": SCHEMA,
        "tool_choice": METADATA,
        "text": Place(members={"format": SCHEMA, "verbosity": METADATA}),
        "reasoning": Place(members={"effort": METADATA, "summary": METADATA}),
        "truncation": words("auto", "disabled"),
        "service_tier": words("auto", "default", "flex", "scale", "priority"),
        "previous_response_id": METADATA,
        "metadata": METADATA,
        "user": METADATA,
    }
    | numbers(
        "temperature", "top_p", "max_output_tokens", "max_tool_calls", "parallel_tool_calls", "store", "background",
        "top_logprobs",
    ),
)  # fmt: skip

_AT_ITEM: Final = "/output/{output_index}"
_AT_PART: Final = _AT_ITEM + "/content/{content_index}"
_AT_SUMMARY: Final = _AT_ITEM + "/summary/{summary_index}"
_AUDIO: Final = Place(kind="media", reason=coverage.AUDIO)


def _event(kind: str, **members: Place) -> Place:
    common = {"type": words(kind), "item_id": METADATA, "obfuscation": METADATA, "status": _STATUS} | numbers(
        "sequence_number", "output_index", "content_index", "summary_index", "annotation_index", "partial_image_index"
    )
    return Place(provenance="assistant", members=common | members)


def _placed(place: Place, token: str) -> Place:
    return Place(place.kind, place.provenance, rest=place.rest, joined=place.joined, again=place.again, token=token)


_SPOKEN: Final = {
    # The name of the events, where their text stands, and the member of the last one that says it whole.
    "response.output_text": (_AT_PART + "/text", "text"),
    "response.refusal": (_AT_PART + "/refusal", "refusal"),
    "response.reasoning_text": (_AT_PART + "/text", "text"),
    "response.reasoning_summary_text": (_AT_SUMMARY + "/text", "text"),
    "response.function_call_arguments": (_AT_ITEM + "/arguments", "arguments"),
    "response.mcp_call_arguments": (_AT_ITEM + "/arguments", "arguments"),
    "response.custom_tool_call_input": (_AT_ITEM + "/input", "input"),
    "response.code_interpreter_call_code": (_AT_ITEM + "/code", "code"),
    "response.audio.transcript": (_AT_PART + "/transcript", "transcript"),
    # Those of the realtime API, which says the same in messages.
    "response.text": (_AT_PART + "/text", "text"),
    "response.output_audio_transcript": (_AT_PART + "/transcript", "transcript"),
    "response.audio_transcript": (_AT_PART + "/transcript", "transcript"),
}


def _spoken() -> dict[str, Place]:
    events: dict[str, Place] = {}
    probabilities = Place(kind="fragments")
    for kind, (token, member) in _SPOKEN.items():
        piece, whole = (_JSON_PIECE, _JSON_WHOLE) if member == "arguments" else (_PIECE, _WHOLE)
        name = Place(provenance="assistant", fact="tool_call")
        events[f"{kind}.delta"] = _event(f"{kind}.delta", delta=_placed(piece, token), logprobs=probabilities)
        events[f"{kind}.done"] = _event(
            f"{kind}.done", logprobs=probabilities, name=name, call_id=METADATA, **{member: _placed(whole, token)}
        )
    return events


def _structure() -> dict[str, Place]:
    events: dict[str, Place] = {}
    for verb, item in (("added", _item(_PIECE, _JSON_PIECE)), ("done", _item(_WHOLE, _JSON_WHOLE))):
        text = _PIECE if verb == "added" else _WHOLE
        for kind, token, members in (
            ("response.output_item", _AT_ITEM, {"item": item}),
            ("response.content_part", _AT_PART, {"part": _part(text)}),
            ("response.reasoning_summary_part", _AT_SUMMARY, {"part": _part(text)}),
        ):
            places = {name: Place(token=token, members=held) for name, held in members.items()}
            events[f"{kind}.{verb}"] = _event(f"{kind}.{verb}", **places)
    for kind in ("created", "queued", "in_progress", "completed", "incomplete", "failed", "done"):
        whole = Place(provenance="unknown", token="", members=RESPONSE.members)
        events[f"response.{kind}"] = _event(f"response.{kind}", response=whole)
    return events


_EVENTS: Final = (
    _structure()
    | _spoken()
    | {
        "response.audio.delta": _event("response.audio.delta", delta=_AUDIO),
        "response.output_audio.delta": _event("response.output_audio.delta", delta=_AUDIO),
        "response.image_generation_call.partial_image": _event(
            "response.image_generation_call.partial_image",
            partial_image_b64=Place(kind="media", reason=coverage.IMAGE),
        ),
        "response.output_text.annotation.added": _event(
            "response.output_text.annotation.added",
            annotation=Place(token=_AT_PART + "/annotations", members=_CITATION.members),
        ),
        "error": _event("error", code=METADATA, message=TEXT, param=METADATA, error=_ERROR),
        # What is not known yet says its text in pieces, too, if it is called so.
        ".delta": _event("", delta=Place(provenance="assistant", token=_AT_ITEM + "/delta", joined=True, rest=_PIECE)),
        "": _event(""),
    }
)
_NAMES: Final = frozenset(_EVENTS) - {"", ".delta"} | frozenset(
    f"response.{tool}_call.{state}"
    for tool in ("web_search", "file_search", "code_interpreter", "image_generation", "mcp")
    for state in ("in_progress", "searching", "interpreting", "generating", "completed", "failed")
)

OPENAI_RESPONSES: Final = Shape(
    "openai.responses",
    path_suffixes=("/v1/responses", "/openai/responses"),
    response=RESPONSE,
    events=_EVENTS,
    stream_words=_NAMES | {"[DONE]"},
    joins=True,
    repeats=True,
    in_order=True,
)
