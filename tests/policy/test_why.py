"""An evaluation explained to its author: values, variables, and the expression at which a silent rule stopped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import rego
from guard.policy.bundle import Bundle
from guard.policy.places import MAX_VALUES, Read, read_at
from guard.policy.why import Author, Explanation, Fired, Silent, Stopped
from guard.types import UNDEFINED, Location, RuleInfo

POLICY = """package mine

decision := {"allow": count(deny) == 0, "reasons": deny, "obligations": []}

deny contains {"id": "M-1", "message": message, "pointers": [f.at]} if {
	some f in input.findings
	f.score >= limit
	message := sprintf("%s is too much", [f.type])
}

limit := data.limits.score if not input.strict

limit := 0.1 if input.strict

deny contains {"id": "M-2", "message": "late"} if {
	input.stage == "request"
	allowed_hour(input.hour)
}

allowed_hour(hour) if {
	hour > 8
	hour < 18
}
"""
RULE = RuleInfo(
    id="M-1", title="Scores", severity="high", remediation="Less.", mode="enforce", location=Location("mine.rego", 5, 1)
)
DATA = {"limits": {"score": 0.5}}


def explained(input_: Any, *silent: str, query: str = "data.mine.decision", source: str = POLICY) -> Explanation:
    """What the author is told about an input."""
    bundle = Bundle(
        modules={"mine.rego": source},
        tests={},
        own=frozenset({"mine.rego"}),
        data=DATA,
        rules={"M-1": RULE},
        revision="",
        digest="",
    )
    author = Author(bundle, rego.compile(bundle.modules, bundle.data))
    return author.explain(query, input_, silent=silent, max_steps=10_000)


def the_fired(explanation: Explanation) -> Fired:
    """The only body with an id that held."""
    (fired,) = explanation.fired
    return fired


def the_stop(explanation: Explanation) -> tuple[Silent, Stopped]:
    """The only silent rule, and its stop."""
    (silent,) = explanation.silent
    assert silent.stopped is not None
    return silent, silent.stopped


FOUND = {
    "stage": "response",
    "findings": [
        {"type": "A", "score": 0.9, "at": "/a"},
        {"type": "B", "score": 0.2, "at": "/b"},
        {"type": "C", "score": 0.7, "at": "/c"},
    ],
}


def test_a_rule_that_fired_is_told_with_its_annotation_line_and_variables() -> None:
    """Each solution has its variables; what it asked and what it read stand beside it, with values."""
    told = explained(FOUND)
    fired = the_fired(told)
    assert (told.defined, told.failure, told.value["allow"]) == (True, "", False)
    assert (fired.part, fired.id, fired.title, fired.severity, fired.remediation) == (
        "reasons",
        "M-1",
        "Scores",
        "high",
        "Less.",
    )
    assert (fired.place.file, fired.place.row) == ("mine.rego", 5)
    assert fired.place.source.startswith('deny contains {"id": "M-1"')
    assert [item["message"] for item in fired.said] == ["A is too much", "C is too much"]
    assert fired.times == 2
    assert [values["message"] for values in fired.solutions] == ["A is too much", "C is too much"]
    assert fired.solutions[0]["f"] == FOUND["findings"][0]
    assert [(place.rule, place.row) for place in fired.asked] == [("data.mine.limit", 11)]
    assert Read("input.findings[].score", (0.9, 0.2, 0.7), 3) in fired.reads
    assert Read("data.limits.score", (0.5,), 1) in fired.reads
    assert Read("input.strict") in fired.reads


def test_a_silent_rule_is_told_with_the_expression_that_stopped_it() -> None:
    """The first one that did not hold, with the values of its operands."""
    silent, stop = the_stop(explained(FOUND, "M-2"))
    assert (silent.id, silent.place.row) == ("M-2", 15)
    assert (stop.place.file, stop.place.row, stop.place.source) == ("mine.rego", 16, 'input.stage == "request"')
    assert stop.operands == (Read("input.stage", ("response",), 1),)


def test_an_undefined_operand_has_no_value() -> None:
    """A field that is not there is told as such, not as null."""
    _, stop = the_stop(explained({"findings": []}, "M-2"))
    assert stop.operands == (Read("input.stage"),)


def test_the_stop_of_a_helper_stands_below() -> None:
    """A function that answered nothing is followed to the expression at which it ended."""
    _, stop = the_stop(explained({"stage": "request", "hour": 20}, "M-2"))
    assert stop.place.row == 17
    (inner,) = stop.below
    assert (inner.place.rule, inner.place.row, inner.place.source) == ("data.mine.allowed_hour", 22, "hour < 18")
    assert inner.operands == (Read("hour", (20,), 1),)


def test_a_rule_that_fired_is_not_among_the_silent() -> None:
    """``--full`` asks for all ids; those that held are told once."""
    told = explained(FOUND, "M-1", "M-2")
    assert [each.id for each in told.fired] == ["M-1"]
    assert [each.id for each in told.silent] == ["M-2"]


def test_a_rule_that_was_not_asked_has_no_stop() -> None:
    """The query did not lead to it: that is said, and no expression is blamed."""
    (silent,) = explained(FOUND, "M-2", query="data.mine.limit").silent
    assert silent.stopped is None


def test_a_value_that_is_no_decision_is_told_by_the_bodies_that_held() -> None:
    """An author's own rule without any id."""
    told = explained({"strict": True}, query="data.mine.limit")
    fired = the_fired(told)
    assert (fired.id, fired.part, fired.place.row, told.value) == ("", "", 13, 0.1)


def test_a_decision_without_reasons_has_nothing_that_fired() -> None:
    """The collecting rules hold for every input; they explain nothing."""
    assert explained({"findings": []}).fired == ()


def test_an_undefined_value_and_a_missing_input_are_told() -> None:
    """No value is not null, and no input is not an empty one."""
    told = explained(UNDEFINED, query="data.mine.nothing")
    assert (told.defined, told.value, told.fired) == (False, None, ())
    assert the_fired(explained(UNDEFINED, query="data.mine.limit")).place.row == 11


def test_a_failed_evaluation_is_told_with_what_held_before() -> None:
    """Two values of one rule are an error; both bodies that held are named."""
    source = "package mine\n\nx := 1 if input.a\n\nx := 2 if input.b\n"
    told = explained({"a": 1, "b": 1}, query="data.mine.x", source=source)
    assert "conflicting values" in told.failure
    assert [each.place.row for each in told.fired] == [3, 5]


def test_a_query_that_is_no_reference_is_refused() -> None:
    """There is no body to explain."""
    with pytest.raises(rego.CompileError):
        explained({}, query="x := 1")


# --- places ---------------------------------------------------------------------------------------------------------

DOCUMENTS: dict[str, Any] = {
    "input": {"a": {"b": None}, "xs": [{"t": 1}, {"t": 1}, {"u": 2}, 7], "m": {"k": {"t": 3}, "l": {"t": 1}}},
}
PLACES = [
    ("input.a.b", (None,), 1),
    ("input.a.c", (), 0),
    ("input.xs[].t", (1,), 1),
    ("input.xs[2].u", (2,), 1),
    ("input.xs[9].u", (), 0),
    ("input.m[].t", (3, 1), 2),
    ('input["a"].b', (None,), 1),
    ("input.xs.t", (), 0),
]


@pytest.mark.parametrize(("place", "values", "total"), PLACES, ids=[place[0] for place in PLACES])
def test_a_place_is_read_in_a_document(place: str, values: tuple[Any, ...], total: int) -> None:
    """Different values in order, each once; nothing for a place that is not there."""
    assert read_at(place, DOCUMENTS) == Read(place, values, total)


@pytest.mark.parametrize("place", ["data.limits.score", "…", "nonsense[", "other.x"])
def test_a_place_of_a_document_that_is_not_there_is_not_known(place: str) -> None:
    """Not known is not the same as empty."""
    assert read_at(place, DOCUMENTS) == Read(place, known=False)


@given(st.lists(st.integers(), max_size=40))
def test_values_are_bounded_and_counted(numbers: list[int]) -> None:
    """At most ``MAX_VALUES`` are shown, and how many different ones there were."""
    found = read_at("input[]", {"input": numbers})
    different = list(dict.fromkeys(numbers))
    assert found.values == tuple(different[:MAX_VALUES])
    assert found.total == len(different)
