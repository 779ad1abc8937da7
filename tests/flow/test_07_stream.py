"""The text of a stream as it passes: what may leave, what is held back, and that no value is ever cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.stream import LONGEST_TOKEN_CHARACTERS, SWALLOWED, Tail


def leaving(tail: Tail, piece: str, *, closed: bool = False) -> str:
    """What leaves of a text in which nothing is found."""
    tail.feed(piece)
    window = tail.window(closed=closed)
    if window is None:
        return ""
    tail.pass_on(window, window.ready)
    text, position = "", window.fresh
    for start, end, new in window.swallowed:
        text, position = text + window.text[position:start] + new, end
    return text + window.text[position : window.ready]


@given(pieces=st.lists(st.text(max_size=12), max_size=30))
def test_what_leaves_is_the_stream(pieces: list[str]) -> None:
    """Every character leaves exactly once and in order, however the stream was cut."""
    tail = Tail()
    assert "".join([*(leaving(tail, piece) for piece in pieces), leaving(tail, "", closed=True)]) == "".join(pieces)
    assert tail.held == 0


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("all is well", "well"),
        ("all is well ", "well "),
        ("write to jane@corp.co", "jane@corp.co"),
        ("card 4111 1111 1111 ", "4111 1111 1111 "),
        ("card 4111 1111 1111 1111 is his", "4111 1111 1111 1111 is his"),
        ("number AB ", "AB "),
        ("paid GB82 WEST 1234 ", "GB82 WEST 1234 "),
        ("ask jane (at) corp (dot) com", "jane (at) corp (dot) com"),
        ("ask jane at corp d", "jane at corp d"),
        ("in 2020 people went over to London", "London"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE nothing more", "-----BEGIN RSA PRIVATE KEY-----\nMIIE nothing more"),
        ("电话是jane@corp.com。谢谢", "谢谢"),
    ],
)
def test_what_may_still_become_a_value_is_held_back(text: str, held: str) -> None:
    """The last word, chains of groups, what precedes one, spelled signs, an open private key; no more than these."""
    tail = Tail()
    left = leaving(tail, text)
    assert (left, tail.held) == (text.removesuffix(held), len(held))


@given(cuts=st.lists(st.integers(1, 9000), min_size=1, max_size=8))
def test_a_token_without_end_is_swallowed(cuts: list[int]) -> None:
    """Any chunking: memory stays bounded, and what was not inspected whole leaves as a placeholder."""
    text = "see " + "x" * (2 * LONGEST_TOKEN_CHARACTERS + 100) + " and on"
    tail, got = Tail(), ""
    while text:
        cut = cuts.pop() if cuts else 9000
        got += leaving(tail, text[:cut])
        assert tail.held <= LONGEST_TOKEN_CHARACTERS + 9000
        text = text[cut:]
    assert got + leaving(tail, "", closed=True) == f"see {SWALLOWED} and on"


def test_context_is_bounded_and_begins_at_a_safe_cut() -> None:
    """What has left is kept as far as detectors look back, and no value in it is cut."""
    tail = Tail()
    for _ in range(2000):
        leaving(tail, "4111 1111 1111 1111 belongs to somebody else, ")
    window = tail.window(closed=True)
    assert window is not None
    assert 240 <= window.fresh < 1000
    assert window.text.startswith(("4111 1111 1111 1111", " ", "belongs", "to", "somebody", "else"))
