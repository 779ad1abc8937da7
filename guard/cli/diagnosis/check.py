"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from guard.errors import GuardError, PolicyInvalid

Verdict: TypeAlias = Literal["ok", "warning", "problem"]
_ORDER: Final[tuple[Verdict, ...]] = ("ok", "warning", "problem")
_NAMED: Final = 3


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: its name, a verdict, what was found, where, and how to mend it.

    A ``problem`` is what stops the guard, or lets something past it; a ``warning`` is what may become one.
    """

    check: str
    verdict: Verdict
    what: str
    where: str = ""
    mend: str = ""


def worst(checks: Sequence[Check]) -> Verdict:
    """The gravest verdict; ``ok`` without checks."""
    return max((check.verdict for check in checks), key=_ORDER.index, default="ok")


def of_error(name: str, error: GuardError) -> Check:
    """The problem that an error of ours tells."""
    if isinstance(error, PolicyInvalid):
        first = error.diagnostics[:_NAMED]
        more = len(error.diagnostics) - len(first)
        what = "; ".join(f"{d.code}: {d.message}" for d in first) + (f"; and {more} more" if more > 0 else "")
        places = [f"{d.file}:{d.row}" if d.row else d.file for d in first if d.file]
        return Check(name, "problem", what, ", ".join(places), "guard check lists every error with its place")
    return Check(name, "problem", error.what, error.where, error.mend)
