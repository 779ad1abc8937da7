"""The short way to a cut in prose leads to the same cut as the long way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.stream import cut
from guard.stream.cut import settled

WORDS = [
    "a",
    "at",
    "At",
    "dot",
    "DOT",
    "d",
    "do",
    "ab",
    "abc",
    "int",
    "ext",
    "x",
    "anexo",
    "plan",
    "The",
    "don't",
    "end.",
    "a.",
    "at,",
    "hello,",
    "Q:",
    "?",
    "!",
    "'",
    "...",
    "jane",
    "corp",
    "com",
]
PROSE = st.lists(st.tuples(st.sampled_from(["", " ", " ", "  "]), st.sampled_from(WORDS)), max_size=8).map(
    lambda parts: "".join(gap + word for gap, word in parts)
)
ANYTHING = st.lists(st.one_of(PROSE, st.text(max_size=6), st.sampled_from(["\n", " 12 ", "(", "é"])), max_size=6).map(
    "".join
)


@given(st.one_of(PROSE, ANYTHING), st.integers(0, 12))
def test_the_short_way_agrees_with_the_long_way(text: str, start: int) -> None:
    """Where it gives an answer at all, it is that of the rules for tokens."""
    start = min(start, len(text))
    short = cut._in_prose(text, start)
    assert short in (None, cut._settled(text, start))
    assert settled(text, start) == cut._settled(text, start)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("We met them", True),
        ("We met them,", True),
        ("We met ", False),
        ("We met at", False),
        ("We met at n", False),
        ("We met 4 o", False),
        ("We met\nth", False),
        ("We met (at", False),
        ("x " * 3000 + "them", False),
    ],
)
def test_what_the_short_way_takes(text: str, taken: bool) -> None:
    """Words and their punctuation, unless a sign may be spelled there or they are many; else the long way is taken."""
    assert (cut._in_prose(text, 0) is not None) == taken
