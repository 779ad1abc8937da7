"""A witness that is killed after it has kept its second checkpoint and before it answers."""

from __future__ import annotations

import os
import signal
import sys

from guard.cli import main
from guard.witness.state import WitnessState

keep = WitnessState.keep
kept = []


def keep_and_die(self: WitnessState, origin: str, note: str) -> None:
    """Durable, and nobody is told."""
    keep(self, origin, note)
    kept.append(note)
    if len(kept) == 2:
        os.kill(os.getpid(), signal.SIGKILL)


WitnessState.keep = keep_and_die  # type: ignore[method-assign]
sys.argv[1:1] = ["witness"]
sys.exit(main())
