"""The gate's sentinel, the translation of expressions, and the law of overlaps."""

from __future__ import annotations

import itertools
import re
from random import Random

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from detectors.common.gate import Gate, matcher
from detectors.common.resolve import Candidate, resolve
from detectors.pii.projection import View, project
from detectors.pii.translate import Untranslatable, translate


def test_gate_opens_for_what_matches() -> None:
    """The indices of the patterns that match, none for a clean text."""
    gate = Gate(["[0-9]{3}", "cat"])
    assert sorted(gate.open(b"cat 123")) == [0, 1]
    assert list(gate.open(b"dog")) == []


class _GaveUp:
    """Answers as RE2's set does when its automaton ran out of memory: no match, no error."""

    def Match(self, data: bytes) -> list[int]:  # noqa: N802 - RE2's name
        return []


def test_gate_opens_wide_when_re2_gives_up() -> None:
    """RE2's silent "no match" opens every pattern: the sentinel is missing from its answer."""
    gate = Gate(["[0-9]{3}", "cat"])
    gate._set = _GaveUp()
    assert gate.open(b"dog") == gate.all == {0, 1}


FLAGS = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE
EXPRESSIONS = [
    r"\b\d{3}-\d{2}\b",
    r"\w+@\w+(?:-+\w+)*\.\w{2,}",
    r"(a|bc)*?[^\d\s]x",
    r"[A-F\d]{2}([:-])[A-F\d]{2}\1",
    r"(?<![\w:])::\d{1,4}(?!\w)",
    r"\B[^a]\S\D\W",
    r"ä[a-zà-ü]+",
    r"x{2,}?|_y|k",
]


@given(st.text(alphabet="aAbB01٣_-:@. \n\fäÄſKİıéx\u2028k²", max_size=30), st.sampled_from(EXPRESSIONS))
def test_translation_is_exact_or_wider(text: str, expression: str) -> None:
    """Where it says exact, RE2 finds the same spans as ``regex``; elsewhere it matches wherever ``regex`` does."""
    view = View.of(text)
    translated = translate(expression, FLAGS)
    ours = [match.span() for match in matcher(translated.source).finditer(view.projected)]
    original = regex.compile(expression, FLAGS)
    theirs = [match.span() for match in original.finditer(view.canonical)]
    if translated.exact:
        assert ours == theirs
    for start, _ in theirs:
        assert any(low <= start < high for low, high in ours)


@given(st.text())
def test_projection_keeps_offsets(text: str) -> None:
    """Both readings have the length of the text; ASCII stays as it is."""
    view = View.of(text)
    assert len(view.canonical) == len(view.projected) == len(text)
    if text.isascii():
        assert view.canonical.encode() == view.projected == project(text)


def test_what_re2_cannot_say_is_named() -> None:
    """A conditional group has no translation."""
    with pytest.raises(Untranslatable):
        translate(r"(a)?(?(1)b|c)", re.IGNORECASE)


CANDIDATES = st.lists(
    st.builds(
        lambda kind, start, length, score: Candidate(kind, start, start + length, score, ""),
        st.sampled_from("ABC"),
        st.integers(0, 40),
        st.integers(1, 12),
        st.sampled_from([0.4, 0.5, 1.0]),
    ),
    max_size=12,
)


@given(CANDIDATES)
def test_resolution_covers_without_overlap(candidates: list[Candidate]) -> None:
    """Nothing overlaps, all that was claimed stays claimed, the strongest claim stays whole."""
    kept = resolve(candidates, {"B": 0, "A": 1}, "x" * 60)
    assert all(left.end <= right.start for left, right in itertools.pairwise(kept))
    claimed = {at for candidate in candidates for at in range(candidate.start, candidate.end)}
    assert {at for candidate in kept for at in range(candidate.start, candidate.end)} == claimed
    if candidates:
        best = max(candidate.score for candidate in candidates)
        longest = max(c.end - c.start for c in candidates if c.score == best)
        assert any(c.score == best and c.end - c.start == longest for c in kept)


@given(CANDIDATES, st.randoms())
def test_resolution_ignores_order(candidates: list[Candidate], random: Random) -> None:
    """The order in which patterns ran does not show."""
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert resolve(shuffled, {"B": 0, "A": 1}, "x" * 60) == resolve(candidates, {"B": 0, "A": 1}, "x" * 60)


def test_priority_decides_ties() -> None:
    """Equal score and length: the type that stands first in the priority wins."""
    tied = [Candidate("A", 0, 5, 0.5, ""), Candidate("B", 0, 5, 0.5, "")]
    assert [candidate.type for candidate in resolve(tied, {"B": 0, "A": 1}, "12345")] == ["B"]


def test_pieces_without_letters_vanish() -> None:
    """What a loser keeps must hold a letter or a digit."""
    kept = resolve([Candidate("A", 0, 8, 0.4, ""), Candidate("B", 1, 6, 1.0, "")], {}, "(12345) ")
    assert [(candidate.type, candidate.start, candidate.end) for candidate in kept] == [("B", 1, 6)]
