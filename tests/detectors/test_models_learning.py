"""Learning from the log and from analysts: bounded, of the right version, from numbers alone."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly import TailModel
from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import load as load_forest
from detectors.common import artefact
from detectors.models.behaviour import ENOUGH, attacks_of, event_of, learn, outcome_of, write
from detectors.models.calibrate import BOUND, LEAST, Labelled, collect, log_loss, shift_of
from guard.errors import ConfigError
from tests.record.logs import document


def record(number: int, **changes: Any) -> dict[str, Any]:
    """A ``decision`` record as it stands in a log: five callers, one request every ten seconds or so."""
    caller, source = number % 5, random.Random(number)
    asked = document()
    asked["context"]["size_bytes"] = round(800 * math.exp(source.gauss(0, 0.4)))
    asked["ai"] |= {"tokens_estimate": 200, "messages": 2, "tools": []}
    made = {
        "kind": "decision",
        "id": f"d{number}",
        "origin": "policy-guard-0",
        "ts_us": (1_760_000_000 + 2 * number) * 1_000_000,
        "who": {"type": "user", "id": f"hmac:{caller}", "tenant": "acme", "method": "jwt", "ip": None},
        "what": {"method": "POST", "route": "/v1/**", "operation": "chat", "model": "m", "provider": None},
        "decision": {"effect": "allow", "mode": "enforce", "http_status": None, "fail": None},
        "detectors": [{"name": "injection", "version": "1+v7", "digest": "ab" * 32}],
        "policy_input": asked,
    }
    return {**made, **changes}


def outcome(number: int) -> dict[str, Any]:
    """What came of it."""
    return {
        "kind": "outcome",
        "decision_ref": f"d{number}",
        "origin": "policy-guard-0",
        "ts_us": (1_760_000_000 + 2 * number + 1) * 1_000_000,
        "status": 200,
        "decisions": [],
    }


def label(decision: str, *, attack: bool, about: str = "PROMPT_INJECTION") -> dict[str, Any]:
    return {"kind": "label", "decision_ref": decision, "about": about, "attack": attack}


# --- calibration ----------------------------------------------------------------------------------------------------


LABELS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=LEAST, max_size=60).map(
    lambda pairs: [Labelled(*pair) for pair in pairs]
)


@given(LABELS)
def test_the_shift_is_bounded_and_never_loses(labelled: list[Labelled]) -> None:
    """At most two log-odds to either side, and on the labels never worse than no shift."""
    attacks = sum(each.attack for each in labelled)
    if min(attacks, len(labelled) - attacks) < LEAST // 4:
        with pytest.raises(ValueError, match="are needed"):
            shift_of(labelled)
        return
    shift = shift_of(labelled)
    assert abs(shift) <= BOUND
    assert log_loss(labelled, shift) <= log_loss(labelled, 0.0) + 1e-9


def test_the_shift_recovers_what_was_put_in() -> None:
    """Scores that are one log-odd too sure are shifted down by one, given enough labels."""
    source = random.Random(3)
    labelled = []
    for _ in range(4000):
        odds = source.gauss(0, 1.5)
        labelled.append(Labelled(1 / (1 + math.exp(-odds - 1.0)), source.random() < 1 / (1 + math.exp(-odds))))
    assert shift_of(labelled) == pytest.approx(-1.0, abs=0.12)


def test_few_labels_move_little() -> None:
    """Twenty labels of false alarms alone are refused; with the least of attacks the prior holds the shift back."""
    with pytest.raises(ValueError, match="0 labels of attacks"):
        shift_of([Labelled(0.6, False)] * 50)
    few = [Labelled(0.6, False)] * 15 + [Labelled(0.6, True)] * 5
    many = few * 50
    assert abs(shift_of(few)) < abs(shift_of(many)) <= BOUND


def test_only_labels_of_this_version_count() -> None:
    """The last label of a decision holds; scores of another model, missed attacks and lost decisions are counted."""
    found = [{"type": "PROMPT_INJECTION", "score": 700}, {"type": "PROMPT_INJECTION", "score": 900}]
    flagged, clean = document(findings=found), document(findings=[])
    decisions = [
        record(0, policy_input=flagged),
        record(1, policy_input=clean),
        record(2, policy_input=flagged, detectors=[{"name": "injection", "version": "1+v6", "digest": ""}]),
        record(3, policy_input=flagged),
    ]
    labels = [
        label("d0", attack=True),
        label("d0", attack=False),
        label("d1", attack=True),
        label("d2", attack=True),
        label("d3", attack=True, about="behaviour"),
        label("gone", attack=True),
    ]
    collected = collect(labels, decisions, "v7")
    assert collected.labelled == [Labelled(0.9, False)]
    assert (collected.missed, collected.others, collected.lost) == (1, 1, 1)


# --- behaviour ------------------------------------------------------------------------------------------------------


def test_a_record_becomes_an_event() -> None:
    """Who, when, sizes and labels come from the record; a decision without a policy input has no numbers."""
    event = event_of(record(3))
    assert event is not None
    assert set(event.features) == {"size_bytes", "tokens_estimate", "messages"}
    assert (event.group, event.labels["endpoint"]) == ("acme", ("/v1/**",))
    assert event_of(record(3, policy_input=None)) is None
    denied = outcome_of({**outcome(1), "status": None, "decisions": [{"effect": "deny"}]})
    assert (denied.error, denied.refused) == (True, True)


def test_what_was_denied_or_labelled_teaches_nothing(tmp_path: Path) -> None:
    """The account says what was left out; the forest that comes out is one that the behaviour model loads."""
    attacks = attacks_of([
        label("d7", attack=True, about="behaviour"),
        label("d8", attack=True),
        label("d8", attack=False),
    ])  # fmt: skip
    assert attacks == {"d7"}
    records: list[dict[str, Any]] = []
    for number in range(ENOUGH + 170):
        records += [record(number), outcome(number)]
    denied = {"effect": "deny", "mode": "enforce", "http_status": 403, "fail": None}
    records += [record(9001, decision=denied), record(9002, policy_input=None)]
    learned = learn(records, attacks)
    account = learned.account
    assert (account.learned, account.denied, account.flagged, account.bare) == (ENOUGH + 169, 1, 1, 1)
    assert account.principals == 5
    assert learned.rows.shape[1] == len(NAMES)
    digest, version, metrics = write(tmp_path / "b.npz", learned, name=None, signing_key=None)
    assert version == digest[:12]
    assert artefact.read_any(tmp_path / "b.npz").card["metrics"] == {"simulated": metrics}
    assert 0.0 <= metrics["auc"] <= 1.0
    assert load_forest(tmp_path / "b.npz", NAMES).digest == digest
    model = TailModel(forest=str(tmp_path / "b.npz"), second_opinion="on")
    assert model.info.digest != TailModel().info.digest


@pytest.mark.slow
def test_learning_is_reproducible(tmp_path: Path) -> None:
    """The same log gives the same bytes."""
    records = [record(number) for number in range(ENOUGH + 170)]
    digests = {write(tmp_path / f"{n}.npz", learn(records, set()), name=None, signing_key=None)[0] for n in range(2)}
    assert len(digests) == 1


def test_a_short_log_teaches_nothing() -> None:
    """A forest of a few requests would be made of chance."""
    with pytest.raises(ConfigError, match="500 are needed"):
        learn([record(number) for number in range(50)], set())
