"""Streams of JSON lines: a shape for each line, told by its members. Lines that none of them fits are read one by one.

Source: the public API reference of Ollama (``POST /api/chat`` and ``/api/generate``); the other shapes are those of
event streams, which some servers send as lines.
"""

from __future__ import annotations

from typing import Any, Final

from guard.content import coverage
from guard.content.places import ARGUMENTS, MEASURE, METADATA, NUMBER, UNKNOWN, Place, words
from guard.content.shapes.anthropic_messages import ANTHROPIC_MESSAGES
from guard.content.shapes.openai_chat import OPENAI_CHAT
from guard.content.shapes.openai_responses import OPENAI_RESPONSES
from guard.content.shapes.shape import Shape

_PIECE: Final = Place(provenance="assistant", joined=True)
_FUNCTION: Final = Place(
    provenance="assistant",
    members={
        "index": NUMBER,
        "name": Place(provenance="assistant", fact="tool_call"),
        "arguments": ARGUMENTS,
    },
)
_MESSAGE: Final = Place(
    provenance="assistant",
    members={
        "role": words("assistant"),
        "content": _PIECE,
        "thinking": _PIECE,
        "images": Place(kind="media", reason=coverage.IMAGE),
        "tool_calls": Place(items=Place(provenance="assistant", members={"id": METADATA, "function": _FUNCTION})),
        "tool_name": METADATA,
    },
)
_DURATIONS: Final = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
OLLAMA: Final = Place(
    provenance="unknown",
    members={
        "model": Place(provenance="metadata", fact="model"),
        "created_at": METADATA,
        "message": _MESSAGE,
        "response": _PIECE,
        "thinking": _PIECE,
        "done": NUMBER,
        "done_reason": words("stop", "length", "load", "unload"),
        # The tokens of the text, once more.
        "context": Place(kind="fragments"),
        "logprobs": Place(kind="fragments"),
        "prompt_eval_count": NUMBER,
        "eval_count": NUMBER,
        "error": Place(provenance="unknown"),
    }
    | dict.fromkeys(_DURATIONS, MEASURE),
)


class _Lines(Shape):
    """The place of a line by what is in it."""

    def event(self, data: Any) -> Place:
        """As of ``Shape``; ``UNKNOWN`` where nothing says that a text goes on in the next line."""
        if not isinstance(data, dict):
            return UNKNOWN
        kind, choices = data.get("type"), data.get("choices")
        if isinstance(kind, str):
            if kind in ANTHROPIC_MESSAGES.events and kind != "error":
                return ANTHROPIC_MESSAGES.event(data)
            return OPENAI_RESPONSES.event(data) if kind.startswith("response.") else UNKNOWN
        if isinstance(choices, list) and any(isinstance(one, dict) and "delta" in one for one in choices):
            return OPENAI_CHAT.event(data)
        return OLLAMA if _is_ollama(data) else UNKNOWN


def _is_ollama(data: dict[str, Any]) -> bool:
    """Whether a line is a piece of an answer, and no record of its own that happens to hold a message."""
    message = data.get("message")
    said = isinstance(message, dict) and ("content" in message or "thinking" in message)
    if not said and not any(isinstance(data.get(member), str) for member in ("response", "thinking")):
        return False
    spoken_by = message.get("role") if isinstance(message, dict) else None
    return isinstance(data.get("done"), bool) or isinstance(data.get("model"), str) or spoken_by == "assistant"


LINES: Final = _Lines("lines", joins=True, repeats=True, in_order=True)
MESSAGES: Final = _Lines("messages", joins=True, repeats=True)
"""The same as messages of a connection: what does not hold a text back does not wait for it."""
TEXT: Final = Shape("text", joins=True, in_order=False)
"""A text that comes in pieces."""
