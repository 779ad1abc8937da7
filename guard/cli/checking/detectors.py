"""Detectors, each tried alone, so that one that does not load hides no other."""

from __future__ import annotations

from collections.abc import Iterator

from guard.cli.checking.keys import CODE
from guard.config import GuardConfig
from guard.errors import GuardError
from guard.policy.remarks import Remark
from guard.runtime import load_detectors
from guard.types import Detector


def each_detector(config: GuardConfig) -> Iterator[tuple[str, Detector | Exception]]:
    """Every detector that the configuration enables, or why it does not load."""
    for name in config.detectors.enabled:
        alone = config.detectors.model_copy(update={"enabled": (name,), "behaviour": None})
        try:
            (loaded,) = load_detectors(config.model_copy(update={"detectors": alone}))
            yield name, loaded
        except Exception as error:  # noqa: BLE001 - what a constructor raises is what is to be told
            yield name, error


def unloadable(name: str, error: Exception) -> Remark:
    """A detector that is missing, or does not take its options."""
    if isinstance(error, GuardError):
        return Remark("error", error.code, error.what, error.where, error.mend)
    # The message of an error that is not ours may quote an option, and that may be a secret; a TypeError names options.
    said = f": {error}" if isinstance(error, TypeError) else ""
    what = f"{name!r} does not take its options: {type(error).__name__}{said}"
    return Remark("error", CODE, what, f"detectors.options.{name}", "see docs/detectors.md")
