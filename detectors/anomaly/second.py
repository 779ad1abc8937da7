"""The second opinion: an isolation forest on the z of all features together. It lifts no score; it stands beside it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detectors.anomaly.features import NAMES
from detectors.anomaly.options import NAME, BehaviourOptions
from detectors.models.directory import resolved
from guard.errors import ConfigError, DetectorMissing

if TYPE_CHECKING:
    from detectors.anomaly.forest import FlatForest

SHIPPED: Final = Path(__file__).with_name("forest.npz")
MOST_Z: Final = 12.0


class SecondOpinion:
    """A loaded forest, with its digest and version."""

    def __init__(self, forest: FlatForest, digest: str, version: str) -> None:
        self._forest = forest
        self.digest = digest
        self.version = version

    @classmethod
    def of(cls, options: BehaviourOptions) -> SecondOpinion | None:
        """What the options ask for; ``None`` for no second opinion. Raises ``ConfigError`` for a file that cannot be
        read or is not signed as asked, and ``DetectorMissing`` where numpy is asked for and is not there."""
        if options.forest_key and not options.forest:
            raise ConfigError(
                "forest_key has nothing to check: the shipped forest is part of the package, and no other is named",
                where=f"detectors.options.{NAME}.forest_key",
                mend="name a forest, or take forest_key out",
            )
        if options.second_opinion == "off":
            return None
        if importlib.util.find_spec("numpy") is None:
            if options.second_opinion == "auto" and not options.forest:
                return None
            raise DetectorMissing(
                "the second opinion needs numpy",
                where=f"detectors.options.{NAME}.second_opinion",
                mend="pip install 'policy-guard[ml]', or set it to \"off\"",
            )
        from detectors.anomaly.forest import load  # numpy is no dependency of the light core

        path = resolved(Path(options.forest)) if options.forest else SHIPPED
        stored = load(path, NAMES, model_key=Path(options.forest_key) if options.forest_key else None)
        return cls(stored.forest, stored.digest, stored.version)

    def score(self, zs: Sequence[tuple[int, float]]) -> float:
        """0..1 for the z of some features; those that are missing are as expected."""
        row = [0.0] * len(NAMES)
        for at, z in zs:
            row[at] = one_sided(z)
        return self._forest.score(row)


def one_sided(z: float) -> float:
    """What is below expectation is as expected; what is far above is far above."""
    return min(max(z, 0.0), MOST_Z)
