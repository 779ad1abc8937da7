"""Headers and content encodings: the plain cases beside the malformed corpus."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import Head, decode, parse_head
from guard.errors import ContentRefused
from tests.content.reading import headers


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        ((), Head()),
        (("content-type: application/json", "content-length: 12"), Head("application/json", None, (), 12)),
        (("Content-Type: Text/Plain; Charset=UTF-8",), Head("text/plain", "utf-8")),
        (('content-type: text/plain ; charset="us-ascii"; format=flowed',), Head("text/plain", "ascii")),
        (('content-type: multipart/form-data; boundary="a b:c"',), Head("multipart/form-data", boundary="a b:c")),
        (('content-type: text/plain; boundary="a;b\\"c"',), Head("text/plain")),
        (("content-type: text/plain;",), Head("text/plain")),
        (("content-encoding: identity, GZIP", "content-encoding: deflate"), Head("", None, ("gzip", "deflate"))),
        (("transfer-encoding: chunked",), Head()),
    ],
)
def test_headers_that_say_one_thing(lines: tuple[str, ...], head: Head) -> None:
    """Case, white space, quotes and other parameters don't matter."""
    assert parse_head(headers(*lines)) == head


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=3))
def test_gzip_members_decode_to_their_sum(body: bytes, cuts: list[int]) -> None:
    """A body packed in one member or several, once or twice, comes out as it was."""
    at = sorted({0, *(cut for cut in cuts if cut < len(body)), len(body)})
    members = b"".join(gzip.compress(body[begin:end]) for begin, end in itertools.pairwise(at))
    packed = members or gzip.compress(b"")
    for data, names in ((packed, ["gzip"]), (zlib.compress(packed), ["x-gzip", "deflate"])):
        assert decode(data, names, max_bytes=1000, max_ratio=100) == body


def test_bounds_are_exact() -> None:
    """As many bytes as the bound come out, one more is refused; the bound on the ratio spares small bodies."""
    packed = gzip.compress(b"x" * 1000)
    assert len(decode(packed, ["gzip"], max_bytes=1000, max_ratio=1)) == 1000
    with pytest.raises(ContentRefused) as refused:
        decode(packed, ["gzip"], max_bytes=999, max_ratio=1)
    assert refused.value.refusal == "decompression_limit"
    large = gzip.compress(b"x" * 70_000)
    assert len(decode(large, ["gzip"], max_bytes=100_000, max_ratio=1000)) == 70_000
    with pytest.raises(ContentRefused):
        decode(large, ["gzip"], max_bytes=100_000, max_ratio=10)


def test_a_bomb_takes_no_more_memory_than_its_bound() -> None:
    """The size is checked while the body grows: 50 MB of zeros never exist."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ContentRefused):
            decode(bomb, ["gzip"], max_bytes=1_000_000, max_ratio=100_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_a_body_without_encoding_is_itself() -> None:
    """No encoding: the same bytes, whatever the bounds; an empty body needs no decoding."""
    assert decode(b"abc", [], max_bytes=1, max_ratio=1) == b"abc"
    assert decode(b"", ["gzip"], max_bytes=1, max_ratio=1) == b""
