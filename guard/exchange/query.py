"""The query string of a request: read beside its body, judged with it, and rewritten on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from guard import content as reading
from guard.content import ReadLimits
from guard.errors import ContentRefused
from guard.keyed import KeyedHash
from guard.obligations.redact import Edits
from guard.types import Content, Skipped

POINTER: Final = "query"


def read_query(query: bytes, *, keyed: KeyedHash, limits: ReadLimits, field_names: frozenset[str]) -> Content:
    """The texts of a query string. One that does not read like a form is coverage, not a refusal: apps take any."""
    try:
        return reading.read_query(query, keyed=keyed, limits=limits, field_names=field_names)
    except ContentRefused as error:
        return Content(media_type="", size_bytes=len(query), skipped=(Skipped(POINTER, error.refusal),))


def beside(body: Content, query: Content) -> Content:
    """Both as one content: the segments of the body first."""
    return msgspec.structs.replace(
        body, segments=(*body.segments, *query.segments), skipped=(*body.skipped, *query.skipped)
    )


def apart(edits: Edits, body_segments: int) -> tuple[Edits, Edits]:
    """The edits of the body and those of the query string."""
    of_body = {index: spans for index, spans in edits.items() if index < body_segments}
    of_query = {index - body_segments: spans for index, spans in edits.items() if index >= body_segments}
    return of_body, of_query


def written(query: Content, edits: Mapping[int, list[tuple[int, int, str]]]) -> bytes:
    """The query string with its edits. Raises ``ObligationFailed``."""
    return reading.write_query(query, edits)
