"""Our matching loop finds what presidio's recognizers find: types, spans and scores, on generated texts.

Each pattern is compared by itself, so that no other pattern of its recognizer hides what it lost. Deliberate
differences, and no others, are left out of the comparison: presidio reads the canonical text (digits of every script
are ASCII digits, the Turkish letters that are an i in some expressions only are one in all), and findings that a
neighbour hides from presidio are marked ``shifted``.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import EntityRecognizer, Pattern, RecognizerResult

from detectors.common.budget import Budget
from detectors.pii.claims import Claims
from detectors.pii.engine import Engine, Source
from detectors.pii.options import OwnEntity, PiiOptions
from detectors.pii.patterns import PatternMatcher
from detectors.pii.projection import View
from guard.folding import fold
from tests.detectors.samples import sample

TEXTS = 400
ALL_TEXTS = 5000
Make = Callable[[random.Random], str]


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(n))


def _letters(rng: random.Random, n: int, alphabet: str = "ABCDEFGHJKLMNPRSTUVWXYZ") -> str:
    return "".join(rng.choice(alphabet) for _ in range(n))


def _luhn(rng: random.Random) -> str:
    body = rng.choice(["4", "51", "34", "6011"]) + _digits(rng, 12)
    body = body[:15]
    total = sum(
        sum(divmod(int(digit) * (2 if index % 2 == 0 else 1), 10)) for index, digit in enumerate(reversed(body))
    )
    number = body + str(-total % 10)
    separator = rng.choice(["", " ", "-"])
    return separator.join(number[index : index + 4] for index in range(0, 16, 4))


def _iban(rng: random.Random) -> str:
    bban = _digits(rng, 18)
    check = 98 - int(bban + "131400") % 97
    number = f"DE{check:02}{bban}"
    return " ".join(number[index : index + 4] for index in range(0, 22, 4)) if rng.random() < 0.5 else number


PIECES: list[Make] = [
    lambda r: rng_word(r) + "." + rng_word(r) + "@" + rng_word(r) + r.choice([".com", ".co.uk", ".museum", ".nosuch"]),
    lambda r: "jürgen@" + rng_word(r) + ".de",
    _luhn,
    lambda r: _digits(r, 16),
    _iban,
    lambda r: "GB" + _digits(r, 2) + " NWBK " + _digits(r, 4) + " " + _digits(r, 6),
    lambda r: f"{_digits(r, 3)}{r.choice('- .')}{_digits(r, 2)}{r.choice('- .')}{_digits(r, 4)}",
    lambda r: _digits(r, r.randint(3, 18)),
    lambda r: ".".join(str(r.randint(0, 300)) for _ in range(4)) + r.choice(["", "/24", ":80"]),
    lambda r: ":".join(f"{r.randint(0, 65535):x}" for _ in range(r.randint(2, 8))),
    lambda r: "::" + f"{r.randint(0, 65535):x}" + r.choice(["", ":1", "/64", "%eth0"]),
    lambda r: r.choice(":-").join(f"{r.randint(0, 255):02x}" for _ in range(6)),
    lambda r: r.choice(["1", "3", "bc1"]) + _letters(r, 33, "abcdefghjkmnpqrstuvwxyz0123456789ACDEFGHJKLMNPQR"),
    lambda r: r.choice(["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"]),
    lambda r: f"({_digits(r, 3)}) {_digits(r, 3)}-{_digits(r, 4)}",
    lambda r: (
        f"+{r.choice(['1', '44', '49', '33', '972', '91', '55'])} {_digits(r, 3)} {_digits(r, 3)} {_digits(r, 4)}"
    ),
    lambda r: f"0{_digits(r, 2)} {_digits(r, 4)} {_digits(r, 4)}" + r.choice(["", " ext 12", " x5", " #3"]),
    lambda r: f"{_digits(r, 1)}/{_digits(r, 1)}/{_digits(r, 4)}",
    lambda r: f"20{_digits(r, 2)}-0{r.randint(1, 9)}-{r.randint(10, 28)} 1{_digits(r, 1)}:{_digits(r, 2)}",
    lambda r: _letters(r, 2) + _digits(r, 6) + r.choice("ABCD"),
    lambda r: _letters(r, 2) + _digits(r, 7),
    lambda r: _letters(r, 2) + _digits(r, 2) + " " + _letters(r, 3),
    lambda r: r.choice(["SW1A 1AA", "M1 1AE", "EC1A1BB"]),
    lambda r: "9" + _digits(r, 2) + "-7" + _digits(r, 1) + "-" + _digits(r, 4),
    lambda r: r.choice(["ssn", "card", "phone", "account", "the", "naïve", "日本語", "Ünï", "é", "🙂", "№", "ſ", "İd"]),
    lambda r: "".join(r.choice("aé1-.:@/ _x(+)\n²③#") for _ in range(r.randint(1, 12))),
]


def rng_word(rng: random.Random) -> str:
    """A word of lower-case letters."""
    return _letters(rng, rng.randint(1, 9), "abcdefghijklmnopqrstuvwxyz")


def texts(seed: int, count: int) -> Iterator[str]:
    """Generated texts: pieces that look like entities, words and noise, in random order."""
    rng = random.Random(seed)
    for _ in range(count):
        separators = rng.choice([" ", " ", ", ", "\n", "", " | "])
        pieces = [rng.choice(PIECES)(rng) if rng.random() < 0.7 else rng_word(rng) for _ in range(rng.randint(1, 12))]
        yield fold(separators.join(pieces)).text


Spans = dict[tuple[str, str], set[tuple[str, int, int, float]]]
"""By recognizer and expression: types, spans and scores, reduced as presidio reduces within a recognizer."""

OWN = PiiOptions(
    recognizers=tuple(f"tests.detectors.own_recognizers:{name}" for name in ("Badge", "ALL", "Shouting")),
    own={
        "EMPLOYEE_ID": OwnEntity(patterns=(r"\bE-?\d{4,6}\b", r"emp(?=\d{3})\d+"), words=("Blue Falcon", "née x")),
        "CASE_CODE": OwnEntity(patterns=(r"(?m)^[A-Z]{3}-\d+$",), case_sensitive=True),
    },
)


@cache
def engine_of(options: str = "") -> Engine:
    """The default recognizers and those of a user, or those of one country."""
    return Engine(PiiOptions(countries=(options,), phone_regions=("US",)) if options else OWN)


def _key(source: Source) -> tuple[str, str]:
    expression = source.matcher.pattern.regex if isinstance(source.matcher, PatternMatcher) else ""
    return source.recognizer.name, expression


def _reduced(results: Sequence[RecognizerResult]) -> set[tuple[str, int, int, float]]:
    return {(r.entity_type, r.start, r.end, r.score) for r in EntityRecognizer.remove_duplicates(list(results))}


def spans(engine: Engine, text: str) -> Spans:
    """Ours."""
    _, matches = engine.matches(text, Budget(time.monotonic() + 60, 10**6), Claims())
    found: dict[tuple[str, str], list[Any]] = {_key(source): [] for source in engine.sources}
    for source, match in matches:
        if not match.shifted:
            found[_key(source)].append(RecognizerResult(source.entity, match.start, match.end, match.score))
    return {key: _reduced(results) for key, results in found.items()}


def presidio_spans(engine: Engine, text: str) -> Spans:
    """What the same recognizers' own ``analyze`` returns, a pattern at a time."""
    canonical = View.of(text).canonical
    return {
        _key(source): _reduced(alone.analyze(canonical, alone.supported_entities, None))
        for source, alone in _alone(engine)
    }


@cache
def _alone(engine: Engine) -> list[tuple[Source, Any]]:
    """Each source with a copy of its recognizer that has its pattern only."""
    made = []
    for source in engine.sources:
        alone = copy.copy(source.recognizer)
        if isinstance(source.matcher, PatternMatcher):
            pattern: Pattern = source.matcher.pattern
            alone.patterns = [Pattern(pattern.name, pattern.regex, pattern.score)]
        made.append((source, alone))
    return made


KNOWN: dict[str, Sequence[str]] = {
    "CRYPTO": ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"],
    "EMAIL_ADDRESS": ["a.b+c@corp-mail.com", "x@some-firm.museum", "O'N@a-b.co.uk"],
    "IBAN_CODE": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR14 2004 1010 0505 0001 3M02 606"],
    "PHONE_NUMBER": ["+44 20 7946 1958", "(415) 555-2671", "030 901820", "+0049 30 901820", "111 415 555 2671"],
}
"""What chance finds too seldom: values with a strong checksum or a registry behind them."""


def drawn(rng: random.Random, source: Source) -> str:
    """A text that the source's pattern is likely to match."""
    known = KNOWN.get(source.entity)
    if known and rng.random() < 0.5:
        return rng.choice(known)
    if isinstance(source.matcher, PatternMatcher):
        return sample(rng, source.matcher.pattern.regex)
    return f"{_digits(rng, 10)} {rng_word(rng).upper()} {rng_word(rng)}"


def disturbed(rng: random.Random, text: str) -> str:
    """The text with up to two characters replaced by ones that look or count like them, or by noise."""
    characters = list(text)
    for _ in range(rng.randint(0, 2)):
        if characters:
            characters[rng.randrange(len(characters))] = rng.choice("0a -.\n:é٣ſK\u2028_\f\0ä@²İı日")
    return "".join(characters)


def samples(engine: Engine, seed: int, count: int) -> Iterator[str]:
    """Texts of matches drawn from the expressions themselves, some disturbed, between words."""
    rng = random.Random(seed)
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(1, 4)):
            value = drawn(rng, rng.choice(engine.sources))
            pieces.append(disturbed(rng, value) if rng.random() < 0.4 else value)
            pieces.append(rng.choice(["", "and", "naïve", "ssn", "BLUE falcon", "7", "É"]))
        yield fold(rng.choice([" ", " ", "\n", ""]).join(pieces)).text


def assert_equal(engine: Engine, texts_of: Iterator[str]) -> int:
    """Compares the texts; the number of findings."""
    total = 0
    for text in texts_of:
        expected = presidio_spans(engine, text)
        assert spans(engine, text) == expected, text
        total += sum(map(len, expected.values()))
    return total


@pytest.mark.parametrize("seed", range(2))
def test_equal_to_presidio(seed: int) -> None:
    """Every pattern of the defaults and of a user gives the same types, spans and scores through us as by itself."""
    assert assert_equal(engine_of(), texts(seed, TEXTS // 4)) > 100
    assert assert_equal(engine_of(), samples(engine_of(), seed, TEXTS // 4)) > 100


@settings(max_examples=100, deadline=None)
@given(
    text=st.lists(
        st.one_of(
            st.text(alphabet="0123456789 -./+()@:abcxEB_#é٣²ſKİı\n\0\f", max_size=20),
            st.integers(0, 2**32).map(lambda seed: next(samples(engine_of(), seed, 1))),
        ),
        max_size=4,
    ).map("".join)
)
def test_equal_to_presidio_on_any_text(text: str) -> None:
    """The same on texts that hypothesis makes, and shrinks."""
    folded = fold(text).text
    assert spans(engine_of(), folded) == presidio_spans(engine_of(), folded)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_equal_to_presidio_on_five_thousand_texts(part: int) -> None:
    """The same on 5,000 texts: half of them put together by hand, half drawn from the expressions, most not ASCII."""
    count = ALL_TEXTS // 5 // 2
    assert assert_equal(engine_of(), texts(100 + part, count)) > count
    assert assert_equal(engine_of(), samples(engine_of(), 200 + part, count)) > count


COUNTRIES = ["de", "in", "kr", "za", "it", "au", "ca", "se", "sg", "tr", "ph", "es", "pl", "fi", "th", "ng"]


@pytest.mark.slow
@pytest.mark.parametrize("country", COUNTRIES)
def test_equal_to_presidio_in_other_countries(country: str) -> None:
    """The national recognizers of other countries give the same types, spans and scores too."""
    national = engine_of(country)
    assert_equal(national, texts(99, 100))
    assert assert_equal(national, samples(national, 99, 200)) > 50


PLACES = range(len(engine_of().sources))


def _name(at: int) -> str:
    source = engine_of().sources[at]
    return f"{at}-{source.recognizer.name}-{getattr(source.matcher, 'name', '')}"


@pytest.mark.parametrize("at", PLACES, ids=_name)
def test_the_comparison_notices_each_pattern_that_the_gate_shuts_out(at: int) -> None:
    """With any one pattern shut out by the gate, the comparison fails on texts drawn from that pattern."""
    engine = engine_of()
    source = engine.sources[at]
    rng = random.Random(at)
    shut = copy.copy(engine)
    shut._gate = _Shut(engine._gate, {at})  # type: ignore[assignment]
    for _ in range(3000):
        text = fold(rng.choice([" ", "\n"]).join(["x", drawn(rng, source), "y"])).text
        if spans(engine, text)[_key(source)]:
            break
    expected = presidio_spans(engine, text)
    assert expected[_key(source)]
    assert spans(engine, text) == expected
    assert spans(shut, text) != expected


class _Shut:
    """A gate that never opens for some patterns."""

    def __init__(self, gate: Any, shut: Collection[int]) -> None:
        self._gate = gate
        self._shut = shut

    def open(self, data: bytes, check: Any = None) -> list[int]:
        return [index for index in self._gate.open(data, check) if index not in self._shut]


def test_the_gate_shuts_something_out() -> None:
    """The comparison would mean little if the gate opened for everything: a clean text opens what must always run."""
    engine = engine_of()
    opened = {engine.sources[at].entity for at in engine._gate.open(b"plain words and nothing else")}
    assert opened == {"CONDITIONAL_CODE", "SHOUTED_WORD"}
