"""Brotli and Zstandard, where their libraries are installed: the same bounds as for gzip."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import decode
from guard.content.inflate import CODINGS
from guard.errors import ContentRefused

Pack = Callable[[bytes], bytes]


@pytest.fixture(params=["br", "zstd"], scope="module")
def coding(request: pytest.FixtureRequest) -> tuple[str, Pack]:
    """The coding and what packs it."""
    name: str = request.param
    if name not in CODINGS:
        pytest.skip(f"no library for {name} is installed")
    library: Any = pytest.importorskip(
        "brotli" if name == "br" else "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    )
    return name, library.compress


def refusal(body: bytes, name: str, max_bytes: int = 1000) -> str:
    with pytest.raises(ContentRefused) as caught:
        decode(body, [name], max_bytes=max_bytes, max_ratio=10**6)
    return caught.value.refusal


@given(body=st.binary(max_size=300))
def test_a_body_comes_out_as_it_was(coding: tuple[str, Pack], body: bytes) -> None:
    """Packed once, or twice over gzip's side, nothing changes."""
    name, pack = coding
    assert decode(pack(body), [name], max_bytes=1000, max_ratio=100) == body
    assert decode(pack(pack(body)), [name, name], max_bytes=1000, max_ratio=100) == body


def test_a_large_body_comes_out_whole(coding: tuple[str, Pack]) -> None:
    """Bodies of many pieces, packable or not, are joined."""
    name, pack = coding
    body = b"".join(number.to_bytes(3, "big") for number in range(200_000)) + b"\0" * 1_000_000
    assert decode(pack(body), [name], max_bytes=len(body), max_ratio=10**6) == body


def test_bounds_are_exact(coding: tuple[str, Pack]) -> None:
    """As many bytes as the bound come out, one more is refused."""
    name, pack = coding
    packed = pack(b"x" * 1000)
    assert len(decode(packed, [name], max_bytes=1000, max_ratio=1)) == 1000
    assert refusal(packed, name, 999) == "decompression_limit"


def test_damaged_data_is_refused(coding: tuple[str, Pack]) -> None:
    """Cut off, followed by something, or no such data at all."""
    name, pack = coding
    packed = pack(b"leak" * 50)
    for body in (packed[:-1], packed[:3], packed + b"junk", b"{}", b'{"a":"leak.me@x.com"}'):
        assert refusal(body, name) == "content_encoding_invalid"


@pytest.mark.slow
def test_a_bomb_takes_no_more_memory_than_its_bound(coding: tuple[str, Pack]) -> None:
    """The libraries allocate outside of Python's books, so the process itself is measured."""
    name, pack = coding
    bomb = pack(b"\0" * 200_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(bomb, name, 1_000_000) == "decompression_limit"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000
