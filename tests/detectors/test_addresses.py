"""Street addresses, dates of birth, cards and cued phone numbers by rules of ours."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.pii import PiiDetector
from detectors.pii.cards import ISSUERS, is_luhn, issuer_of
from guard.types import DetectContext, Segment


def found(detector: PiiDetector, text: str, kind: str) -> list[str]:
    """The texts of the findings of one type."""
    return [text[f.start : f.end] for f in detector.detect_text(text) if f.type == kind]


@pytest.mark.parametrize(
    "address",
    [
        "221B Baker Street, London NW1 6XE",
        "742 Evergreen Terrace, Springfield, IL 62704",
        "1600 Pennsylvania Avenue NW, Washington, DC 20500",
        "350 Fifth Avenue, Apt 4B",
        "5 W 42nd St, New York, NY 10036",
        "P.O. Box 1234",
        "Hauptstraße 5, 10115 Berlin",
        "Berliner Allee 12a, D-40212 Düsseldorf",
        "12 rue de la Paix, 75002 Paris",
        "14 bis avenue Victor Hugo, 69003 Lyon",
        "Calle de Alcalá 45, 28014 Madrid",
        "Via Roma 12, 00184 Roma",
        "Prinsengracht 263, 1016 GV Amsterdam",
        "Springfield, IL 62704",
    ],
)
def test_an_address_is_found_whole(pii: PiiDetector, address: str) -> None:
    """Street, unit, town and postcode are one finding, within a sentence and line by line."""
    assert found(pii, f"I live at {address} now.", "STREET_ADDRESS") == [address]
    assert found(pii, f"{address}\n{address}", "STREET_ADDRESS") == [address, address]


def test_a_name_within_an_address_is_the_address(pii: PiiDetector) -> None:
    """12 Martin Johnson Street is one finding, not a name between two scraps."""
    text = "at 12 Martin Johnson Street, Leeds LS1 4DY"
    assert [f.type for f in pii.detect_text(text)] == ["STREET_ADDRESS"]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("born on 12 March 1985 in", "12 March 1985"),
        ("DOB: 03/12/1985", "03/12/1985"),
        ("date of birth is 1985-03-12", "1985-03-12"),
        ("geboren am 12. März 1985", "12. März 1985"),
        ("née le 4 août 1990", "4 août 1990"),
        ("fecha de nacimiento: 4 de marzo de 1990", "4 de marzo de 1990"),
        ("Her birthday is March 4th, 1990.", "March 4th, 1990"),
        ("D.O.B. 19850312", "19850312"),
    ],
)
def test_a_date_of_birth_has_its_cue(pii: PiiDetector, text: str, date: str) -> None:
    """The date alone is the finding; without the cue there is none."""
    assert found(pii, text, "DATE_OF_BIRTH") == [date]
    assert found(pii, f"due {date}", "DATE_OF_BIRTH") == []


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("birthDate", "1985-03-12", "DATE_OF_BIRTH"),
        ("dob", "12.3.1985", "DATE_OF_BIRTH"),
        ("date_of_birth", "1985-03-12T00:00:00Z", "DATE_OF_BIRTH"),
        ("phone", "111 415 555 2671", "PHONE_NUMBER"),
        ("mobileNumber", "8 912 345-67-89", "PHONE_NUMBER"),
    ],
)
def test_a_key_is_a_cue(pii: PiiDetector, key: str, value: str, kind: str) -> None:
    """Dates and numbers under a key that says what they are."""
    segments = [Segment.of(key, "/k", "key"), Segment.of(value, "/k")]
    findings = pii.detect(segments, DetectContext("request", time.monotonic() + 10))
    assert [(f.segment, f.type) for f in findings] == [(1, kind)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("call me at 111 415 555 2671", "111 415 555 2671"),
        ("reach her now on 8 912 345-67-89", "8 912 345-67-89"),
        ("tel: +0049 30 901820 please", "+0049 30 901820"),
        ("at +0049 30 901820", "+0049 30 901820"),
        ("Téléphone : 09 99 68 53 00", "09 99 68 53 00"),
        ("mein Handy: 0171/2345678", "0171/2345678"),
        ("llámame al 600 12 34 56", "600 12 34 56"),
        ("WhatsApp number is 8 912 345 67 89", "8 912 345 67 89"),
    ],
)
def test_a_phone_number_of_anywhere_has_its_cue(pii: PiiDetector, text: str, number: str) -> None:
    """Numbers that no numbering plan of the configured regions holds, after a cue or an international prefix."""
    assert found(pii, text, "PHONE_NUMBER") == [number]


@pytest.mark.parametrize(
    "text", ["phone 2024-01-15", "tel 10.20.30.40", "call to function 1234567", "mobile: 0000000", "cell 12 of 34"]
)
def test_a_cue_makes_no_phone_number_of_anything(pii: PiiDetector, text: str) -> None:
    """Dates, hosts, and digits that are all alike stay what they are."""
    assert found(pii, text, "PHONE_NUMBER") == []


# --- cards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111\n1111\n1111\n1111",
        "2223 0031 2200 3222",
        "3782 822463 10005",
        "3056 930902 5904",
        "3530111333300000",
        "6759649826438453",
        "6304000000000000",
        "6250941006528599",
        "5019717010103742",
    ],
)
def test_a_card_of_every_issuer_is_found(pii: PiiDetector, number: str) -> None:
    """Published test numbers, in the ways in which people write them."""
    assert found(pii, f"card {number} please", "CREDIT_CARD") == [number]


def test_two_cards_side_by_side(pii: PiiDetector) -> None:
    """One sign between two cards belongs to neither."""
    text = "2223003122003222 2223003122003222\n2223003122003222"
    assert found(pii, text, "CREDIT_CARD") == ["2223003122003222"] * 3


def test_a_longer_number_holds_no_card() -> None:
    """Digits before or behind make it another number."""
    cards = PiiDetector(entities=["CREDIT_CARD"])
    for text in ("92223003122003222", "22230031220032229999", "2223003122003223", "1234567890123456", "0" * 16):
        assert found(cards, text, "CREDIT_CARD") == []


@given(st.sampled_from(ISSUERS), st.integers(min_value=0))
def test_the_check_digit_decides(issuer: object, seed: int) -> None:
    """Of ten last digits one makes a card of the issuer's range and length."""
    from detectors.pii.cards import Issuer

    assert isinstance(issuer, Issuer)
    rng = random.Random(seed)
    length = rng.choice(issuer.lengths + issuer.rare)
    prefix = str(rng.randint(int(issuer.low), int(issuer.high)))
    body = prefix + "".join(rng.choice("0123456789") for _ in range(length - len(prefix) - 1))
    valid = [digit for digit in "0123456789" if is_luhn(body + digit)]
    assert len(valid) == 1
    assert issuer_of(body + valid[0]) is not None
