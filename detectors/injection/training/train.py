"""Training: the grammar's texts, a logistic regression over hashed features, a second one over its sums."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from detectors.injection.features import SIZE
from detectors.injection.lexicon import Lexicon
from detectors.injection.model import STAGE_TWO, LinearModel
from detectors.injection.stored import rounded
from detectors.injection.tokens import lowered, words_of
from detectors.injection.training.corpus import Example, examples
from detectors.injection.training.grammar import Grammar
from guard.types import Segment

SEED: Final = 20_261_123
PRIOR: Final = 1 / 120
"""How often a text is taken to be an attack, where half of the training's texts are: what a score of 0.5 means."""
COUNT: Final = 32_000
"""Texts of each label for the first stage; a quarter of it for the second."""


def train(
    grammar: Grammar, lexicon: Lexicon, *, count: int = COUNT, seed: int = SEED, inverse_penalty: float = 2.0
) -> LinearModel:
    """A model. The same arguments give the same bits on one machine with one thread."""
    # One thread: the same sums in the same order.
    with threadpool_limits(1):
        return _trained(grammar, lexicon, count, seed, inverse_penalty)


def _trained(grammar: Grammar, lexicon: Lexicon, count: int, seed: int, inverse_penalty: float) -> LinearModel:
    first = _texts(examples(grammar, count, seed))
    empty = LinearModel(np.zeros(SIZE, np.float32), 0.0, np.zeros(len(STAGE_TWO) + 1), lexicon)
    labels = np.array([label for _, label in first])
    regression = LogisticRegression(C=inverse_penalty, solver="lbfgs", max_iter=200, tol=1e-4)
    regression.fit(_matrix(empty, [words for words, _ in first]), labels)
    weights = regression.coef_[0].astype(np.float32)
    bare = rounded(LinearModel(weights, float(regression.intercept_[0]), np.zeros(len(STAGE_TWO) + 1), lexicon))
    second = _texts(examples(grammar, count // 4, seed + 1))
    numbers = np.array([bare.weigh(words).stage_two for words, _ in second])
    final = LogisticRegression(C=10.0, max_iter=1000).fit(numbers, np.array([label for _, label in second]))
    stage_two = np.append(final.coef_[0], final.intercept_[0] + np.log(PRIOR / (1 - PRIOR)))
    return LinearModel(bare.weights, bare.bias, stage_two, lexicon)


def _texts(made: Iterable[Example]) -> list[tuple[list[str], int]]:
    """Words and label, shuffled by a fixed seed; what has no word is left out."""
    rows = [
        (words_of(lowered(Segment.of(example.text).folded.text)), int(example.label == "attack")) for example in made
    ]
    rows = [row for row in rows if row[0]]
    random.Random(1).shuffle(rows)  # noqa: S311 - reproducible on purpose
    return rows


def _matrix(model: LinearModel, texts: Sequence[list[str]]) -> csr_matrix:
    indices: list[npt.NDArray[np.intp]] = []
    values: list[npt.NDArray[np.float32]] = []
    ends = [0]
    for words in texts:
        index = model.features(words).indices
        indices.append(index)
        values.append(np.full(len(index), 1.0 / np.sqrt(len(index)), np.float32))
        ends.append(ends[-1] + len(index))
    matrix = csr_matrix((np.concatenate(values), np.concatenate(indices), np.array(ends)), shape=(len(texts), SIZE))
    matrix.sum_duplicates()
    return matrix
