"""Canonical bytes: RFC 8785 for the record subset, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.record.canonical import MAX_INTEGER, NotCanonical, canonical, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(max_codepoint=0x7F), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)
RECORDS = st.dictionaries(KEYS, VALUES, max_size=6)

_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def reference(value: Any) -> str:
    """RFC 8785 written out by hand, section by section, for the record subset."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):  # section 3.2.2.2: the short escapes, \u00xx for other controls, all else as it is
        return '"' + "".join(_ESCAPES.get(c, f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(reference, value)) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))  # section 3.2.3: UTF-16 code units
    return "{" + ",".join(f"{reference(key)}:{reference(value[key])}" for key in keys) + "}"


@given(RECORDS)
@example({"b": 1, "a": '€$\u000f\nA\'B"\\\\"/'})
def test_bytes_are_those_of_rfc_8785(record: dict[str, Any]) -> None:
    """Any record of the subset has the bytes that a by-hand reading of RFC 8785 gives it."""
    assert canonical(record) == reference(record).encode()


def test_the_string_of_the_rfc_is_escaped_as_the_rfc_shows() -> None:
    """The sample string of RFC 8785 section 3.2.2 comes out as printed there."""
    assert canonical({"string": '€$\u000f\nA\'B"\\\\"/'}) == '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()


@given(RECORDS)
def test_a_record_is_read_back_from_its_bytes(record: dict[str, Any]) -> None:
    """Parsing canonical bytes gives the record, so the stored line is the record."""
    assert parse(canonical(record)) == record


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.0},
        {"a": [0.5]},
        {"a": {"b": float("nan")}},
        {"ä": 1},
        {"a": {"ключ": 1}},
        {"a": "\ud800"},
        {"a": MAX_INTEGER + 1},
        {"a": [-MAX_INTEGER - 1]},
        {1: "a"},
        {"a": (1, 2)},
        {"a": b"raw"},
        {"a": {1, 2}},
        {"a": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
    ids=repr,
)
def test_values_outside_the_subset_are_refused(value: Any) -> None:
    """Floats, non-ASCII keys, lone surrogates, wide integers and Python's own types have no canonical form."""
    with pytest.raises(NotCanonical):
        canonical(value)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}\n",
        b"[]",
        b'"text"',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a": 1}',
        b' {"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":9007199254740992}',
        b'{"a":99999999999999999999}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u000A"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        '{"ä":1}'.encode(),
        b'{"a":NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda line: line[:24].decode("latin-1"),
)
def test_another_spelling_is_not_the_record(line: bytes) -> None:
    """Attack: the same JSON in other bytes (order, repeated keys, spaces, escapes, number forms) is refused."""
    with pytest.raises(NotCanonical):
        parse(line)


def test_a_value_that_nests_without_end_is_refused() -> None:
    """A record nested past what the interpreter can walk is an error, not a crash."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotCanonical, match="deep"):
        canonical({"a": deep})


@pytest.mark.parametrize("value", [MAX_INTEGER, -MAX_INTEGER])
def test_the_bounds_of_integers_are_inside(value: int) -> None:
    """The largest integers that every reader holds exactly go both ways."""
    assert parse(canonical({"a": value})) == {"a": value}
