"""Narrow records: what is written without a second reading, and read without a second look, leaves no place open."""

from __future__ import annotations

import enum
from typing import Any, Self

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from guard.record.canonical import MAX_INTEGER, NotCanonical, canonical
from guard.record.groups import Body, Who
from guard.record.lines import read_line
from guard.record.narrow import NARROW
from guard.record.schema import AnyRecord, DecisionEntry
from guard.record.size import encoded
from tests.record.logs import decision, outcome

STAMPS: dict[str, Any] = {
    **dict.fromkeys(("v", "ts_us", "mono_us"), 1),
    "origin": "o-0",
    "boot": "0" * 16,
    "seq": 0,
    "prev": "0" * 64,
    "id": "0198c0de-0000-7000-8000-000000000000",
}
MADE: dict[str, Any] = {"decision": decision(0), "outcome": outcome(0)}
FLAT = st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.text(max_size=8) | st.floats()
VALUES = st.recursive(
    FLAT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


class Word(enum.StrEnum):
    """A string whose value is another than its text."""

    def __new__(cls, text: str, value: str) -> Self:
        """A member."""
        member = str.__new__(cls, text)
        member._value_ = value
        return member

    ALLOW = ("allow", "jane")


def whole(kind: str, **fields: Any) -> dict[str, Any]:
    """A record of ``kind`` as the writer gives it to be encoded."""
    return {**MADE[kind], **STAMPS, **fields}


def walked(found: inspect.Type, seen: set[type]) -> list[inspect.Type]:
    """``found`` and every type in it."""
    if isinstance(found, inspect.StructType):
        if found.cls in seen:
            return []
        seen.add(found.cls)
        inner = [field.type for field in found.fields]
    elif isinstance(found, inspect.UnionType):
        inner = list(found.types)
    elif isinstance(found, inspect.Metadata):
        inner = [found.type]
    elif isinstance(found, inspect.DictType):
        inner = [found.key_type, found.value_type]
    elif isinstance(found, inspect.ListType):
        inner = [found.item_type]
    else:
        inner = []
    return [found, *(one for item in inner for one in walked(item, seen))]


@pytest.mark.parametrize("kind", msgspec.inspect.multi_type_info([AnyRecord])[0].types, ids=lambda kind: kind.tag)  # type: ignore[attr-defined]
def test_no_place_is_left_open(kind: inspect.StructType) -> None:
    """No kind, as the cheap proof reads it, has a place for a float, an unbounded integer or an unknown value."""
    seen: set[type] = set()
    types = walked(inspect.type_info(NARROW.get(kind.cls, kind.cls)), seen)
    closed = (
        *(inspect.StructType, inspect.UnionType, inspect.Metadata, inspect.DictType, inspect.ListType),
        *(inspect.StrType, inspect.BoolType, inspect.NoneType, inspect.LiteralType, inspect.IntType),
    )
    assert [one for one in types if not isinstance(one, closed)] == []
    integers = [one for one in types if isinstance(one, inspect.IntType)]
    assert integers
    for one in integers:
        assert one.ge is not None
        assert one.le is not None
        assert -MAX_INTEGER <= one.ge <= one.le <= MAX_INTEGER
    if kind.cls in NARROW:
        # Of its own: an instance of a struct of the schema itself is not taken for one that was read.
        assert all(cls.__module__ != kind.cls.__module__ for cls in seen)


@pytest.mark.parametrize("kind", ["decision", "outcome"])
def test_an_honest_record_is_written_as_it_was_given(kind: str) -> None:
    """Reading into structs and writing those gives RFC 8785 of the record itself, which a verifier accepts."""
    line = encoded(whole(kind))
    assert line == canonical(whole(kind))
    assert read_line(line).seq == 0


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
@example({"a": MAX_INTEGER, "b": -MAX_INTEGER})
@example({"a": MAX_INTEGER + 1})
@example({"a": 1.0})
@example({"\u00e9": 1})
@example({"a": "\ud800"})
def test_whatever_is_written_verifies(value: dict[str, Any]) -> None:
    """An open place either enters the log in its canonical form, or keeps the record out of it."""
    try:
        wanted = canonical(whole("decision", policy_input=value))
    except NotCanonical:
        with pytest.raises(NotCanonical):
            encoded(whole("decision", policy_input=value))
        return
    assert encoded(whole("decision", policy_input=value)) == wanted
    assert isinstance(read_line(wanted), DecisionEntry)


def test_a_struct_that_nobody_read_is_refused() -> None:
    """Its fields were never held against their types: a raw name would stand where a pseudonym must."""
    raw = Who(type="user", id="jane", tenant=None, roles=[], authenticated=True, method="jwt", ip=None)
    with pytest.raises(NotCanonical):
        encoded(whole("decision", who=raw))
    with pytest.raises(NotCanonical):
        encoded(whole("outcome", content=Body(digest="jane", bytes=1)))
    with pytest.raises(NotCanonical):
        encoded(whole("decision", policy_input={"a": raw}))
    with pytest.raises(NotCanonical):
        encoded(whole("decision", policy_input={"a": msgspec.Raw(b"1.5")}))


def test_an_enumeration_is_written_as_the_text_that_was_read() -> None:
    """What was held against the schema is what is written, not another value that the object has, too."""
    given = whole("decision")
    given["decision"] = {**given["decision"], "effect": Word.ALLOW}
    line = encoded({**given, "policy_input": {"a": Word.ALLOW}})
    assert line == canonical({**whole("decision"), "policy_input": {"a": "allow"}})
    assert b"jane" not in line


def test_a_verifier_reads_the_kinds_of_the_schema() -> None:
    """Narrow records are of the schema's own kinds."""
    assert isinstance(read_line(encoded(whole("decision"))), DecisionEntry)
