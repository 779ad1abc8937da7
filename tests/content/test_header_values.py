"""Headers: every text that a client can put there is inspected, credentials are named, fixed grammars are no texts."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import read_headers, write_headers
from guard.content.header_grammar import CREDENTIAL_HEADERS, FIXED_GRAMMAR, FRAMING_HEADERS, TEXT_HEADERS
from guard.content.spelled import spelled
from guard.errors import ObligationFailed
from guard.types import Content, Skipped
from tests.content.reading import KEYED, LIMITS, headers, texts, token


def read(*lines: str) -> Content:
    return read_headers(headers(*lines), keyed=KEYED, limits=LIMITS)


BROWSER = (
    "host: app.example:8443",
    "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "accept: text/html,application/xhtml+xml;q=0.9,image/avif,*/*;q=0.8",
    "accept-language: en-GB,en;q=0.5",
    "accept-encoding: gzip, deflate, br, zstd",
    'sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24"',
    "sec-fetch-site: same-origin",
    "content-type: multipart/form-data; boundary=----formdata-undici-012345678901",
    "content-length: 12",
    "origin: https://app.example",
    'if-none-match: W/"33a64df5"',
    "if-modified-since: Wed, 21 Oct 2015 07:28:00 GMT",
    "x-forwarded-for: 192.0.2.60, 2001:db8::1",
    'forwarded: for="[2001:db8::1]";proto=https',
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def test_what_a_browser_sends_holds_no_text() -> None:
    """Negotiation, lengths, dates, addresses of proxies and the names of well-known software are no texts."""
    content = read(*BROWSER)
    assert (texts(content), content.skipped) == ([], ())


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        ("OpenAI/Python 1.51.0", None),
        ("AsyncAnthropic/JS 0.39.0", None),
        ("Mozilla/5.0 (Linux; Android 13; SM-G991B) Chrome/112.0.5615.137", "( ; ; SM-G991B)"),
        ("curl/8.4.0 jane@corp.com", "jane@corp.com"),
        ("jane@curl/8.4.0", "jane@curl/8.4.0"),
        ("Chrome/555.123.4567", "Chrome/555.123.4567"),
        ("Chrome/4111.1111.1111.1111", "Chrome/4111.1111.1111.1111"),
        ("Firefox 411 111 111 111 1111", "Firefox 411 111 111 111 1111"),
    ],
)
def test_a_user_agent_is_a_text_but_for_well_known_software(agent: str, text: str | None) -> None:
    """Versions of known products are not read, since they look like addresses; everything else is."""
    segments = read(f"user-agent: {agent}").segments
    assert [" ".join(segment.text.split()) for segment in segments] == ([] if text is None else [text])


@pytest.mark.parametrize("name", sorted(FIXED_GRAMMAR))
@pytest.mark.parametrize("value", ["leak@x.com", "John Smith", "4111 1111 1111 1111", "x" * 2000 + "@"])
def test_a_value_that_breaks_its_grammar_is_inspected(name: bytes, value: str) -> None:
    """No header is a hiding place: what is no date, list or address is a text."""
    assert texts(read(f"{name.decode()}: {value}")) == [(f"headers/{name.decode()}", "metadata", value)]


def test_credentials_are_named_and_not_read() -> None:
    """No detector sees a credential, and coverage says so."""
    content = read("Authorization: Bearer leak", "cookie: a=b", "cookie: c=d")
    assert content.segments == ()
    assert content.skipped == tuple(
        Skipped(f"headers/{name}", "credential") for name in ("authorization", "cookie/0", "cookie/1")
    )
    assert not CREDENTIAL_HEADERS & (TEXT_HEADERS | set(FIXED_GRAMMAR))


def test_other_headers_are_texts_with_their_names() -> None:
    """A name that we don't know is hashed and is a text; JSON in a value is walked; repeated names count."""
    content = read("x-note: leak@x.com", 'x-meta: {"to":"a\\u0040b"}', "x-note: c")
    note, meta = token("x-note"), token("x-meta")
    assert texts(content) == [
        (f"headers/{note}/0", "key", "x-note"),
        (f"headers/{note}/0", "metadata", "leak@x.com"),
        (f"headers/{meta}", "key", "x-meta"),
        (f"headers/{meta}/{token('to')}", "key", "to"),
        (f"headers/{meta}/{token('to')}", "metadata", "a@b"),
        (f"headers/{note}/1", "key", "x-note"),
        (f"headers/{note}/1", "metadata", "c"),
    ]


def test_edits_change_their_header_alone() -> None:
    """The others are the same bytes, in the same order; what no header can hold fails the obligation."""
    raw = [(b"X-Note", b"caf\xe9 leak"), (b"accept", b"*/*"), (b"user-agent", "né".encode())]
    content = read_headers(raw, keyed=KEYED, limits=LIMITS)
    assert write_headers(content, {}) == tuple(raw)
    assert write_headers(content, {1: [(5, 9, "é<X>")], 2: [(0, 2, "€")]}) == (
        (b"X-Note", b"caf\xe9 \xe9<X>"),
        raw[1],
        (b"user-agent", "€".encode()),
    )
    assert write_headers(content, {0: [(0, 6, "x-other")]})[0][0] == b"x-other"
    for index, new in ((0, "<X>"), (1, "a\r\nb"), (1, "€"), (2, "\0")):
        with pytest.raises(ObligationFailed):
            write_headers(content, {index: [(0, 1, new)]})


SPELLED = [
    # header, value, meaning, what stands there once "jane@corp.com" or "X" is "<E>"
    ("location", "/u/jane%40corp.com?next=%2Fa", "/u/jane@corp.com?next=/a", "/u/%3CE%3E?next=%2Fa"),
    ("location", "/u/jane@corp.com", "/u/jane@corp.com", "/u/%3CE%3E"),
    ("baggage", "user=jane%40corp.com,x=1", "user=jane@corp.com,x=1", "user=%3CE%3E,x=1"),
    (
        "content-disposition",
        "attachment; filename=\"a\"; filename*=UTF-8''jane%40corp.com",
        "attachment; filename=\"a\"; filename*=UTF-8''jane@corp.com",
        "attachment; filename=\"a\"; filename*=UTF-8''%3CE%3E",
    ),
    ("content-disposition", r'x; filename="\j\ane@corp.com"', 'x; filename="jane@corp.com"', 'x; filename="<E>"'),
    ("x-note", "caf%C3%A9 %E9 jane%40corp.com", "café é jane@corp.com", "caf%C3%A9 %E9 %3CE%3E"),
    ("link", '</jane%40corp.com>; rel="next"', '</jane@corp.com>; rel="next"', '</%3CE%3E>; rel="next"'),
    ("x-note", "100% jane@corp.com %zz", "100% jane@corp.com %zz", "100% <E> %zz"),
]


@pytest.mark.parametrize(("name", "value", "text", "after"), SPELLED)
def test_encoded_values_are_read_as_they_mean_and_written_as_they_stand(
    name: str, value: str, text: str, after: str
) -> None:
    """Percent-encoding and quoted pairs hide nothing, and what is not edited is the same bytes."""
    content = read(f"{name}: {value}")
    index = len(content.segments) - 1
    assert content.segments[index].text == text
    start = text.index("jane@corp.com")
    written = write_headers(content, {index: [(start, start + len("jane@corp.com"), "<E>")]})
    assert written == ((name.encode(), after.encode()),)
    assert write_headers(content, {}) == ((name.encode(), value.encode()),)


def test_new_text_in_a_quoted_string_is_escaped() -> None:
    """A quotation mark in a restored name does not end the string."""
    content = read('content-disposition: attachment; filename="X"')
    start = content.segments[0].text.index("X")
    written = write_headers(content, {0: [(start, start + 1, 'a"b\\c')]})
    assert written[0][1] == b'attachment; filename="a\\"b\\\\c"'


def test_percent_encoded_json_is_walked() -> None:
    """JSON in a value is read through its escapes, and written encoded again."""
    content = read("x-meta: %7B%22to%22%3A%22a%5Cu0040b%22%7D")
    index = len(content.segments) - 1
    assert content.segments[index].text == "a@b"
    assert write_headers(content, {index: [(0, 3, "<E>")]})[0][1] == b"%7B%22to%22%3A%22%3CE%3E%22%7D"


@pytest.mark.parametrize("name", sorted(FRAMING_HEADERS & set(FIXED_GRAMMAR)))
def test_headers_that_frame_the_message_are_never_rewritten(name: bytes) -> None:
    """Their texts are inspected; a redaction that is due in them fails, since the message would be read otherwise."""
    content = read(f"{name.decode()}: jane@corp.com")
    assert [segment.text for segment in content.segments] == ["jane@corp.com"]
    with pytest.raises(ObligationFailed):
        write_headers(content, {0: [(0, 4, "x")]})


@pytest.mark.parametrize(
    "boundary",
    [
        "4111111111111111",
        "----4111111111111111",
        "jane.doe@corp.com",
    ],
)
def test_a_boundary_that_no_client_makes_is_inspected(boundary: str) -> None:
    """The delimiter of a form is free text of the client."""
    assert len(read(f"content-type: multipart/form-data; boundary={boundary}").segments) == 1


@pytest.mark.parametrize(
    "boundary",
    [
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "---------------------------9051914041544843365972754266",
        "----geckoformboundarye6f3a1b2c4d5e6f708192a3b4c5d6e7f",
        "--------------------------864239058312740183473891",
        "----formdata-undici-012345678901",
        "4ebf00fbcf09f8e1a1d1b9c2e3f4a5b6",
    ],
)
def test_the_boundaries_of_clients_are_no_texts(boundary: str) -> None:
    """As browsers, httpx, requests, node and curl make them."""
    assert read(f"content-type: multipart/form-data; boundary={boundary}").segments == ()


escaped = st.text(max_size=12).map(lambda text: quote(text, safe=""))
literal = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(st.lists(st.one_of(escaped, literal), max_size=6).map("".join), st.data())
def test_spelling_keeps_what_is_not_edited(raw: str, data: st.DataObject) -> None:
    """Any value written without edits is itself; deleting a span deletes exactly what spells it."""
    value = spelled(raw)
    assert value.edited([]) == raw
    start = data.draw(st.integers(0, len(value.text)))
    end = data.draw(st.integers(start, len(value.text)))
    left = value.edited([(start, end, "")])
    begin = value.starts[start] if value.starts and start < len(value.text) else start
    if value.starts is None or start == len(value.text):
        begin = start if value.starts is None else len(raw)
    stop = begin if end == start else (end if value.ends is None else value.ends[end - 1])
    assert left == raw[:begin] + raw[stop:]
