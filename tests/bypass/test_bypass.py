"""The bypass corpus and the matrix of positions: caught, refused, or named in coverage; nothing is silent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.bypass import page
from tests.bypass.cases_file import Case, all_cases
from tests.bypass.disguises import DISGUISES
from tests.bypass.harness import Harness, Message, Outcome
from tests.bypass.positions import POSITIONS, Position
from tests.components import require_package

CASES = all_cases()
NAMED = {
    "image, data: URL": "image",
    "image": "image",
    "image file": "image",
    "file part, no text": "file",
    "audio part": "audio",
    "encrypted signature": "opaque_value",
    "other bytes": "opaque_media_type",
    "an image": "opaque_media_type",
    "Cookie": "credential",
}
"""Where no text is read, and what coverage says. At every other position the value is redacted or denied."""


class Earned:
    """What became of every case, position and disguise, in one guard."""

    def __init__(self, directory: Path) -> None:
        harness = Harness(directory)
        asyncio.run(self._run(harness))

    async def _run(self, harness: Harness) -> None:
        self.cases: dict[str, Outcome] = {
            name: await harness.send(case.message, case.hidden) for name, case in CASES.items()
        }
        self.control = await harness.send(Message(pieces=(b'{"messages":[]}',)), ("nothing",))
        self.places = await page.outcomes(harness)
        self.spelled = await page.disguised(harness)


@pytest.fixture(scope="module")
def earned(tmp_path_factory: pytest.TempPathFactory) -> Earned:
    """All exchanges, sent once."""
    require_package("presidio-analyzer")
    return Earned(tmp_path_factory.mktemp("bypass"))


@pytest.mark.parametrize("name", CASES)
def test_a_named_attack_has_its_verdict(name: str, earned: Earned) -> None:
    """Each file of the corpus ends as it says: what it hides is caught, refused or named, for the reason it tells."""
    case, outcome = CASES[name], earned.cases[name]
    assert (outcome.result, outcome.status < 500) == (case.verdict, True), outcome
    assert case.by in outcome.how


def test_the_corpus_is_large_and_of_every_verdict() -> None:
    """At least 40 named attacks, in both directions."""
    assert len(CASES) >= 40
    assert {case.verdict for case in CASES.values()} == {"caught", "refused", "named"}
    assert {case.side for case in CASES.values()} == {"request", "answer"}


def test_a_misspelt_case_is_an_error() -> None:
    """A key that no case has fails when the file is read."""
    with pytest.raises(msgspec.ValidationError, match="verdct"):
        msgspec.json.decode(b'{"what":"","hidden":[],"verdct":"caught","by":""}', type=Case)


def test_a_clean_request_passes(earned: Earned) -> None:
    """The guard of these tests does not simply refuse everything."""
    assert (earned.control.result, earned.control.how, earned.control.status) == ("caught", "removed", 200)


@pytest.mark.parametrize("position", POSITIONS, ids=lambda one: f"{one.side}-{one.group}-{one.where}")
def test_every_position_is_inspected_or_named(position: Position, earned: Earned) -> None:
    """At each place each value is redacted or denied; where no text is read, coverage names the place."""
    for value in page.VALUES:
        outcome = earned.places[position.group, position.side, position.where, value]
        if position.where in NAMED:
            assert (outcome.result, outcome.how) == ("named", NAMED[position.where])
        else:
            assert outcome.result == "caught", (value, outcome)
            assert outcome.how.startswith(("redacted", "denied")), (value, outcome)


def test_every_disguise_is_seen_through(earned: Earned) -> None:
    """However a value is spelled, in a request or an answer, it is redacted or denied."""
    assert {name for name, _, _ in earned.spelled} >= set(DISGUISES)
    seen = {key: outcome.how for key, outcome in earned.spelled.items()}
    assert {key: how for key, how in seen.items() if not how.startswith(("redacted", "denied"))} == {}


def test_the_page_says_what_the_guard_does(earned: Earned) -> None:
    """``docs/positions.md`` is what these exchanges came to. ``python -m tests.bypass.page`` refreshes it."""
    assert page.PAGE.read_text(encoding="utf-8") == page.render(earned.places, earned.spelled)
