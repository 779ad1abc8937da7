"""The kinds of model that a guard loads, and how each is tried before it is promoted."""

from __future__ import annotations

from pathlib import Path

from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import KIND as FOREST
from detectors.anomaly.forest import load as load_forest
from detectors.injection.lexicon import Lexicon
from detectors.injection.stored import KIND as INJECTION
from detectors.injection.stored import load as load_injection
from guard.errors import ConfigError


def check_loads(file: Path, kind: str, lexicon: Path | None) -> None:
    """Load a model as a guard would. Raises ``ConfigError`` for one that does not load, or of an unknown kind."""
    if kind == INJECTION:
        load_injection(file, Lexicon.read(lexicon) if lexicon else Lexicon.shipped())
    elif kind == FOREST:
        load_forest(file, NAMES)
    else:
        raise ConfigError(
            f"no detector of ours loads models of kind {kind!r}",
            where=str(file),
            mend="name a file that guard model train made",
        )
