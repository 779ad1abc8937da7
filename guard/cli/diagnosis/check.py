"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from guard.errors import GuardError, PolicyInvalid
from guard.policy.remarks import Level, Remark

Verdict: TypeAlias = Literal["ok", "warning", "problem"]
_ORDER: Final[tuple[Verdict, ...]] = ("ok", "warning", "problem")
_NAMED: Final = 3
_VERDICTS: Final[dict[Level, Verdict]] = {"error": "problem", "warning": "warning", "info": "ok"}


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


def of_remark(name: str, remark: Remark) -> Check:
    """What ``guard check`` remarks, as a check."""
    return Check(name, _VERDICTS[remark.level], remark.message, remark.place, remark.mend)
