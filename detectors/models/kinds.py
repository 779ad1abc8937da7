"""The kinds of model that a guard loads: their names, where they are named, and how each is tried before it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from detectors.anomaly import second
from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import KIND as FOREST
from detectors.anomaly.forest import load as load_forest
from detectors.anomaly.model import UNAIDED
from detectors.anomaly.watch import EDGES as BEHAVIOUR_EDGES
from detectors.anomaly.watch import SECOND_EDGES
from detectors.injection import watch as injection_watch
from detectors.injection.lexicon import Lexicon
from detectors.injection.sources import shipped_file as shipped_injection
from detectors.injection.stored import KIND as INJECTION
from detectors.injection.stored import load as load_injection
from detectors.intent.model import shipped_lexicon
from detectors.intent.stored import KIND as INTENT
from detectors.intent.stored import LEARNED
from detectors.intent.stored import load as load_intent
from detectors.intent.stored import shipped_file as shipped_intent
from detectors.intent.watch import histograms as intent_histograms
from guard.errors import ConfigError


class Kind(NamedTuple):
    """``name``: of the detector, which counts under it. ``card``: the kind in its card. ``option``: that which names
    its file. ``edges``: the bins of its scores in 0..1. ``without``: the digest under which it counts if it has no
    file. ``classes``: what it tells apart, for one that flags nothing. ``second``: the bins of a second score."""

    name: str
    card: str
    option: str
    shipped: Path
    load: Callable[[Path, Path | None], object]
    edges: tuple[float, ...]
    without: str = ""
    classes: tuple[str, ...] = ()
    second: tuple[float, ...] = ()

    @property
    def flags(self) -> bool:
        """Whether there is a score from which something is flagged."""
        return not self.classes


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "injection",
            INJECTION,
            "model",
            shipped_injection(),
            lambda file, lexicon: load_injection(file, Lexicon.read(lexicon) if lexicon else Lexicon.shipped()),
            injection_watch.edges(),
        ),
        Kind(
            "behaviour",
            FOREST,
            "forest",
            second.SHIPPED,
            lambda file, _: load_forest(file, NAMES),
            BEHAVIOUR_EDGES,
            without=UNAIDED,
            second=SECOND_EDGES,
        ),
        Kind(
            "intent",
            INTENT,
            "model",
            shipped_intent(),
            lambda file, _: load_intent(file, shipped_lexicon()),
            intent_histograms()["score"].edges,
            classes=LEARNED,
        ),
    )
}


def kind_of(card: str, file: Path) -> Kind:
    """The kind of a model whose card names it. Raises ``ConfigError`` for one that no detector of ours loads."""
    for kind in KINDS.values():
        if kind.card == card:
            return kind
    raise ConfigError(
        f"no detector of ours loads models of kind {card!r}",
        where=str(file),
        mend="name a file that guard model train made",
    )
