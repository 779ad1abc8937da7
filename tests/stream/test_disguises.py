"""Disguised values in streams: whatever the pieces, what leaves is what the whole text, rewritten at once, says."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.redacting import streamed, whole
from guard.confusables import CONFUSABLES
from guard.obligations.redact import Operator
from guard.stream import Tail
from guard.types import Detector
from tests.bypass.disguises import DISGUISES, OF_ADDRESSES, OF_CARDS

pytest.importorskip("presidio_analyzer")

MAIL: Final = "leak.me@example-bank.com"
VALUES: Final = {
    "address": MAIL,
    "card": "4111 1111 1111 1111",
    "Amex": "3782 822463 10005",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "key": "AKIA{}".format("Q2RZ7TKFXW4MPLBN"),  # in two parts, so that scanners do not take it for a key
    "phone": "+49 30 901820",
    "(at)": OF_ADDRESSES["(at), (dot)"],
    "at": OF_ADDRESSES["at, dot"],
    "SSN": "536 90 4399",
    "NINO": "AB 12 34 56 C",
    "IP": "10.0.0.7",
    "cue": "passport number is X12345678",
}
SPELLINGS: Final = {
    **{f"{name}: {value}": disguise(VALUES[value]) for name, disguise in DISGUISES.items() for value in VALUES},
    **OF_ADDRESSES,
    **OF_CARDS,
}
_LOOKS: Final = {letter: chr(code) for code, letter in CONFUSABLES.items()}
_WORDS: Final = {" ": "&nbsp;", "-": " &ndash; ", ".": "[.]", "@": " [at] "}


def _named(one: str) -> str:
    return f"\\N{{{unicodedata.name(one)}}}"


EACH: Final[list[Callable[[str], str]]] = [
    lambda one: f"&#{ord(one)};",
    lambda one: f"&#x{ord(one):x};",
    lambda one: "".join(f"&#{ord(sign)};" for sign in f"&#{ord(one)};"),
    lambda one: f"%{ord(one):02x}",
    lambda one: f"\\u{ord(one):04x}",
    lambda one: f"\\x{ord(one):02x}",
    lambda one: f"\\{ord(one):03o}",
    _named,
    lambda one: chr(ord(one) + 0xFEE0) if one != " " else one,
    lambda one: f"\u200b{one}",
    lambda one: f"{one}\u00ad\u0301",
    lambda one: _LOOKS.get(one, one),
    lambda one: "\u3002" if one == "." else one,
    lambda one: chr(0x660 + int(one)) if one.isdecimal() else one,
    lambda one: f"\\{one}" if one in " /" else one,
    lambda one: _WORDS.get(one, one),
    lambda one: chr(0xE0000 + ord(one)),
]
"""Ways to spell one character."""

BEFORE = [
    "",
    "write to ",
    "my card number is ",
    "so it is said ",
    "(",
    "the key=",
    '"',
    "a\n",
    "1 2 ",
    "电话是",
    "R&D 5% ",
]
AFTER = [
    "",
    " now",
    " and more words to follow here",
    ".",
    ", thanks",
    "\nnext line",
    "\n\n",
    " dot com",
    ")",
    " 12 34",
]
AFTER += [" x 55", "。谢谢", "。com", "%", "\\", " &", " \U0001f3f4\U000e0067\U000e0062", " said the committee" * 18]


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """A value of which some characters, or all, are spelled in up to three ways."""
    value = draw(st.sampled_from(list(VALUES.values())))
    ways = draw(st.lists(st.sampled_from(EACH), min_size=1, max_size=3))
    rng = draw(st.randoms(use_true_random=False))
    often = draw(st.sampled_from([0.15, 0.5, 1]))
    return "".join(rng.choice(ways)(one) if rng.random() < often else one for one in value)


PARTS = st.tuples(
    st.sampled_from(BEFORE),
    st.one_of(st.sampled_from(list(SPELLINGS.values())), spelled()),
    st.sampled_from(AFTER),
)
TEXTS = st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: " ".join("".join(part) for part in parts))
CUTS = st.lists(st.integers(1, 9), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def detectors() -> list[Detector]:
    """Those that a new installation has."""
    from detectors.pii import PiiDetector
    from detectors.secrets import SecretsDetector

    return [PiiDetector(), SecretsDetector()]


def cut(text: str, sizes: list[int]) -> list[str]:
    """The text in pieces of these sizes, again and again."""
    pieces, number = [], 0
    while text:
        size = sizes[number % len(sizes)]
        pieces.append(text[:size])
        text, number = text[size:], number + 1
    return pieces


def hiding(detectors: list[Detector]) -> dict[str, Operator]:
    return {entity: Operator("replace") for one in detectors for entity in getattr(one, "local", ())}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_disguise_is_hidden_at_every_cut(detectors: list[Detector], name: str) -> None:
    """Each disguise of the bypass corpus on each kind of value, cut in two at every place and into characters."""
    text = f"so it is said {SPELLINGS[name]} and more words to follow"
    expected = whole(detectors, hiding(detectors), text)
    step = max(1, len(text) // 8)
    for at in range(0, len(text), step):
        assert streamed(detectors, hiding(detectors), [text[:at], text[at:]]) == expected
    assert streamed(detectors, hiding(detectors), list(text)) == expected


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, sizes=CUTS)
@example(
    text=r"see: \N{LATIN SMALL LETTER L}&#101;ak.me (a&#116;\N{RIGHT PARENTHESIS} bank (dot) com", sizes=[23, 8, 5]
)
@example(text="+49\\ 30\\ 901820 and more words to follow here %41", sizes=[1])
@example(text="x 电话。\\u006ceak.me@example-bank。com", sizes=[1])
def test_mixed_disguises_are_hidden_in_any_pieces(detectors: list[Detector], text: str, sizes: list[int]) -> None:
    """Disguises mixed inside one value, beside each other and beside what only looks like one."""
    assert streamed(detectors, hiding(detectors), cut(text, sizes)) == whole(detectors, hiding(detectors), text)


@settings(max_examples=60, deadline=None)
@given(gaps=st.lists(st.integers(0, 400), min_size=len(MAIL), max_size=len(MAIL)), sizes=CUTS)
def test_a_value_in_characters_that_show_nothing_is_hidden_however_far_apart(
    detectors: list[Detector], gaps: list[int], sizes: list[int]
) -> None:
    """Tag characters between words spell one text, however much stands between them: it waits for the end."""
    tags = DISGUISES["tag characters"](MAIL)
    words = ("the committee met again and nobody objected " * 10)[:400]
    text = "".join(tag + words[:gap] for tag, gap in zip(tags, gaps, strict=True))
    shown = streamed(detectors, hiding(detectors), cut(text, sizes))
    assert shown == whole(detectors, hiding(detectors), text)
    assert not set(tags) & set(shown)


def test_a_flag_does_not_hold_a_stream() -> None:
    """The flags of England, Scotland and Wales are tags by which nothing can be said; any other tag holds."""
    region = "".join(chr(0xE0000 + ord(one)) for one in "gbeng")
    tail = Tail()
    left = ""
    for piece in ["go ", "\U0001f3f4", region[:2], region[2:], "\U000e007f", " win ", region[0], " or ", "lose "]:
        tail.feed(piece)
        window = tail.window()
        if window is not None:
            left += window.text[window.fresh : window.ready]
            tail.pass_on(window, window.ready)
    assert left == f"go \U0001f3f4{region}\U000e007f "
    assert tail.held == len("win  or lose ") + 1
    rest = tail.window(closed=True)
    assert rest is not None
    assert rest.text[rest.fresh : rest.ready] == f"win {region[0]} or lose "


def test_chinese_flows_sentence_by_sentence() -> None:
    """An ideographic full stop beside an ideograph ends a word, as white space does; inside a host name it does not."""
    tail = Tail()
    tail.feed("你好。谢谢你")
    window = tail.window()
    assert window is not None
    assert window.text[: window.ready] == "你好。"
    tail = Tail()
    tail.feed("jane@leak。com是")
    assert tail.window() is None


def test_context_is_counted_as_it_is_read(detectors: list[Detector]) -> None:
    """A cue that is spelled in forty characters a letter still stands before the value, once it has left."""
    cue = "".join(_named(one) for one in "passport")
    text = f"{'so it was said again. ' * 30}{cue} number is {'really ' * 3}X12345678 and so on"
    expected = whole(detectors, hiding(detectors), text)
    assert "X12345678" not in expected
    assert streamed(detectors, hiding(detectors), list(text)) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111\\/1111\\/1111\\/1111", "<CREDIT_CARD>"),
        ("4111\\n1111\\n1111\\n1111", "<CREDIT_CARD>"),
        ("多谢。邮箱是leak.me@example-bank.com。谢谢", "多谢。<EMAIL_ADDRESS>。谢谢"),
        ("write to leak.me@example-bank。com now", "write to <EMAIL_ADDRESS> now"),
    ],
)
def test_escapes_and_full_stops_are_read_where_they_stand(detectors: list[Detector], text: str, shown: str) -> None:
    """Whatever else stands in the line: escapes that part groups, and full stops of hosts and of sentences."""
    assert whole(detectors, hiding(detectors), text) == shown
    assert streamed(detectors, hiding(detectors), list(text)) == shown
