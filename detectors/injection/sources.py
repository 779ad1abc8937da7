"""Where the models come from: the shipped file, a file, or a directory of versions; signed, where a key says so."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final, Protocol

from detectors.injection.lexicon import Lexicon
from detectors.injection.stored import Stored, load
from detectors.injection.watch import SPAN, edges, histograms
from detectors.models.directory import resolved
from detectors.models.histogram import Histogram
from detectors.models.watch import Watch, reference_of
from guard.errors import ConfigError

_WHERE: Final = "detectors.options.injection"


class Chosen(Protocol):
    """The options that name models."""

    @property
    def model(self) -> str | None:
        """A file or a directory; ``None``: the shipped one."""
        ...

    @property
    def model_key(self) -> str | None:
        """A public key in PEM."""
        ...

    @property
    def shadow(self) -> str | None:
        """A file or a directory."""
        ...


def shipped_file() -> Path:
    """The model that is part of this installation."""
    return Path(str(files("detectors.injection").joinpath("model.npz")))


def models_of(chosen: Chosen, lexicon: Lexicon) -> tuple[Stored, Stored | None]:
    """The live model, and the candidate beside it if there is one. Raises ``ConfigError``, ``KeyInvalid``."""
    if chosen.model_key is not None and chosen.model is None and chosen.shadow is None:
        raise ConfigError(
            "model_key has nothing to check: the shipped model is part of the package, and no other is named",
            where=f"{_WHERE}.model_key",
            mend="name a model or a shadow, or take model_key out",
        )
    key = None if chosen.model_key is None else Path(chosen.model_key)
    live = _named(chosen.model, lexicon, key) if chosen.model else load(shipped_file(), lexicon)
    candidate = _named(chosen.shadow, lexicon, key) if chosen.shadow else None
    return live, candidate


def watch_of(live: Stored, candidate: Stored | None, threshold: float) -> Watch:
    """What counts the judgements of these models; ``threshold`` flags. Raises ``ConfigError`` for a reference that is
    damaged."""
    try:
        reference: dict[str, Histogram] = reference_of(live.card)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"the reference in the model's card is damaged: {error}",
            where=_WHERE,
            mend="train it again: guard model train injection",
        ) from error
    return Watch(
        "injection",
        live.digest,
        histograms=histograms(),
        reference=reference,
        span=SPAN,
        candidate="" if candidate is None else candidate.digest,
        edges=edges(),
        threshold=threshold,
    )


def _named(name: str, lexicon: Lexicon, key: Path | None) -> Stored:
    return load(resolved(Path(name)), lexicon, model_key=key)
