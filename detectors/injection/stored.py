"""The model as a file. Its weights are kept in 255 steps each: the scores move by less than a thousandth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.common import artefact
from detectors.injection.features import SIZE
from detectors.injection.lexicon import Lexicon
from detectors.injection.model import STAGE_TWO, LinearModel
from guard.errors import ConfigError

KIND: Final = "injection 1"
_STEPS: Final = 127.0


class Stored(NamedTuple):
    """A model that was loaded. ``digest``: SHA-256 of its file, in hex."""

    model: LinearModel
    digest: str
    card: Mapping[str, Any]


def rounded(model: LinearModel) -> LinearModel:
    """The model as it will be loaded again."""
    return _unpacked(_packed(model), model.lexicon)


def save(path: Path, model: LinearModel, card: Mapping[str, Any]) -> str:
    """Writes the model and its card. Returns the digest. Raises ``OSError``."""
    return artefact.write(path, KIND, _packed(model), {**card, "lexicon_sha256": model.lexicon.digest})


def load(path: Path, lexicon: Lexicon) -> Stored:
    """The model in a file. Raises ``ConfigError`` if it is damaged or was trained with another lexicon."""
    found = artefact.read(path, KIND)
    if found.card.get("lexicon_sha256") != lexicon.digest:
        raise ConfigError(
            "the model was trained with another lexicon", where=str(path), mend="train it again: guard model train"
        )
    try:
        return Stored(_unpacked(found.arrays, lexicon), found.digest, found.card)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the model does not fit: {error}", where=str(path), mend="train it again: guard model train"
        ) from error


def _packed(model: LinearModel) -> artefact.Arrays:
    # Square roots give small weights finer steps.
    roots = np.sign(model.weights) * np.sqrt(np.abs(model.weights))
    scale = float(np.abs(roots).max()) / _STEPS or 1.0
    return {
        "roots": np.round(roots / scale).astype(np.int8),
        "scale": np.array([scale, model.bias]),
        "stage_two": model.stage_two,
    }


def _unpacked(arrays: artefact.Arrays, lexicon: Lexicon) -> LinearModel:
    scale, bias = (float(value) for value in arrays["scale"])
    roots = arrays["roots"].astype(np.float64) * scale
    if roots.shape != (SIZE,) or arrays["stage_two"].shape != (len(STAGE_TWO) + 1,):
        raise ValueError("its arrays have other shapes")
    weights = (np.sign(roots) * roots**2).astype(np.float32)
    return LinearModel(weights, bias, arrays["stage_two"].astype(np.float64), lexicon)
