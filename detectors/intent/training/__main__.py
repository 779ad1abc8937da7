"""``python -m detectors.intent.training [OUT]``: train the intent model, print how well it does on held-out templates.

``OUT`` defaults to the shipped file. ``guard model train intent`` does the same for a model of your own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from detectors.intent.stored import shipped_file
from detectors.intent.training.evaluate import table
from detectors.intent.training.train import COUNT, SEED
from detectors.models.intent import make

SHIPPED_AS = "2026.11"
"""The version under which the model of these numbers is shipped."""


def main(arguments: list[str]) -> int:
    """0 when the model is written, 2 for a wrong call."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    path = Path(arguments[0]) if arguments else shipped_file()
    made = make(path, count=COUNT, seed=SEED, name=SHIPPED_AS)
    sys.stdout.write(f"{table(made.held_out)}\n\nheld-out templates: {made.held_out.accuracy:.1%}\n")
    sys.stdout.write(f"{path}: {made.digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
