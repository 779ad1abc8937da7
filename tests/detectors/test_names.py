"""Names of persons by rules: what is found, by which evidence, at which score; and what is left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.common.budget import Budget
from detectors.pii import PiiDetector
from detectors.pii.gazetteer import Gazetteer, load, plain, shipped
from detectors.pii.names import TIERS, Names
from detectors.pii.projection import View
from guard.errors import ConfigError
from guard.types import DetectContext, Finding, Segment

BENIGN = (Path(__file__).with_name("benign.txt")).read_text(encoding="utf-8").splitlines()
FICTIONAL = ("Pepper", "Strange", "Robot")


def persons(detector: PiiDetector, text: str) -> list[tuple[str, str]]:
    """The names in a text, each with its evidence."""
    return [(text[f.start : f.end], f.evidence) for f in detector.detect_text(text) if f.type == "PERSON"]


@pytest.fixture(scope="session")
def strict() -> PiiDetector:
    """The detector that reports single first names."""
    return PiiDetector(names="strict")


@pytest.mark.parametrize(
    ("text", "name", "evidence"),
    [
        ("My name is John Smith.", "John Smith", "cue + name"),
        ("my name is john smith", "john smith", "cue + name"),
        ("My name is Zorblax Quuxley and", "Zorblax Quuxley", "cue + capitalised word"),
        ("mein Name ist Jürgen Müller", "Jürgen Müller", "cue + name"),
        ("Je m'appelle Élodie Lefèvre", "Élodie Lefèvre", "cue + name"),
        ("me llamo José García", "José García", "cue + name"),
        ("see Mrs. Fernandez there", "Fernandez", "title + surname"),
        ("Ask Dr. Beverly Crusher", "Beverly Crusher", "title + surname"),
        ("see Mr. Zorblax there", "Zorblax", "title + capitalised word"),
        ("Best regards,\nZelda Quuxley\nEngineer", "Zelda Quuxley", "cue + name"),
        ("Patient: Xylo Fandango", "Xylo Fandango", "cue + capitalised word"),
        ("then Mary Johnson left", "Mary Johnson", "first name + surname"),
        ("then Mary Young left", "Mary Young", "first name + surname that is a word"),
        ("then Will Johnson left", "Will Johnson", "first name that is a word + surname"),
        ("then Robert Xylophant left", "Robert Xylophant", "first name + capitalised word"),
        ("then Juan Carlos García López left", "Juan Carlos García López", "first name + surname"),
        ("hear Ludwig van Beethoven's letters", "Ludwig van Beethoven", "first name + capitalised word"),
        ("Mary T. O'Brien's bag", "Mary T. O'Brien", "first name + surname"),
        ("Jean-Luc Moreau waits", "Jean-Luc Moreau", "first name + surname"),
        ("Hi Maria, how are you", "Maria", "greeting + first name"),
        ("From: Jane Doe <jane@acme.org>", "Jane Doe", "first name + surname"),
    ],
)
def test_a_name_is_found_with_its_evidence(pii: PiiDetector, text: str, name: str, evidence: str) -> None:
    """Span, tier and the score of the tier."""
    found = [f for f in pii.detect_text(text) if f.type == "PERSON"]
    assert [(text[f.start : f.end], f.evidence, f.score) for f in found] == [(name, evidence, TIERS[evidence])]


def test_strict_adds_the_weak_tiers(pii: PiiDetector, strict: PiiDetector) -> None:
    """A first name alone and a surname after an unknown word: reported under "strict" only, with low scores."""
    for text, expected in (
        ("then Gertrud left", ("Gertrud", "first name")),
        ("then Xochitl Ramirez left", ("Xochitl Ramirez", "capitalised word + surname")),
    ):
        assert persons(pii, text) == []
        assert persons(strict, text) == [expected]


def test_a_threshold_chooses_the_tiers() -> None:
    """Setting thresholds = {PERSON = 0.8} leaves what two signs speak for."""
    sure = PiiDetector(thresholds={"PERSON": 0.8})
    assert persons(sure, "Mary Johnson met Robert Xylophant") == [("Mary Johnson", "first name + surname")]


def test_off_finds_none() -> None:
    """With names = "off": no PERSON, neither found nor promised."""
    off = PiiDetector(names="off")
    assert "PERSON" not in off.entities
    assert off.detect_text("My name is John Smith.") == []


def test_names_that_nothing_looks_for_are_refused() -> None:
    """To name PERSON in entities and to switch the search off contradict each other."""
    with pytest.raises(ConfigError, match="nothing looks for names"):
        PiiDetector(entities=["PERSON"], names="off")


def keyed(key: str, value: str) -> list[Finding]:
    """What a detector of defaults finds under an object key."""
    segments = [Segment.of(key, "/a", "key"), Segment.of(value, "/a")]
    return PiiDetector(entities=["PERSON"]).detect(segments, DetectContext("request", time.monotonic() + 10))


@pytest.mark.parametrize("key", ["firstName", "last_name", "Full Name", "customerName", "patient-name", "Vorname"])
def test_a_key_names_its_value(key: str) -> None:
    """Under a key that says so the whole value is a name, on a list or not, with capitals or not."""
    for value in ("Zelda", "zorblax quux", "José"):
        (finding,) = keyed(key, value)
        assert (finding.start, finding.end, finding.evidence) == (0, len(value), "key")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("firstName", "string"),
        ("full_name", "The full name of the user"),
        ("fileName", "Zelda"),
        ("name", "get_weather"),
        ("customer_name", "Customer Name"),
        ("lastName", "12345"),
    ],
)
def test_a_key_names_no_schema(key: str, value: str) -> None:
    """Types, descriptions, file names and numbers under such keys are no names."""
    assert keyed(key, value) == []


def test_ordinary_texts_hold_nobody(pii: PiiDetector) -> None:
    """Over 300 prompts, lines of code, logs, firms and headings: only characters of fiction with a title are taken."""
    lines = [line for line in BENIGN if line and not line.startswith(("# ---", "# Texts"))]
    assert len(lines) >= 300
    taken = [(f.type, line[f.start : f.end]) for line in lines for f in pii.detect_text(line)]
    ours = {("PERSON", name) for name in FICTIONAL}
    # presidio's own recognizer reads an invoice number as a phone number.
    assert set(taken) - ours <= {("PHONE_NUMBER", "2024-000123")}


def test_a_gazetteer_of_ones_own(tmp_path: Path) -> None:
    """The option names a file that replaces the shipped one."""
    file = tmp_path / "names.txt"
    file.write_text("# ours\n[first]\nZorblax\n[last]\nQuux\n", encoding="utf-8")
    detector = PiiDetector(gazetteer=str(file))
    assert persons(detector, "then Zorblax Quux left with Mary Johnson") == [("Zorblax Quux", "first name + surname")]
    assert detector.info.digest != PiiDetector().info.digest


@pytest.mark.parametrize(
    ("content", "what"),
    [("[frist]\nMary", "unknown section"), ("Mary", "before the first section"), ("[ordinary]\nmay", "holds no names")],
)
def test_a_file_that_is_no_gazetteer_is_refused(tmp_path: Path, content: str, what: str) -> None:
    """The message names the file, the line and the mend."""
    file = tmp_path / "names.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=what) as caught:
        load(file)
    assert caught.value.where == "detectors.options.pii.gazetteer"
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.txt")


def test_the_shipped_gazetteer_carries_its_licence() -> None:
    """The lists of Faker stand under the MIT licence, whose notice must go with them."""
    from detectors.pii.gazetteer import SHIPPED

    head = SHIPPED.read_text(encoding="utf-8")[:3000]
    assert "Copyright (c) 2012 Daniele Faraglia" in head
    assert 'THE SOFTWARE IS PROVIDED "AS IS"' in head
    assert len(shipped().first) > 5000
    assert len(shipped().last) > 5000


@given(st.text(max_size=30))
def test_plain_is_idempotent(word: str) -> None:
    """Case and accents are gone after the first time."""
    assert plain(plain(word)) == plain(word)


WORDS = st.sampled_from(
    [
        "Mary",
        "Johnson",
        "van",
        "will",
        "Will",
        "Dear",
        "Mr.",
        "name",
        "is",
        "My",
        "my",
        "\n",
        ",",
        "Élodie",
        "O'Brien",
        "x",
        "MARY",
        "JOHNSON",
        "from",
        "thanks,",
    ]
)


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_the_gate_opens_for_every_name(text: str) -> None:
    """What the rules find with the gate left out, they find behind it."""
    gazetteer = Gazetteer(
        *(frozenset(words.split()) for words in ("mary will elodie", "johnson o'brien", "will", "", ""))
    )
    for strict_names in (False, True):
        rule = Names(gazetteer, strict=strict_names)
        view = View.of(text)
        if any(True for _ in rule.find(view, (), Budget(time.monotonic() + 10))):
            from detectors.common.gate import Gate

            assert list(Gate([rule.gate_source]).open(view.projected)) == [0]


@pytest.mark.parametrize(
    "unit", ["A'", "Mary ", "Mary-", "My name is ", "Dear ", "Mr. ", "A. ", "van ", "Best,\n", "É", "Aa Bb cc "]
)
def test_time_is_linear(unit: str) -> None:
    """100,000 characters of what the expressions could stumble over end long before the deadline."""
    rule = Names(shipped(), strict=True)
    text = unit * (100_000 // len(unit))
    for _ in rule.find(View.of(text), (), Budget(time.monotonic() + 20)):
        pass
