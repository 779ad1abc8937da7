"""Laws over arbitrary bodies: nothing is missed in any shape, and nothing fails but by name."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import SHAPES, EventReader, ShapeName, parse_head, read, write
from guard.content.places import Place
from guard.errors import ContentRefused
from guard.types import Stage
from tests.content.reading import KEYED, LIMITS, headers, read_bytes

STAGES: tuple[Stage, ...] = ("request", "response")


def recognised_keys() -> list[str]:
    """Every key that any shape knows at any place."""
    keys: set[str] = {"index", "role"}
    seen: set[int] = set()
    waiting: list[Place] = [
        place for shape in SHAPES.values() for place in (shape.request, shape.response, *shape.events.values())
    ]
    while waiting:
        place = waiting.pop()
        if id(place) in seen:
            continue
        seen.add(id(place))
        keys |= set(place.members)
        waiting += [*place.members.values(), *(below for below in (place.rest, place.items) if below)]
    return sorted(keys)


KEYS = recognised_keys()
WORDS = [word for shape in SHAPES.values() for word in shape.events if word]
SHAPED = st.recursive(
    st.just("?") | st.sampled_from(["user", "tool", "text", *WORDS]) | st.integers(0, 3) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


def numbered(value: Any, numbers: count[int]) -> Any:
    """The value with each ``?`` made a text of its own."""
    if value == "?":
        return f"leak{next(numbers)}@x.com"
    if isinstance(value, dict):
        return {key: numbered(inner, numbers) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbered(inner, numbers) for inner in value]
    return value


@pytest.mark.parametrize("shape", ["openai.chat", "anthropic.messages"])
@given(value=SHAPED)
def test_no_place_of_a_shape_hides_a_text(shape: ShapeName, value: Any) -> None:
    """Whatever stands where, of the right type or the wrong one, each text is in a segment, or its place is named."""
    numbers = count()
    value = numbered(value, numbers)
    planted = {f"leak{n}@x.com" for n in range(next(numbers))}
    body = json.dumps(value).encode()
    for stage in STAGES:
        content = read_bytes(body, "content-type: application/json", shape=shape, stage=stage)
        hidden = planted - {segment.text for segment in content.segments}
        assert not hidden or any(skipped.reason == "token_fragments" for skipped in content.skipped)
        assert json.loads(write(content, {})) == value


@pytest.mark.parametrize("shape", ["openai.chat", "anthropic.messages", "generic"])
@given(values=st.lists(SHAPED.filter(lambda value: isinstance(value, (dict, list))), min_size=1, max_size=3))
def test_no_event_of_a_stream_hides_a_text(shape: ShapeName, values: list[Any]) -> None:
    """The same for the events of a stream; joined texts hold their pieces, and edits reach every piece."""
    numbers = count()
    values = [numbered(value, numbers) for value in values]
    stream = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    content = read_bytes(stream, "content-type: text/event-stream", shape=shape, stage="response")
    joined = "\n".join(segment.text for segment in content.segments)
    skipped = {one.reason for one in content.skipped}
    if "token_fragments" not in skipped:
        assert all(f"leak{n}@x.com" in joined for n in range(next(numbers)))
    assert write(content, {}) == stream
    edits = {index: [(0, len(one.text), "-")] for index, one in enumerate(content.segments) if "leak" in one.text}
    written = write(content, edits)
    if edits:
        assert b"leak" not in written
    assert len(EventReader(10**6).feed(written)) == len(values)


@given(
    body=st.binary(max_size=60) | st.text(st.sampled_from('{}[]",:\\u0eENaIn1-. '), max_size=40).map(str.encode),
    media_type=st.sampled_from(
        [
            "application/json",
            "text/plain",
            "text/plain; charset=iso-8859-1",
            "text/event-stream",
            "image/png",
            "application/xml",
            "text/html",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "application/x-ndjson",
            "application/json-seq",
        ]
    ),
    stage=st.sampled_from(STAGES),
)
def test_any_bytes_are_read_or_refused_by_name(body: bytes, media_type: str, stage: Stage) -> None:
    """No body makes reading fail but by ``ContentRefused``, and what was read can be written and read again."""
    head = parse_head(headers(f"content-type: {media_type}"))
    try:
        content = read(body, head, shape="generic", path="", stage=stage, keyed=KEYED, limits=LIMITS)
    except ContentRefused:
        return
    again = read(write(content, {}), head, shape="generic", path="", stage=stage, keyed=KEYED, limits=LIMITS)
    assert again.segments == content.segments
    assert again.skipped == content.skipped
