"""``python -m detectors.intent.training [OUT]``: train the intent model, print how well it does on held-out templates.

``OUT`` defaults to the shipped file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sklearn

from detectors.intent.model import save, shipped_lexicon
from detectors.intent.training.evaluate import evaluate, table
from detectors.intent.training.train import COUNT, SEED, examples, shipped_grammar, train

_SHIPPED = Path(__file__).parents[1] / "model.npz"


def main(arguments: list[str]) -> int:
    """0 when the model is written, 2 for a wrong call."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    lexicon = shipped_lexicon()
    held = train(list(examples(shipped_grammar({1, 2, 3}), COUNT, SEED)), lexicon)
    unseen = [(made.text, made.label) for made in examples(shipped_grammar({0}), 300, SEED + 1)]
    quality = evaluate(held, lexicon, unseen)
    sys.stdout.write(f"{table(quality)}\n\nheld-out templates: {quality.accuracy:.1%}\n")
    weights = train(list(examples(shipped_grammar(), COUNT, SEED)), lexicon)
    path = Path(arguments[0]) if arguments else _SHIPPED
    card = {
        "count": COUNT, "held_out_accuracy": round(quality.accuracy, 3), "licence": "Apache-2.0", "seed": SEED,
        "sklearn": sklearn.__version__, "trained_on": "texts of detectors/intent/training/grammar, no data of others",
    }  # fmt: skip
    sys.stdout.write(f"{path}: {save(path, weights, lexicon, card)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
