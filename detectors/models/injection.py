"""Making and judging the injection model: what ``guard model train|evaluate injection`` do."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.common import artefact
from detectors.injection.detector import InjectionDetector
from detectors.injection.lexicon import Lexicon
from detectors.injection.model import STAGE_TWO, LinearModel
from detectors.injection.sources import shipped_file
from detectors.injection.stored import Stored, digest_of, save
from detectors.injection.tokens import lowered, words_of
from detectors.injection.training import corpus, grammar, train
from detectors.injection.training.corpus import examples
from detectors.injection.training.evaluate import Quality, evaluate, read_sets
from detectors.injection.training.grammar import Grammar
from detectors.injection.watch import histograms, log_odds
from guard.errors import ConfigError
from guard.types import Segment

LICENCE: Final = "Apache-2.0"
_LIBRARIES: Final = ("numpy", "scipy", "scikit-learn")
_HELD_OUT: Final = 2_000
HELD_OUT_SEED: Final = 20_271_123
"""Of the texts on which every generated model is measured: the same for all, so that their figures can be compared."""
_ROUND: Final = 4


class Made(NamedTuple):
    """A model that was trained. ``shipped``: the digest of the one that is part of this installation."""

    path: Path
    digest: str
    shipped: str
    card: Mapping[str, Any]


def make(
    path: Path, *, count: int, seed: int, name: str | None, lexicon: Lexicon, signing_key: Path | None = None
) -> Made:
    """Train on ``count`` generated texts of each label, and write model and card. ``name`` is the model's version, else
    the beginning of its digest. Raises ``ConfigError``, ``OSError``, ``KeyInvalid``."""
    if seed in (HELD_OUT_SEED, HELD_OUT_SEED - 1):
        raise ConfigError("this seed makes the texts on which models are measured", where="--seed", mend="take another")
    made = Grammar.shipped()
    model = train.train(made, lexicon, count=count, seed=seed)
    card = card_for(model, made, count=count, seed=seed)
    # The same texts and seed make the same model: it keeps the name under which it is shipped.
    shipped = artefact.read_any(shipped_file())
    known = shipped.card.get("version") if digest_of(model) == shipped.digest else None
    card["version"] = name or known or digest_of(model)[:12]
    digest = save(path, model, card, signing_key=signing_key)
    return Made(path, digest, shipped.digest, card)


def card_for(model: LinearModel, made: Grammar, *, count: int, seed: int) -> dict[str, Any]:
    """What a card says of a model that was trained on generated texts, its version left out."""
    sets = _held_out(made)
    figures = evaluate(_scorer(model), {"attack": sets["attack"]}, {"benign": sets["benign"]}, {})
    generator = generator_digest()
    of = hashlib.sha256(f"{generator} {_HELD_OUT} {HELD_OUT_SEED}".encode()).hexdigest()
    return {
        "licence": LICENCE,
        "data": {"source": "generated", "generator_sha256": generator, "count": count, "seed": seed},
        "features": {"hashed": len(model.weights), "stage_two": list(STAGE_TWO)},
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "metrics": {"generated": {"of": of, "texts": 2 * _HELD_OUT, **_told(figures)}},
        "reference": _reference(model, sets["benign"]),
    }


def generator_digest() -> str:
    """SHA-256, in hex, of everything that makes the texts: the grammar's files and the code that reads and dresses
    them."""
    whole = hashlib.sha256()
    code = [Path(str(module.__file__)) for module in (corpus, grammar)]
    for path in (*sorted((code[0].parent / "grammar").glob("*.txt")), *code):
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


class Judged(NamedTuple):
    """How a model fares on sets of texts. ``of``: the digest of the sets."""

    figures: Quality
    of: str
    texts: int


def judge(directory: Path, options: Mapping[str, Any]) -> Judged:
    """The figures of a detector with these options on the sets in ``directory``. Raises ``ConfigError``."""
    try:
        attacks, ordinary, suspicious = read_sets(directory)
        if not attacks or not ordinary:
            raise ValueError("there are no atk_*.jsonl, or no ben_*.jsonl")
        empty = [name for sets in (attacks, ordinary, suspicious) for name, texts in sets.items() if not texts]
        if empty:
            raise ValueError(f"there is no text in {', '.join(empty)}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = f"a line has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"the texts cannot be read: {said}",
            where=str(directory),
            mend='name a directory of atk_*, ben_* and hard_*.jsonl files, each line {"text": "…"}',
        ) from error
    figures = evaluate(InjectionDetector(**options).score, attacks, ordinary, suspicious)
    return Judged(
        figures, _sets_digest(directory), sum(map(len, (*attacks.values(), *ordinary.values(), *suspicious.values())))
    )


def as_card(judged: Judged) -> dict[str, Any]:
    """The figures as a group of metrics in a card."""
    return {"of": judged.of, "texts": judged.texts, **_told(judged.figures)}


def _sets_digest(directory: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(directory.glob("*.jsonl")):
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _told(figures: Quality) -> dict[str, float]:
    """Figures as a card tells them."""
    hard = [share for name, share in figures.flagged.items() if name.startswith("hard") or name == "ben_awesome"]
    told = {"auc": figures.auc, "recall_micro": figures.micro, "recall_macro": figures.macro}
    if hard:
        told["hard_flagged"] = sum(hard) / len(hard)
    return {name: round(value, _ROUND) for name, value in told.items()}


def _scorer(model: LinearModel) -> Callable[[str], float]:
    def score(text: str) -> float:
        words = _words(text)
        return model.probability(model.weigh(words)) if words else 0.0

    return score


def _held_out(made: Grammar) -> dict[str, list[str]]:
    """Texts of both labels that no training saw."""
    found = list(examples(made, _HELD_OUT, HELD_OUT_SEED))
    return {label: [example.text for example in found if example.label == label] for label in ("attack", "benign")}


def _reference(model: LinearModel, texts: list[str]) -> dict[str, Any]:
    """What the model makes of ordinary texts, in the bins in which a guard counts, as it stands in a card."""
    found = histograms()
    for words in filter(None, map(_words, texts)):
        weighed = model.weigh(words)
        values = (log_odds(model.probability(weighed)), *weighed.stage_two.tolist())
        for histogram, value in zip(found.values(), values, strict=True):
            histogram.add(value)
    return {"of": "generated ordinary texts", **{name: each.as_card() for name, each in found.items()}}


def _words(text: str) -> list[str]:
    return words_of(lowered(Segment.of(text).folded.text))


def shifted(
    path: Path, stored: Stored, shift: float, labels: int, *, name: str | None, signing_key: Path | None
) -> tuple[str, str]:
    """Write a model with ``shift`` added to the second stage's intercept; its digest and version. The figures of its
    card stay: the order of scores is the same. Raises ``OSError``, ``KeyInvalid``."""
    old = stored.model
    stage_two = old.stage_two.copy()
    stage_two[-1] += shift
    model = LinearModel(old.weights, old.bias, stage_two, old.lexicon)
    version = name or digest_of(model)[:12]
    calibration = {"from_sha256": stored.digest, "shift": round(shift, 6), "labels": labels}
    card = {**stored.card, "version": version, "calibration": calibration}
    card["reference"] = _reference(model, _held_out(Grammar.shipped())["benign"])
    return save(path, model, card, signing_key=signing_key), version
