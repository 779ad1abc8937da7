"""The intent model as a file. Its weights are kept in 255 steps each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.common import artefact
from detectors.injection.lexicon import Lexicon
from detectors.intent.features import SIZE
from detectors.models.directory import VERSION, resolved
from guard.errors import ConfigError

NAME: Final = "intent"
KIND: Final = "intent 1"
LEARNED: Final = ("chat", "code", "extract", "maths", "summarise", "translate")
"""The classes that are told by words."""
_STEPS: Final = 127.0
_TRAIN: Final = "train it again: guard model train intent"


class Weights(NamedTuple):
    """``classes``: SIZE rows and a bias row below them, one column for each of ``LEARNED``; ``hard``: the same for the
    log-odds of a hard task."""

    classes: npt.NDArray[np.float32]
    hard: npt.NDArray[np.float32]

    def judged(self, indices: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float64], float]:
        """Probabilities of the classes, and of the task being hard."""
        scale = 1.0 / math.sqrt(max(len(indices), 1))
        logits = self.classes[indices].sum(axis=0, dtype=np.float64) * scale + self.classes[-1]
        odds = np.exp(logits - logits.max())
        hard = float(self.hard[indices].sum(dtype=np.float64)) * scale + float(self.hard[-1])
        return odds / odds.sum(), 1.0 / (1.0 + math.exp(-max(min(hard, 60.0), -60.0)))


class Stored(NamedTuple):
    """A model that was loaded. ``digest``: SHA-256 of its file, in hex. ``version``: as its card calls it, else the
    beginning of the digest."""

    weights: Weights
    digest: str
    card: Mapping[str, Any]
    version: str


def shipped_file() -> Path:
    """The model that is part of this installation."""
    return Path(str(files("detectors.intent").joinpath("model.npz")))


def chosen_of(model: str | None, model_key: str | None, lexicon: Lexicon) -> Stored:
    """The model that the options name: a file, the current version of a directory, or the shipped one. Raises
    ``ConfigError``, ``KeyInvalid``."""
    if model is None and model_key is not None:
        raise ConfigError(
            "model_key has nothing to check: the shipped model is part of the package, and no other is named",
            where=f"detectors.options.{NAME}.model_key",
            mend="name a model, or take model_key out",
        )
    path = shipped_file() if model is None else resolved(Path(model))
    return load(path, lexicon, model_key=None if model_key is None else Path(model_key))


def save(
    path: Path, weights: Weights, lexicon: Lexicon, card: Mapping[str, Any], *, signing_key: Path | None = None
) -> str:
    """Writes the model, its card, and a signature if a key is given. Returns the digest. Raises ``OSError``,
    ``KeyInvalid``."""
    whole = {**card, "lexicon_sha256": lexicon.digest}
    return artefact.write(path, KIND, _packed(weights), whole, signing_key=signing_key)


def digest_of(weights: Weights) -> str:
    """The digest that the model's file has, or would have."""
    return hashlib.sha256(artefact.packed(_packed(weights))).hexdigest()


def rounded(weights: Weights) -> Weights:
    """The weights as they will be loaded again."""
    return _unpacked(_packed(weights))


def load(path: Path, lexicon: Lexicon, *, model_key: Path | None = None) -> Stored:
    """The model in a file. Raises ``ConfigError`` if it is damaged, was trained with another lexicon, or is not signed
    by ``model_key`` where one is given; ``KeyInvalid``."""
    found = artefact.read(path, KIND, model_key=model_key)
    if found.card.get("lexicon_sha256") != lexicon.digest:
        raise ConfigError("the model was trained with another lexicon", where=str(path), mend=_TRAIN)
    version = found.card.get("version", found.digest[:12])
    try:
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise ValueError("its version is no word of at most 32 letters, digits, dots and dashes")
        return Stored(_unpacked(found.arrays), found.digest, found.card, version)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"the model does not fit: {said}", where=str(path), mend=_TRAIN) from None


def _packed(weights: Weights) -> artefact.Arrays:
    """The rows that are not zero, in 255 steps for each column."""
    matrix = np.column_stack([weights.classes, weights.hard])
    scale = np.abs(matrix).max(axis=0) / _STEPS
    steps = np.round(matrix / np.where(scale == 0, 1, scale)).astype(np.int8)
    rows = np.flatnonzero(steps.any(axis=1))
    return {"rows": rows.astype(np.uint32), "steps": steps[rows], "scale": scale.astype(np.float32)}


def _unpacked(arrays: artefact.Arrays) -> Weights:
    matrix = np.zeros((SIZE + 1, len(LEARNED) + 1), np.float32)
    matrix[arrays["rows"]] = arrays["steps"].astype(np.float32) * arrays["scale"]
    return Weights(np.ascontiguousarray(matrix[:, :-1]), matrix[:, -1].copy())
