"""Redaction: findings and obligations become edits, and what was replaced comes back only to whom it belongs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.obligations.redact import Edit, combine, operators, redact, restore
from guard.obligations.vault import Vault
from guard.types import Finding, Obligation, Segment

KEYED = KeyedHash("test", b"k" * 32)


def obligation(entity: str, operator: str, **params: object) -> Obligation:
    return Obligation(type="redact", rule="R-1", params={"entity": entity, "operator": operator, **params})


def finding(entity: str, start: int, end: int, score: float = 0.9, segment: int = 0) -> Finding:
    return Finding(entity, segment, start, end, score, "test")


def applied(text: str, edits: list[Edit]) -> str:
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def redacted(text: str, findings: list[Finding], *obligations: Obligation, vault: Vault | None = None) -> str:
    chosen = operators(obligations, "request")
    result = redact([Segment.of(text)], findings, chosen, vault=vault or Vault(), keyed=KEYED)
    return applied(text, result.edits.get(0, []))


@pytest.mark.parametrize(
    ("operator", "params", "expected"),
    [
        ("mask", {}, "card ************1111."),
        ("mask", {"keep_last": 0}, "card ****************."),
        ("replace", {}, "card <CARD>."),
        ("drop", {}, "card ."),
        ("keep", {}, "card 4111111111111111."),
    ],
)
def test_each_operator_rewrites_the_value_in_its_way(operator: str, params: dict[str, int], expected: str) -> None:
    """Mask keeps the last characters, replace names the entity, drop leaves nothing, keep leaves the value."""
    text = "card 4111111111111111."
    assert redacted(text, [finding("CARD", 5, 21)], obligation("CARD", operator, **params)) == expected


def test_a_short_value_is_masked_whole() -> None:
    """Keeping the last four of five characters would show the value."""
    assert redacted("12345", [finding("PIN", 0, 5)], obligation("PIN", "mask")) == "*****"


def test_hash_is_keyed_and_equal_for_equal_values() -> None:
    """Equal values can be joined, and nobody without the key can find the value by guessing."""
    findings = [finding("ID", 0, 2), finding("ID", 3, 5)]
    first, second = redacted("42 42", findings, obligation("ID", "hash")).split(" ")
    assert first == second != "42"
    other = redact(
        [Segment.of("42")],
        findings[:1],
        operators([obligation("ID", "hash")], "request"),
        vault=Vault(),
        keyed=KeyedHash("test", b"x" * 32),
    )
    assert other.edits[0][0][2] != first


def test_the_more_protective_operator_wins() -> None:
    """Two rules that name one entity: the value is hidden as the stricter of them demands."""
    text = redacted("a@b.io", [finding("MAIL", 0, 6)], obligation("MAIL", "pseudonym"), obligation("MAIL", "drop"))
    assert text == ""


def test_overlapping_findings_are_hidden_over_their_union() -> None:
    """No remainder of a value stays in clear where two detectors saw different parts of it."""
    findings = [finding("MAIL", 0, 8), finding("HOST", 5, 12, 0.5)]
    both = [obligation("MAIL", "replace"), obligation("HOST", "replace")]
    assert redacted("joe@corp.com rest", findings, *both) == "<MAIL> rest"


@pytest.mark.parametrize(
    "params",
    [
        {"operator": "mask"},
        {"entity": "MAIL"},
        {"entity": "MAIL", "operator": "shred"},
        {"entity": "mail", "operator": "mask"},
        {"entity": "MAIL", "operator": "mask", "keep_last": 99},
        {"entity": "MAIL", "operator": "mask", "keep_last": True},
    ],
)
def test_a_redaction_that_makes_no_sense_fails(params: dict[str, object]) -> None:
    """An obligation that cannot be understood is an error that names its rule, never ignored."""
    with pytest.raises(ObligationFailed) as raised:
        operators([Obligation(type="redact", rule="R-9", params=params)], "request")
    assert "R-9" in str(raised.value)


def test_an_answer_is_never_redacted_with_pseudonyms() -> None:
    """There is no later answer in which they could be restored."""
    with pytest.raises(ObligationFailed, match="pseudonyms"):
        operators([obligation("MAIL", "pseudonym")], "response")


values = st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(parts=st.lists(st.tuples(values, values), min_size=1, max_size=6))
def test_pseudonyms_are_restored_exactly(parts: list[tuple[str, str]]) -> None:
    """Whatever the values are and however often they occur, what comes back is what was sent."""
    text, findings = "", []
    for plain, secret in parts:
        text += plain
        findings.append(finding("PERSON", len(text), len(text) + len(secret)))
        text += secret
    vault = Vault([text])
    hidden = redacted(text, findings, obligation("PERSON", "pseudonym"), vault=vault)
    back = restore([Segment.of(hidden)], vault)
    assert applied(hidden, back[0]) == text


@given(text=st.text(max_size=60), number=st.integers(1, 9))
def test_a_forged_placeholder_stays_as_it_is(text: str, number: int) -> None:
    """The suffix of an exchange is in none of its texts: a user cannot write what the vault would restore."""
    forged = f"{text}<PERSON_{number}_abc234>"
    vault = Vault([forged])
    vault.placeholder("PERSON", "somebody else")
    assert vault.spans(forged) == []


def test_a_placeholder_of_another_exchange_is_not_restored() -> None:
    """Values come back to the exchange that sent them, to no other."""
    first, second = Vault(), Vault()
    theirs = first.placeholder("PERSON", "Jane Roe")
    second.placeholder("PERSON", "John Doe")
    assert second.spans(theirs) == []


def test_a_restored_span_is_not_redacted_but_what_stands_beside_it_is() -> None:
    """A finding that reaches over a placeholder hides only what the model wrote."""
    vault = Vault()
    placeholder = vault.placeholder("NAME", "Jane")
    text = f"x{placeholder}@corp.com"
    segments = [Segment.of(text)]
    restored = restore(segments, vault)
    chosen = operators([obligation("MAIL", "replace")], "response")
    result = redact(segments, [finding("MAIL", 0, len(text))], chosen, vault=vault, keyed=KEYED, protected=restored)
    assert applied(text, combine(result.edits, restored)[0]) == "<MAIL>Jane<MAIL>"
