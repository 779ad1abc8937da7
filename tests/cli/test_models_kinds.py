"""``guard model`` for the behaviour forest and the intent model: trained, judged, kept in versions and used as that of
injection is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detectors.anomaly import TailModel
from detectors.anomaly.second import SHIPPED
from detectors.common import artefact
from detectors.intent import IntentClassifier
from detectors.intent.stored import shipped_file
from detectors.models.intent import generator_digest
from guard.errors import ConfigError
from guard.types import BehaviourEvent
from tests.cli.test_models import run, told
from tests.detectors.test_models import keys

TEXTS = {
    "code_mine": "Write a Python function that merges two sorted lists.",
    "translate": "Translate the following sentence into Spanish: The train is late again.",
}


def forest(path: Path, **card: Any) -> Path:
    """The shipped forest under another name, perhaps with other figures."""
    found = artefact.read_any(SHIPPED)
    artefact.write(path, "isolation-forest", found.arrays, {**found.card, "version": path.stem, **card})
    return path


# --- intent ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_makes_the_shipped_intent_model_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the locked environment: the same bytes, under the same name, with the figures that the shipped card tells."""
    made = told(capsys, "model", "train", "intent", "-o", tmp_path / "m.npz")
    shipped = artefact.read_any(shipped_file())
    assert made["equals_shipped"], "another environment, or the shipped model is to be made again"
    assert (made["version"], made["metrics"]) == (shipped.card["version"], shipped.card["metrics"])
    assert (tmp_path / "m.npz").read_bytes() == shipped_file().read_bytes()
    assert (tmp_path / "m.json").read_bytes() == shipped_file().with_suffix(".json").read_bytes()


def test_the_shipped_card_names_the_generator_that_is_here() -> None:
    """Whoever changes the grammar, or the code that reads it, makes the shipped model again."""
    card = artefact.read_any(shipped_file()).card
    assert card["data"]["generator_sha256"] == generator_digest()
    assert 0.8 < card["metrics"]["held_out"]["accuracy"] < 1.0


@pytest.mark.slow
def test_an_intent_model_goes_all_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained and signed, judged on held-out templates and on texts of one's own, promoted, used under its key, and
    taken back."""
    private, public = keys(tmp_path, "maker")
    file, store, texts = tmp_path / "own.npz", tmp_path / "store", tmp_path / "texts"
    made = told(
        capsys, "model", "train", "intent", "--count", "100", "--name", "own-1", "-o", file, "--signing-key", private
    )
    assert (made["version"], made["equals_shipped"], made["signed"]) == ("own-1", False, True)
    again = told(capsys, "model", "evaluate", "intent", "--model", file, "--model-key", public)
    assert {name: again[name] for name in ("accuracy", "of")} == {
        name: made["metrics"]["held_out"][name] for name in ("accuracy", "of")
    }
    texts.mkdir()
    for name, text in TEXTS.items():
        (texts / f"{name}.jsonl").write_text(json.dumps({"text": text}) + "\n")
    code, _, err = run(capsys, "model", "evaluate", "intent", "--eval", texts, "--model", file, "--keep")
    assert (code, "signed, and would not be afterwards" in err) == (1, True)
    kept = told(
        capsys, "model", "evaluate", "intent", "--eval", texts, "--model", file, "--keep", "--signing-key", private
    )
    assert (kept["accuracy"], kept["recall"]) == (1.0, {"code": 1.0, "translate": 1.0})
    assert told(capsys, "model", "promote", file, "--to", store, "--model-key", public)["version"] == "own-1"
    shown = told(capsys, "model", "show", store, "--model-key", public)["card"]["metrics"]
    assert set(shown) == {"evaluated", "held_out"}
    used = IntentClassifier(model=str(store), model_key=str(public))
    assert used.info.version == "1+own-1"
    assert used.info.digest != IntentClassifier().info.digest
    code, _, err = run(capsys, "model", "promote", shipped_file(), "--to", store, "--model-key", public)
    assert (code, "not signed" in err) == (1, True)


@pytest.mark.parametrize(
    ("lines", "name", "what"),
    [
        ('{"text": "x"}', "weather.jsonl", "begins with none of"),
        ('{"words": "x"}', "code.jsonl", "has no 'text'"),
        ("{", "code.jsonl", "cannot be read"),
        ('{"text": 5}', "code.jsonl", "no string"),
        ("", "code.jsonl", "no text"),
    ],
)
def test_texts_that_cannot_be_read_are_named(
    lines: str, name: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with the file, and how it should look."""
    (tmp_path / name).write_text(lines)
    code, out, err = run(capsys, "model", "evaluate", "intent", "--eval", tmp_path)
    assert (code, out) == (1, "")
    assert what in err
    assert "mend:" in err


def test_the_training_of_another_version_cannot_be_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures of a generator that is not here are not made up: texts of one's own are asked for."""
    found = artefact.read_any(shipped_file())
    card = {**found.card, "data": {**found.card["data"], "generator_sha256": "0" * 64}}
    artefact.write(tmp_path / "m.npz", "intent 1", found.arrays, card)
    code, _, err = run(capsys, "model", "evaluate", "intent", "--model", tmp_path / "m.npz")
    assert (code, "not made by the generator of this version" in err, "--eval DIR" in err) == (1, True, True)


# --- behaviour ------------------------------------------------------------------------------------------------------


def test_a_promoted_forest_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory's current version gives the second opinion; the record tells which; a rollback takes it back."""
    store = tmp_path / "store"
    figures = {"metrics": {"simulated": {"of": "x", "auc": 0.8}}}
    better = {"metrics": {"simulated": {"of": "x", "auc": 0.9}}}
    told(capsys, "model", "promote", forest(tmp_path / "v1.npz", **figures), "--to", store)
    assert TailModel(forest=str(store)).info.version == "3+v1"
    told(capsys, "model", "promote", forest(tmp_path / "v2.npz", **better), "--to", store)
    model = TailModel(forest=str(store))
    assert model.info.version == "3+v2"
    for number in range(300):
        model.learn(BehaviourEvent("p", 1_760_313_600.0 + 4.0 * number, {"size_bytes": 2e3}), "allow")
    assert model.score(BehaviourEvent("p", 1_760_315_000.0, {"size_bytes": 5e8})).second is not None
    code, _, err = run(capsys, "model", "promote", tmp_path / "v1.npz", "--to", store)
    assert (code, "simulated.auc 0.9 -> 0.8" in err) == (1, True)
    assert told(capsys, "model", "rollback", store)["version"] == "v1"
    assert TailModel(forest=str(store)).info.version == "3+v1"


@pytest.mark.slow
def test_a_forest_is_judged_on_simulated_attacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of docs/behaviour.md, about, kept in the card; texts are of no use to it."""
    file = forest(tmp_path / "v1.npz")
    kept = told(capsys, "model", "evaluate", "behaviour", "--model", file, "--keep")
    assert 0.85 < kept["auc"] < 0.95
    assert 0.3 < kept["recall_macro"] < 0.7
    assert told(capsys, "model", "show", file)["card"]["metrics"]["simulated"]["auc"] == kept["auc"]
    assert artefact.read_any(file).digest == artefact.read_any(SHIPPED).digest
    code, _, err = run(capsys, "model", "evaluate", "behaviour", "--eval", tmp_path)
    assert (code, "not texts" in err) == (1, True)


def test_a_forest_that_is_not_as_asked_is_refused(tmp_path: Path) -> None:
    """Unsigned under a key, tampered with, called by no word; and a key that has nothing to check."""
    _, public = keys(tmp_path, "maker")
    file = forest(tmp_path / "v1.npz")
    with pytest.raises(ConfigError, match="not signed"):
        TailModel(forest=str(file), forest_key=str(public))
    with pytest.raises(ConfigError, match="nothing to check"):
        TailModel(forest_key=str(public))
    with pytest.raises(ConfigError, match="no word"):
        TailModel(forest=str(forest(tmp_path / "v2.npz", version="two words")))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="not those that its card names"):
        TailModel(forest=str(file))


# --- for people -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["injection", "behaviour", "intent"])
def test_what_is_shown_fits_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line, but for a path; and where to look for drift is said."""
    code, out, _ = run(capsys, "model", "show", name)
    assert code == 0
    assert [line for line in out.splitlines()[1:] if len(line) > 80] == []
    assert "--log DIR" in out
