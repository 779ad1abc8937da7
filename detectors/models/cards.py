"""A model's card written anew, with figures that were measured since. The arrays stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors.common import artefact
from guard.errors import ConfigError


def keep(file: Path, group: str, metrics: Mapping[str, Any], *, signing_key: Path | None) -> None:
    """Write a group of metrics into the card of a model's file. Raises ``ConfigError``, ``OSError``, ``KeyInvalid``."""
    found = artefact.read_any(file)
    known = found.card.get("metrics", {})
    if not isinstance(known, Mapping):
        raise ConfigError("the metrics in the card are none", where=str(file), mend="train the model again")
    card = {**found.card, "metrics": {**known, group: dict(metrics)}}
    artefact.write(file, str(found.card["kind"]), found.arrays, card, signing_key=signing_key)
