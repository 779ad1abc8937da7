"""Whatever the pieces of a text are, what leaves of it is the whole text, redacted and restored."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.redacting import Redacting, streamed, whole
from guard.obligations.redact import Operator
from guard.obligations.vault import Vault
from guard.types import Detector

pytest.importorskip("presidio_analyzer")

_SAID = """the of a report seen was sent team call phone ssn passport bank routing iban card email ext x extension at
dot is on my nhs nino postcode vehicle registration license aws secret key London were been now then also"""
WORDS = _SAID.split()
VALUES = [
    "jane.doe@leak.org", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111\n1111\n1111\n1111", "3782 822463 10005",
    "4111, 1111, 1111, 1111", "GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00", "AT61 1904 3002 3457 3201",
    "BE68 5390 0754 7034", "536 90 4399", "AB 12 34 56 C", "SW1A 1AA", "AB12 CDE", "ABC 123D", "+49 30 901820",
    "(415) 555-2671", "415-555-2671 ext. 55", "0171 / 123 456", "10.0.0.7", "2001:db8::1", "943 476 5919", "021000021",
    "X12345678", "2024", "12", "[1]", "-", "jane (at) leak (dot) org", "jane at leak dot org", "jane%40leak.org",
    "amFuZS5kb2VAbGVhay5vcmcgaXMgdGhlIGFkZHJlc3MK", "ｊane@leak.org", "4111\u200b 1111 1111 1111",
    "电话是jane@leak.org。谢谢",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----",
    "AKIAQ2RZ7TKFXW4MPLBN", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
]  # fmt: skip
SEPARATORS = [" ", " ", " ", " ", "\n", "\n\n", ", ", ". ", "  ", "\t", ": ", "", '"', " ("]
TEXTS = st.lists(
    st.tuples(st.one_of(st.sampled_from(WORDS), st.sampled_from(VALUES)), st.sampled_from(SEPARATORS)),
    min_size=1,
    max_size=14,
).map(lambda parts: "".join(part + separator for part, separator in parts))
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=20)


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


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, sizes=CUTS)
def test_a_stream_is_the_whole_redacted(detectors: list[Detector], text: str, sizes: list[int]) -> None:
    """With the real detectors, every local type hidden: no value is cut, and none is hidden that the whole shows."""
    operators = {entity: Operator("replace") for one in detectors for entity in getattr(one, "local", ())}
    assert streamed(detectors, operators, cut(text, sizes)) == whole(detectors, operators, text)


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.sampled_from(["{0}", "{1}", "<", "and", "<EMAIL_ADDRESS_1_", "{0}{1}", "({0})"])), sizes=CUTS)
def test_placeholders_come_back_at_every_split(words: list[str], sizes: list[int]) -> None:
    """Restored is what the whole restored is; forged ones and beginnings stay as they are."""
    vault = Vault()
    places = [vault.placeholder("EMAIL_ADDRESS", "jane@leak.org"), vault.placeholder("PERSON", "Jane Doe")]
    text = " ".join(words).format(*places)
    assert streamed([], {}, cut(text, sizes), vault) == " ".join(words).format("jane@leak.org", "Jane Doe")


def test_prose_waits_for_one_word(detectors: list[Detector]) -> None:
    """The median that is held back is four characters or less."""
    redacting = Redacting(detectors, {})
    held = []
    text = "The committee met again to go through what was left of the plan for the next year"
    for word in text.split():
        redacting.feed(f" {word}")
        held.append(redacting.held)
    assert sorted(held)[len(held) // 2] <= 4
