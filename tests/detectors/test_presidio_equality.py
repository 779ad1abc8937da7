"""Our matching loop finds what presidio's recognizers find: types, spans and scores, on generated texts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from presidio_analyzer import EntityRecognizer, RecognizerResult

from detectors.common.budget import Budget
from detectors.pii.claims import Claims
from detectors.pii.engine import Engine
from detectors.pii.options import PiiOptions
from guard.folding import fold

TEXTS = 400
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


def spans(engine: Engine, text: str) -> dict[str, set[tuple[int, int, float]]]:
    """Ours, by recognizer name, reduced as presidio reduces within a recognizer."""
    _, matches = engine.matches(text, Budget(time.monotonic() + 60, 10**6), Claims())
    found: dict[str, list[Any]] = {source.recognizer.name: [] for source in engine.sources}
    for source, match in matches:
        if not match.shifted:
            found[source.recognizer.name].append(RecognizerResult(source.entity, match.start, match.end, match.score))
    return {
        name: {(result.start, result.end, result.score) for result in EntityRecognizer.remove_duplicates(results)}
        for name, results in found.items()
    }


def presidio_spans(engine: Engine, text: str) -> dict[str, set[tuple[int, int, float]]]:
    """What the same recognizers' own ``analyze`` returns."""
    recognizers = {source.recognizer.name: source.recognizer for source in engine.sources}
    return {
        name: {
            (result.start, result.end, result.score)
            for result in EntityRecognizer.remove_duplicates(recognizer.analyze(text, recognizer.supported_entities))
        }
        for name, recognizer in recognizers.items()
    }


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The default recognizers."""
    return Engine(PiiOptions())


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_presidio(engine: Engine, seed: int) -> None:
    """Every recognizer of the defaults gives the same spans and scores through us as by itself."""
    total = 0
    for text in texts(seed, TEXTS // 4):
        expected = presidio_spans(engine, text)
        assert spans(engine, text) == expected, text
        total += sum(map(len, expected.values()))
    assert total > 200


@pytest.mark.slow
@pytest.mark.parametrize("country", ["de", "in", "kr", "za", "it", "au", "ca", "se", "sg", "tr", "ph"])
def test_equal_to_presidio_in_other_countries(country: str) -> None:
    """The national recognizers of other countries give the same spans and scores too."""
    national = Engine(PiiOptions(countries=(country,), phone_regions=("US",)))
    for text in texts(99, 300):
        assert spans(national, text) == presidio_spans(national, text), text


def test_the_comparison_has_teeth(engine: Engine) -> None:
    """With any one of the common matchers shut out by the gate the comparison sees it."""
    sample = list(texts(0, 120))
    expected = [presidio_spans(engine, text) for text in sample]
    whole = engine._gate
    try:
        for entity in ("EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN", "PHONE_NUMBER"):
            shut = {index for index, source in enumerate(engine.sources) if source.entity == entity}
            engine._gate = _WithoutGate(whole, shut)  # type: ignore[assignment]
            assert [spans(engine, text) for text in sample] != expected, entity
    finally:
        engine._gate = whole


class _WithoutGate:
    """A gate that never opens for some patterns."""

    def __init__(self, gate: Any, shut: set[int]) -> None:
        self._gate = gate
        self._shut = shut

    def open(self, data: bytes) -> list[int]:
        return [index for index in self._gate.open(data) if index not in self._shut]
