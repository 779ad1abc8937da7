"""The hostile corpus: filler that stalls or blinds other engines, with a real entity beside it.

Each case must find the entity, or say that it did not finish. Nothing is lost in silence.
"""

from __future__ import annotations

import time

import pytest

from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector
from guard.errors import DetectionIncomplete
from guard.types import DetectContext, Finding, Segment

SIZE = 16_384
DEADLINE_S = 5.0
EMAIL = "victim@corp-mail.com"
CARD = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"
SSN = "536-22-8726"
PHONE = "+44 20 7946 1958"
ADDRESS = "10.20.30.40"
ENTITIES = {
    "EMAIL_ADDRESS": EMAIL,
    "CREDIT_CARD": CARD,
    "IBAN_CODE": IBAN,
    "US_SSN": SSN,
    "PHONE_NUMBER": PHONE,
    "IP_ADDRESS": ADDRESS,
}


def fill(unit: str) -> str:
    """``unit`` over and over, ``SIZE`` characters of it."""
    return (unit * (SIZE // len(unit) + 1))[:SIZE]


FILLERS = {
    "exclamation marks": fill("!"),
    "exclamation marks and an at": fill("!") + "@",
    "colons": fill("::"),
    "hyphenated a and an at": fill("a-") + "@",
    "dotted a and an at": fill("a.") + "@",
    "ats": fill("a@"),
    "www": fill("www."),
    "fractions": fill("1/2/"),
    "varied fractions": "".join(f"{i % 9 + 1}/{i % 7 + 1}/" for i in range(SIZE // 4)),
    "digits": fill("7"),
    "digit groups": fill("1234 "),
    "card-like groups": fill("4111-"),
    "plus signs": fill("+1 "),
    "open brackets": fill("("),
    "extensions": fill("1 ext "),
    "extension far away": "1234" + fill(" ") + "x1",
    "hex pairs": fill("a1:"),
    "hex groups": fill("::1 "),
    "dotted quads": fill("1.1.1."),
    "iban-like groups": fill("AB12 "),
    "bitcoin-like": fill("1a"),
    "spaces": fill(" "),
    "newlines": fill("\n"),
    "accented letters": fill("é"),
    "accented hyphens and an at": fill("é-") + "@",
    "zero-width spaces": fill("\u200b"),
    "full-width digits": fill("１２ "),
    "combining marks": fill("e\u0301"),
    "emoji": fill("🙂-"),
    "timestamps": fill("2020-01-01 10 "),
}


def look(detector: PiiDetector | SecretsDetector, text: str) -> tuple[list[Finding], str]:
    """Findings, and why the detector stopped early (empty if it did not)."""
    try:
        return detector.detect([Segment.of(text)], DetectContext("request", time.monotonic() + DEADLINE_S)), ""
    except DetectionIncomplete as incomplete:
        return [finding for finding in incomplete.findings if isinstance(finding, Finding)], incomplete.reason


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("name", FILLERS)
def test_entity_beside_filler_is_not_lost(pii: PiiDetector, name: str, entity: str) -> None:
    """An entity before and after the filler, apart from it, is found."""
    value = ENTITIES[entity]
    for text in (f"{FILLERS[name]} | {value} |", f"| {value} | {FILLERS[name]}"):
        findings, reason = look(pii, text)
        start = text.index(f"| {value} |") + 2
        spans = {(finding.start, finding.end) for finding in findings if finding.type == entity}
        assert (start, start + len(value)) in spans, reason or "lost"


HIDDEN = {
    "full-width digits": ("CREDIT_CARD", "card ４１１１ １１１１ １１１１ １１１１ end"),
    "zero-width space in a card": ("CREDIT_CARD", "card 4111 11\u200b11 1111 1111 end"),
    "zero-width joiner in an e-mail": ("EMAIL_ADDRESS", "to vic\u200dtim@corp-mail.com end"),
    "soft hyphen in an SSN": ("US_SSN", "ssn 536-2\u00ad2-8726 end"),
    "arabic-indic digits": ("US_SSN", "ssn ٥٣٦-٢٢-٨٧٢٦ end"),
    "mathematical digits": ("CREDIT_CARD", "card 𝟒𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 end"),
    "full-width e-mail": ("EMAIL_ADDRESS", "to ｖｉｃｔｉｍ＠ｃｏｒｐ-mail．ｃｏｍ end"),
    "no-break spaces in an IBAN": ("IBAN_CODE", "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000"),
    "word glued before a phone number": ("PHONE_NUMBER", "fon:+44 20 7946 1958."),
    "digits glued before a card": ("CREDIT_CARD", "1234 4111 1111 1111 1111 end"),
    "code before an IBAN": ("IBAN_CODE", "AB12 DE89 3704 0044 0532 0130 00 end"),
    "accented neighbours": ("EMAIL_ADDRESS", "é victim@corp-mail.com é"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_entity_is_found(pii: PiiDetector, name: str) -> None:
    """Spelling tricks and neighbours do not hide an entity."""
    entity, text = HIDDEN[name]
    findings, reason = look(pii, text)
    assert entity in {finding.type for finding in findings}, reason or "lost"


SECRET = "AKIAQ3EGR5TZLVW7KD2M"
SECRET_FILLERS = {
    "prefixes": fill("sk-"),
    "jwt starts": fill("eyJ."),
    "dots": fill("eyJhbGciOi..") + ".",
    "pem begins": fill("-----BEGIN PRIVATE KEY-----"),
    "pem begins broken": fill("-----BEGIN RSA PRIVATE KEY-----<"),
    "slack prefixes": fill("xoxb-"),
    "assignments": fill("aws_secret="),
    "hyphens": fill("-----"),
    "accents": fill("é"),
    "zero-width": fill("\u200b"),
}


@pytest.mark.parametrize("name", SECRET_FILLERS)
def test_secret_beside_filler_is_not_lost(secrets: SecretsDetector, name: str) -> None:
    """A key before and after the filler is found."""
    for text in (f"{SECRET_FILLERS[name]} | {SECRET} |", f"| {SECRET} | {SECRET_FILLERS[name]}"):
        findings, reason = look(secrets, text)
        assert any(text[finding.start : finding.end] == SECRET for finding in findings), reason or "lost"


def test_deadline_keeps_what_was_found(pii: PiiDetector) -> None:
    """When the time ends, the findings so far travel with the error and the reason is said."""
    many = [Segment.of(f"{EMAIL} {index} {CARD}") for index in range(3000)]
    with pytest.raises(DetectionIncomplete) as caught:
        pii.detect(many, DetectContext("request", time.monotonic() + 0.02))
    assert caught.value.reason == "deadline"
    assert 0 < len(caught.value.findings) < 6000


def test_limit_of_phone_tries_is_said() -> None:
    """Past the number of tries the detection is incomplete, with reason ``limit``; the e-mail before it stays."""
    detector = PiiDetector(phone_tries=5, entities=["EMAIL_ADDRESS", "PHONE_NUMBER"])
    numbers = " and ".join(f"020 7946 {index:04d}" for index in range(200))
    findings, reason = look(detector, f"{EMAIL} {numbers}")
    assert reason == "limit"
    assert "EMAIL_ADDRESS" in {finding.type for finding in findings}
