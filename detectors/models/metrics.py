"""The metrics of a model's card: in groups, each with what it was measured on. Only what was measured on the same texts
is compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

LOWER_IS_BETTER: Final = frozenset({"hard_flagged"})
COMPARED: Final = ("accuracy", "auc", "recall_micro", "recall_macro", "hard_flagged")
"""Shares in 0..1, as ``docs/models.md`` explains them."""
TOLERANCE: Final = 0.001
"""What another machine's arithmetic may change."""


class Change(NamedTuple):
    """One metric of two models, on the same texts."""

    name: str
    before: float
    after: float

    @property
    def worse(self) -> bool:
        """Whether it is worse by more than ``TOLERANCE``."""
        metric = self.name.rpartition(".")[2]
        lost = self.after - self.before if metric in LOWER_IS_BETTER else self.before - self.after
        return lost > TOLERANCE


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The metrics of two cards that can be compared: of groups that were measured on the same texts."""
    found: list[Change] = []
    groups_before, groups_after = _groups(before), _groups(after)
    for name in sorted(groups_before.keys() & groups_after.keys()):
        one, other = groups_before[name], groups_after[name]
        if one.get("of") and one.get("of") == other.get("of"):
            found += [
                Change(f"{name}.{metric}", float(one[metric]), float(other[metric]))
                for metric in COMPARED
                if _number(one.get(metric)) and _number(other.get(metric))
            ]
    return found


def _groups(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    metrics = card.get("metrics")
    if not isinstance(metrics, Mapping):
        return {}
    return {str(name): group for name, group in metrics.items() if isinstance(group, Mapping)}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
