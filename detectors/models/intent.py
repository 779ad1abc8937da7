"""Making and judging the intent model: what ``guard model train|evaluate intent`` do."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.common import artefact
from detectors.injection.training import grammar
from detectors.intent import features
from detectors.intent.model import shipped_lexicon, shortened
from detectors.intent.stored import LEARNED, Stored, Weights, digest_of, rounded, save, shipped_file
from detectors.intent.training import train
from detectors.intent.training.evaluate import Quality, evaluate
from detectors.intent.training.train import examples, shipped_grammar
from detectors.intent.watch import histograms
from guard.errors import ConfigError

LICENCE: Final = "Apache-2.0"
MOST: Final = 20_000
"""Texts of each class: a card must not ask for any number."""
HELD_OUT: Final = 0
"""The quarter of the templates on which a training is measured, by a model of the other three."""
HELD_OUT_TEXTS: Final = 300
"""Of each class."""
HELD_OUT_SEED: Final = train.SEED + 1
_LIBRARIES: Final = ("numpy", "scipy", "scikit-learn")
_ROUND: Final = 4
_SETS: Final = f'name a directory of {", ".join(f"{name}*.jsonl" for name in LEARNED)}, each line {{"text": "…"}}'


class Made(NamedTuple):
    """A model that was trained. ``shipped``: the digest of the one that is part of this installation. ``held_out``: how
    the same training does on templates that it did not see."""

    digest: str
    shipped: str
    card: Mapping[str, Any]
    held_out: Quality


class Judged(NamedTuple):
    """How a model, or a training, fares on texts. ``of``: the digest of the texts."""

    quality: Quality
    of: str

    def as_card(self) -> dict[str, Any]:
        """As a group of metrics in a card."""
        quality = self.quality
        told = {"accuracy": quality.accuracy, "recall_macro": quality.recall_macro}
        figures = {name: round(value, _ROUND) for name, value in told.items()}
        return {"of": self.of, "texts": int(quality.confusion.sum()), **figures}


def make(path: Path, *, count: int, seed: int, name: str | None, signing_key: Path | None = None) -> Made:
    """Train on ``count`` generated texts of each class, and write model and card. ``name`` is the model's version, else
    the beginning of its digest. Raises ``ConfigError``, ``OSError``, ``KeyInvalid``."""
    lexicon = shipped_lexicon()
    judged = held_out(count=count, seed=seed)
    weights = train.train(list(examples(shipped_grammar(), count, seed)), lexicon)
    digest, shipped = digest_of(weights), artefact.read_any(shipped_file())
    card = {
        # The same texts and seed make the same model: it keeps the name under which it is shipped.
        "version": name or (digest == shipped.digest and shipped.card.get("version")) or digest[:12],
        "licence": LICENCE,
        "data": {"source": "generated", "generator_sha256": generator_digest(), "count": count, "seed": seed},
        "features": {"hashed": features.SIZE, "classes": list(LEARNED)},
        "libraries": {"python": platform.python_version(), **{each: version(each) for each in _LIBRARIES}},
        "metrics": {"held_out": judged.as_card()},
        "reference": _reference(rounded(weights)),
    }
    return Made(save(path, weights, lexicon, card, signing_key=signing_key), shipped.digest, card, judged.quality)


def held_out(*, count: int, seed: int) -> Judged:
    """How a training with these numbers does on a quarter of the templates, if it sees the other three only."""
    if seed == HELD_OUT_SEED:
        raise ConfigError("this seed makes the texts on which models are measured", where="--seed", mend="take another")
    lexicon = shipped_lexicon()
    weights = train.train(list(examples(shipped_grammar({0, 1, 2, 3} - {HELD_OUT}), count, seed)), lexicon)
    made = examples(shipped_grammar({HELD_OUT}), HELD_OUT_TEXTS, HELD_OUT_SEED)
    what = f"{generator_digest()} {HELD_OUT} {HELD_OUT_TEXTS} {HELD_OUT_SEED}"
    quality = evaluate(weights, lexicon, [(each.text, each.label) for each in made])
    return Judged(quality, hashlib.sha256(what.encode()).hexdigest())


def held_out_of(stored: Stored, file: Path) -> Judged:
    """The same for the training that a model's card tells of. Raises ``ConfigError`` where it tells of none of ours."""
    told = stored.card.get("data")
    data: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    count, seed = data.get("count"), data.get("seed")
    if (
        data.get("generator_sha256") != generator_digest()
        or not isinstance(count, int)
        or not isinstance(seed, int)
        or not 0 < count <= MOST
    ):
        raise ConfigError(
            "the model was not made by the generator of this version",
            where=str(file),
            mend="judge it on texts of your own: --eval DIR",
        )
    return held_out(count=count, seed=seed)


def judge(directory: Path, stored: Stored) -> Judged:
    """The figures of a model on the texts in ``directory``: ``<class>*.jsonl``. Raises ``ConfigError``."""
    try:
        texts = _read(directory)
        if not texts:
            raise ValueError("there is no text in it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = f"a line has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"the texts cannot be read: {said}", where=str(directory), mend=_SETS) from error
    return Judged(evaluate(stored.weights, shipped_lexicon(), texts), _sets_digest(directory))


def generator_digest() -> str:
    """SHA-256, in hex, of everything that makes the texts: the grammar's files and the code that reads and dresses
    them."""
    whole = hashlib.sha256()
    code = [Path(str(module.__file__)) for module in (train, grammar)]
    for path in (*sorted((code[0].parent / "grammar").glob("*.txt")), *code):
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _reference(weights: Weights) -> dict[str, Any]:
    """What the model makes of generated requests that it was not trained on, in the bins in which a guard counts. Of
    the classes it says nothing: all are as frequent there."""
    lexicon, found = shipped_lexicon(), histograms()
    for made in examples(shipped_grammar(), HELD_OUT_TEXTS, HELD_OUT_SEED):
        chances, hard = weights.judged(features.features_of(shortened(made.text), lexicon))
        found["score"].add(float(chances.max()))
        found["difficulty"].add(hard)
    told = {name: found[name].as_card() for name in ("score", "difficulty")}
    return {"of": "generated requests, all kinds alike", **told}


def _read(directory: Path) -> list[tuple[str, str]]:
    """Texts and their classes, which the names of the files begin with."""
    if not directory.is_dir():
        raise ValueError("there is no such directory")
    found: list[tuple[str, str]] = []
    for path in sorted(directory.glob("*.jsonl")):
        label = next((name for name in LEARNED if path.name.startswith(name)), None)
        if label is None:
            raise ValueError(f"the name of {path.name} begins with none of {', '.join(LEARNED)}")
        for line in filter(str.strip, path.read_text("utf-8").splitlines()):
            text = json.loads(line)["text"]
            if not isinstance(text, str):
                raise TypeError(f"a text in {path.name} is no string")
            found.append((text, label))
    return found


def _sets_digest(directory: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(directory.glob("*.jsonl")):
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
