"""Multipart bodies: one reading, every field and text file inspected, and only the edited part changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import write
from guard.errors import ObligationFailed
from guard.types import Skipped
from tests.content.reading import read_bytes, texts, token

TYPE = "content-type: multipart/form-data; boundary=b-0"


def body(*parts: tuple[str, bytes]) -> bytes:
    """A form of parts: what follows ``form-data; `` in their headers, and their data."""
    pieces = [
        b"--b-0\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in parts
    ]
    return b"".join([*pieces, b"--b-0--\r\n"])


def test_parts_are_read_by_their_own_type() -> None:
    """Fields, text files in their charset, JSON, forms and NDJSON inside parts; images and other files are named."""
    content = read_bytes(
        body(
            ('name="note"', b"leak@x.com"),
            ('name="f"; filename="me.txt"\r\nContent-Type: text/plain; charset=iso-8859-1', "café".encode("latin-1")),
            ('name="f"; filename="a.json"\r\nContent-Type: application/json', b'{"k":"v"}'),
            ('name="form"\r\nContent-Type: application/x-www-form-urlencoded', b"k=a%40b"),
            ('name="lines"\r\nContent-Type: application/x-ndjson', b'"x"\n"y"'),
            ('name="svg"\r\nContent-Type: image/svg+xml', b"<t>a&#64;b</t>"),
            ('name="csv"; filename=""\r\nContent-Type: application/octet-stream', b"a,b"),
            ('name="img"; filename="i"\r\nContent-Type: image/png', b"\x89PNG"),
            ('name="bin"; filename=""\r\nContent-Type: application/octet-stream', b"\x00\x01\x02\x03\x04"),
        ),
        TYPE,
        field_names=["note", "f", "form", "lines", "svg", "csv", "img", "bin", "k"],
    )
    assert texts(content) == [
        ("/note", "unknown", "leak@x.com"),
        ("/f/0/filename", "metadata", "me.txt"),
        ("/f/0", "unknown", "café"),
        ("/f/1/filename", "metadata", "a.json"),
        ("/f/1/k", "unknown", "v"),
        ("/form/k", "unknown", "a@b"),
        ("/lines/0", "unknown", "x"),
        ("/lines/1", "unknown", "y"),
        ("/svg", "unknown", "<t>a&#64;b</t>"),
        ("/csv", "unknown", "a,b"),
        ("/img/filename", "metadata", "i"),
    ]
    assert content.segments[8].folded.text == "<t>a@b</t>"
    assert content.skipped == (Skipped("/img", "image"), Skipped("/bin", "file"))


def test_names_and_other_headers_are_texts() -> None:
    """An unrecognised name is a text, and so is what stands in other headers and parameters."""
    content = read_bytes(body(('name="leak@x.com"; size="me@x"\r\nX-Note: you@x', b"")), TYPE)
    pointer = f"/{token('leak@x.com')}"
    assert texts(content) == [
        (pointer, "key", "leak@x.com"),
        (f"{pointer}/{token('size')}", "metadata", "me@x"),
        (f"{pointer}/{token('x-note')}", "metadata", "you@x"),
    ]
    edits = {index: [(0, len(one.text), "<X>")] for index, one in enumerate(content.segments)}
    assert write(content, edits) == body(('name="<X>"; size="<X>"\r\nX-Note: <X>', b""))


def test_a_stated_length_follows_the_edit() -> None:
    """The Content-Length of an edited part is that of its new data; the other part keeps its own."""
    sent = body(('name="a"\r\nContent-Length: 4', b"leak"), ('name="c"\r\ncontent-length: 1', b"x"))
    content = read_bytes(sent, TYPE, field_names="ac")
    assert write(content, {0: [(0, 4, "<PERSON_1>")]}) == body(
        ('name="a"\r\nContent-Length: 10', b"<PERSON_1>"), ('name="c"\r\ncontent-length: 1', b"x")
    )


@pytest.mark.parametrize(
    ("index", "new"), [(0, '"'), (0, "a\r\nb"), (0, "\\"), (0, "=?u?q?x"), (1, "x--b-0"), (1, "\r\n--b-0--")]
)
def test_a_text_that_would_change_the_parts_fails_the_obligation(index: int, new: str) -> None:
    """Nothing that is written can open a new part or header."""
    content = read_bytes(body(('name="a"', b"leak")), TYPE)
    with pytest.raises(ObligationFailed):
        write(content, {index: [(0, 1, new)]})


def test_an_empty_form_has_no_texts() -> None:
    """What browsers send for no fields at all."""
    content = read_bytes(b"--b-0--\r\n", TYPE)
    assert (content.segments, content.skipped, write(content, {})) == ((), (), b"--b-0--\r\n")


NAMES = st.text("abé @", min_size=1, max_size=3)
DATA = st.text("xy@é-b0\r\n ", max_size=8)


@given(parts=st.lists(st.tuples(NAMES, DATA), max_size=5), data=st.data())
def test_an_edit_changes_its_part_and_no_other_byte(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    """Reading what was written gives the edited texts, and every other part is the same bytes."""
    raw = body(*((f'name="{name}"', value.encode()) for name, value in parts))
    content = read_bytes(raw, TYPE)
    assert [one.text for one in content.segments] == [text for pair in parts for text in pair if text]
    assert write(content, {}) == raw
    if not content.segments:
        return
    index = data.draw(st.integers(0, len(content.segments) - 1))
    new = data.draw(st.text("Z<>&é", min_size=1, max_size=4))
    written = write(content, {index: [(0, len(content.segments[index].text), new)]})
    expected = [one.text for one in content.segments]
    expected[index] = new
    assert [one.text for one in read_bytes(written, TYPE).segments] == expected
    pairs = zip(raw.split(b"--b-0"), written.split(b"--b-0"), strict=True)
    assert sum(old != now for old, now in pairs) == (new != content.segments[index].text)
