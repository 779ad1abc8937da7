"""The cheap proof that a line is canonical and fits the schema agrees with the checks one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.record.canonical import MAX_INTEGER, NotCanonical, canonical, parse
from guard.record.lines import read_line
from guard.record.schema import read_record
from guard.record.segment import MAX_RECORD_BYTES, list_segments, read_batches
from tests.record.logs import twelve_records


def one_by_one(line: bytes) -> Any:
    """The record's values, or ``None``, by untyped parsing and then the schema."""
    try:
        parse(line)
        return msgspec.to_builtins(read_record(line))
    except NotCanonical:
        return None


def cheaply(line: bytes) -> Any:
    """The record's values, or ``None``, as verification reads it."""
    try:
        return msgspec.to_builtins(read_line(line))
    except NotCanonical:
        return None


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The record lines of a log with every kind that tests make."""
    log = twelve_records(tmp_path_factory.mktemp("lines") / "log")
    return [
        line for segment in list_segments(log / "seg") for batch in read_batches(segment.path) for line in batch.records
    ]


def test_honest_lines_read_the_same(lines: list[bytes]) -> None:
    """What the writer wrote is accepted, with the same content."""
    assert len(lines) == 12
    assert [cheaply(line) for line in lines] == [msgspec.to_builtins(read_record(line)) for line in lines]
    assert [type(read_line(line)).__name__ for line in lines] == [type(read_record(line)).__name__ for line in lines]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_changed_lines_are_judged_the_same(lines: list[bytes], data: st.DataObject) -> None:
    """A byte changed, inserted or left out: both readings agree on whether it is a record, and on which."""
    line = data.draw(st.sampled_from(lines))
    at = data.draw(st.integers(0, len(line) - 1))
    insert = data.draw(st.sampled_from([b"", b" ", b"0", b"9", b'"', b",", b"-", b".", b"e", b"\\", b"\xc3\xa9", b"n"]))
    changed = line[:at] + insert + line[at + data.draw(st.integers(0, 1)) :]
    assert cheaply(changed) == one_by_one(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"count":1', b'"count":1.0'),
        (b'"count":1', b'"count":1e0'),
        (b'"count":1', b'"count":01'),
        (b'"count":1', b'"count":-0'),
        (b'"count":1', b'"count":%d' % (MAX_INTEGER + 1)),
        (b'"count":1', b'"count":12345678901234567'),
        (b'"count":1', b'"count":-%d' % (MAX_INTEGER + 1)),
        (b'"count":1', b'"count": 1'),
        (b'"count":1', b'"count":1,"count":1'),
        (b'"type":"CREDIT_CARD"', b'"type":"\\u0043REDIT_CARD"'),
        (b'"type":"CREDIT_CARD"', b'"type":"\\/"'),
        (b'"type":"CREDIT_CARD"', b'"type":"\\ud800"'),
        (b'"type":"CREDIT_CARD"', b'"type":"\xff"'),
        (b'"attributes":{}', b'"attributes":{"\\u00e9":1}'),
        (b'"attributes":{}', b'"attributes":{"\xc3\xa9":1}'),
        (b'"attributes":{}', b'"attributes":{"b":1,"a":1}'),
        (b'"attributes":{}', b'"attributes":' + b"[" * 5000 + b"]" * 5000),
    ],
)
def test_another_spelling_is_refused(lines: list[bytes], old: bytes, new: bytes) -> None:
    """Attack 10: inside the policy input, which no schema narrows, only one spelling of a value is a record."""
    line = next(line for line in lines if b'"kind":"decision"' in line and old in line)
    changed = line.replace(old, new, 1)
    assert changed != line
    with pytest.raises(NotCanonical):
        read_line(changed)


@pytest.mark.parametrize("value", [MAX_INTEGER, -MAX_INTEGER, 8999999999999999, 1])
def test_the_largest_integers_are_accepted(lines: list[bytes], value: int) -> None:
    """Up to 2**53 - 1, exactly (RFC 8785 section 3.2.2.3)."""
    line = next(line for line in lines if b'"attributes":{}' in line)
    assert cheaply(line.replace(b'"attributes":{}', b'"attributes":{"n":%d}' % value, 1)) is not None


@pytest.mark.parametrize("depth", [1, 5, 6, 40])
def test_values_may_nest_deep(lines: list[bytes], depth: int) -> None:
    """What is too deep for the cheap proof is a record nevertheless; no number past 2**53 - 1 hides in the depth."""
    line = next(line for line in lines if b'"attributes":{}' in line)
    for number, fits in ((MAX_INTEGER, True), (MAX_INTEGER + 1, False)):
        nested = b'{"n":' * depth + b"%d" % number + b"}" * depth
        changed = line.replace(b'"attributes":{}', b'"attributes":' + nested, 1)
        assert (cheaply(changed) is not None) == fits
        assert cheaply(changed) == one_by_one(changed)


def test_texts_beyond_ascii_are_read(lines: list[bytes], tmp_path: Path) -> None:
    """Reasons speak every language; only keys are ASCII."""
    line = next(line for line in lines if b'"kind":"decision"' in line)
    told = {**parse(line), "request_id": "\u00fcber \u65e5\u672c"}
    assert cheaply(canonical(told)) == msgspec.to_builtins(read_record(canonical(told)))


@pytest.mark.parametrize(
    ("length", "flaw"), [(MAX_RECORD_BYTES, ""), (MAX_RECORD_BYTES + 1, "longer than 65535 bytes")]
)
def test_a_line_of_one_byte_too_many_breaks_the_framing(tmp_path: Path, length: int, flaw: str) -> None:
    """The longest record has 65,535 bytes without its newline: what the two bytes of a tile's entry can tell."""
    path = tmp_path / "000000.jsonl"
    path.write_bytes(b"x" * length + b'\n{"commit":1}\n')
    (batch,) = read_batches(path)
    assert (len(batch.records), batch.flaw, batch.commit is None) == (1, flaw, flaw != "")
