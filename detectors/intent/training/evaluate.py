"""How well an intent model tells requests apart: a table of what was meant and what was told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.injection.lexicon import Lexicon
from detectors.intent.features import features_of
from detectors.intent.model import shortened
from detectors.intent.stored import LEARNED, Weights


class Quality(NamedTuple):
    """``confusion[i][j]``: requests of class ``LEARNED[i]`` that were told as ``LEARNED[j]``. ``accuracy`` lies in
    0..1."""

    confusion: npt.NDArray[np.int_]

    @property
    def accuracy(self) -> float:
        """The share on the diagonal."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> dict[str, float]:
        """The share of each class that was told as what it is; only of those that are there."""
        rows = zip(LEARNED, self.confusion, range(len(LEARNED)), strict=True)
        return {label: float(row[at] / row.sum()) for label, row, at in rows if row.sum()}

    @property
    def recall_macro(self) -> float:
        """Their mean."""
        return sum(self.recall.values()) / len(self.recall)


def evaluate(weights: Weights, lexicon: Lexicon, labelled: Iterable[tuple[str, str]]) -> Quality:
    """``labelled``: text and class."""
    confusion = np.zeros((len(LEARNED), len(LEARNED)), np.int_)
    for text, label in labelled:
        chances, _ = weights.judged(features_of(shortened(text), lexicon))
        confusion[LEARNED.index(label), int(chances.argmax())] += 1
    return Quality(confusion)


def table(quality: Quality) -> str:
    """The confusion in Markdown."""
    lines = ["| meant | " + " | ".join(LEARNED) + " |", "|---" * (len(LEARNED) + 1) + "|"]
    for label, row in zip(LEARNED, quality.confusion, strict=True):
        lines.append(f"| {label} | " + " | ".join(str(count) for count in row) + " |")
    return "\n".join(lines)
