"""Headers: every text that a client can put there is inspected, credentials are named, fixed grammars are no texts."""

from __future__ import annotations

import pytest

from guard.content import read_headers, write_headers
from guard.content.header_values import CREDENTIAL_HEADERS, FIXED_GRAMMAR, TEXT_HEADERS
from guard.errors import ObligationFailed
from guard.types import Content, Skipped
from tests.content.reading import KEYED, LIMITS, headers, texts, token


def read(*lines: str) -> Content:
    return read_headers(headers(*lines), keyed=KEYED, limits=LIMITS)


BROWSER = (
    "host: app.example:8443",
    "user-agent: Mozilla/5.0 (X11)",
    "accept: text/html,application/xhtml+xml;q=0.9,image/avif,*/*;q=0.8",
    "accept-language: en-GB,en;q=0.5",
    "accept-encoding: gzip, deflate, br, zstd",
    'sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24"',
    "sec-fetch-site: same-origin",
    "content-type: multipart/form-data; boundary=----formdata-012345678901",
    "content-length: 12",
    "origin: https://app.example",
    'if-none-match: W/"33a64df5"',
    "if-modified-since: Wed, 21 Oct 2015 07:28:00 GMT",
    "x-forwarded-for: 192.0.2.60, 2001:db8::1",
    'forwarded: for="[2001:db8::1]";proto=https',
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def test_what_a_browser_sends_holds_one_text() -> None:
    """Negotiation, lengths, dates and addresses of proxies are no texts; the user agent is."""
    content = read(*BROWSER)
    assert (texts(content), content.skipped) == ([("headers/user-agent", "metadata", "Mozilla/5.0 (X11)")], ())


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
