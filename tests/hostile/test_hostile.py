"""Every hostile case over a real socket, against the whole guard: what it is answered, that nothing passes uninspected,
and that memory stays within bounds. Times are measured by ``benchmarks.hostile``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.components import require_package
from tests.content.corpus import CASES as MALFORMED
from tests.content.corpus import Case as Malformed
from tests.hostile import page
from tests.hostile.case import DIRECTORY, Case, all_cases, load
from tests.hostile.running import Running, Seen, serving
from tests.hostile.wire import Outcome

ALL = all_cases()
OPTIONAL = {"br": "brotli", "zstd": "backports.zstd"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with the default limits."""
    require_package("uvicorn")
    require_package("presidio-analyzer")
    with serving(tmp_path_factory.mktemp("calm")) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that waits a second for a body."""
    with serving(tmp_path_factory.mktemp("impatient"), impatient=True) as running:
        yield running


def passed(seen: Seen) -> bool:
    """Whether the request was let through as a success."""
    return seen.outcome.answer.startswith("2") or seen.outcome.answer == "ws echo"


def inspected(seen: Seen) -> None:
    """No canary in clear got through in either direction."""
    assert seen.leaked == ()
    assert seen.outcome.leaked == ()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=pytest.mark.slow if case.slow else ()) for case in ALL]
)
def test_hostile_input_is_answered_and_inspected(case: Case, calm: Running, request: pytest.FixtureRequest) -> None:
    """A hostile exchange ends with one of its right answers, reaches the app only if it may, shows nothing in clear
    that it hides, and leaves the process within its memory."""
    server: Running = request.getfixturevalue("impatient") if case.impatient else calm
    made = msgspec.json.encode(case).decode()
    for generator, distribution in OPTIONAL.items():
        if f'"{generator}"' in made or f'"{generator}_bomb"' in made:
            require_package(distribution)
    seen = server.attacked(case)
    assert any(seen.outcome.fits(answer) for answer in case.answers), seen
    if not passed(seen) and case.reply is None and not case.reaches:
        assert seen.reached == 0
    inspected(seen)
    assert seen.growth_mb < case.memory_mb


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_malformed_bodies_are_refused_or_inspected_over_the_socket(case: Malformed, calm: Running) -> None:
    """Each malformed body is refused with its code, or what it holds is inspected before it reaches the app."""
    says_its_length = any(header.startswith("content-length") for header in case.headers)
    framed = Case(
        name="malformed",
        what=case.what,
        kind="",
        answers=(),
        headers=case.headers,
        framing="none" if says_its_length else "length",
    )
    seen = calm.attacked(framed, body=case.body)
    inspected(seen)
    if case.answer[0].isdigit() and case.name not in OTHERWISE_HERE:
        status, _, code = case.answer.partition(" ")
        assert seen.reached == 0
        assert seen.outcome.fits(f"{status} {code}") or seen.outcome.fits("400 server")


OTHERWISE_HERE = {
    "values_20001": "the table's limit is smaller",
    "values_empty_arrays": "the table's limit is smaller",
    "ndjson_20001_lines": "the table's limit is smaller",
    "encoding_br": "the table is without the library",
    "encoding_zstd": "the table is without the library",
    "content_length_list": "the server makes one length of two that are equal (RFC 9112 section 6.3)",
}
"""Cases that this server, with its default limits, answers in another way than the table of bodies says."""


def test_the_server_still_serves_after_all_that(calm: Running) -> None:
    """An ordinary request is answered as before."""
    plain = Case(name="plain", what="an ordinary request", kind="", answers=("200",), body=["chat", "hi"])
    assert calm.attacked(plain).outcome.answer == "200"


def test_there_are_cases_of_every_kind() -> None:
    """The corpus covers sizes, JSON, texts, expressions, codings, framing, slowness, heads, forms, answers, sockets."""
    kinds = {case.kind for case in ALL}
    assert kinds == set(page.KINDS)
    assert len(ALL) >= 60


def test_a_case_that_says_what_none_understands_is_an_error(tmp_path: Path) -> None:
    """A misspelt key of a case fails when it is read, not silently."""
    with pytest.raises(msgspec.ValidationError, match="waht"):
        msgspec.toml.decode('waht = "x"\nkind = "size"\nanswers = ["200"]', type=Case)


def test_the_page_has_a_row_for_each_case() -> None:
    """``docs/hostile-input.md`` shows every file of the corpus with its words, and answers that are right."""
    text = page.PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    assert {name: what.strip() for name, what, _ in rows} == {case.name: page.escaped(case.what) for case in ALL}
    assert {path.stem for path in DIRECTORY.glob("*.toml")} == {name for name, _, _ in rows}
    wrong = []
    for name, _, answer in rows:
        told = Outcome(answer.strip(), frozenset(answer.split()[-1].split("+")))
        if not any(told.fits(expected) for expected in load(name).answers):
            wrong.append((name, answer))
    assert wrong == []
