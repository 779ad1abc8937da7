"""Bodies that readers could read differently are refused by name; the table in the docs says which."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from guard.content import SKIP_REASONS
from guard.content.inflate import CODINGS
from guard.content.pieces import PiecesTree
from guard.errors import REFUSALS, ContentRefused
from tests.content.corpus import CASES, DIRECTORY, Case
from tests.content.reading import LIMITS, read_bytes

DOCS = Path(__file__).parents[2] / "docs"
SMALL = msgspec.structs.replace(LIMITS, max_json_values=20_000)
KINDS = {
    "application/x-www-form-urlencoded": "form",
    "application/x-ndjson": "records",
    "application/json-seq": "records",
}
OF_THE_EXCHANGE = {"body_too_large", "body_too_slow", "client_disconnected", "body_length_mismatch", "path_ambiguous"}
"""Refusals that fall before a body is read."""


def answer(case: Case) -> str:
    """What reading the body gives, in the words of the table."""
    try:
        content = read_bytes(case.body, *case.headers, path="/v1/chat/completions", limits=SMALL)
    except ContentRefused as refused:
        return f"{refused.status} {refused.refusal}"
    if content.skipped:
        return "skipped " + ", ".join(skipped.reason for skipped in content.skipped)
    if isinstance(content.tree, PiecesTree):
        return "read as " + KINDS.get(content.media_type, "multipart")
    return "read as JSON" if content.facts.operation == "chat" else "read as text"


@pytest.fixture(autouse=True)
def without_optional_codings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table speaks of an installation without Brotli and Zstandard."""
    for name in ("br", "zstd"):
        monkeypatch.delitem(CODINGS, name, raising=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_malformed_body_has_its_answer(case: Case) -> None:
    """A body that two readers could read differently is refused by its code; no other body is."""
    assert answer(case) == case.answer


@pytest.mark.parametrize("case", [case for case in CASES if case.answer.startswith("read")], ids=lambda case: case.name)
def test_a_tolerated_body_is_inspected(case: Case) -> None:
    """What is read in spite of its disguise shows the personal data that it holds."""
    content = read_bytes(case.body, *case.headers, path="/v1/chat/completions", limits=SMALL)
    assert any("leak.me@example-bank.com" in segment.text for segment in content.segments)


@pytest.mark.parametrize("case", [case for case in CASES if case.answer[0].isdigit()], ids=lambda case: case.name)
def test_a_refusal_says_what_and_where_and_nothing_of_the_body(case: Case) -> None:
    """The message of a refusal names the fault and the place, and quotes no text of the body."""
    with pytest.raises(ContentRefused) as caught:
        read_bytes(case.body, *case.headers, limits=SMALL)
    assert caught.value.what
    assert caught.value.where in {"headers", "body"}
    assert "leak" not in str(caught.value)


def test_table_and_corpus_agree() -> None:
    """Each row of the table is a file with that answer, and each file is a row."""
    page = (DOCS / "malformed-bodies.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]* \| ([^|]+) \|$", page, re.MULTILINE)
    assert {(name, what.strip(), told.strip()) for name, what, told in rows} == {
        (case.name, case.what, case.answer) for case in CASES
    }
    assert {f"{case.name}.body" for case in CASES} == {path.name for path in DIRECTORY.iterdir()}


def test_every_refusal_code_has_a_case_and_a_place_in_the_docs() -> None:
    """No refusal exists that the table does not show; those of the exchange are named beside it."""
    shown = {case.answer.partition(" ")[2] for case in CASES if case.answer[0].isdigit()}
    assert shown | OF_THE_EXCHANGE == set(REFUSALS)
    page = (DOCS / "malformed-bodies.md").read_text()
    assert [code for code in REFUSALS if f"`{code}`" not in page] == []


def test_every_word_of_coverage_is_documented() -> None:
    """Each reason for which reading or the exchange skips a position stands in the coverage page."""
    page = (DOCS / "coverage.md").read_text()
    given = re.compile(r'(?:Skipped\([^()]*|(?:opaque|passing)\([\w.]+, )"(\w+)"')
    sources = [path.read_text() for path in (DOCS.parent / "guard").rglob("*.py")]
    reasons = SKIP_REASONS | {reason for source in sources for reason in given.findall(source)}
    assert [reason for reason in sorted(reasons) if f"| `{reason}` |" not in page] == []
