"""Event streams are read as the WHATWG standard says, in any chunks, and kept byte for byte."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.content import Event, EventReader
from guard.content.sse import serialise
from guard.errors import ContentRefused


def events_of(*chunks: bytes, max_event_bytes: int = 10_000) -> list[Event]:
    reader = EventReader(max_event_bytes)
    found = [event for chunk in chunks for event in reader.feed(chunk)]
    return found + reader.finish()


def data_of(stream: bytes) -> list[str | None]:
    return [event.data for event in events_of(stream)]


LINES = st.sampled_from(
    ["data: a", "data:", "data", "data:  é", ": c", "event: x", "id: 1", "retry: 10", "", "", "odd"]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=14).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


@given(stream=STREAMS, marked=st.booleans(), cuts=st.lists(st.integers(0, 200), max_size=8))
@example(stream=b"data: a\r\n\r\ndata: b\r\r\n", marked=False, cuts=[8, 9, 10, 11, 20])
def test_any_chunking_gives_the_same_events(stream: bytes, marked: bool, cuts: list[int]) -> None:
    """Cuts inside line ends, byte order marks and UTF-8 characters change nothing, and no byte is lost."""
    stream = (b"\xef\xbb\xbf" if marked else b"") + stream
    whole = events_of(stream)
    at = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    assert events_of(*(stream[begin:end] for begin, end in itertools.pairwise(at))) == whole
    assert events_of(*(stream[index : index + 1] for index in range(len(stream)))) == whole
    assert b"".join(event.raw for event in whole) == stream


@given(stream=STREAMS)
def test_an_event_written_with_its_own_values_is_the_same_event(stream: bytes) -> None:
    """Serialising an event and reading it again gives the same fields, data and name."""
    for event in events_of(stream):
        again = events_of(serialise(event, [value for _, value in event.fields]))
        assert [(one.fields, one.data, one.name) for one in again if one.fields] == (
            [(event.fields, event.data, event.name)] if event.fields else []
        )


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
            [None, "first", "second", " third"],
        ),
        (b"data\n\ndata\ndata\n\n", ["", "\n"]),
        (b"data:test\n\ndata: test\n\n", ["test", "test"]),
        (b"\xef\xbb\xbfdata: x\n\n", ["x"]),
        (b"data: a\x0bb\xe2\x80\xa8c\n\n", ["a\x0bb\u2028c"]),
        (b"data: unfinished", ["unfinished"]),
    ],
)
def test_events_are_those_of_the_standard(stream: bytes, data: list[str | None]) -> None:
    """The examples of the standard; what a browser would drop (comments, a cut-off event) is kept beside."""
    assert data_of(stream) == data


def test_an_event_has_name_fields_and_an_end() -> None:
    """Names, comments and unknown lines are kept; an event that the stream's end cut off says so."""
    first, second = events_of(b"event: ping\n:c\ndata: 1\nodd: line\ndata: 2\n\ndata: cut")
    assert (first.name, first.data, first.complete) == ("ping", "1\n2", True)
    assert first.fields == (("event", "ping"), ("", "c"), ("data", "1\n2"), ("line", "odd: line"))
    assert (second.data, second.complete) == ("cut", False)


def test_events_come_as_soon_as_they_are_whole() -> None:
    """An event is not held back once its blank line has arrived."""
    reader = EventReader(100)
    assert reader.feed(b"data: a\n") == []
    assert [event.data for event in reader.feed(b"\ndata: b\r\n\r\nda")] == ["a", "b"]
    assert [event.data for event in reader.feed(b"ta: c\n\n")] == ["c"]


@pytest.mark.parametrize("chunk", [b"x" * 11, b"data: 12345\n\n"])
def test_an_endless_event_is_refused(chunk: bytes) -> None:
    """A line that never ends does not fill the memory."""
    with pytest.raises(ContentRefused) as refused:
        events_of(chunk, max_event_bytes=10)
    assert refused.value.refusal == "body_too_large"


def test_a_stream_that_is_not_utf8_is_refused() -> None:
    """Readers replace bad bytes in different ways, so they don't pass."""
    with pytest.raises(ContentRefused) as refused:
        events_of(b"data: \xff\n\n")
    assert refused.value.refusal == "text_invalid"


def test_new_text_cannot_break_out_of_its_field() -> None:
    """A line end in new text stays inside the data, and becomes a space elsewhere."""
    (event,) = events_of(b"id: 1\r\ndata: x\r\n\r\n")
    written = serialise(event, ["2\nevent: forged", "a\nb\rid: 3"])
    assert written == b"id: 2 event: forged\r\ndata: a\r\ndata: b\r\ndata: id: 3\r\n\r\n"


@pytest.mark.parametrize("line", [b"data:\n", b"a\n", b": c\n"])
def test_an_event_has_a_bounded_number_of_lines(line: bytes) -> None:
    """Lines that hold nothing cost memory, too: past 20,000 in one event the stream is refused."""
    assert len(EventReader(1 << 20).feed(line * 20_000 + b"\n")) == 1
    with pytest.raises(ContentRefused) as refused:
        EventReader(1 << 20).feed(line * 20_001 + b"\n")
    assert refused.value.refusal == "body_too_large"
