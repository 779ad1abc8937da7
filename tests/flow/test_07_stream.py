"""The text of a stream as it passes: a value that was cut between pieces is seen whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.stream import MAX_CHANNELS, TooManyChannels, Windows


@given(pieces=st.lists(st.text(max_size=12), max_size=30), overlap=st.integers(0, 20))
def test_the_fresh_parts_are_the_stream(pieces: list[str], overlap: int) -> None:
    """Every character is fresh exactly once, however the stream was cut."""
    windows = Windows(overlap)
    fresh = [window.text[window.fresh :] for window in (windows.feed("c", piece) for piece in pieces)]
    assert "".join(fresh) == "".join(pieces)


@given(text=st.text(min_size=1, max_size=40), data=st.data())
def test_a_value_no_longer_than_the_overlap_stands_whole_in_some_window(text: str, data: st.DataObject) -> None:
    """Any chunking: a value up to the overlap is never only seen in parts."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    value = text[start:end]
    windows = Windows(len(value))
    seen, rest = [], text
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        seen.append(windows.feed("c", rest[:cut]).text)
        rest = rest[cut:]
    assert any(value in window for window in seen)


def test_a_long_token_is_kept_whole() -> None:
    """A JWT of 1,500 characters in small pieces stands whole in the last window."""
    token = "eyJ" + "x" * 1500
    windows = Windows()
    seen = [windows.feed("c", piece).text for piece in ["see ", *[token[i : i + 20] for i in range(0, len(token), 20)]]]
    assert token in seen[-1]


def test_channels_are_kept_apart_and_bounded() -> None:
    """Two choices of one answer do not complete each other's values, and a stream cannot open channels for ever."""
    windows = Windows()
    windows.feed("0", "jane@")
    assert windows.feed("1", "corp.com").text == "corp.com"
    for number in range(2, MAX_CHANNELS):
        windows.feed(str(number), "x")
    with pytest.raises(TooManyChannels):
        windows.feed("one more", "x")
