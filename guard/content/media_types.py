"""How a body of each media type is read."""

from __future__ import annotations

from typing import Final, Literal

Reading = Literal["json", "lines", "sequence", "text", "events", "form", "multipart", "none", "opaque"]
"""``none``: no media type was sent. ``lines``: NDJSON. ``sequence``: JSON text sequences (RFC 7464)."""

_LINES: Final = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
        "application/json-lines",
        "text/x-ndjson",
        "text/jsonl",
    }
)

_TEXT: Final = frozenset(
    {
        "application/xml",
        "application/javascript",
        "application/ecmascript",
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
    if media_type in _LINES:
        return "lines"
    if media_type == "application/json-seq" or media_type.endswith("+json-seq"):
        return "sequence"
    if media_type == "text/event-stream":
        return "events"
    if media_type.startswith("text/") or media_type in _TEXT or media_type.endswith(("+xml", "+yaml")):
        return "text"
    if media_type == "application/x-www-form-urlencoded":
        return "form"
    if media_type.startswith("multipart/"):
        return "multipart"
    return "opaque" if media_type else "none"


def is_markup(media_type: str) -> bool:
    """Whether character references are read in bodies of this media type (XML and HTML)."""
    return media_type in ("text/html", "text/xml", "application/xml") or media_type.endswith("+xml")


def is_opaque(media_type: str) -> bool:
    """Whether bodies of this media type hold nothing that we read as text."""
    return reading(media_type) == "opaque"
