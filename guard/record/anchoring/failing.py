"""How anchoring fails: an anchor that could not be placed, and one that contradicts the log."""

from __future__ import annotations

from guard.errors import GuardError
from guard.types import Checkpoint


class AnchorFailed(GuardError):
    """A checkpoint could not be anchored in one place. Tried again; enforcement does not wait for it."""

    code = "anchor_failed"


class AnchorContradicts(GuardError):
    """An anchor of this log, signed by its own key, does not fit the log: it was rolled back, or forked.

    ``checkpoint`` and ``note`` are that anchor's.
    """

    code = "anchor_contradicts"

    def __init__(self, what: str, checkpoint: Checkpoint, note: str, *, where: str = "") -> None:
        super().__init__(what, where=where, mend="stop the log, keep its directory as evidence, run guard log verify")
        self.checkpoint = checkpoint
        self.note = note
