"""The model as a file. Its weights are kept in 255 steps each: the scores move by less than a thousandth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.common import artefact
from detectors.injection.features import SIZE
from detectors.injection.lexicon import Lexicon
from detectors.injection.model import STAGE_TWO, LinearModel
from detectors.models.directory import VERSION
from guard.errors import ConfigError

KIND: Final = "injection 1"
_STEPS: Final = 127.0


class Stored(NamedTuple):
    """A model that was loaded. ``digest``: SHA-256 of its file, in hex. ``version``: as its card calls it, else the
    beginning of the digest. ``signed``: a signature was checked and is right."""

    model: LinearModel
    digest: str
    card: Mapping[str, Any]
    version: str
    signed: bool = False


def rounded(model: LinearModel) -> LinearModel:
    """The model as it will be loaded again."""
    return _unpacked(_packed(model), model.lexicon)


def save(path: Path, model: LinearModel, card: Mapping[str, Any], *, signing_key: Path | None = None) -> str:
    """Writes the model and its card, and signs it if a key is given. Returns the digest. Raises ``OSError``,
    ``KeyInvalid``."""
    whole = {**card, "lexicon_sha256": model.lexicon.digest}
    return artefact.write(path, KIND, _packed(model), whole, signing_key=signing_key)


def digest_of(model: LinearModel) -> str:
    """The digest that the model's file has, or would have."""
    return hashlib.sha256(artefact.packed(_packed(model))).hexdigest()


def load(path: Path, lexicon: Lexicon, *, model_key: Path | None = None) -> Stored:
    """The model in a file. Raises ``ConfigError`` if it is damaged, was trained with another lexicon, or is not signed
    by ``model_key`` where one is given; ``KeyInvalid``."""
    found = artefact.read(path, KIND, model_key=model_key)
    if found.card.get("lexicon_sha256") != lexicon.digest:
        raise ConfigError(
            "the model was trained with another lexicon", where=str(path), mend="train it again: guard model train"
        )
    version = found.card.get("version", found.digest[:12])
    try:
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise ValueError("its version is no word of at most 32 letters, digits, dots and dashes")
        return Stored(_unpacked(found.arrays, lexicon), found.digest, found.card, version, found.signed)
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
    if not (np.isfinite(arrays["scale"]).all() and np.isfinite(arrays["stage_two"]).all()):
        raise ValueError("a weight in it is not finite")
    weights = (np.sign(roots) * roots**2).astype(np.float32)
    return LinearModel(weights, bias, arrays["stage_two"].astype(np.float64), lexicon)
