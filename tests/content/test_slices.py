"""What is looked at slice by slice, so that no call holds the interpreter for long, gives the answers of the whole."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import folding
from guard.content import markup, sse, strict

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TEXT = st.text(alphabet='ab"\\[]{}, \n:é', max_size=12)
_JSON = st.recursive(
    st.none() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)
_SIZES = st.sampled_from([1, 2, 3, 7, 64])


def values_in(value: object) -> int:
    """Values of a document as the limit counts them: commas and containers that hold something, and the root."""
    bare = re.sub(r"\s", "", _STRING.sub("0", json.dumps(value, ensure_ascii=False)))
    containers = bare.count("[") + bare.count("{") - bare.count("[]") - bare.count("{}")
    return 1 + bare.count(",") + containers


@given(value=_JSON, indent=st.sampled_from([None, 1]), size=_SIZES)
def test_values_are_counted_alike_in_slices_of_any_size(value: object, indent: int | None, size: int) -> None:
    """Strings, escapes and empty containers that lie across slices count as in the whole text."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    bound = 1 + text.count(",") + text.count("[") + text.count("{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict, "_SLICE", size)
        assert strict._count_values(text, bound) == bound
        assert strict._count_values(text, bound - 1) == values_in(value)
        assert "".join(strict._outside_strings(text)) == _STRING.sub("0", text)


def test_counting_stops_past_the_limit() -> None:
    """Of a body with far too many values only the beginning is counted."""
    text = "[" + "1," * 1_000_000 + "1]"
    assert 10 < strict._count_values(text, 10) <= strict._SLICE


@given(text=st.text(max_size=60), size=_SIZES)
def test_folding_is_the_same_in_slices(text: str, size: int) -> None:
    """A text folds, and maps back, as it does in one piece."""
    whole = folding.fold(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "_SLICE", size)
        assert folding.fold(text) == whole


@given(text=st.text(alphabet="a&#64;<![CDATA[]]>é\u200b", max_size=60), size=_SIZES)
def test_markup_maps_back_the_same_in_steps(text: str, size: int) -> None:
    """Each character of folded markup stands where it stood when all was read at once."""
    whole = markup.fold_markup(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markup, "_STEP", size)
        assert markup.fold_markup(text) == whole


@given(body=st.text(alphabet="da:\r\n ", max_size=60), size=_SIZES)
def test_lines_of_an_event_are_the_same_in_slices(body: str, size: int) -> None:
    """An event has the same fields wherever its lines are cut."""
    stream = f"data: {body}\n\n".encode()
    reader = sse.EventReader(1 << 16)
    whole = reader.feed(stream) + reader.finish()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse, "_SLICE", size)
        reader = sse.EventReader(1 << 16)
        assert reader.feed(stream) + reader.finish() == whole
