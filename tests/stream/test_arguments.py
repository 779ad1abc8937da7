"""A JSON text in pieces: whatever the cuts, it leaves as valid JSON that says what the whole, redacted, says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.redacting import findings
from guard.content import is_number_text
from guard.errors import ObligationFailed
from guard.stream import JsonText
from guard.stream.tail import LONGEST_TOKEN_CHARACTERS
from guard.types import Detector
from tests.stream.test_any_chunking import CUTS, SEPARATORS, VALUES, WORDS, cut

Edits = list[tuple[int, int, str]]
Find = Callable[[str], Edits]


class Passing:
    """A JSON text as it leaves, piece by piece: ``find`` gives the edits of one text of it."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._json = JsonText(240, is_number_text)
        self._waits = ""

    def feed(self, piece: str) -> str:
        """What leaves after this piece."""
        self._waits += piece
        self._json.feed(piece)
        return self._leave()

    def close(self) -> str:
        """The rest."""
        self._json.finish()
        return self._leave()

    def _leave(self) -> str:
        for offer in self._json.offers():
            text, fresh, ready = offer.window.text, offer.window.fresh, offer.window.ready
            edits = self._find(text)
            for start, end, _ in edits:
                assert end <= fresh or start >= fresh, f"late: {text[start:end]!r}"
                ready = start if start < ready < end else ready
            if ready > fresh:
                self._json.settle(
                    offer.leaf, offer.window, ready, [e for e in edits if fresh <= e[0] and e[1] <= ready]
                )
        size, done = self._json.leave()
        text, self._waits = self._waits[:size], self._waits[size:]
        parts: list[str] = []
        position = 0
        for start, end, new in done:
            parts += (text[position:start], new)
            position = end
        return "".join([*parts, text[position:]])


def streamed(pieces: Sequence[str], find: Find) -> list[str]:
    """What leaves after each piece, and at the end."""
    passing = Passing(find)
    out = [passing.feed(piece) for piece in pieces]
    return [*out, passing.close()]


def word(text: str) -> Edits:
    """Hides one address, under a name that JSON has to escape."""
    edits, start = [], text.find("jane@corp.com")
    while start >= 0:
        edits.append((start, start + 13, 'A "\\\n'))
        start = text.find("jane@corp.com", start + 1)
    return edits


SCALARS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["jane@corp.com", "to jane@corp.com, 😀 é", "jane", "", " ", '"', "\\", "\u2028", "12345678"]),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
KEYS = st.one_of(st.text(max_size=4), st.sampled_from(["to", "jane@corp.com"]))
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
).filter(lambda value: isinstance(value, list | dict))
WRITING = st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}])


def hidden(value: Any) -> Any:
    """The value with the address hidden in keys and strings."""
    if isinstance(value, str):
        return value.replace("jane@corp.com", 'A "\\\n')
    if isinstance(value, list):
        return [hidden(one) for one in value]
    return {hidden(k): hidden(v) for k, v in value.items()} if isinstance(value, dict) else value


@settings(max_examples=150, deadline=None)
@given(value=DOCUMENTS, how=WRITING, sizes=CUTS)
def test_any_cut_gives_the_whole_redacted(value: Any, how: dict[str, Any], sizes: list[int]) -> None:
    """Also inside escapes and surrogate pairs; keys and strings, at any depth; new text is escaped."""
    text = json.dumps(value, **how)
    assert json.loads("".join(streamed(cut(text, sizes), word))) == hidden(value)


@settings(max_examples=100, deadline=None)
@given(value=DOCUMENTS, how=WRITING, sizes=CUTS)
def test_what_nothing_is_found_in_leaves_as_it_came(value: Any, how: dict[str, Any], sizes: list[int]) -> None:
    """Character for character, white space and escapes too."""
    text = json.dumps(value, **how)
    assert "".join(streamed(cut(text, sizes), lambda _: [])) == text


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet='{}[]":,\\u0dD8aAe1-. \nx', max_size=40), sizes=CUTS)
def test_what_is_no_json_leaves_whole(text: str, sizes: list[int]) -> None:
    """Broken JSON of every kind: nothing is lost, nothing is doubled, in any cut."""
    assert "".join(streamed(cut(text, sizes), lambda _: [])) == text
    assert "".join(streamed([text], lambda _: [])) == text


@settings(max_examples=60, deadline=None)
@given(
    before=st.sampled_from(["", "{", '{"a": ', "[1 2 ", '{"a": 1} ', '["x", ', "a plain ", '{"a": "cut off ']),
    after=st.sampled_from(["", "}", '"}', " and on", "]]]"]),
    sizes=CUTS,
)
def test_what_is_no_json_is_inspected_all_the_same(before: str, after: str, sizes: list[int]) -> None:
    """A value in a text that no reader takes for JSON is hidden like in any text."""
    out = "".join(streamed(cut(f"{before}jane@corp.com{after}", sizes), word))
    assert "jane@corp.com" not in out
    assert out.startswith(before)


@pytest.fixture(scope="module")
def detectors() -> list[Detector]:
    """Those that a new installation has."""
    pytest.importorskip("presidio_analyzer")
    from detectors.pii import PiiDetector
    from detectors.secrets import SecretsDetector

    return [PiiDetector(), SecretsDetector()]


SAID = st.lists(
    st.tuples(st.one_of(st.sampled_from(WORDS), st.sampled_from(VALUES)), st.sampled_from(SEPARATORS)),
    min_size=1,
    max_size=8,
).map(lambda parts: "".join(part + separator for part, separator in parts))


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(SAID, min_size=1, max_size=3), ascii_only=st.booleans(), sizes=CUTS)
def test_with_the_real_detectors(
    detectors: list[Detector], texts: list[str], ascii_only: bool, sizes: list[int]
) -> None:
    """Every local type hidden: strings in pieces are what the whole strings are."""
    local = {entity for one in detectors for entity in getattr(one, "local", ())}

    def find(text: str) -> Edits:
        return merged([(f.start, f.end, "#") for f in findings(detectors, text) if f.type in local])

    document = {f"k{index}": text for index, text in enumerate(texts)}
    out = json.loads("".join(streamed(cut(json.dumps(document, ensure_ascii=ascii_only), sizes), find)))
    assert out == {key: applied(text, find(text)) for key, text in document.items()}


def merged(edits: Edits) -> Edits:
    """Edits that overlap as one."""
    out: Edits = []
    for start, end, new in sorted(edits):
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]), new)
        else:
            out.append((start, end, new))
    return out


def applied(text: str, edits: Edits) -> str:
    """The text after its edits."""
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def test_structure_does_not_wait() -> None:
    """Everything between strings passes at once, and of a string all but its last word."""
    passing = Passing(word)
    assert passing.feed('{"a": [1, true, {') == '{"a": [1, true, {'
    assert passing.feed('"key": "one two') == '"key": "one '
    assert passing.feed(' three"') == 'two three"'
    assert passing.feed(', "n": 12') == ', "n": '
    assert passing.feed("3}") == "123}"


def test_an_escape_leaves_whole() -> None:
    """Neither half of an escape leaves, nor half of a surrogate pair."""
    passing = Passing(word)
    assert passing.feed('["many \\ud83d') == '["'
    assert passing.feed("\\ude00smiles words") == "many \\ud83d\\ude00smiles "
    assert passing.feed("\\") == ""
    assert passing.feed("n lines") == "words\\n "


def test_a_string_that_may_be_json_waits_for_its_end() -> None:
    """What its escapes spell is known only then."""
    passing = Passing(word)
    assert passing.feed('{"a": "{\\"b c d') == '{"a": "'
    assert passing.feed(' e\\"') == ""
    assert passing.feed('}"}') == '{\\"b c d e\\"}"}'


def test_a_word_that_is_too_long_is_not_shortened() -> None:
    """A file in base64 is what the tool was to be given: it waits for its end."""
    blob = "A1b2" * LONGEST_TOKEN_CHARACTERS
    passing = Passing(word)
    assert passing.feed('{"file": "') == '{"file": "'
    assert [passing.feed(piece) for piece in cut(blob, [4096])] == [""] * 16
    assert passing.feed(' and on "') == f'{blob} and on "'


def test_keys_that_become_equal_are_refused() -> None:
    """One of them would be lost; keys that came equal are as they came."""
    with pytest.raises(ObligationFailed, match="Two keys"):
        streamed(['{"jane@corp.com": 1, "A \\"\\\\\\n": 2}'], word)
    assert "".join(streamed(['{"a": 1, "a": 2}'], word)) == '{"a": 1, "a": 2}'


def test_a_long_number_is_a_text() -> None:
    """Hidden, it becomes a string."""
    find = lambda text: [(0, len(text), "#")] if text == "4111111111111111" else []  # noqa: E731
    for sizes in ([1], [5], [99]):
        out = "".join(streamed(cut('{"n": 4111111111111111 , "m": [4111111111111111]}', sizes), find))
        assert json.loads(out) == {"n": "#", "m": ["#"]}


@pytest.mark.parametrize("size", [1, 4])
def test_many_escapes_cost_linear_time(size: int) -> None:
    """A long text of escapes, character by character, is read once."""
    text = json.dumps({"a": "é ü" * 20_000})
    assert "".join(streamed(cut(text, [size * 1000]), lambda _: [])) == text
