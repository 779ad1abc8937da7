"""The folded form: what a reader sees, and the way back to the original."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.folding import fold
from guard.keyed import KeyedHash


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("plain", "plain"),
        ("４１１１", "4111"),
        ("a\u200bb\u2060c", "abc"),
        ("joe＠corp．com", "joe@corp.com"),
        ("ﬁne", "fine"),
        ("so\u00adft", "soft"),
        ("Zoë", "Zoë"),
        ("078\u201105\u20131120", "078-05-1120"),
        ("jane@corp.com\u0301", "jane@corp.com"),
        ("\ufdfa", "\ufdfa"),
        ("le\x00ak\x7f@corp.com\n", "leak@corp.com\n"),
    ],
)
def test_what_looks_alike_folds_alike(text: str, folded: str) -> None:
    """Full-width forms, ligatures and invisible characters hide nothing; accents stay."""
    assert fold(text).text == folded


@given(st.text())
def test_every_folded_span_maps_to_a_span_of_the_original_that_folds_to_it(text: str) -> None:
    """The way back is exact: folding the original span gives at least the folded span's characters."""
    folded = fold(text)
    for index, character in enumerate(folded.text):
        start, end = folded.original_span(index, index + 1)
        assert 0 <= start < end <= len(text)
        assert character in fold(text[start:end]).text


@given(st.text(), st.data())
def test_spans_are_monotonic(text: str, data: st.DataObject) -> None:
    """A longer match never maps to a shorter original."""
    folded = fold(text)
    if not folded.text:
        return
    end = data.draw(st.integers(1, len(folded.text)))
    start = data.draw(st.integers(0, end - 1))
    outer = folded.original_span(0, len(folded.text))
    inner = folded.original_span(start, end)
    assert outer[0] <= inner[0] < inner[1] <= outer[1]


def test_pseudonyms_depend_on_key_purpose_and_value() -> None:
    """Equal under one key and purpose, unlinkable otherwise."""
    keyed, other = KeyedHash("aaaa", b"1" * 32), KeyedHash("aaaa", b"2" * 32)
    assert keyed.pseudonym("subject", "jane") == keyed.pseudonym("subject", "jane")
    distinct = {
        keyed.pseudonym("subject", "jane"),
        keyed.pseudonym("ip", "jane"),
        keyed.pseudonym("subject", "joe"),
        other.pseudonym("subject", "jane"),
    }
    assert len(distinct) == 4
    assert keyed.pseudonym("subject", "jane").startswith("hmac:aaaa:")


def test_a_short_key_is_refused() -> None:
    """Less than 32 bytes can be guessed."""
    with pytest.raises(ValueError, match="32 bytes"):
        KeyedHash("aaaa", b"short")
