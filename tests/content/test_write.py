"""A body written again: what was edited is changed, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import apply_edits, write
from guard.content.edits import apply_to_pieces
from guard.errors import ObligationFailed
from guard.types import JSON, Content
from tests.content.reading import CHAT, read_bytes, read_json, texts
from tests.content.test_read import VALUES

JSON_TYPE = "content-type: application/json"


def whole(content: Content, text: str, new: str) -> dict[int, list[tuple[int, int, str]]]:
    """Edits that replace every segment with that text."""
    return {index: [(0, len(text), new)] for index, segment in enumerate(content.segments) if segment.text == text}


def rewritten(value: Any, text: str, new: str, path: str = CHAT) -> Any:
    content = read_json(value, path=path)
    edits = whole(content, text, new)
    assert edits
    return json.loads(write(content, edits))


@given(value=VALUES)
def test_nothing_edited_is_the_same_value(value: JSON) -> None:
    """Any JSON written again without edits has the same value and the same segments."""
    content = read_json(value)
    body = write(content, {})
    assert json.loads(body) == value
    assert texts(read_bytes(body, JSON_TYPE)) == texts(content)


@given(value=VALUES)
def test_every_text_replaced_by_itself_changes_no_value(value: JSON) -> None:
    """Writing each text into its place again gives the same value, but for numbers, which become strings."""
    content = read_json(value)
    edits = {index: [(0, len(segment.text), segment.text)] for index, segment in enumerate(content.segments)}
    again = read_bytes(write(content, edits), JSON_TYPE)
    assert texts(again) == texts(content)


@pytest.mark.parametrize(
    "number",
    ["0", "-0", "1.0", "1.10", "1E5", "1e-999", "12345678901234567890123", "0.1000000000000000055511151231257827"],
)
def test_numbers_are_written_exactly_as_they_came(number: str) -> None:
    """A rewrite changes no digit of a number that was not edited."""
    content = read_bytes(f'{{"x":"a","n":{number}}}'.encode(), JSON_TYPE)
    index = next(index for index, segment in enumerate(content.segments) if segment.text == "a")
    assert write(content, {index: [(0, 1, "b")]}) == f'{{"x":"b","n":{number}}}'.encode()


def test_an_edited_number_becomes_a_string() -> None:
    """A card number without quotes is masked as a string."""
    assert rewritten({"card": 4111111111111111}, "4111111111111111", "****1111") == {"card": "****1111"}


def test_json_in_strings_is_written_into_its_string() -> None:
    """Tool-call arguments, and JSON that is encoded twice, stay strings of JSON."""
    inner = {"to": "leak", "n": 1.50}
    value = {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": json.dumps(inner)}}]}
    written = rewritten(value, "leak", "<X>")
    assert json.loads(written["messages"][0]["function_call"]["arguments"]) == {"to": "<X>", "n": 1.5}
    twice = rewritten({"a": json.dumps({"b": json.dumps(["leak"])})}, "leak", "<X>")
    assert json.loads(json.loads(twice["a"])["b"]) == ["<X>"]


def test_keys_are_edited_in_place_and_in_order() -> None:
    """A key that is personal data is replaced; its member and its neighbours keep their place."""
    value = {"a": 1, "leak.me@x.com": {"leak.me@x.com": "leak.me@x.com"}, "z": 2}
    written = rewritten(value, "leak.me@x.com", "<MAIL>", path="/other")
    assert list(written.items()) == [("a", 1), ("<MAIL>", {"<MAIL>": "<MAIL>"}), ("z", 2)]


@pytest.mark.parametrize("value", [{"a@x.com": 1, "b@x.com": 2}, {"<MAIL>": 1, "a@x.com": 2}])
def test_keys_that_become_equal_fail_the_obligation(value: Any) -> None:
    """Two members must not collapse into one: the redaction cannot be performed, which denies."""
    content = read_json(value)
    edits = {
        index: [(0, len(segment.text), "<MAIL>")]
        for index, segment in enumerate(content.segments)
        if "@" in segment.text
    }
    with pytest.raises(ObligationFailed, match="keys"):
        write(content, edits)


def test_keys_may_be_swapped() -> None:
    """Renames of one object happen at once."""
    content = read_json({"a": 1, "b": 2})
    assert write(content, {0: [(0, 1, "b")], 1: [(0, 1, "a")]}) == b'{"b":1,"a":2}'


def test_writing_changes_nothing_that_was_read() -> None:
    """A content can be written twice with different edits."""
    content = read_json({"x": [{"y": "leak"}], "z": "leak"})
    before = write(content, {})
    assert write(content, whole(content, "leak", "1")) == b'{"x":[{"y":"1"}],"z":"1"}'
    assert write(content, {}) == before


def test_text_keeps_its_charset_and_byte_order_mark() -> None:
    """A text body is written in the charset in which it came; what it cannot hold fails the obligation."""
    latin = read_bytes("café leak".encode("latin-1"), "content-type: text/plain; charset=iso-8859-1")
    assert write(latin, {0: [(5, 9, "é")]}) == "café é".encode("latin-1")
    with pytest.raises(ObligationFailed, match="charset"):
        write(latin, {0: [(5, 9, "€")]})
    marked = read_bytes(b"\xef\xbb\xbfleak", "content-type: text/plain")
    assert write(marked, {0: [(0, 4, "x")]}) == b"\xef\xbb\xbfx"


def test_a_body_that_was_not_read_is_written_as_it_came() -> None:
    """Opaque bytes pass as they are, and cannot be edited."""
    image = read_bytes(b"\x89PNG", "content-type: image/png")
    assert write(image, {}) == b"\x89PNG"
    with pytest.raises(ObligationFailed):
        write(image, {0: [(0, 1, "x")]})


def test_an_edited_answer_loses_its_logprobs() -> None:
    """Token probabilities spell the answer again: they are named as unread, and emptied by any edit."""
    spelled = {"content": [{"token": "leak", "logprob": -0.1, "bytes": [108]}]}
    answer = {"choices": [{"message": {"role": "assistant", "content": "leak"}, "logprobs": spelled}]}
    content = read_json(answer, path=CHAT, stage="response")
    assert [(skipped.pointer, skipped.reason) for skipped in content.skipped] == [
        ("/choices/0/logprobs", "token_fragments")
    ]
    assert json.loads(write(content, {})) == answer
    assert json.loads(write(content, {0: [(0, 4, "<X>")]}))["choices"][0] == {
        "message": {"role": "assistant", "content": "<X>"},
        "logprobs": None,
    }


@pytest.mark.parametrize(
    "edits", [[(0, 9, "x")], [(2, 1, "x")], [(0, 2, "x"), (1, 3, "y")], [(2, 3, "x"), (0, 1, "y")]]
)
def test_edits_that_overlap_or_lie_outside_fail_the_obligation(edits: list[tuple[int, int, str]]) -> None:
    """An edit that cannot be done as it is said denies."""
    with pytest.raises(ObligationFailed, match="Edits"):
        apply_edits("leak", edits)
    with pytest.raises(ObligationFailed, match="Edits"):
        apply_to_pieces(["le", "ak"], edits)


@st.composite
def pieces_and_edits(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, int, str]]]:
    pieces = draw(st.lists(st.text("ab😀", max_size=4), min_size=1, max_size=6))
    length = len("".join(pieces))
    cuts = sorted(draw(st.lists(st.integers(0, length), max_size=8)))
    news = draw(st.lists(st.text("XY", max_size=3), min_size=4, max_size=4))
    return pieces, [(start, end, new) for start, end, new in zip(cuts[::2], cuts[1::2], news, strict=False)]


@given(pieces_and_edits())
def test_edited_pieces_join_to_the_edited_whole(given_: tuple[list[str], list[tuple[int, int, str]]]) -> None:
    """However a text is cut, editing its pieces gives the edited text; pieces without an edit are untouched."""
    pieces, edits = given_
    changed = apply_to_pieces(pieces, edits)
    assert "".join(changed) == apply_edits("".join(pieces), edits)
    assert len(changed) == len(pieces)
    begin = 0
    for number, (old, new) in enumerate(zip(pieces, changed, strict=True)):
        end = begin + len(old)
        last = number == len(pieces) - 1
        if not any(
            (start < end and stop > begin) or begin <= start < end or (last and start >= begin)
            for start, stop, _ in edits
        ):
            assert new == old
        begin = end
