"""Training: texts of the grammar, one multinomial and one binary logistic regression over hashed features."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from detectors.injection.lexicon import Lexicon
from detectors.injection.training.grammar import Grammar
from detectors.intent.features import SIZE, features_of
from detectors.intent.model import shortened
from detectors.intent.stored import LEARNED, Weights

SEED: Final = 20_261_123
COUNT: Final = 2_500
"""Texts of each class."""
_HARDNESS: Final = {"easy": 0.0, "medium": 0.5, "hard": 1.0}
_TYPED: Final = 0.3
FEWEST: Final = 6
"""Examples in which a feature must stand to have a weight: what is rarer is chance."""


class Example(NamedTuple):
    """One request. ``family`` is ``<class>_<easy|medium|hard>_<name>`` as in the grammar."""

    text: str
    family: str

    @property
    def label(self) -> str:
        """One of ``LEARNED``."""
        return self.family.split("_")[0]

    @property
    def hardness(self) -> float:
        """0, 0.5 or 1."""
        return _HARDNESS[self.family.split("_")[1]]


def shipped_grammar(quarters: Collection[int] = range(4)) -> Grammar:
    """The grammar beside this module. ``quarters``: of each family the templates whose number modulo 4 is among these;
    the others are not there."""
    paths = sorted((Path(__file__).parent / "grammar").glob("*.txt"))
    return Grammar((path.name, _part(path.read_text("utf-8"), quarters)) for path in paths)


def _part(text: str, quarters: Collection[int]) -> str:
    kept: list[str] = []
    number, in_family = 0, False
    for line in text.splitlines():
        if line.startswith(":"):
            number, in_family = 0, line.startswith(":benign")
        elif in_family and line.strip() and not line.startswith("#"):
            number += 1
            if number % 4 not in quarters:
                continue
        kept.append(line)
    return "\n".join(kept)


def examples(grammar: Grammar, count: int, seed: int) -> Iterator[Example]:
    """``count`` requests of each class by the weights of their families; a part of them typed without care."""
    source = random.Random(seed)  # noqa: S311 - reproducible on purpose
    for label in LEARNED:
        families = [f for f in grammar.families.values() if f.name.split("_")[0] == label and f.templates]
        for family in source.choices(families, [family.weight for family in families], k=count):
            yield Example(_typed(grammar.text(family.name, source), source), family.name)


def _typed(text: str, source: random.Random) -> str:
    if source.random() >= _TYPED:
        return text
    return source.choice((text.lower(), text.rstrip(".?!"), text.lower().rstrip(".?!"), text.replace(",", "")))


def train(made: Sequence[Example], lexicon: Lexicon) -> Weights:
    """Weights. The same examples give the same bits on one machine with one thread."""
    with threadpool_limits(1):
        matrix = _matrix([features_of(shortened(example.text), lexicon) for example in made])
        rare = np.bincount(matrix.indices, minlength=SIZE) < FEWEST
        matrix.data[rare[matrix.indices]] = 0.0
        matrix.eliminate_zeros()
        labels = np.array([LEARNED.index(example.label) for example in made])
        of_class = LogisticRegression(C=10.0, max_iter=200, tol=1e-4).fit(matrix, labels)
        # What is of medium hardness is half an easy example and half a hard one.
        both = vstack([matrix, matrix]).tocsr()
        targets = np.repeat([0, 1], len(made))
        hardness = np.array([example.hardness for example in made])
        shares = np.concatenate([1.0 - hardness, hardness])
        of_hardness = LogisticRegression(C=5.0, max_iter=200, tol=1e-4).fit(both, targets, sample_weight=shares)
    return Weights(
        np.vstack([of_class.coef_.T, of_class.intercept_]).astype(np.float32),
        np.append(of_hardness.coef_[0], of_hardness.intercept_[0]).astype(np.float32),
    )


def _matrix(rows: Sequence[npt.NDArray[np.intp]]) -> csr_matrix:
    values = np.concatenate([np.full(len(row), 1.0 / np.sqrt(max(len(row), 1)), np.float32) for row in rows])
    ends = np.cumsum([0, *map(len, rows)])
    return csr_matrix((values, np.concatenate(rows), ends), shape=(len(rows), SIZE))
