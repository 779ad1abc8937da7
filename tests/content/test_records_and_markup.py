"""NDJSON and JSON text sequences by record; XML and HTML as their readers see them."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import write
from guard.content.markup import fold_markup
from guard.errors import ObligationFailed
from guard.folding import fold
from guard.readings import SEPARATOR, see
from guard.types import Skipped
from tests.content.reading import read_bytes, texts

NDJSON = "content-type: application/x-ndjson"
XML = "content-type: application/xml"
RECORDS = st.lists(
    st.one_of(st.text("aé", max_size=3), st.dictionaries(st.sampled_from("ab"), st.text("xy", max_size=2))), max_size=4
)


def test_records_stand_at_their_number() -> None:
    """Blank lines are no records; a record that was not edited keeps its bytes, white space and line end."""
    content = read_bytes(b'{"a": "x"}\r\n\n "y" \n7\n{"a":"z"}', NDJSON, field_names="a")
    assert texts(content) == [("/0/a", "unknown", "x"), ("/1", "unknown", "y"), ("/3/a", "unknown", "z")]
    assert write(content, {2: [(0, 1, "<X>")]}) == b'{"a": "x"}\r\n\n "y" \n7\n{"a":"<X>"}'
    assert write(content, {0: [(0, 1, "<X>")]}) == b'{"a":"<X>"}\r\n\n "y" \n7\n{"a":"z"}'


def test_a_sequence_keeps_its_separators() -> None:
    """RFC 7464: RS before and a line feed after each record, also after an edit."""
    content = read_bytes(b'\x1e"x"\n\x1e{"a":1}\n', "content-type: application/json-seq")
    assert write(content, {0: [(0, 1, "<X>")]}) == b'\x1e"<X>"\n\x1e{"a":1}\n'


@given(records=RECORDS, data=st.data())
def test_an_edit_changes_its_record_and_no_other_byte(records: list[Any], data: st.DataObject) -> None:
    """Every line but that of the edited text is the same bytes, and reads as it did."""
    lines = [json.dumps(record, separators=(", ", " : ")).encode() for record in records]
    content = read_bytes(b"\n".join(lines), NDJSON, field_names="ab")
    if not content.segments:
        return
    index = data.draw(st.integers(0, len(content.segments) - 1))
    segment = content.segments[index]
    written = write(content, {index: [(0, len(segment.text), "Z")]})
    again = [one.text for one in read_bytes(written, NDJSON, field_names="ab").segments]
    assert again == [one.text if number != index else "Z" for number, one in enumerate(content.segments)]
    changed = [number for number, (old, now) in enumerate(zip(lines, written.split(b"\n"), strict=True)) if old != now]
    assert changed == [int(segment.pointer.split("/")[1])]


@pytest.mark.parametrize(
    "spelled",
    [
        "leak&#64;x.com",
        "leak&#x40;x.com",
        "leak&#X00040x.com".replace("x.com", ";x.com"),
        "leak&commat;x.com",
        "&#108;eak@x.co&#109;",
        "le<![CDATA[ak@]]>x.com",
        "leak&#x200b;@x.com",
    ],
)
def test_references_and_cdata_are_read(spelled: str) -> None:
    """Detectors see the address; the span that they find is that of the source, whole references included."""
    content = read_bytes(f"<a>{spelled}&lt;</a>".encode(), XML)
    folded = content.segments[0].folded
    begin = folded.text.index("leak@x.com")
    start, end = folded.original_span(begin, begin + 10)
    assert content.segments[0].text[start:end] == spelled
    assert write(content, {0: [(start, end, "<MAIL>")]}) == b"<a>&lt;MAIL&gt;&lt;</a>"


def test_an_edit_over_one_end_of_cdata_fails_the_obligation() -> None:
    """What would leave a section open cannot be written."""
    content = read_bytes(b"<a><![CDATA[leak@]]>x.com</a>", XML)
    with pytest.raises(ObligationFailed, match="CDATA"):
        write(content, {0: [(12, 25, "-")]})


def test_entities_of_the_document_are_said() -> None:
    """What they spell is not inspected, in XML and in a part of a form alike."""
    assert read_bytes(b'<!DOCTYPE a [<!ENTITY b "c">]>', XML).skipped == (Skipped("", "xml_entities"),)


def test_other_text_keeps_its_ampersands() -> None:
    """References mean nothing in plain text: what they spell is read beside it, and an edit is not escaped."""
    content = read_bytes(b"leak&#64;x.com", "content-type: text/plain")
    assert content.segments[0].folded == see("leak&#64;x.com")
    assert content.segments[0].folded.text.split(SEPARATOR) == ["leak&#64;x.com", "leak@x.com"]
    assert write(content, {0: [(0, 4, "<")]}) == b"<&#64;x.com"


@given(text=st.text("a@<&;é\u200b１", max_size=12), escape=st.lists(st.booleans(), min_size=12, max_size=12))
def test_folding_markup_is_folding_what_it_spells(text: str, escape: list[bool]) -> None:
    """However characters are spelled, the folded form is that of the text, and spans cover the spelling exactly."""
    spelled = [
        f"&#{ord(one)};" if as_number else html.escape(one) for one, as_number in zip(text, escape, strict=False)
    ]
    folded, plain = fold_markup("".join(spelled)), fold(text)
    assert folded.text == see(text).text
    for start in range(len(plain.text)):
        begin, end = plain.original_span(start, len(plain.text))
        assert folded.original_span(start, len(plain.text)) == (
            len("".join(spelled[:begin])),
            len("".join(spelled[:end])),
        )
