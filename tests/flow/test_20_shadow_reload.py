"""A candidate that is edited while the guard runs: swapped alone, on record, and never in the way of what decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from guard.middleware import GuardMiddleware
from guard.record.verify import verify
from guard.testing.records import log_directory, read_records
from guard.testing.server import serve
from guard.types import DecisionRecord
from tests.flow import test_11_reload as reloading
from tests.flow.shadows import PACKAGE, write
from tests.flow.shadows import rule as watching
from tests.flow.test_11_reload import Place

CANDIDATE = '[policy.candidate]\ndirectories = ["next"]\ndeadline_ms = 1000\n'
REQUESTS = 'input.stage == "request"'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A guard that reloads, whose rule never denies and whose candidate denies every request."""
    place = Place(tmp_path)
    place.write_toml(CANDIDATE, routes='health_path = "/health"\n')
    place.write_rule(reloading.rule("one", "first", "false"))
    write(tmp_path / "next", PACKAGE + watching("C-1", REQUESTS))
    place.guard = GuardMiddleware(reloading.app, place.toml, reload=True)
    with serve(place.guard, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as client:
        place.client = client
        yield place


def records(place: Place, kind: str) -> list[DecisionRecord]:
    """The records of a kind so far."""
    return read_records(place.root / "state", kind)


def would_deny(place: Place) -> list[str]:
    """The rules of the candidate that would have denied the last request."""
    (*_, last) = records(place, "decision")
    return [why["rule"] for why in last["shadow"]["would_deny"]]


def assert_whole(place: Place) -> None:
    """The log verifies: every shadow is that of a candidate which a record named before it."""
    report = verify(log_directory(place.root / "state"))
    assert report.exit_code == 0, report.lines()


def test_an_edited_candidate_is_swapped_alone(place: Place) -> None:
    """What decides stays the very engine; ``open`` and ``config`` records name the candidates, health the new one."""
    engine = place.guard.runtime.services.engine
    assert place.ask() == (200, ())
    assert would_deny(place) == ["C-1"]
    write(place.root / "next", PACKAGE + watching("C-2", REQUESTS))
    place.until(lambda: place.state.reloads == 1)
    assert place.ask() == (200, ())
    assert would_deny(place) == ["C-2"]
    assert place.guard.runtime.services.engine is engine
    (opened,), (applied,) = records(place, "open"), records(place, "config")
    assert applied["status"] == "applied"
    assert applied["before"]["candidate"] == opened["candidate"]
    assert applied["before"]["policy"] == applied["after"]["policy"]
    assert applied["after"]["candidate"]["digest"] != opened["candidate"]["digest"]
    told = place.client.get("/health").json()["candidate"]
    assert told["revision"] == applied["after"]["candidate"]["revision"]
    assert (told["judged"], told["failed"], told["paused"], told["share_permille"]) == (2, 0, False, 1000)
    assert_whole(place)


def test_a_broken_candidate_keeps_the_one_before(place: Place) -> None:
    """Refused with file and line, as any edit that does not load; what decides is not touched."""
    write(place.root / "next", "package guard.rules.watched\nnonsense")
    place.until(lambda: place.state.failures == 1)
    assert place.ask() == (200, ())
    assert would_deny(place) == ["C-1"]
    (refused,) = records(place, "config")
    assert (refused["status"], refused["error"]["code"]) == ("refused", "policy_invalid")
    assert refused["error"]["where"] == "watched.rego:2"
    assert "candidate: " in place.state.last_error
    assert place.client.get("/health").json()["status"] == "degraded"
    assert place.client.get("/health/ready").status_code == 200
    assert_whole(place)


def test_a_broken_candidate_is_not_in_the_way_of_what_decides(place: Place) -> None:
    """Both change at once: the rule that decides is taken over, the candidate before it watches on, and both are said.

    Mended, it is taken over too.
    """
    (place.policies / "one.rego").write_text(reloading.rule("one", "urgent"))
    write(place.root / "next", "package guard.rules.watched\nnonsense")
    place.until(lambda: (place.state.reloads, place.state.failures) == (1, 1))
    assert place.ask() == (403, ("urgent",))
    assert would_deny(place) == ["C-1"]
    applied, refused = records(place, "config")
    assert (applied["status"], refused["status"]) == ("applied", "refused")
    assert refused["before"] == applied["after"]
    assert applied["after"]["candidate"] == applied["before"]["candidate"]
    assert refused["error"]["where"] == "watched.rego:2"
    write(place.root / "next", PACKAGE + watching("C-3", REQUESTS))
    place.until(lambda: place.state.reloads == 2)
    assert (place.state.last_error, place.state.failures) == ("", 1)
    assert place.ask() == (403, ("urgent",))
    assert would_deny(place) == ["C-3"]
    assert_whole(place)


def test_a_rule_that_decides_is_edited_beside_a_candidate(place: Place) -> None:
    """The candidate, which did not change, watches on as the same object: its counts and pauses stay."""
    candidate = place.guard.runtime.services.candidate
    place.write_rule(reloading.rule("one", "second"))
    place.until(lambda: place.ask() == (403, ("second",)))
    assert place.guard.runtime.services.candidate is candidate
    assert_whole(place)


def test_a_candidate_comes_and_goes(place: Place) -> None:
    """Taken out of the file, nothing is judged in shadow; a later one is judged from its record on."""
    place.write_toml()
    place.until(lambda: place.state.reloads == 1)
    assert place.ask() == (200, ())
    assert "shadow" not in records(place, "decision")[-1]
    place.write_toml(CANDIDATE.replace("1000", "500"))
    place.until(lambda: place.state.reloads == 2)
    assert place.ask() == (200, ())
    assert would_deny(place) == ["C-1"]
    went, came = records(place, "config")
    assert "candidate" not in went["after"]
    assert came["after"]["candidate"] == went["before"]["candidate"]
    assert_whole(place)
