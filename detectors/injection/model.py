"""The linear model: weights of hashed features, and the second stage that turns sums into a probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.injection.features import SIZE, Features, features_of
from detectors.injection.lexicon import Lexicon
from detectors.injection.tokens import hashed

WINDOWS: Final = (16, 48)
"""Words of the windows whose best sums the second stage sees: a short attack in a long text fills one."""
PASSAGES: Final = (12, 24, 64)
"""Words of passages: an attack in a long document is judged as if nothing stood around it."""
LONG: Final = 1_000
"""Features of a long text, some 130 words."""
STAGE_TWO: Final = ("document", "best of 16 words", "best of 48 words", "length", "repetition")


class Weighed(NamedTuple):
    """A text in numbers: what the second stage sees, and the weight that stands at each word."""

    stage_two: npt.NDArray[np.float64]
    at_words: npt.NDArray[np.float64]
    passage: float
    """The log-odds of the heaviest passage of a long text, as if it stood alone; minus infinity for a short text."""

    def heaviest(self) -> tuple[int, int]:
        """The window of at most 48 words that weighs most, cut down to its first and last word of positive weight."""
        n = len(self.at_words)
        size = min(WINDOWS[-1], n)
        sums = np.concatenate(([0.0], np.cumsum(self.at_words)))
        start = int((sums[size:] - sums[:-size]).argmax())
        positive = np.flatnonzero(self.at_words[start : start + size] > 0)
        return (start, start + size - 1) if not len(positive) else (start + int(positive[0]), start + int(positive[-1]))


class LinearModel:
    """Immutable, safe for several threads."""

    def __init__(
        self,
        weights: npt.NDArray[np.float32],
        bias: float,
        stage_two: npt.NDArray[np.float64],
        lexicon: Lexicon,
    ) -> None:
        """``weights``: ``SIZE`` of them. ``stage_two``: one coefficient for each of ``STAGE_TWO``, then the bias."""
        if weights.shape != (SIZE,) or stage_two.shape != (len(STAGE_TWO) + 1,):
            raise ValueError(f"weights of {weights.shape} and {stage_two.shape}")
        self.weights = weights
        self.bias = bias
        self.stage_two = stage_two
        self.lexicon = lexicon

    def features(self, words: list[str]) -> Features:
        """The features of a text of at least one word."""
        return features_of(words, hashed(words), self.lexicon)

    def weigh(self, words: list[str], features: Features | None = None) -> Weighed:
        """The numbers of a text of at least one word. ``features``: those of ``words``, if they are at hand."""
        features = self.features(words) if features is None else features
        values = self.weights[features.indices]
        n = len(words)
        at_words = np.bincount(features.at, values, n).astype(np.float64, copy=False)
        sums = np.zeros(n + 1)
        np.cumsum(at_words, out=sums[1:])
        per_word = len(values) / n
        # Past a length the sum of a text is no longer taken to grow: what is a little unusual in each of many words is
        # no attack.
        length = max(1.0, len(values) / LONG)
        document = values.sum(dtype=np.float64) / math.sqrt(len(values) * length) + self.bias
        numbers = self._numbers(document, sums, words, per_word)
        passages = [self._passage(sums, words, per_word, size) for size in PASSAGES if n >= 2 * size]
        return Weighed(numbers, at_words, max(passages, default=-math.inf))

    def probability(self, weighed: Weighed, shift: float = 0.0) -> float:
        """0..1, of the whole text or of its heaviest passage. ``shift`` is added to the log-odds."""
        logit = max(self._logit(weighed.stage_two), weighed.passage) + shift
        return 1.0 / (1.0 + math.exp(-max(min(logit, 60.0), -60.0)))

    def _passage(self, sums: npt.NDArray[np.float64], words: Sequence[str], per_word: float, size: int) -> float:
        """The log-odds of the heaviest passage of ``size`` words. The heaviest of many is heavy by chance, too: the
        odds are shared out among them."""
        start = int((sums[size:] - sums[:-size]).argmax())
        within = sums[start : start + size + 1]
        document = float(within[-1] - within[0]) / math.sqrt(size * per_word) + self.bias
        numbers = self._numbers(document, within, words[start : start + size], per_word)
        return self._logit(numbers) - math.log(len(PASSAGES) * len(words) / size)

    def _logit(self, numbers: npt.NDArray[np.float64]) -> float:
        return float(numbers @ self.stage_two[:-1] + self.stage_two[-1])

    def _numbers(
        self, document: float, sums: npt.NDArray[np.float64], words: Sequence[str], per_word: float
    ) -> npt.NDArray[np.float64]:
        n = len(words)
        best = [_best(sums, min(size, n)) / math.sqrt(min(size, n) * per_word) for size in WINDOWS]
        return np.array([document, *best, math.log1p(n), 1.0 - len(set(words)) / n])


def _best(sums: npt.NDArray[np.float64], size: int) -> float:
    return float((sums[size:] - sums[:-size]).max())
