"""``IntentClassifier``: rules over facts, and multinomial logistic regression over the words of the last message."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any, Final

import msgspec

from detectors.common.options import Rebuilt, digest, parse_options
from detectors.injection.lexicon import Lexicon
from detectors.intent.features import features_of
from detectors.intent.stored import LEARNED, NAME, chosen_of
from detectors.intent.watch import watch_of
from guard.types import DetectorInfo, Distribution, Facts, Intent, Segment

VERSION: Final = "1"
TOOL_USE: Final = "tool_use"
LONG_CONTEXT: Final = "long_context"
HEAD: Final = 700
TAIL: Final = 300
"""Characters of the beginning and the end of a message that are read: the time does not depend on its length."""
_MOST_SEGMENTS: Final = 8


class IntentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.intent]``. Everything has a default."""

    tool_use: bool = True
    """Whether a request that offers tools is ``tool_use``, whatever it says."""
    long_context_tokens: Annotated[int, msgspec.Meta(ge=1)] = 16_000
    """Estimated tokens of a body from which a request is ``long_context``."""
    model: str | None = None
    """A file that ``guard model train`` made, or a directory of versions: its current one. The shipped one if left
    out."""
    model_key: str | None = None
    """A public key in PEM: ``model`` must be signed by it."""


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
        stored = chosen_of(chosen.model, chosen.model_key, self._lexicon)
        self._weights = stored.weights
        self._watch = watch_of(stored)
        self._info = DetectorInfo(
            NAME,
            f"{VERSION}+{stored.version}",
            digest(NAME, VERSION, stored.digest, chosen.tool_use, chosen.long_context_tokens),
        )

    @property
    def info(self) -> DetectorInfo:
        """Name, version (with the model's after a plus sign), and the digest of model and options."""
        return self._info

    def counters(self) -> dict[str, int]:
        """What was read from words since the start, in bins: ``docs/models.md``."""
        return self._watch.counters()

    def measures(self) -> dict[str, float]:
        """Drift against the model's card."""
        return self._watch.measures()

    def distribution(self) -> Distribution:
        """The scores of what was read from words since the start, in bins."""
        return self._watch.distribution()

    def classify(self, segments: Sequence[Segment], facts: Facts) -> Intent | None:
        """The intent of a request; ``None`` if it is no call of a model, or holds no words of a user."""
        if facts.operation is None:
            return None
        read = self._read(task_of(segments))
        if read is not None:
            self._watch.observe((read.score, read.difficulty, LEARNED.index(read.name)))
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
