"""Paths: every segment is inspected in both spellings, and rewritten in both."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import ReadLimits, is_wordless, read_path, write_path
from guard.errors import ObligationFailed
from guard.types import Content, Skipped
from tests.content.reading import KEYED, LIMITS


def read(raw: str, path: str | None = None, literal: frozenset[int] = frozenset()) -> Content:
    """The path as a server gives it."""
    decoded = unquote(raw) if path is None else path
    return read_path(decoded, raw.encode(), keyed=KEYED, limits=LIMITS, literal=literal)


def texts(content: Content) -> list[tuple[str, str]]:
    return [(segment.pointer, segment.text) for segment in content.segments]


def test_segments_are_texts_at_their_index() -> None:
    """The words of providers' APIs, empty segments and what the route's pattern spells are none."""
    assert texts(read("/v1/chat/completions")) == []
    assert texts(read("/users/jane%40corp.com//x/")) == [
        ("path/0", "users"),
        ("path/1", "jane@corp.com"),
        ("path/3", "x"),
    ]
    assert texts(read("/users/jane", literal=frozenset({0}))) == [("path/1", "jane")]
    assert texts(read("*")) == [("path", "*")]


def test_both_spellings_are_rewritten() -> None:
    """Segments without an edit stay as they came, in each spelling."""
    content = read("/caf%c3%a9/jane%40corp.com/a%2Bb")
    assert write_path(content, {1: [(0, 13, "<E>")]}) == ("/café/<E>/a+b", b"/caf%c3%a9/%3CE%3E/a%2Bb")
    assert write_path(content, {}) == ("/café/jane@corp.com/a+b", b"/caf%c3%a9/jane%40corp.com/a%2Bb")


def test_an_encoded_slash_is_neither_missed_nor_broken() -> None:
    """Where the spellings part differently each is read, and each is written on its own."""
    content = read("/docs/jane%2Fdoe@corp.com/a%2Fb")
    assert texts(content) == [
        ("path/0", "docs"),
        ("path/1", "jane"),
        ("path/2", "doe@corp.com"),
        ("path/3", "a"),
        ("path/4", "b"),
        ("path/0", "docs"),
        ("path/1", "jane/doe@corp.com"),
        ("path/2", "a/b"),
    ]
    path, raw = write_path(content, {2: [(0, 12, "<E>")], 6: [(5, 17, "<E>")]})
    assert (path, raw) == ("/docs/jane/<E>/a/b", b"/docs/jane%2F%3CE%3E/a%2Fb")


def test_a_server_that_gives_no_raw_path() -> None:
    """Only what there is, is read and written."""
    content = read_path("/u/jane", None, keyed=KEYED, limits=LIMITS)
    assert write_path(content, {1: [(0, 4, "x")]}) == ("/u/x", None)


def test_a_path_that_something_outside_of_us_rewrote() -> None:
    """Both are inspected: apps read either."""
    content = read("/old/jane@corp.com", "/new")
    assert texts(content) == [("path/0", "new"), ("path/0", "old"), ("path/1", "jane@corp.com")]
    assert write_path(content, {2: [(0, 13, "x")]}) == ("/new", b"/old/x")


@pytest.mark.parametrize("new", ["", ".", "..", "a/b"])
def test_a_segment_stays_one_segment(new: str) -> None:
    """An edit that would part, empty or resolve the path fails."""
    with pytest.raises(ObligationFailed):
        write_path(read("/u/jane"), {1: [(0, 4, new)]})


def test_a_path_of_too_many_segments_is_a_gap() -> None:
    """Past the bound nothing is read, which the shipped rules deny."""
    limits = ReadLimits(max_fields=4)
    content = read_path("/a/a/a/a", b"/a/a/a/a", keyed=KEYED, limits=limits)
    assert (content.segments, content.skipped) == ((), (Skipped("path", "inspect_limit"),))


@pytest.mark.parametrize("raw", ["/a%", "/%zz/x", "/a%ff", "/%E2%82", "/%2e%2e/x", "/\xff"])
def test_broken_escapes_are_inspected_in_both_spellings(raw: str) -> None:
    """No spelling makes a segment disappear."""
    content = read_path(unquote(raw), raw.encode("latin-1"), keyed=KEYED, limits=LIMITS)
    assert content.segments
    assert write_path(content, {}) == (unquote(raw), raw.encode("latin-1"))


segment = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8)


@given(st.lists(segment, min_size=1, max_size=5), st.data())
def test_both_spellings_say_the_same_after_an_edit(parts: list[str], data: st.DataObject) -> None:
    """Whatever is replaced, decoding the raw path gives the path."""
    content = read("/" + "/".join(quote(part, safe="") for part in parts))
    if not content.segments:
        return
    index = data.draw(st.integers(0, len(content.segments) - 1))
    length = len(content.segments[index].text)
    start = data.draw(st.integers(0, length))
    edits = {index: [(start, data.draw(st.integers(start, length)), "<E ä%>")]}
    path, raw = write_path(content, edits)
    assert raw is not None
    assert unquote(raw.decode()) == path
    assert path.count("/") == len(parts)


SEGMENTS = st.sampled_from(["v1", "chat", "completions", "", "jane", "%76%31", "v%31", "é", "files", "a+b"])


@given(
    st.lists(SEGMENTS, max_size=6).map("/".join),
    st.one_of(st.none(), st.lists(SEGMENTS, max_size=6).map("/".join)),
    st.frozensets(st.integers(0, 4), max_size=2),
    st.integers(1, 6),
)
def test_what_is_called_wordless_has_nothing_to_read(
    path: str, sent: str | None, literal: frozenset[int], max_fields: int
) -> None:
    """A path that is passed over is one in which neither a text nor a gap is found."""
    limits = ReadLimits(max_fields=max_fields)
    for raw in (None, path.encode(), *([] if sent is None else [sent.encode()])):
        if is_wordless(path, raw, literal, limits):
            content = read_path(path, raw, keyed=KEYED, limits=limits, literal=literal)
            assert (content.segments, content.skipped) == ((), ())


def test_the_usual_path_is_wordless() -> None:
    """Paths of providers' APIs need no reading; one with a name or an escape does."""
    assert is_wordless("/v1/chat/completions", b"/v1/chat/completions", frozenset(), LIMITS)
    assert is_wordless("/files/jane", None, frozenset({1}), LIMITS)
    assert not is_wordless("/v1/jane", b"/v1/jane", frozenset(), LIMITS)
    assert not is_wordless("/v1/chat", b"/v1/ch%61t", frozenset(), LIMITS)
