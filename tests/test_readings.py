"""Readings: what a text spells is seen beside it, and stands where it is spelled."""

from __future__ import annotations

import base64
import random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.folding import fold
from guard.readings import SEPARATOR, see

MAIL = "leak.me@example-bank.com"
CARD = "4111111111111111"
SPELLINGS = {
    "percent": "".join(f"%{byte:02x}" for byte in MAIL.encode()),
    "percent of the signs": quote(MAIL, safe="").replace(".", "%2E"),
    "percent twice": quote(quote(MAIL, safe=""), safe=""),
    "JSON escapes": "".join(f"\\u{ord(one):04x}" for one in MAIL),
    "JSON escapes, twice escaped": "leak.me\\\\u0040example-bank.com",
    "YAML hexadecimal": "leak\\x2eme\\x40example-bank.com",
    "TOML long escape": "leak.me\\U00000040example-bank.com",
    "JavaScript braces": "leak.me\\u{40}example-bank.com",
    "octal": "leak.me\\100example-bank.com",
    "Python name": "leak.me\\N{COMMERCIAL AT}example-bank.com",
    "decimal references": "".join(f"&#{ord(one)};" for one in MAIL),
    "hexadecimal references": "leak.me&#x40;example-bank.com",
    "named references": "leak&period;me&commat;example-bank.com",
    "reference in percent": "leak.me%26%2364%3Bexample-bank.com",
    "at and dot in brackets": "leak.me (at) example-bank (dot) com",
    "at and dot in square brackets": "leak[.]me[@]example-bank[.]com",
    "at and dot spoken": "leak.me at example-bank dot com",
    "full-width percent": "leak.me％40example-bank.com",
    "Cyrillic letters": "l\u0435\u0430k.m\u0435@\u0435x\u0430mple-bank.c\u043em",
    "Greek and Armenian letters": "leak.me@example-\u0432ank.c\u03bfm",
    "ideographic full stop": "leak\u3002me@example-bank\u3002com",
    "base64": base64.b64encode(f"write to {MAIL} soon".encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(f"~~~???>>> {MAIL}".encode()).decode(),
    "base64, shifted": "x" + base64.b64encode(f"write to {MAIL} soon".encode()).decode(),
    "base64, wrapped": base64.encodebytes(f"{'so long ' * 12}{MAIL} {'so long ' * 12}".encode()).decode().strip(),
    "base64 twice": base64.b64encode(base64.b64encode(f"write to {MAIL}".encode())).decode(),
    "base64 among noise": base64.b64encode(bytes(range(128, 256)) + b" write to " + MAIL.encode() + b" ").decode(),
    "base64 of UTF-16": base64.b64encode(f"write to {MAIL}".encode("utf-16-le")).decode(),
    "base64 of escapes": base64.b64encode(b"write to leak.me%40example-bank.com").decode(),
    "hex": f"write to {MAIL}".encode().hex(),
    "hex with a prefix": "0x" + f"write to {MAIL}".encode().hex().upper(),
    "tag characters": "".join(chr(0xE0000 + ord(one)) for one in MAIL),
    "variation selectors": "".join(chr(0xE0100 + byte - 16) for byte in MAIL.encode()),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelled_text_is_read_where_it_stands(name: str) -> None:
    """However the address is spelled, it is in the folded form, and its span is the spelling and nothing else."""
    spelling = SPELLINGS[name]
    text = f"hello: {spelling} (bye)"
    seen = see(text)
    start = seen.text.index(MAIL)
    begin, end = seen.original_span(start, start + len(MAIL))
    assert text[begin:end] == spelling


@pytest.mark.parametrize(
    "spelling",
    [
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111 1111\n1111 1111",
        "4111\n1111\n1111\n1111",
        "4111/1111/1111/1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1",
        "4111%201111%201111%201111",
    ],
)
def test_digits_in_groups_are_read_as_one_number(spelling: str) -> None:
    """Rows 30 and 31: the groups of a card number, whatever parts them."""
    text = f"card {spelling}."
    seen = see(text)
    plain = seen.text.replace(" ", "")
    assert CARD in plain
    if CARD in seen.text:
        start = seen.text.index(CARD)
        begin, end = seen.original_span(start, start + len(CARD))
        assert text[begin:end] == spelling


@pytest.mark.parametrize(
    "text",
    [
        "An ordinary sentence, with numbers like 12,500 and 3.14 (and brackets).",
        "4111 1111 1111 1111 and 4111-1111-1111-1111",
        "5f4dcc3b5aa765d61d8327deb882cf99 is a digest, 550e8400-e29b-41d4-a716-446655440000 an identifier",
        "/usr/lib/python3/dist-packages/something_or_other/with_a_long_name",
        "100% of R&D, C:\\new\\table, AT&T; a[0] < b{1}",
        "мама мыла раму, а потом ушла домой",
        "years 1990, 1991, 1992, 1993 and 2001.2002.2003.2004",
    ],
)
def test_ordinary_text_has_no_reading(text: str) -> None:
    """Prose, code, digests, paths and other scripts cost nothing more than folding."""
    assert see(text) == fold(text)


@given(
    st.text(alphabet=st.sampled_from("aZ9@.%\\&#;x40u{}()[] dot\n\0＠é\u200b\u0430\U000e0041\ufe01+/=-_"), max_size=80)
)
def test_the_plain_text_comes_first_and_every_span_lies_in_the_original(text: str) -> None:
    """Readings only add: the folded text stands in front, and each of their characters is spelled somewhere."""
    folded, seen = fold(text), see(text)
    assert seen.text.startswith(folded.text)
    if seen.offsets is None or seen.ends is None:
        assert seen == folded
        return
    assert len(seen.offsets) == len(seen.text) + 1 == len(seen.ends) + 1
    for index in range(len(folded.text)):
        assert seen.original_span(index, index + 1) == folded.original_span(index, index + 1)
    for index, character in enumerate(seen.text):
        start, end = seen.original_span(index, index + 1)
        assert 0 <= start <= end <= len(text)
        assert start < end or character in SEPARATOR


@given(st.text(max_size=60), st.sampled_from(sorted(SPELLINGS)), st.text(max_size=60))
def test_what_stands_around_a_spelling_does_not_hide_it(before: str, name: str, after: str) -> None:
    """Whatever other text is around, on lines of its own, the address is read."""
    assert MAIL in see(f"{before}\n {SPELLINGS[name]} \n{after}").text


@pytest.mark.parametrize(
    "unit",
    [
        "%40",
        "\\u0040",
        "&#64;",
        "(at)",
        "[.]",
        " at a dot b",
        "QUFB",
        "4a",
        "4.",
        "4111.",
        "\u0430a",
        "\U000e0041",
        "%",
        "&a",
    ],
)
def test_readings_are_bounded_in_size(unit: str) -> None:
    """A text made of nothing but marks grows fivefold at most."""
    text = unit * (2**16 // len(unit))
    assert len(see(text).text) <= 5 * len(text) + 100


def test_random_base64_is_no_text() -> None:
    """Keys, digests and images in base64 have no reading that could be mistaken for words."""
    rng = random.Random(5)
    for _ in range(200):
        assert SEPARATOR not in see(base64.b64encode(rng.randbytes(48)).decode()).text
