"""How a body of each media type is read."""

from __future__ import annotations

from typing import Final, Literal

Reading = Literal["json", "text", "events", "form", "none", "opaque"]
"""``none``: no media type was sent. ``form``: urlencoded or multipart."""

_TEXT: Final = frozenset(
    {
        "application/xml",
        "application/javascript",
        "application/ecmascript",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/json-seq",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/graphql",
        "application/sql",
    }
)


def reading(media_type: str) -> Reading:
    """How bodies of this media type (lower case, without parameters) are read."""
    if media_type in ("application/json", "text/json") or media_type.endswith("+json"):
        return "json"
    if media_type == "text/event-stream":
        return "events"
    if media_type.startswith("text/") or media_type in _TEXT or media_type.endswith(("+xml", "+yaml")):
        return "text"
    if media_type == "application/x-www-form-urlencoded" or media_type.startswith("multipart/"):
        return "form"
    return "opaque" if media_type else "none"


def is_opaque(media_type: str) -> bool:
    """Whether bodies of this media type hold nothing that we read as text."""
    return reading(media_type) == "opaque"
