"""``Did you mean``: the names that are close to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHOWN = 5
_LONGEST = 100


def hint(start: str, typed: str, options: Iterable[str], *, quoted: bool = True) -> str:
    """A sentence that names the close options; empty where none is close."""
    ranked = [(_distance(typed, option), option) for option in options]
    limit = max(int(len(typed.encode()) * 0.4) + 1, 1)
    close = [option for distance, option in sorted(ranked, key=lambda pair: pair[0]) if distance <= limit]
    return f" {start} {any_of(close, quoted=quoted)}?" if close else ""


def any_of(names: Sequence[str], *, quoted: bool = True) -> str:
    """``"a", "b", or "c"``, at most five."""
    shown = [f'"{name}"' if quoted else name for name in names[:_SHOWN]]
    if len(shown) <= 2:
        return " or ".join(shown)
    return ", ".join(shown[:-1]) + ", or " + shown[-1]


def _distance(left: str, right: str) -> int:
    """Edits between two names; a change of case is one. Long names are far from everything."""
    if left == right:
        return 0
    left, right = left.lower(), right.lower()
    if left == right:
        return 1
    if max(len(left), len(right)) > _LONGEST:
        return _LONGEST
    row = list(range(len(right) + 1))
    for at, one in enumerate(left, 1):
        before, row[0] = row[0], at
        for column, other in enumerate(right, 1):
            cost = before if one == other else 1 + min(before, row[column], row[column - 1])
            before, row[column] = row[column], cost
    return row[-1]
