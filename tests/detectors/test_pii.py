"""What the PII detector reports by default: types, thresholds, context, allow-list, overlaps, options."""

from __future__ import annotations

import builtins
import itertools
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.pii import PiiDetector
from guard.errors import ConfigError, DetectorMissing
from guard.testing.detectors import context
from guard.types import Segment


def seen(detector: PiiDetector, text: str) -> list[tuple[str, str]]:
    """Types and values found."""
    return [(finding.type, text[finding.start : finding.end]) for finding in detector.detect_text(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jane.doe@partner.co.uk", [("EMAIL_ADDRESS", "jane.doe@partner.co.uk")]),
        ("card 4111-1111-1111-1111", [("CREDIT_CARD", "4111-1111-1111-1111")]),
        ("card 4111-1111-1111-1112", []),
        ("IBAN DE89370400440532013000 today", [("IBAN_CODE", "DE89370400440532013000")]),
        ("ssn 536-22-8726", [("US_SSN", "536-22-8726")]),
        ("id 536-22-8726", [("US_SSN", "536-22-8726")]),
        ("call +49 30 901820", [("PHONE_NUMBER", "+49 30 901820")]),
        ("host 10.20.30.40", [("IP_ADDRESS", "10.20.30.40")]),
        ("host fe80::1ff:fe23:4567:890a", [("IP_ADDRESS", "fe80::1ff:fe23:4567:890a")]),
        ("pay 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", [("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")]),
        ("nic 00:1a:2b:3c:4d:5e", [("MAC_ADDRESS", "00:1a:2b:3c:4d:5e")]),
        ("nino QQ123456C is a sample, AB123456C is not", [("UK_NINO", "AB123456C")]),
    ],
)
def test_common_types(pii: PiiDetector, text: str, expected: list[tuple[str, str]]) -> None:
    """Each common type is found at its place; a wrong check digit is not one."""
    assert seen(pii, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "self.st = os.sy and www.example-shop.com/path",
        "on 2024-05-17 at 10:30, version 1.2.3",
        "request 123e4567-e89b-12d3-a456-426614174000",
        "order 123456789 of batch 021000021",
        "build A1234567 passed",
        "the public 536228726 rows",
    ],
)
def test_ordinary_text_is_clean(pii: PiiDetector, text: str) -> None:
    """Code, dates, request ids and bare numbers are not personal data by default."""
    assert seen(pii, text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my ssn is 536228726", "US_SSN"),
        ("536228726 is my SSN", "US_SSN"),
        ("bank account 1234567890", "US_BANK_NUMBER"),
        ("aba routing 021000021", "ABA_ROUTING_NUMBER"),
        ("passport number: 536228729", "US_PASSPORT"),
    ],
)
def test_weak_numbers_need_context(pii: PiiDetector, text: str, expected: str) -> None:
    """A national id of nothing but digits is reported where a whole word beside it names it."""
    assert [kind for kind, _ in seen(pii, text)] == [expected]


def test_context_is_a_whole_word(pii: PiiDetector) -> None:
    """``ssn`` inside another word is no context."""
    assert seen(pii, "lessnoise 536228726") == []


def test_context_from_object_keys(pii: PiiDetector) -> None:
    """The key of a member, and the key above a list, are context of the value; other keys are not."""
    segments = [
        Segment.of("accountNumber", "/accountNumber", "key"),
        Segment.of("1234567890", "/accountNumber"),
        Segment.of("ssns", "/ssns", "key"),
        Segment.of("536228726", "/ssns/0"),
        Segment.of("count", "/count", "key"),
        Segment.of("536228726", "/count"),
    ]
    found = pii.detect(segments, context())
    assert [(finding.segment, finding.type) for finding in found] == [(1, "US_BANK_NUMBER"), (3, "US_SSN")]


def test_object_keys_are_texts_too(pii: PiiDetector) -> None:
    """Personal data in an object key is found."""
    found = pii.detect([Segment.of("jane.doe@partner.co.uk", "/~0a1b", "key")], context())
    assert [finding.type for finding in found] == ["EMAIL_ADDRESS"]


DOCUMENTATION = (
    "mail admin@example.com or a@sub.example.org, hosts 192.0.2.7 198.51.100.1/24 203.0.113.9 2001:db8::1 ::1 "
    "127.0.0.1 0.0.0.0, call (212) 555-0123 or +1 212 555 0199"
)


def test_documentation_values(pii: PiiDetector) -> None:
    """Values reserved for documentation are not reported, and are with ``documentation_values``."""
    assert seen(pii, DOCUMENTATION) == []
    everything = {kind for kind, _ in seen(PiiDetector(documentation_values=True), DOCUMENTATION)}
    assert everything == {"EMAIL_ADDRESS", "IP_ADDRESS", "PHONE_NUMBER"}


def test_neighbours_of_documentation_values(pii: PiiDetector) -> None:
    """What only resembles a documentation value is reported."""
    text = "a@example.com.evil-corp.net notexample.com@corp-mail.com 192.0.3.7 (212) 555-2123"
    assert [kind for kind, _ in seen(pii, text)] == ["EMAIL_ADDRESS", "EMAIL_ADDRESS", "IP_ADDRESS", "PHONE_NUMBER"]


def test_spans_are_of_the_original(pii: PiiDetector) -> None:
    """Spans index the text as it was written, zero-width and full-width characters included."""
    text = "né card: ４１１１\u200b1111 1111 1111!"
    (finding,) = pii.detect_text(text)
    assert text[finding.start : finding.end] == "４１１１\u200b1111 1111 1111"


def test_no_overlap(pii: PiiDetector) -> None:
    """Findings of a segment neither nest nor overlap, and come by position."""
    text = "4111 1111 1111 1111 DE89 3704 0044 0532 0130 00 +44 20 7946 1958 536-22-8726 10.20.30.40 " * 5
    found = pii.detect_text(text)
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
    assert {finding.type for finding in found} >= {"CREDIT_CARD", "IBAN_CODE", "US_SSN"}


def test_options() -> None:
    """Types, countries, thresholds and the allow-list can be chosen."""
    text = "mail jane@corp-mail.com, lic D12345678, call +44 20 7946 1958, Steuer-ID 02476291358"
    assert {kind for kind, _ in seen(PiiDetector(entities=["EMAIL_ADDRESS"]), text)} == {"EMAIL_ADDRESS"}
    assert "US_DRIVER_LICENSE" in {kind for kind, _ in seen(PiiDetector(entities=["US_DRIVER_LICENSE"]), text)}
    strict = PiiDetector(thresholds={"PHONE_NUMBER": 0.9}, allow=["JANE@corp-mail.com"])
    assert seen(strict, text) == []
    german = PiiDetector(countries=["de"])
    assert "DE_VAT_ID" in german.entities
    assert "US_SSN" not in german.entities
    assert seen(german, "USt-ID DE136695976") == [("DE_VAT_ID", "DE136695976")]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"treshold": 0.5}, "'threshold'"),
        ({"threshold": 2}, "<= 1.0"),
        ({"entities": ["EMAIL_ADRESS"]}, "'EMAIL_ADDRESS'"),
        ({"thresholds": {"NOTHING": 0.5}}, "NOTHING"),
        ({"countries": ["xx"]}, "'xx'"),
        ({"phone_regions": ["XX"]}, "'XX'"),
        ({"phone_regions": []}, "phone_regions"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], word: str) -> None:
    """A bad option is a ConfigError that names it and the mend."""
    with pytest.raises(ConfigError) as caught:
        PiiDetector(**options)
    assert word in str(caught.value)
    assert caught.value.mend
    assert caught.value.where == "detectors.options.pii"


def test_digest_follows_the_options(pii: PiiDetector) -> None:
    """Equal options have equal digests, others do not."""
    assert PiiDetector().info == pii.info
    assert PiiDetector(threshold=0.6).info.digest != pii.info.digest


def test_missing_presidio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without presidio the construction names the extra to install."""
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("presidio_analyzer") or name == "detectors.pii.engine":
            raise ModuleNotFoundError("No module named 'presidio_analyzer'", name="presidio_analyzer")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DetectorMissing, match=r"policy-guard\[pii\]"):
        PiiDetector()


def test_import_is_light() -> None:
    """Importing the detectors imports none of presidio, spaCy, phonenumbers, numpy or scikit-learn."""
    program = (
        "import sys, detectors.pii, detectors.secrets, detectors.anomaly;"
        "heavy = {'presidio_analyzer', 'spacy', 'phonenumbers', 'tldextract', 'numpy', 'sklearn', 'regex'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither construction nor detection opens a socket or resolves a name."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the detector reached for the network")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert seen(PiiDetector(), "a first mail to first.last@some-firm.nosuchtld and to x@some-firm.museum") == [
        ("EMAIL_ADDRESS", "x@some-firm.museum")
    ]


@given(
    st.lists(
        st.sampled_from(
            [
                "jane.doe@partner.co.uk",
                "4111-1111-1111-1111",
                "DE89370400440532013000",
                "+49 30 901820",
                "10.20.30.40",
                "Dear Mary,",
                "my name is Mary Johnson",
                "from Mary",
                "thanks,\n",
                "born on 12 May 1980",
                "the plan",
                "12",
                ",",
            ]
        ),
        min_size=1,
        max_size=5,
    ).map(" ".join)
)
def test_a_text_alone_is_read_as_beside_others(pii: PiiDetector, text: str) -> None:
    """One text is gated once, several again each by itself: what is found in it is the same."""
    alone = pii.detect([Segment.of(text)], context())
    beside = pii.detect([Segment.of("the plan"), Segment.of(text), Segment.of("10.20.30.40")], context())
    assert [msgspec.structs.replace(f, segment=1) for f in alone] == [f for f in beside if f.segment == 1]
