"""``IntentClassifier``: rules over facts, and multinomial logistic regression over the words of the last message."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.common import artefact
from detectors.common.options import Rebuilt, digest, parse_options
from detectors.injection.lexicon import Lexicon
from detectors.intent.features import SIZE, features_of
from guard.errors import ConfigError
from guard.types import DetectorInfo, Facts, Intent, Segment

NAME: Final = "intent"
VERSION: Final = "1"
KIND: Final = "intent 1"
LEARNED: Final = ("chat", "code", "extract", "maths", "summarise", "translate")
TOOL_USE: Final = "tool_use"
LONG_CONTEXT: Final = "long_context"
HEAD: Final = 700
TAIL: Final = 300
"""Characters of the beginning and the end of a message that are read: the time does not depend on its length."""
_MOST_SEGMENTS: Final = 8
_STEPS: Final = 127.0


class IntentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.intent]``. Everything has a default."""

    tool_use: bool = True
    """Whether a request that offers tools is ``tool_use``, whatever it says."""
    long_context_tokens: Annotated[int, msgspec.Meta(ge=1)] = 16_000
    """Estimated tokens of a body from which a request is ``long_context``."""
    model: str | None = None
    """A file that ``python -m detectors.intent.training`` made; the shipped one if left out."""


class Weights(NamedTuple):
    """``classes``: SIZE rows and a bias row below them, one column for each of ``LEARNED``; ``hard``: the same for the
    log-odds of a hard task."""

    classes: npt.NDArray[np.float32]
    hard: npt.NDArray[np.float32]

    def judged(self, indices: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float64], float]:
        """Probabilities of the classes, and of the task being hard."""
        scale = 1.0 / math.sqrt(max(len(indices), 1))
        logits = self.classes[indices].sum(axis=0, dtype=np.float64) * scale + self.classes[-1]
        odds = np.exp(logits - logits.max())
        hard = float(self.hard[indices].sum(dtype=np.float64)) * scale + float(self.hard[-1])
        return odds / odds.sum(), 1.0 / (1.0 + math.exp(-max(min(hard, 60.0), -60.0)))


class IntentClassifier(Rebuilt):
    """What a request asks for: ``tool_use`` and ``long_context`` by its facts; else one of ``LEARNED`` by its words.

    Options: ``IntentOptions``. Raises ``guard.errors.ConfigError`` for an unknown or invalid option or model. No text
    is remembered. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._given = options
        chosen = parse_options(IntentOptions, options, NAME)
        self._options = chosen
        self._lexicon = shipped_lexicon()
        path = Path(chosen.model) if chosen.model else Path(str(files("detectors.intent").joinpath("model.npz")))
        self._weights, of_model = load(path, self._lexicon)
        self._info = DetectorInfo(
            NAME, VERSION, digest(NAME, VERSION, of_model, chosen.tool_use, chosen.long_context_tokens)
        )

    @property
    def info(self) -> DetectorInfo:
        """Name, version, and the digest of model and options."""
        return self._info

    def classify(self, segments: Sequence[Segment], facts: Facts) -> Intent | None:
        """The intent of a request; ``None`` if it is no call of a model, or holds no words of a user."""
        if facts.operation is None:
            return None
        read = self._read(task_of(segments))
        if facts.tools and self._options.tool_use:
            return Intent(TOOL_USE, 1.0, read.difficulty if read else 0.0)
        if facts.tokens_estimate >= self._options.long_context_tokens:
            return Intent(LONG_CONTEXT, 1.0, read.difficulty if read else 0.0)
        return read

    def classify_text(self, text: str) -> Intent | None:
        """The learned intent of one message; ``None`` if it holds no word."""
        return self._read(shortened(text))

    def _read(self, task: str) -> Intent | None:
        if not any(map(str.isalnum, task)):
            return None
        chances, hard = self._weights.judged(features_of(task, self._lexicon))
        best = int(chances.argmax())
        return Intent(LEARNED[best], float(chances[best]), hard)


def task_of(segments: Sequence[Segment]) -> str:
    """The last message of the user, shortened; of one in several parts the last eight."""
    last: list[str] = []
    message = None
    for segment in reversed(segments):
        if segment.provenance != "user":
            continue
        of = segment.pointer.split("/", 3)[:3]
        if message is None:
            message = of
        if of != message or len(last) == _MOST_SEGMENTS:
            break
        last.append(shortened(segment.text))
    return shortened("\n".join(reversed(last)))


def shortened(text: str) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def shipped_lexicon() -> Lexicon:
    """The lexicon that the shipped model was trained with."""
    return Lexicon(files("detectors.intent").joinpath("lexicon.txt").read_text("utf-8"))


def save(path: Path, weights: Weights, lexicon: Lexicon, card: Mapping[str, Any]) -> str:
    """Writes the model, the rows that are not zero in 255 steps for each column, and its card. Returns the digest.
    Raises ``OSError``."""
    matrix = np.column_stack([weights.classes, weights.hard])
    scale = np.abs(matrix).max(axis=0) / _STEPS
    steps = np.round(matrix / np.where(scale == 0, 1, scale)).astype(np.int8)
    rows = np.flatnonzero(steps.any(axis=1))
    arrays = {"rows": rows.astype(np.uint32), "steps": steps[rows], "scale": scale.astype(np.float32)}
    return artefact.write(path, KIND, arrays, {**card, "lexicon_sha256": lexicon.digest})


def load(path: Path, lexicon: Lexicon) -> tuple[Weights, str]:
    """A model and its digest. Raises ``ConfigError`` if it is damaged, or was trained with another lexicon."""
    found = artefact.read(path, KIND)
    if found.card.get("lexicon_sha256") != lexicon.digest:
        raise ConfigError(
            "the model was trained with another lexicon", where=str(path), mend="train it again with this one"
        )
    matrix = np.zeros((SIZE + 1, len(LEARNED) + 1), np.float32)
    try:
        matrix[found.arrays["rows"]] = found.arrays["steps"].astype(np.float32) * found.arrays["scale"]
    except (KeyError, ValueError, IndexError) as error:
        raise ConfigError(f"the model does not fit: {error}", where=str(path), mend="train it again") from None
    return Weights(np.ascontiguousarray(matrix[:, :-1]), matrix[:, -1].copy()), found.digest
