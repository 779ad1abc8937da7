"""Forms and query strings: decoded as browsers encode them, and written again with nothing else changed."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import ReadLimits, read_query, write, write_query
from guard.errors import ContentRefused
from guard.types import Content
from tests.content.reading import KEYED, LIMITS, read_bytes, texts, token

FORM = "content-type: application/x-www-form-urlencoded"
PAIRS = st.lists(st.tuples(st.text("aé&=+% ;~", max_size=4), st.text("xy@é&=+% 😀", max_size=6)), max_size=6)


def query(raw: bytes, *names: str, limits: ReadLimits = LIMITS) -> Content:
    return read_query(raw, keyed=KEYED, limits=limits, field_names=frozenset(names))


def test_fields_stand_at_their_names() -> None:
    """Names are texts with hashed pointers unless they are recognised; repeated names count."""
    content = read_bytes(b"mail=leak%40x.com&q=a+b&mail=c&&=d&flag", FORM, field_names=["mail"])
    assert texts(content) == [
        ("/mail/0", "unknown", "leak@x.com"),
        (f"/{token('q')}", "key", "q"),
        (f"/{token('q')}", "unknown", "a b"),
        ("/mail/1", "unknown", "c"),
        (f"/{token('')}", "unknown", "d"),
        (f"/{token('flag')}", "key", "flag"),
    ]


def test_json_in_a_field_is_walked() -> None:
    """What the escapes of JSON inside a value spell is seen, and redacted inside the JSON."""
    content = read_bytes(b'a=1&p={"to":"leak\\u0040x.com","n":1.50}&z=%7e', FORM, field_names=["a", "p", "z"])
    assert (f"/p/{token('to')}", "unknown", "leak@x.com") in texts(content)
    index = [segment.text for segment in content.segments].index("leak@x.com")
    written = write(content, {index: [(0, 10, "<X>")]})
    assert written == b"a=1&p=%7B%22to%22%3A%22%3CX%3E%22%2C%22n%22%3A1.50%7D&z=%7e"


def test_a_query_string_has_its_own_pointers() -> None:
    """The query string is read like a form, below ``query``; an edit leaves other pairs as they were sent."""
    content = query(b"a=%7eb&mail=leak+me&c", "a", "mail", "c")
    assert [segment.pointer for segment in content.segments] == ["query/a", "query/mail"]
    assert write_query(content, {1: [(0, 4, "x y")]}) == b"a=%7eb&mail=x%20y%20me&c"
    assert write_query(content, {}) == b"a=%7eb&mail=leak+me&c"
    assert (query(b"").segments, write_query(query(b""), {})) == ((), b"")


@pytest.mark.parametrize(
    ("raw", "refusal"), [(b"a=%", "form_invalid"), (b"%zz", "form_invalid"), (b"a=%ff", "text_invalid")]
)
def test_a_malformed_query_is_refused_where_it_stands(raw: bytes, refusal: str) -> None:
    """The same rules as for forms, and the refusal says that it is the query."""
    with pytest.raises(ContentRefused) as caught:
        query(raw)
    assert (caught.value.refusal, caught.value.where) == (refusal, "query")


def test_limits_on_fields_are_exact() -> None:
    """As many and as large fields as the limits say are read, more are refused."""
    limits = ReadLimits(max_fields=3, max_field_bytes=5)
    assert len(query(b"a=123&b&c", limits=limits).segments) == 4
    for raw in (b"a&b&c&d", b"a=1234"):
        with pytest.raises(ContentRefused) as caught:
            query(raw, limits=limits)
        assert caught.value.refusal == "form_limit"


@given(pairs=PAIRS)
def test_every_field_is_seen_as_browsers_send_it(pairs: list[tuple[str, str]]) -> None:
    """Names and values come out as they went in; written again without edits the bytes are the same."""
    raw = urlencode(pairs).encode()
    content = query(raw)
    assert [s.text for s in content.segments] == [text for pair in pairs for text in pair if text]
    assert write_query(content, {}) == raw


@given(pairs=PAIRS, data=st.data())
def test_an_edit_changes_its_field_and_no_other_byte(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    """Reading what was written gives the edited texts; the pairs without an edit are the same bytes."""
    raw = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs]
    content = query("&".join(raw).encode())
    if not content.segments:
        return
    index = data.draw(st.integers(0, len(content.segments) - 1))
    new = data.draw(st.text("Z<&=%é ", min_size=1, max_size=4))
    written = write_query(content, {index: [(0, len(content.segments[index].text), new)]})
    expected = [segment.text for segment in content.segments]
    expected[index] = new
    assert [segment.text for segment in query(written).segments] == expected
    changed = [old != now for old, now in zip(raw, written.decode().split("&"), strict=True)]
    assert sum(changed) <= 1
    assert [text for pair in parse_qsl(written.decode(), keep_blank_values=True) for text in pair if text] == expected
